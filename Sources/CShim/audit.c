/*
 * The producer's side of the audit: which ring this backend writes to, the numbers of its statements, and what the
 * end of transactions and subtransactions means for the records made in them. Formats and the ring's protocol are
 * Swift's (warden_spool.h); this file knows PostgreSQL's transactions.
 *
 * All that a record needs is written before its statement runs; nothing here does I/O but for durability.c, where the
 * setting asks for it.
 */
#include "shim.h"

#include "access/parallel.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/pquery.h"
#include "utils/elog.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

uint64		warden_current_statement = 0;

/* The ring of this backend; -1 until its first record. */
static int	ring_index = -1;
static int	database_slot = -1;
/* leave_ring is registered */
static bool ring_leaves = false;
/* whose tables the records in it go to */
static uint32 ring_extension = 0;
static uint64 last_statement = 0;

/* The last statement of the client's own: what fails when it is over is its end of the transaction. */
static struct
{
	WardenRecorded recorded;
	uint64		transaction;
	TimestampTz message;		/* when the message started that it came in */
	bool		over;
	WardenCompletion completion;	/* once it is over */
	uint64		sent;			/* warden_bytes_sent at its end */
	bool		ends_transaction;
} last_top = {.recorded.position = -1};

/* Where the running transaction's records begin; below 0: it has none. */
static int64 transaction_position = -1;
static uint64 transaction_first = 0;

/* What prepared.c keeps of the running transaction; below 0: nothing. */
static int	prepared_entry = -1;

/* The statement number at the start of each open subtransaction, innermost last. */
typedef struct SubtransactionStart
{
	SubTransactionId id;
	uint64		first;
	int64		position;
} SubtransactionStart;

static SubtransactionStart *subtransactions = NULL;
static int	subtransaction_count = 0;
static int	subtransaction_room = 0;

/* --- the ring --- */

static void
leave_ring(int code, Datum arg)
{
	(void) arg;
	warden_connection_over(code);
	if (ring_index >= 0)
		warden_ring_leave(ring_index);
	ring_index = -1;
}

/* The writer cannot run where the tables cannot be written; on a standby nothing is recorded (docs say so). */
static bool
recording(void)
{
	return !RecoveryInProgress();
}

static bool
ring_is_ready(void)
{
	return ring_index >= 0 && warden_spool_database(database_slot)->database == MyDatabaseId &&
		warden_spool_database(database_slot)->extension == warden_catalog.extension;
}

static void
leave_at_exit(void)
{
	if (!ring_leaves)
		on_shmem_exit(leave_ring, (Datum) 0);	/* after the running transaction was aborted */
	ring_leaves = true;
}

/* True where a ring is there; needs a transaction that is not aborted. */
static bool
try_ring(void)
{
	/* the slot may have been given away: the extension was dropped and made again */
	if (ring_is_ready())
		return true;
	database_slot = warden_database_slot(MyDatabaseId, true);
	if (database_slot < 0)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("more than %d databases are governed by pg_warden", WARDEN_MAX_DATABASES),
				 errdetail("There is no place in the spool for the records of another one."),
				 errhint("DROP EXTENSION pg_warden, under break-glass, in a database that no longer needs it.")));
	if (!warden_shared_database(database_slot)->ready ||
		warden_spool_database(database_slot)->extension != warden_catalog.extension)
		warden_counter_check(database_slot);
	if (ring_index < 0)
		ring_index = warden_ring_take(MyDatabaseId, warden_session_number,
									  MyBackendType == B_BG_WORKER || superuser_arg(GetSessionUserId()));
	ring_extension = warden_spool_database(database_slot)->extension;
	leave_at_exit();
	return ring_index >= 0;
}

static void
take_ring(void)
{
	while (!try_ring())
	{
		warden_wake_writer(database_slot);
		if (warden_audit_overflow == WARDEN_OVERFLOW_REFUSE)
			ereport(ERROR,
					(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					 errmsg("the audit cannot take another record"),
					 errdetail("Every ring of the spool waits for its writer, and warden.audit_overflow is \"refuse\"."),
					 errhint("Sessions of superusers have rings of their own: SELECT * FROM warden.status() tells what stops the writer.")));
		CHECK_FOR_INTERRUPTS();
		warden_wait_for_writer(database_slot, 100);
	}
	warden_connection_recorded_late();
}

