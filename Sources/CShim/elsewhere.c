/*
 * Commands that concern the whole cluster, told to the governed databases that they do not run in: roles and their
 * memberships, databases, tablespaces, ALTER SYSTEM.
 *
 * A backend has its own ring in its own database at most. For such a command it takes a ring of every other governed
 * database too, writes the record of the command's start to each, and keeps them until the transaction has ended: then
 * the records get their outcome and the rings are given back. Killed in between, it leaves orphans behind, which the
 * writers finish like any other.
 */
#include "shim.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* How long to wait for a writer to compare its counter with its table after the server's start, in microseconds. */
#define PATIENCE (5 * USECS_PER_SEC)

typedef struct Place
{
	int			slot;
	int			ring;
	uint32		database;
	uint32		extension;
} Place;

/* A command of the running transaction whose outcome is open; in the transaction's memory. */
typedef struct Told
{
	uint64		statement_no;
	SubTransactionId subtransaction;
	TimestampTz started;
	bool		ended;
	WardenCompletion completion;
	char		error[160];
	int64		positions[WARDEN_MAX_DATABASES];
	struct Told *next;
} Told;

bool		warden_telling_elsewhere = false;

static Place places[WARDEN_MAX_DATABASES];
static int	place_count = 0;
static Told *told = NULL;

bool
warden_is_cluster_wide(Node *utility)
{
	switch (nodeTag(utility))
	{
		case T_CreatedbStmt:
		case T_AlterDatabaseStmt:
		case T_AlterDatabaseRefreshCollStmt:
		case T_AlterDatabaseSetStmt:
		case T_DropdbStmt:
		case T_CreateRoleStmt:
		case T_AlterRoleStmt:
		case T_AlterRoleSetStmt:
		case T_DropRoleStmt:
		case T_GrantRoleStmt:
		case T_AlterSystemStmt:
		case T_CreateTableSpaceStmt:
		case T_AlterTableSpaceOptionsStmt:
		case T_DropTableSpaceStmt:
		case T_ReassignOwnedStmt:
		case T_DropOwnedStmt:
			return true;
		case T_RenameStmt:
			return ((RenameStmt *) utility)->renameType == OBJECT_DATABASE ||
				((RenameStmt *) utility)->renameType == OBJECT_ROLE ||
				((RenameStmt *) utility)->renameType == OBJECT_TABLESPACE;
		case T_AlterOwnerStmt:
			return ((AlterOwnerStmt *) utility)->objectType == OBJECT_DATABASE ||
				((AlterOwnerStmt *) utility)->objectType == OBJECT_TABLESPACE;
		case T_GrantStmt:
			return ((GrantStmt *) utility)->objtype == OBJECT_DATABASE ||
				((GrantStmt *) utility)->objtype == OBJECT_TABLESPACE ||
				((GrantStmt *) utility)->objtype == OBJECT_PARAMETER_ACL;
		default:
			return false;
	}
}

/* --- rings --- */

static void
give_back(void)
{
	for (int i = 0; i < place_count; i++)
	{
		warden_ring_at(places[i].ring)->transaction_first = 0;
		warden_ring_at(places[i].ring)->xid = 0;
		warden_ring_leave(places[i].ring);
		warden_wake_writer(places[i].slot);
	}
	place_count = 0;
	told = NULL;
	warden_telling_elsewhere = false;
}

static void
wait_until_ready(int slot)
{
	for (int64 waited = 0; !warden_shared_database(slot)->ready && waited < PATIENCE; waited += 10000)
	{
		if (waited == 0)
			warden_wake_writer(slot);
		CHECK_FOR_INTERRUPTS();
		pg_usleep(10000);
	}
}

/* A ring in each other governed database, or none at all: two backends that wait for each other's would wait for ever. */
static bool
take_all(void)
{
	for (int slot = 0; slot < WARDEN_MAX_DATABASES; slot++)
	{
		const WardenSpoolDatabase *database = warden_spool_database(slot);
		Place	   *place = &places[place_count];

		if (!OidIsValid(database->database) || database->database == MyDatabaseId || !OidIsValid(database->extension))
			continue;
		place->slot = slot;
		place->database = database->database;
		place->extension = database->extension;
		place->ring = warden_ring_take(place->database, warden_session_number, warden_session.superuser);
		if (place->ring < 0)
		{
			give_back();
			return false;
		}
		place_count++;
	}
	warden_telling_elsewhere = place_count > 0;
	return true;
}

static void
take_rings(void)
{
	if (place_count > 0)
		return;
	for (int slot = 0; slot < WARDEN_MAX_DATABASES; slot++)
		if (OidIsValid(warden_spool_database(slot)->database) && warden_spool_database(slot)->database != MyDatabaseId)
			wait_until_ready(slot);
	while (!take_all())
	{
		if (warden_audit_overflow == WARDEN_OVERFLOW_REFUSE)
			ereport(ERROR,
					(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					 errmsg("the audit cannot take another record"),
					 errdetail("The command concerns every governed database, and there is no ring for one of them."),
					 errhint("See warden.status(); the server's log tells what stops the audit writer.")));
		CHECK_FOR_INTERRUPTS();
		warden_wait_for_writer(0, 100);
	}
}

