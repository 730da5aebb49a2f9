/*
 * Guards with max_rows. Such a guard matches once a statement has returned or changed more rows, so it is decided while
 * the statement runs. Swift says after how many more rows the verdict may be another; rows are counted here, and then
 * it is asked again. Statements that no such guard can be for are not counted.
 *
 * A statement runs below others: their rows grow with its own. Which ones is known when it runs, not when it starts:
 * a cursor that a function opened is fetched from when the function is long over.
 */
#include "shim.h"

#include "access/xact.h"
#include "tcop/pquery.h"
#include "utils/memutils.h"

WardenLimited *warden_limited_now = NULL;

/* Triggers that were deferred to COMMIT run outside of any statement: together they are one. */
static WardenTallies deferred;
static uint64 deferred_transaction = 0;

static WardenTallies *
deferred_tallies(void)
{
	/* what a client sends runs in a portal */
	if (ActivePortal != NULL)
		return NULL;
	if (deferred_transaction != WARDEN_LOCAL_XID() || deferred.memory != TopTransactionContext)
		deferred = (WardenTallies) {.memory = TopTransactionContext};
	deferred_transaction = WARDEN_LOCAL_XID();
	return &deferred;
}

static WardenTallies *
tallies_around(void)
{
	return warden_limited_now != NULL ? warden_limited_now->tallies : deferred_tallies();
}

const WardenRows *
warden_rows_counted(void)
{
	static WardenRows rows;
	const WardenTallies *tallies;

	if ((tallies = tallies_around()) == NULL)
		return NULL;
	rows = (WardenRows) {.tallies = tallies->entries, .tally_count = tallies->count};
	return &rows;
}

/* --- facts for later: those of a statement go when the next one starts --- */

static WardenText
kept_text(WardenText text)
{
	return (WardenText) {(const uint8_t *) warden_cstring(text), text.length};
}

static void *
kept(const void *array, Size size)
{
	void	   *copy;

	if (array == NULL || size == 0)
		return NULL;
	copy = palloc(size);
	memcpy(copy, array, size);
	return copy;
}

static const WardenColumnLabel *
kept_labels(const WardenObject *object)
{
	WardenColumnLabel *labels = kept(object->labels, sizeof(WardenColumnLabel) * object->label_count);

	for (int64_t i = 0; labels != NULL && i < object->label_count; i++)
		labels[i].label = kept_text(labels[i].label);
	return labels;
}

static const WardenObject *
kept_object(const WardenObject *object)
{
	WardenObject *copy = kept(object, sizeof(WardenObject));
	WardenText *columns = kept(object->columns, sizeof(WardenText) * object->column_count);

	copy->kind = kept_text(object->kind);
	copy->name = kept_text(object->name);
	copy->ancestors = kept(object->ancestors, sizeof(uint32_t) * object->ancestor_count);
	for (int64_t i = 0; i < object->column_count; i++)
		columns[i] = kept_text(object->columns[i]);
	copy->columns = columns;
	copy->labels = kept_labels(object);
	copy->encoded = warden_text(NULL);
	return copy;
}

static void
keep_facts(WardenFacts *copy, const WardenFacts *facts)
{
	*copy = *facts;
	copy->accesses = kept(facts->accesses, sizeof(WardenAccess) * facts->count);
	copy->room = facts->count;
	copy->statement.command = kept_text(facts->statement.command);
	copy->statement.accesses = copy->accesses;
	copy->statement.access_count = copy->count;
	for (int i = 0; i < copy->count; i++)
	{
		WardenAccess *access = &copy->accesses[i];

		access->object = kept_object(access->object);
		access->read_columns = kept(access->read_columns, sizeof(int16_t) * access->read_count);
		access->written_columns = kept(access->written_columns, sizeof(int16_t) * access->written_count);
		access->masked_columns = kept(access->masked_columns, sizeof(int16_t) * access->masked_count);
		access->inserted_columns = kept(access->inserted_columns, sizeof(int16_t) * access->inserted_count);
		access->updated_columns = kept(access->updated_columns, sizeof(int16_t) * access->updated_count);
		access->via = access->root = access->chain = warden_text(NULL);
		/* what would be lost was decided on before the first row */
		access->after = NULL;
	}
}