/* In the middle of an error: the ring that is there, or one that can be had without a look into the catalogs. */
static bool
ring_at_hand(void)
{
	if (ring_is_ready())
		return true;
	if (!ring_leaves || ring_index >= 0 || !OidIsValid(warden_catalog.extension))
		return false;
	database_slot = warden_database_slot(MyDatabaseId, false);
	if (database_slot < 0 || !warden_shared_database(database_slot)->ready ||
		warden_spool_database(database_slot)->extension != warden_catalog.extension)
		return false;
	ring_index = warden_ring_take(MyDatabaseId, warden_session_number, false);
	ring_extension = warden_spool_database(database_slot)->extension;
	if (ring_index >= 0)
		warden_connection_recorded_late();
	return ring_index >= 0;
}

/*
 * A session's first transaction is the server's own, at connect. What the first statement needs if it fails at once is
 * made ready there: then it is too late to look into the catalogs.
 */
static void
prepare_for_failures(void)
{
	static bool prepared = false;

	if (prepared || !warden_is_client() || !recording() || warden_internal_depth > 0)
		return;
	prepared = true;
	warden_internal_depth++;
	warden_governed_refresh();
	warden_internal_depth--;
	if (!warden_governed_known())
		return;
	warden_session_refresh();
	leave_at_exit();
	database_slot = warden_database_slot(MyDatabaseId, false);
	/* a login does not fail for what is wrong with the audit: the first statement does */
	if ((database_slot < 0 || !warden_shared_database(database_slot)->ready) && warden_chain_is_sound())
		(void) try_ring();
}

bool
warden_audit_take_early(int slot)
{
	if (ring_index >= 0)
		return true;
	leave_at_exit();
	if (!warden_shared_database(slot)->ready || warden_spool_database(slot)->database != MyDatabaseId)
		return false;
	ring_index = warden_ring_take(MyDatabaseId, warden_session_number, warden_session.superuser);
	database_slot = slot;
	ring_extension = warden_spool_database(slot)->extension;
	return ring_index >= 0;
}

uint64
warden_audit_statements(void)
{
	return last_statement;
}

/*
 * What must be possible whatever the state of the audit: the end of a transaction, and reports on what is over. They
 * neither wait nor fail; where there is no room for them that is counted, and shown by warden.status().
 */
static bool
must_go_on(const WardenRecord *record)
{
	return record->event == WARDEN_EVENT_TRANSACTION || record->event == WARDEN_EVENT_CONNECT ||
		record->event == WARDEN_EVENT_DISCONNECT || record->event == WARDEN_EVENT_AUTH_FAILED ||
		(record->statement != NULL && (record->statement->classes == WARDEN_CLASS_TRANSACTION ||
									   record->statement->classes == WARDEN_CLASS_CONNECT));
}

/* The capacity bounds every write: it is compared with what was mapped, not believed. */
static int64
try_append(int index, int slot, const WardenRecord *record)
{
	WardenRing *ring = warden_ring_at(index);
	int64		position = WARDEN_RING_DAMAGED;

	if (likely(ring->capacity == warden_ring_capacity()))
		SWIFT_GET(position, warden_ring_append(ring, warden_ring_bytes(index),
											   &warden_spool_database(slot)->counter, record));
	return position;
}

/* In the middle of an error: room was seen to before (see room_for_failures). */
static int64
append_at_once(const WardenRecord *record)
{
	int64		position = try_append(ring_index, database_slot, record);

	if (position < 0)
	{
		warden_ring_at(ring_index)->lost++;
		warden_wake_writer(database_slot);
	}
	return position;
}

/* Waits a moment for room, or refuses, as warden.audit_overflow says. */
static void
wait_for_room(int slot)
{
	warden_wake_writer(slot);
	if (warden_audit_overflow == WARDEN_OVERFLOW_REFUSE)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("the audit cannot take another record"),
				 errdetail("The ring of this session is full and warden.audit_overflow is \"refuse\"."),
				 errhint("Wait for the audit writer. A new session of a superuser has room: SELECT * FROM warden.status() tells what stops it.")));
	CHECK_FOR_INTERRUPTS();
	warden_wait_for_writer(slot, 50);
}

/* Appends; waits for room where there is none. */
int64
warden_ring_write(int index, int slot, const WardenRecord *record)
{
	WardenRing *ring = warden_ring_at(index);
	int64		position;

	for (;;)
	{
		position = try_append(index, slot, record);
		if (position != WARDEN_RING_FULL || must_go_on(record))
			break;
		wait_for_room(slot);
	}
	if (position == WARDEN_RING_DAMAGED && !must_go_on(record))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("the audit's ring is damaged: the statement is refused"),
				 errdetail("What cannot be recorded is not run."),
				 errhint("Reconnect; warden.status() tells about the spool.")));
	if (position < 0)
		ring->lost++;
	/* a ring half full does not wait for the writer's next turn; a writer at rest is started */
	else if (ring->head - ring->tail > ring->capacity / 2 || warden_shared_database(slot)->writer_latch == NULL)
		warden_wake_writer(slot);
	return position;
}