/* False where the extension was dropped there meanwhile: what the ring held has gone with it. */
static bool
is_still_there(const Place *place)
{
	const WardenSpoolDatabase *database = warden_spool_database(place->slot);

	return database->database == place->database && database->extension == place->extension;
}

/* --- records --- */

static void
write_to_all(const WardenRecord *record, Told *entry)
{
	for (int i = 0; i < place_count; i++)
	{
		WardenRing *ring = warden_ring_at(places[i].ring);
		int64		position;

		if (!is_still_there(&places[i]))
			continue;
		position = warden_ring_write(places[i].ring, places[i].slot, record);
		if (entry == NULL)
			continue;
		entry->positions[i] = position;
		if (position < 0 || ring->transaction_first != 0)
			continue;
		ring->transaction_position = (uint64) position;
		ring->transaction_first = record->statement_no;
	}
}

static Told *
new_entry(const WardenRecord *record)
{
	Told	   *entry = MemoryContextAllocZero(TopTransactionContext, sizeof(Told));

	entry->statement_no = record->statement_no;
	entry->subtransaction = record->subtransaction;
	entry->started = record->at;
	entry->completion.rows = entry->completion.bytes = entry->completion.duration = -1;
	for (int i = 0; i < WARDEN_MAX_DATABASES; i++)
		entry->positions[i] = -1;
	entry->next = told;
	told = entry;
	return entry;
}

WardenElsewhere
warden_elsewhere_start(WardenRecord *record)
{
	Told	   *entry = NULL;

	if (RecoveryInProgress())
		return NULL;
	take_rings();
	if (place_count == 0)
		return NULL;
	/* what it ran in is recorded there */
	record->parent_no = 0;
	if (record->outcome == WARDEN_OUTCOME_OPEN)
		entry = new_entry(record);
	write_to_all(record, entry);
	return entry;
}

static void
amend(const Place *place, const Told *entry, WardenOutcome outcome)
{
	WardenRecord record = {0};

	record.event = WARDEN_EVENT_TRANSACTION;
	record.outcome = outcome;
	record.at = GetCurrentTimestamp();
	record.session = warden_session_number;
	record.statement_no = entry->statement_no;
	record.transaction = WARDEN_LOCAL_XID();
	record.context = warden_session_context;
	record.completion = entry->completion;
	(void) warden_ring_write(place->ring, place->slot, &record);
}

static void
resolve(Told *entry, WardenOutcome outcome)
{
	for (int i = 0; i < place_count; i++)
	{
		bool		in_place;

		if (entry->positions[i] < 0 || !is_still_there(&places[i]))
			continue;
		SWIFT_GET(in_place, warden_ring_complete(warden_ring_at(places[i].ring), warden_ring_bytes(places[i].ring),
												 entry->positions[i], &entry->completion, outcome));
		if (!in_place)
			amend(&places[i], entry, outcome);
		entry->positions[i] = -1;
	}
}

void
warden_elsewhere_end(WardenElsewhere elsewhere)
{
	Told	   *entry = elsewhere;

	if (entry == NULL)
		return;
	entry->ended = true;
	entry->completion.duration = GetCurrentTimestamp() - entry->started;
}

void
warden_elsewhere_failed(WardenElsewhere elsewhere)
{
	Told	   *entry = elsewhere;
	WardenCompletion completion = {0};

	if (entry == NULL)
		return;
	warden_failure_completion(&completion);
	memcpy(entry->completion.sqlstate, completion.sqlstate, sizeof(completion.sqlstate));
	entry->completion.duration = GetCurrentTimestamp() - entry->started;
	if (completion.error.bytes != NULL)
	{
		int64		length = Min(completion.error.length, (int64) sizeof(entry->error));

		memcpy(entry->error, completion.error.bytes, length);
		entry->completion.error.bytes = (const uint8_t *) entry->error;
		entry->completion.error.length = length;
	}
	resolve(entry, WARDEN_OUTCOME_FAILED);
}

/* --- transactions --- */

static void
resolve_from(SubTransactionId subtransaction, WardenOutcome outcome)
{
	for (Told *entry = told; entry != NULL; entry = entry->next)
		if (entry->subtransaction >= subtransaction)
			resolve(entry, entry->ended ? outcome : WARDEN_OUTCOME_FAILED);
}

void
warden_elsewhere_transaction(XactEvent event)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			for (int i = 0; i < place_count; i++)
				warden_ring_at(places[i].ring)->xid = U64FromFullTransactionId(GetTopFullTransactionIdIfAny());
			break;
		case XACT_EVENT_COMMIT:
			resolve_from(0, WARDEN_OUTCOME_COMMITTED);
			give_back();
			break;
		case XACT_EVENT_ABORT:
			resolve_from(0, WARDEN_OUTCOME_ROLLED_BACK);
			give_back();
			break;
		case XACT_EVENT_PREPARE:
			/* its outcome stays open here */
			give_back();
			break;
		default:
			break;
	}
}

void
warden_elsewhere_subtransaction_aborted(SubTransactionId id)
{
	resolve_from(id, WARDEN_OUTCOME_ROLLED_BACK);
}