/* --- beginning --- */

bool
warden_limited_any(const WardenLimited *limited)
{
	for (; limited != NULL; limited = limited->outer)
		if (limited->left > 0)
			return true;
	return false;
}

static void
note_verdict(WardenLimited *limited, const WardenVerdict *verdict)
{
	limited->action = verdict->action;
	limited->decision = verdict->decision;
	limited->guard_length = Min(verdict->guard.length, (int64) sizeof(limited->guard));
	if (limited->guard_length > 0)
		memcpy(limited->guard, verdict->guard.bytes, limited->guard_length);
}

WardenLimited *
warden_limited_begin(const WardenFacts *facts, const WardenVerdict *verdict)
{
	MemoryContext memory;
	MemoryContext caller;
	WardenLimited *limited;

	/* one of the client's own may run others that are to be counted together */
	if (likely(warden_limited_classes == 0) ||
		(verdict->rows_left == 0 && warden_limited_now != NULL && !warden_limited_any(warden_limited_now)))
		return NULL;
	memory = AllocSetContextCreate(CurrentMemoryContext, "pg_warden limits", ALLOCSET_SMALL_SIZES);
	caller = MemoryContextSwitchTo(memory);
	limited = palloc0(sizeof(WardenLimited));
	limited->memory = memory;
	limited->left = verdict->rows_left;
	if (limited->left > 0)
		keep_facts(&limited->facts, facts);
	limited->facts.statement.rows = &limited->rows;
	limited->own.memory = memory;
	note_verdict(limited, verdict);
	MemoryContextSwitchTo(caller);
	return limited;
}

void
warden_limited_enter(WardenLimited *limited)
{
	WardenTallies *around = tallies_around();

	limited->outer = warden_limited_now;
	limited->tallies = around != NULL ? around : &limited->own;
	warden_limited_now = limited;
}

/* --- deciding again --- */

static bool
is_told(const WardenLimited *limited, const WardenVerdict *verdict)
{
	int64		length = Min(verdict->guard.length, (int64) sizeof(limited->guard));

	if (limited->action != verdict->action || limited->decision != verdict->decision)
		return false;
	/* the guard that would have refused it first is the one to name */
	if (verdict->decision == WARDEN_DECISION_WOULD_BLOCK || verdict->decision == WARDEN_DECISION_WOULD_REQUIRE_APPROVAL)
		return true;
	return limited->guard_length == length && (length <= 0 || memcmp(limited->guard, verdict->guard.bytes, length) == 0);
}

/* What the record says: the row that is one too many was not handed out; one that was changed, was changed. */
static int64
rows_so_far(const WardenLimited *limited)
{
	if (limited->rows.changed_itself > 0 || limited->rows.returned == 0)
		return limited->rows.changed_itself;
	return limited->rows.returned - 1;
}

static void
decide_again(WardenLimited *limited)
{
	WardenVerdict verdict;

	limited->due = false;
	limited->rows.tallies = limited->tallies->entries;
	limited->rows.tally_count = limited->tallies->count;
	warden_decide_facts(&limited->facts, &verdict);
	limited->left = verdict.rows_left;
	limited->refused = verdict.action == WARDEN_ACTION_BLOCK || verdict.action == WARDEN_ACTION_REQUIRE_APPROVAL;
	if (!limited->refused && is_told(limited, &verdict))
		return;
	note_verdict(limited, &verdict);
	warden_audit_decided(limited->recorded, &limited->facts, &verdict, rows_so_far(limited));
	/* who swallows the error does not go on: it comes again with the next row, and at the end */
	if (limited->refused)
		limited->left = 1;
	warden_refuse(&limited->facts, &verdict);
}