static int64
append(const WardenRecord *record)
{
	return warden_ring_write(ring_index, database_slot, record);
}

bool
warden_audit_session_event(const WardenRecord *record)
{
	/* the extension was dropped, or made again: the ring's records went with it */
	if (ring_index < 0 || warden_spool_database(database_slot)->database != MyDatabaseId ||
		warden_spool_database(database_slot)->extension != ring_extension)
		return false;
	if (record->event == WARDEN_EVENT_CONNECT)
		warden_ring_at(ring_index)->session_open = 1;
	if (append(record) < 0)
		return false;
	if (record->event == WARDEN_EVENT_DISCONNECT)
		warden_ring_at(ring_index)->session_open = 0;
	return true;
}

/*
 * Under `power` a record is on disk before its statement runs, a refusal's before it is reported. What is nested is
 * covered by the flush before the commit.
 */
static void
secure(const WardenRecord *record)
{
	if (!must_go_on(record) && (warden_current_statement == 0 || record->outcome == WARDEN_OUTCOME_BLOCKED))
		warden_durability_flush(warden_ring_at(ring_index), false);
}

/* --- statements --- */

static bool
wanted(const WardenFacts *facts, const WardenVerdict *verdict)
{
	if (!recording())
		return false;
	/* refused, or an alert; what would be refused; what comes of a statement whose rows are counted is not known yet */
	if (verdict->action != WARDEN_ACTION_ALLOW || verdict->decision == WARDEN_DECISION_WOULD_BLOCK ||
		verdict->decision == WARDEN_DECISION_WOULD_REQUIRE_APPROVAL || verdict->rows_left > 0)
		return true;
	/* under `all` even what has no class is recorded */
	if ((facts->statement.classes & warden_audit_classes) == 0 && ~warden_audit_classes != 0)
		return false;
	return warden_audit_nested || warden_current_statement == 0;
}

static void
note_transaction(int64 position)
{
	if (transaction_position >= 0)
		return;
	transaction_position = position;
	transaction_first = last_statement;
	warden_ring_at(ring_index)->transaction_position = (uint64) position;
	warden_ring_at(ring_index)->transaction_first = last_statement;
}

static void
describe(WardenRecord *record, const WardenFacts *facts, const WardenVerdict *verdict)
{
	record->event = WARDEN_EVENT_STATEMENT;
	record->decision = verdict->decision;
	record->guard = verdict->guard;
	record->session = warden_session_number;
	record->statement_no = ++last_statement;
	record->parent_no = warden_current_statement != 0 ? warden_current_statement : warden_fast_path_statement();
	record->transaction = WARDEN_LOCAL_XID();
	record->subtransaction = IsTransactionState() ? GetCurrentSubTransactionId() : 0;
	record->context = warden_session_context;
	record->statement = &facts->statement;
	record->completion.rows = -1;
	record->completion.bytes = -1;
	record->completion.duration = -1;
}

static void
note_top(const WardenRecorded *recorded, const WardenStatement *statement)
{
	last_top.recorded = *recorded;
	last_top.transaction = WARDEN_LOCAL_XID();
	last_top.message = GetCurrentStatementStartTimestamp();
	last_top.over = false;
	/* COMMIT and PREPARE TRANSACTION do their work when the statement is over */
	last_top.ends_transaction = statement->classes == WARDEN_CLASS_TRANSACTION;
}

uint64
warden_audit_top_statement(void)
{
	return last_top.recorded.statement_no;
}

static void
take_source(WardenRecord *record, const WardenSource *source)
{
	record->statement_hash = source->query_id;
	record->text.bytes = (const uint8_t *) source->text;
	record->text.length = source->length;
	record->text_limit = (int64_t) warden_audit_statement_limit * 1024;
	record->text_digest = warden_source_digest(source, record->text_limit);
	record->has_secret = source->has_secret;
	record->redacted = source->redacted;
	record->redacted_count = source->redacted_count;
	record->parameters = source->parameters;
	record->parameter_count = source->parameter_count;
	record->parameter_mode = (WardenParameterMode) warden_audit_parameters;
}

void
warden_alert_record(WardenRecord *alert, WardenStatement *about, WardenAccess *object, const WardenStatement *statement,
					const WardenVerdict *verdict)
{
	memset(alert, 0, sizeof(*alert));
	*about = *statement;
	about->accesses = NULL;
	about->access_count = 0;
	if (verdict->object != NULL)
	{
		memset(object, 0, sizeof(*object));
		object->object = verdict->object;
		object->classes = statement->classes;
		about->accesses = object;
		about->access_count = 1;
	}
	alert->event = WARDEN_EVENT_ALERT;
	alert->decision = verdict->decision;
	alert->outcome = WARDEN_OUTCOME_COMMITTED;	/* whatever becomes of the transaction */
	alert->at = GetCurrentTimestamp();
	alert->session = warden_session_number;
	alert->context = warden_session_context;
	alert->guard = verdict->guard;
	alert->text = verdict->message;
	alert->text_limit = 1024;
	alert->statement = about;
	alert->completion.rows = alert->completion.bytes = alert->completion.duration = -1;
}

static void
raise_alert(const WardenRecord *raised_by, const WardenVerdict *verdict)
{
	WardenRecord alert;
	WardenStatement about;
	WardenAccess object;

	warden_alert_record(&alert, &about, &object, raised_by->statement, verdict);
	alert.statement_no = raised_by->statement_no;
	alert.parent_no = raised_by->parent_no;
	alert.transaction = raised_by->transaction;
	(void) append(&alert);
}

void
warden_audit_start(WardenRecorded *recorded, const WardenFacts *facts, const WardenVerdict *verdict,
				   const WardenSource *source)
{
	WardenRecord record = {0};

	recorded->position = -1;
	recorded->done = false;
	/* in a failed transaction a ring cannot be taken: that needs the catalogs */
	if (!wanted(facts, verdict) || (!IsTransactionState() && !ring_is_ready()))
		return;
	/* COMMIT neither waits nor fails, where nothing was recorded in its transaction either */
	if (facts->statement.classes != WARDEN_CLASS_TRANSACTION)
		take_ring();
	else if (!try_ring())
		return;
	if (unlikely(warden_mode_to_tell))
		warden_mode_tell();
	recorded->started = GetCurrentTimestamp();
	describe(&record, facts, verdict);
	record.at = recorded->started;
	if (verdict->rows_left > 0)
		record.last_statement_no = record.statement_no;
	take_source(&record, source);
	if (verdict->action == WARDEN_ACTION_BLOCK || verdict->action == WARDEN_ACTION_REQUIRE_APPROVAL)
	{
		record.outcome = WARDEN_OUTCOME_BLOCKED;
		memcpy(record.completion.sqlstate, verdict->sqlstate, sizeof(record.completion.sqlstate));
		record.completion.error = verdict->message;
		record.completion.duration = 0;
	}
	else if (source->of_transaction)
		record.subtransaction = TopSubTransactionId;
	else if (!IsTransactionState())
		record.outcome = WARDEN_OUTCOME_ROLLED_BACK;	/* ROLLBACK of what has failed already */
	recorded->statement_no = record.statement_no;
	recorded->bytes = record.parent_no == 0 ? 0 : -1;
	warden_audit_sent();
	recorded->position = append(&record);
	recorded->seq = warden_ring_at(ring_index)->last_seq;
	recorded->withheld = warden_ring_at(ring_index)->withheld;
	recorded->done = record.outcome != WARDEN_OUTCOME_OPEN || recorded->position < 0;
	if (!recorded->done)
		note_transaction(recorded->position);
	if (record.parent_no == 0 && record.outcome == WARDEN_OUTCOME_OPEN)
		note_top(recorded, &facts->statement);
	if (unlikely(verdict->action == WARDEN_ACTION_ALERT))
		raise_alert(&record, verdict);
	secure(&record);
}

static bool
refuses(const WardenVerdict *verdict)
{
	return verdict->action == WARDEN_ACTION_BLOCK || verdict->action == WARDEN_ACTION_REQUIRE_APPROVAL;
}

WardenElsewhere
warden_audit_elsewhere(const WardenFacts *facts, const WardenVerdict *verdict, const WardenSource *source, bool governed)
{
	WardenRecord record = {0};

	if (!wanted(facts, verdict))
		return NULL;
	describe(&record, facts, verdict);
	if (governed)
		last_statement--;
	record.at = GetCurrentTimestamp();
	take_source(&record, source);
	if (refuses(verdict))
	{
		record.outcome = WARDEN_OUTCOME_BLOCKED;
		memcpy(record.completion.sqlstate, verdict->sqlstate, sizeof(record.completion.sqlstate));
		record.completion.error = verdict->message;
		record.completion.duration = 0;
	}
	return warden_elsewhere_start(&record);
}