/* The client's own statement first: what runs below it is its doing. */
static void
decide_due(WardenLimited *limited)
{
	if (limited->outer != NULL)
		decide_due(limited->outer);
	if (limited->due)
		decide_again(limited);
}

static bool
took_rows(WardenLimited *limited, int64 rows)
{
	if (likely(limited->left == 0) || limited->left > rows)
	{
		limited->left -= limited->left > 0 ? rows : 0;
		return false;
	}
	limited->due = true;
	return true;
}

void
warden_limited_end(WardenLimited *limited)
{
	if (limited != NULL && limited->refused)
		decide_again(limited);
}

/* --- rows changed --- */

void
warden_limited_changed(WardenLimited *limited, const WardenTallied *tallied, bool exempt, int64 rows)
{
	bool		due;

	limited->rows.changed_itself += rows;
	if (exempt)
		due = took_rows(limited, rows);
	else
	{
		due = false;
		warden_tally_rows(limited->tallies, tallied, rows);
		for (WardenLimited *around = limited; around != NULL; around = around->outer)
		{
			around->rows.changed += rows;
			due |= took_rows(around, rows);
		}
	}
	if (due)
		decide_due(limited);
}

void
warden_limited_copied(WardenLimited *limited, int64 rows)
{
	WardenTallied tallied;
	bool		exempt = limited->facts.count > 0 &&
		(limited->facts.accesses[0].object->flags & WARDEN_OBJECT_TEMPORARY) != 0;

	if (rows <= 0 || !warden_limited_any(limited))
		return;
	warden_tally_for(&tallied, limited, InvalidOid);
	warden_limited_changed(limited, &tallied, exempt, rows);
}

/* --- rows returned --- */

/* The utility statement that the query is run for: COPY, CREATE TABLE AS, EXECUTE, EXPLAIN ANALYZE … */
static WardenLimited *
returns_for(const WardenLimited *limited, const DestReceiver *dest)
{
	if (limited->outer == NULL || !limited->outer->is_utility || dest->mydest == DestSPI ||
		dest->mydest == DestSQLFunction)
		return NULL;
	return limited->outer;
}

static bool
receive(TupleTableSlot *slot, DestReceiver *self)
{
	WardenReceiver *receiver = (WardenReceiver *) self;
	WardenLimited *utility = receiver->utility;
	bool		due;

	receiver->limited->rows.returned++;
	due = took_rows(receiver->limited, 1);
	if (utility != NULL)
	{
		utility->rows.returned++;
		due |= took_rows(utility, 1);
	}
	if (due)
		decide_due(receiver->limited);
	return receiver->real->receiveSlot(slot, receiver->real);
}

static void
startup(DestReceiver *self, int operation, TupleDesc desc)
{
	DestReceiver *real = ((WardenReceiver *) self)->real;

	real->rStartup(real, operation, desc);
}

static void
shutdown(DestReceiver *self)
{
	DestReceiver *real = ((WardenReceiver *) self)->real;

	real->rShutdown(real);
}

/* The server destroys the one that it made. */
static void
destroy(DestReceiver *self)
{
	(void) self;
}

void
warden_limited_returns(WardenReceiver *receiver, WardenLimited *limited, QueryDesc *query)
{
	Portal		portal = ActivePortal != NULL && ActivePortal->queryDesc == query ? ActivePortal : NULL;
	WardenLimited *utility;

	if (query->dest == NULL || (portal != NULL && query->dest->mydest == DestNone))
		return;					/* MOVE hands nothing out */
	utility = returns_for(limited, query->dest);
	if (limited->left == 0 && (utility == NULL || utility->left == 0))
		return;
	/* at COMMIT a scrollable cursor WITH HOLD is run from its beginning again */
	if (portal != NULL && portal->holdStore != NULL && (portal->cursorOptions & CURSOR_OPT_SCROLL))
		limited->rows.returned = 0;
	*receiver = (WardenReceiver) {{receive, startup, shutdown, destroy, query->dest->mydest}, query->dest, limited, utility};
	query->dest = &receiver->as_server_knows_it;
}