/* Amendments have neither command nor class: who looks for a command finds statements. */
static void
amend(uint64 first, uint64 last, WardenOutcome outcome, const WardenCompletion *completion, uint64 withheld)
{
	WardenRecord record = {0};

	record.event = WARDEN_EVENT_TRANSACTION;
	record.outcome = outcome;
	record.at = GetCurrentTimestamp();
	record.session = warden_session_number;
	record.statement_no = first;
	record.last_statement_no = last;
	record.transaction = WARDEN_LOCAL_XID();
	record.context = warden_session_context;
	record.completion = *completion;
	record.withheld = withheld;
	(void) append(&record);
}

/* Amendments may use the room that is kept for outcomes: not these, of which there can be many. */
static bool
has_room_to_spare(void)
{
	const WardenRing *ring = warden_ring_at(ring_index);

	return ring->capacity - (ring->head - ring->tail) > 4 * 8192;
}

void
warden_audit_reached(const WardenRecorded *recorded, const WardenStatement *reached, bool may_wait)
{
	WardenRecord record = {0};

	if (recorded->position < 0 || ring_index < 0)
		return;
	while (may_wait && !has_room_to_spare())
		wait_for_room(database_slot);
	if (!has_room_to_spare())
	{
		warden_ring_at(ring_index)->lost++;
		return;
	}
	record.event = WARDEN_EVENT_TRANSACTION;
	record.at = GetCurrentTimestamp();
	record.session = warden_session_number;
	record.statement_no = recorded->statement_no;
	/* the record that it belongs to: found without a search */
	record.request_id = (int64_t) recorded->seq;
	record.transaction = WARDEN_LOCAL_XID();
	record.context = warden_session_context;
	record.statement = reached;
	record.completion.rows = -1;
	record.completion.bytes = -1;
	record.completion.duration = -1;
	(void) append(&record);
}

static void
finish(WardenRecorded *recorded, const WardenCompletion *completion, WardenOutcome outcome)
{
	bool		in_place;

	if (recorded->position < 0 || recorded->done || ring_index < 0)
		return;
	recorded->done = true;
	SWIFT_GET(in_place, warden_ring_complete(warden_ring_at(ring_index), warden_ring_bytes(ring_index),
											 recorded->position, completion, outcome));
	/* the writer has it already: what came after is a record of its own */
	if (!in_place)
		amend(recorded->statement_no, 0, completion->sqlstate[0] != '\0' && outcome == WARDEN_OUTCOME_OPEN ?
			  WARDEN_OUTCOME_FAILED : outcome, completion, recorded->withheld);
}

void
warden_audit_decided(WardenRecorded *recorded, const WardenFacts *facts, const WardenVerdict *verdict, int64 rows)
{
	WardenCompletion completion = {.rows = rows, .bytes = recorded->bytes};
	WardenRecord record = {0};

	if (recorded->position < 0 || recorded->done || ring_index < 0)
		return;
	while (!has_room_to_spare())
		wait_for_room(database_slot);
	record.event = WARDEN_EVENT_TRANSACTION;
	record.decision = verdict->decision;
	record.guard = verdict->guard;
	record.at = GetCurrentTimestamp();
	record.session = warden_session_number;
	record.statement_no = recorded->statement_no;
	record.transaction = WARDEN_LOCAL_XID();
	record.context = warden_session_context;
	record.completion.rows = record.completion.bytes = record.completion.duration = -1;
	(void) append(&record);
	record.statement = &facts->statement;
	if (verdict->action == WARDEN_ACTION_ALERT)
		raise_alert(&record, verdict);
	if (!refuses(verdict))
		return;
	memcpy(completion.sqlstate, verdict->sqlstate, sizeof(completion.sqlstate));
	completion.error = verdict->message;
	completion.duration = GetCurrentTimestamp() - recorded->started;
	finish(recorded, &completion, WARDEN_OUTCOME_BLOCKED);
	warden_durability_flush(warden_ring_at(ring_index), true);
}

void
warden_audit_end(WardenRecorded *recorded, int64 rows)
{
	WardenCompletion completion = {.rows = rows, .bytes = recorded->bytes};

	if (recorded->position < 0 || recorded->done)
		return;
	completion.duration = GetCurrentTimestamp() - recorded->started;
	finish(recorded, &completion, WARDEN_OUTCOME_OPEN);
	if (recorded->position != last_top.recorded.position)
		return;
	last_top.over = true;
	last_top.completion = completion;
	last_top.sent = warden_bytes_sent;
}

void
warden_audit_so_far(const WardenRecorded *recorded, int64 rows)
{
	WardenCompletion completion = {.rows = rows, .bytes = recorded->bytes};
	WardenRecorded copy = *recorded;

	if (recorded->position < 0 || recorded->done || recorded->bytes < 0)
		return;
	completion.duration = GetCurrentTimestamp() - recorded->started;
	finish(&copy, &completion, WARDEN_OUTCOME_OPEN);
}

void
warden_audit_sent(void)
{
	WardenRecorded recorded = last_top.recorded;

	/* results that the server keeps until the statement is over (RETURNING, SHOW, FETCH) are sent after its end */
	if (likely(!last_top.over || warden_bytes_sent == last_top.sent))
		return;
	last_top.completion.bytes += (int64) (warden_bytes_sent - last_top.sent);
	last_top.sent = warden_bytes_sent;
	recorded.done = false;
	finish(&recorded, &last_top.completion, WARDEN_OUTCOME_OPEN);
}

void
warden_audit_error(WardenRecorded *recorded)
{
	WardenCompletion completion = {.rows = -1, .bytes = recorded->bytes};

	if (recorded->position < 0 || recorded->done)
		return;
	warden_failure_completion(&completion);
	completion.duration = GetCurrentTimestamp() - recorded->started;
	finish(recorded, &completion, WARDEN_OUTCOME_OPEN);
}

void
warden_audit_failure(const WardenSource *source, const char *command, WardenClasses classes,
					 const WardenCompletion *completion)
{
	static const WardenVerdict allowed = {.action = WARDEN_ACTION_ALLOW, .decision = WARDEN_DECISION_ALLOWED};
	WardenRecord record = {0};
	WardenFacts facts = {0};

	/* what did not even parse has no class: it is recorded under `all` */
	if ((~warden_audit_classes != 0 && (classes & warden_audit_classes) == 0) || !recording() || !ring_at_hand())
		return;
	facts.statement.command = warden_text(command);
	facts.statement.classes = classes;
	describe(&record, &facts, &allowed);
	record.at = GetCurrentTimestamp();
	take_source(&record, source);
	record.outcome = WARDEN_OUTCOME_FAILED;
	record.completion = *completion;
	(void) append_at_once(&record);
}

bool
warden_audit_last_failed(WardenCompletion *completion, bool at_end)
{
	WardenRecorded recorded = last_top.recorded;

	if (recorded.position < 0 || last_top.message != GetCurrentStatementStartTimestamp() ||
		last_top.transaction != WARDEN_LOCAL_XID() || !(at_end || last_top.ends_transaction))
		return false;
	last_top.recorded.position = -1;
	completion->duration = GetCurrentTimestamp() - recorded.started;
	completion->bytes = last_top.over ? last_top.completion.bytes : recorded.bytes;
	last_top.over = false;
	recorded.done = false;
	finish(&recorded, completion, WARDEN_OUTCOME_OPEN);
	return true;
}

void
warden_audit_event(WardenEvent event, const char *text)
{
	WardenRecord record = {0};
	WardenVerdict verdict = {.action = WARDEN_ACTION_ALLOW, .decision = WARDEN_DECISION_ALLOWED};
	WardenFacts facts;
	int64		position;

	if (!recording())
		return;
	warden_session_refresh();
	take_ring();
	warden_facts_begin(&facts, NULL);
	describe(&record, &facts, &verdict);
	record.event = event;
	record.at = GetCurrentTimestamp();
	record.text = warden_text(text);
	record.text_limit = (int64_t) warden_audit_statement_limit * 1024;
	/* an alert or a break-glass stands whatever becomes of the transaction; a policy change does not */
	record.outcome = event == WARDEN_EVENT_POLICY ? WARDEN_OUTCOME_OPEN : WARDEN_OUTCOME_COMMITTED;
	position = append(&record);
	if (record.outcome == WARDEN_OUTCOME_OPEN)
	{
		WardenRecorded recorded = {
			.position = position, .statement_no = record.statement_no, .started = record.at, .bytes = -1
		};

		note_transaction(position);
		warden_audit_end(&recorded, -1);
	}
	secure(&record);
}

bool
warden_audit_append_own(const WardenRecord *record)
{
	int64		position;

	/* the writer waits for nobody: it is who makes room */
	if (!try_ring())
		return false;
	SWIFT_GET(position, warden_ring_append(warden_ring_at(ring_index), warden_ring_bytes(ring_index),
										   &warden_spool_database(database_slot)->counter, record));
	return position >= 0;
}

void
warden_decide_statement(WardenVerdict *verdict, WardenRecorded *recorded, const WardenFacts *facts,
						const WardenSource *source)
{
	warden_decide_facts(facts, verdict);
	if (verdict->action != WARDEN_ACTION_BLOCK && verdict->action != WARDEN_ACTION_REQUIRE_APPROVAL)
		return;
	warden_audit_start(recorded, facts, verdict, source);
	warden_refusal_told();
	warden_refuse(facts, verdict);
}

void
warden_decide_and_record(WardenRecorded *recorded, WardenFacts *facts, const WardenSource *source)
{
	WardenVerdict verdict;

	warden_decide_statement(&verdict, recorded, facts, source);
	warden_facts_keep_named(facts);
	warden_audit_start(recorded, facts, &verdict, source);
}

void
warden_record_allowed(WardenRecorded *recorded, const WardenFacts *facts, const WardenSource *source)
{
	const WardenVerdict verdict = {.action = WARDEN_ACTION_ALLOW, .decision = WARDEN_DECISION_ALLOWED};

	/* in a failed transaction the catalogs are closed: the session is as it was */
	if (IsTransactionState())
		warden_session_refresh();
	warden_audit_start(recorded, facts, &verdict, source);
}

/* --- transactions --- */

static void
resolve(int64 position, uint64 first, SubTransactionId subtransaction, WardenOutcome outcome, bool running)
{
	static const WardenCompletion nothing = {.rows = -1, .bytes = -1, .duration = -1};
	WardenUnresolved unresolved = {0, 0};

	if (first > last_statement)
		return;
	SWIFT(warden_ring_resolve(warden_ring_at(ring_index), warden_ring_bytes(ring_index), position, first,
							  subtransaction, outcome, running, &unresolved));
	/* ROLLBACK TO takes effect, and is no part of what it takes back */
	if (subtransaction != 0 && last_top.ends_transaction && last_top.recorded.statement_no == unresolved.last)
		unresolved.last--;
	if (unresolved.first != 0 && unresolved.first <= unresolved.last)
		amend(unresolved.first, unresolved.last, outcome, &nothing, 0);
}

/*
 * Procedures, DO, CREATE INDEX CONCURRENTLY and the like end transactions and go on: their own outcome is not decided
 * before they have come to their end.
 */
static void
transaction_over(WardenOutcome outcome)
{
	const WardenRecorded *running = proc_exit_inprogress ? NULL : warden_frame_outermost();

	subtransaction_count = 0;
	if (transaction_position < 0 || ring_index < 0)
		return;
	warden_audit_sent();
	last_top.over = false;
	resolve(transaction_position, running ? Max(transaction_first, running->statement_no + 1) : transaction_first, 0,
			outcome, running != NULL);
	transaction_position = -1;
	warden_ring_at(ring_index)->transaction_first = 0;
	warden_ring_at(ring_index)->xid = 0;
	if (running)
	{
		transaction_position = running->position;
		transaction_first = running->statement_no;
		warden_ring_at(ring_index)->transaction_position = (uint64) transaction_position;
		warden_ring_at(ring_index)->transaction_first = transaction_first;
	}
}

static bool
is_nearly_full(void)
{
	WardenRing *ring = warden_ring_at(ring_index);

	/* no record is larger than a quarter */
	return ring->capacity == warden_ring_capacity() && ring->head - warden_load_acquire(&ring->tail) > ring->capacity / 2;
}

/* A subtransaction is what errors are swallowed with: their records, which cannot wait, find room. */
static void
room_for_failures(void)
{
	/* SAVEPOINT and ROLLBACK TO start theirs when their statement is over: nothing limits that time, and they must be possible */
	if (ActivePortal == NULL)
		return;
	while (ring_is_ready() && is_nearly_full())
	{
		if (warden_audit_overflow == WARDEN_OVERFLOW_REFUSE)
			return;
		CHECK_FOR_INTERRUPTS();
		warden_wake_writer(database_slot);
		warden_wait_for_writer(database_slot, 50);
	}
}

/* The same for statements that fail one after another: a second at most, since an abort cannot be interrupted. */
static void
let_writer_catch_up(void)
{
	for (int i = 0; i < 1000 && ring_is_ready() && !proc_exit_inprogress && is_nearly_full(); i++)
	{
		warden_wake_writer(database_slot);
		pg_usleep(1000);
	}
}

static void
before_commit(bool is_prepare)
{
	WardenRing *ring;

	if (ring_index < 0 || transaction_position < 0)
		return;
	ring = warden_ring_at(ring_index);
	/* killed from here on, the writer can still learn from the commit log how it ended */
	if (!is_prepare)
		ring->xid = U64FromFullTransactionId(GetTopFullTransactionIdIfAny());
	warden_durability_flush(ring, ring->xid != 0);
}

static void
transaction_event(XactEvent event, void *arg)
{
	static bool noted = false;

	(void) arg;
	warden_check_wall("transaction_event");
	if (unlikely(warden_telling_elsewhere))
		warden_elsewhere_transaction(event);
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			if (unlikely(!noted))
				warden_note_first_xid();
			noted = true;
			prepare_for_failures();
			if (unlikely(warden_connecting))
				warden_connection_established();
			before_commit(false);
			break;
		case XACT_EVENT_PRE_PREPARE:
			warden_break_glass_refuse_prepare();
			before_commit(true);
			if (ring_index >= 0 && transaction_position >= 0)
				prepared_entry = warden_prepared_note(transaction_first, last_statement,
													  U64FromFullTransactionId(GetTopFullTransactionId()));
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PARALLEL_COMMIT:
			transaction_over(WARDEN_OUTCOME_COMMITTED);
			warden_break_glass_transaction_over();
			warden_failures_watch();
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PARALLEL_ABORT:
			if (prepared_entry >= 0)
				warden_prepared_forget(prepared_entry);
			prepared_entry = -1;
			transaction_over(WARDEN_OUTCOME_ROLLED_BACK);
			warden_break_glass_transaction_over();
			warden_failures_watch();
			let_writer_catch_up();
			break;
		case XACT_EVENT_PREPARE:
			/* how it ends is decided later, by COMMIT PREPARED or ROLLBACK PREPARED: its records stay open */
			prepared_entry = -1;
			transaction_position = -1;
			subtransaction_count = 0;
			last_top.over = false;
			if (ring_index >= 0)
				warden_ring_at(ring_index)->transaction_first = 0;
			break;
		default:
			break;
	}
}

static void
push_subtransaction(SubTransactionId id)
{
	if (subtransaction_count == subtransaction_room)
	{
		int			room = Max(16, subtransaction_room * 2);

		subtransactions = subtransactions ?
			repalloc(subtransactions, sizeof(SubtransactionStart) * room) :
			MemoryContextAlloc(TopMemoryContext, sizeof(SubtransactionStart) * room);
		subtransaction_room = room;
	}
	subtransactions[subtransaction_count].id = id;
	subtransactions[subtransaction_count].first = last_statement + 1;
	subtransactions[subtransaction_count].position =
		ring_index >= 0 ? (int64) warden_ring_at(ring_index)->head : 0;
	subtransaction_count++;
}

static void
subtransaction_event(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
	SubtransactionStart *start;

	(void) parent;
	(void) arg;
	warden_check_wall("subtransaction_event");
	warden_failures_watch();
	if (unlikely(warden_telling_elsewhere) && event == SUBXACT_EVENT_ABORT_SUB)
		warden_elsewhere_subtransaction_aborted(id);
	if (event == SUBXACT_EVENT_START_SUB && warden_governed_known())
	{
		room_for_failures();
		push_subtransaction(id);
	}
	if (event != SUBXACT_EVENT_ABORT_SUB && event != SUBXACT_EVENT_COMMIT_SUB)
		return;
	while (subtransaction_count > 0 && subtransactions[subtransaction_count - 1].id > id)
		subtransaction_count--;
	if (subtransaction_count == 0 || subtransactions[subtransaction_count - 1].id != id)
		return;
	start = &subtransactions[--subtransaction_count];
	if (event == SUBXACT_EVENT_ABORT_SUB && ring_index >= 0 && last_statement >= start->first)
		resolve(start->position, start->first, id, WARDEN_OUTCOME_ROLLED_BACK, false);
}

void
warden_audit_install(void)
{
	warden_statement_hash_install();
	warden_failures_install();
	warden_connections_install();
	RegisterXactCallback(transaction_event, NULL);
	RegisterSubXactCallback(subtransaction_event, NULL);
}
