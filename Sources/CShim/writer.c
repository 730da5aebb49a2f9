/*
 * The consumer's side of the audit: a launcher for the cluster, and a writer per governed database that moves records
 * from the rings into the audit table.
 *
 * Exactly once: the number of the last record written is in warden.audit_chain, and changes in the transaction that
 * writes the records. Room in the rings is freed after that transaction has committed to disk; a writer that dies in
 * between finds the same records again and passes over those that are in the table.
 */
#include "shim.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_database.h"
#include "commands/extension.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"
#include "writer_rows.h"

/* Records per transaction; bounds memory and the time to the first visible row. */
#define BATCH 32768

/* A writer that had nothing to do for so long leaves, in microseconds. */
#define IDLE_EXIT (60 * USECS_PER_SEC)

PGDLLEXPORT void warden_worker_launcher(Datum arg);
PGDLLEXPORT void warden_worker_writer(Datum arg);

/* --- the launcher --- */

/* Told once a minute for each database, and by warden.status() as long as it lasts. */
static void
no_worker(int slot)
{
	static TimestampTz told[WARDEN_MAX_DATABASES];
	WardenSharedDatabase *shared = warden_shared_database(slot);
	TimestampTz now = GetCurrentTimestamp();

	if (shared->no_worker_since == 0)
		shared->no_worker_since = now;
	if (told[slot] != 0 && now - told[slot] < USECS_PER_MINUTE)
		return;
	told[slot] = now;
	ereport(WARNING,
			(errmsg("pg_warden could not start the audit writer of database %u",
					warden_spool_database(slot)->database),
			 errdetail("All of max_worker_processes are in use."),
			 errhint("Raise max_worker_processes: every governed database needs one.")));
}

static BackgroundWorkerHandle *
start_writer(int slot)
{
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
	BackgroundWorkerHandle *handle = NULL;
	BackgroundWorker worker = {0};

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	worker.bgw_main_arg = Int32GetDatum(slot);
	strlcpy(worker.bgw_library_name, "pg_warden", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "warden_worker_writer", sizeof(worker.bgw_function_name));
	snprintf(worker.bgw_name, sizeof(worker.bgw_name), "pg_warden writer for database %u",
			 warden_spool_database(slot)->database);
	strlcpy(worker.bgw_type, "pg_warden writer", sizeof(worker.bgw_type));
	if (RegisterDynamicBackgroundWorker(&worker, &handle))
		warden_shared_database(slot)->no_worker_since = 0;
	else
		no_worker(slot);
	MemoryContextSwitchTo(caller);
	return handle;
}

static bool
database_exists(Oid database)
{
	bool		exists;

	StartTransactionCommand();
	exists = SearchSysCacheExists1(DATABASEOID, ObjectIdGetDatum(database));
	CommitTransactionCommand();
	return exists;
}

static bool
is_running(BackgroundWorkerHandle *handle)
{
	pid_t		pid;
	BgwHandleStatus status = handle ? GetBackgroundWorkerPid(handle, &pid) : BGWH_STOPPED;

	return status == BGWH_STARTED || status == BGWH_NOT_YET_STARTED;
}

static bool
has_backlog(Oid database)
{
	for (int i = 0; i < warden_ring_total(); i++)
	{
		WardenRing *ring = warden_ring_at(i);

		if (ring->database == database && ring->state != WARDEN_RING_FREE &&
			(warden_load_acquire(&ring->head) != warden_load_acquire(&ring->tail) ||
			 ring->state == WARDEN_RING_ORPHANED))
			return true;
	}
	return warden_prepared_over(database);
}

static void
look_after_databases(void)
{
	static BackgroundWorkerHandle *handles[WARDEN_MAX_DATABASES];
	static TimestampTz started[WARDEN_MAX_DATABASES];
	TimestampTz now = GetCurrentTimestamp();

	for (int slot = 0; slot < WARDEN_MAX_DATABASES; slot++)
	{
		WardenSharedDatabase *database = warden_shared_database(slot);
		Oid			oid = warden_spool_database(slot)->database;

		if (OidIsValid(oid))
			warden_alert_look(slot);
		if (!OidIsValid(oid) || database->writer_pid != 0 || is_running(handles[slot]) || now < database->away_until ||
			!(database->wanted || has_backlog(oid)))
			continue;
		/* a writer that fails at once is not started in a tight loop */
		if (started[slot] + USECS_PER_SEC / 2 > now)
			continue;
		started[slot] = now;
		if (database_exists(oid))
			handles[slot] = start_writer(slot);
		else
			warden_database_forget(slot);
	}
}

static void
launcher_exit(int code, Datum arg)
{
	(void) code;
	(void) arg;
	warden_set_launcher(0, NULL);
}

void
warden_worker_launcher(Datum arg)
{
	(void) arg;
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	warden_set_launcher(MyProcPid, MyLatch);
	on_shmem_exit(launcher_exit, (Datum) 0);
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		look_after_databases();
		/* woken by the first statement of a database, and when a writer ends; once a second for those that failed */
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 1000, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			warden_mode_tell_everywhere();
		}
	}
}

void
warden_writer_register(void)
{
	BackgroundWorker worker = {0};

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 1;
	strlcpy(worker.bgw_library_name, "pg_warden", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "warden_worker_launcher", sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_name, "pg_warden launcher", sizeof(worker.bgw_name));
	strlcpy(worker.bgw_type, "pg_warden launcher", sizeof(worker.bgw_type));
	RegisterBackgroundWorker(&worker);
}

/* --- the writer --- */

typedef struct Writer
{
	int			slot;
	Oid			database;
	WardenRingRef *rings;		/* of this database, owned or orphaned */
	int		   *ring_index;
	int			ring_count;
	const uint8_t **records;
	WardenChain chain;
	TimestampTz busy;			/* when something was last written */
	TimestampTz partition_until;	/* there are partitions for records up to then */
	TimestampTz next_look_ahead;
} Writer;

static void
writer_exit(int code, Datum arg)
{
	WardenSharedDatabase *database = warden_shared_database(DatumGetInt32(arg));

	(void) code;
	if (database->writer_pid != MyProcPid)
		return;
	database->writer_pid = 0;
	database->writer_latch = NULL;
}

static void
find_rings(Writer *writer)
{
	writer->ring_count = 0;
	for (int i = 0; i < warden_ring_total(); i++)
	{
		WardenRing *ring = warden_ring_at(i);

		if (ring->database != writer->database || ring->state == WARDEN_RING_FREE ||
			ring->capacity != warden_ring_capacity())
			continue;
		writer->rings[writer->ring_count].ring = ring;
		writer->rings[writer->ring_count].data = warden_ring_bytes(i);
		writer->ring_index[writer->ring_count++] = i;
	}
}

static bool
anything_to_do(const Writer *writer)
{
	for (int i = 0; i < writer->ring_count; i++)
	{
		WardenRing *ring = writer->rings[i].ring;

		if (warden_load_acquire(&ring->head) != ring->tail || ring->state == WARDEN_RING_ORPHANED)
			return true;
	}
	return warden_prepared_over(writer->database);
}

/* A record of the writer's own, numbered like any other. */
static WardenRecord
own_record(WardenEvent event, const WardenStatement *statement)
{
	WardenRecord record = {0};

	warden_session_refresh();
	record.event = event;
	record.outcome = WARDEN_OUTCOME_COMMITTED;
	record.at = GetCurrentTimestamp();
	record.session = warden_session_number;
	record.context = warden_session_context;
	record.statement = statement;
	record.completion.rows = record.completion.bytes = record.completion.duration = -1;
	return record;
}

/* A session that went without a word: when it ended is not known, only that it did. */
static void
finish_session(WardenRing *ring)
{
	WardenStatement statement = {.classes = WARDEN_CLASS_CONNECT};
	WardenRecord record;

	if (ring->session_open == 0)
		return;
	record = own_record(WARDEN_EVENT_DISCONNECT, &statement);
	record.outcome = WARDEN_OUTCOME_INTERRUPTED;
	record.session = ring->session;
	record.context = warden_text(NULL);
	record.text = warden_text("reason=interrupted");
	record.text_limit = 64;
	if (warden_audit_append_own(&record))
		ring->session_open = 0;
}

/*
 * Did a transaction of an earlier run commit, as far as the commit log can tell? A ring may name one that the log never
 * heard of, and whose id is given to others since.
 */
static bool
has_committed(uint64 xid)
{
	LOCAL_FCINFO(fcinfo, 1);
	Datum		status;

	if (xid == 0 || xid >= warden_first_xid())
		return false;
	InitFunctionCallInfoData(*fcinfo, NULL, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = FullTransactionIdGetDatum(FullTransactionIdFromU64(xid));
	fcinfo->args[0].isnull = false;
	status = pg_xact_status(fcinfo);
	return !fcinfo->isnull && strcmp(TextDatumGetCString(status), "committed") == 0;
}

/*
 * The backend of the ring is gone. How its last transaction ended is in the commit log where it got that far; what
 * was not finished is interrupted.
 */
static void
finish_orphan(Writer *writer, int i)
{
	WardenRing *ring = writer->rings[i].ring;
	WardenOutcome outcome = has_committed(ring->xid) ? WARDEN_OUTCOME_COMMITTED : WARDEN_OUTCOME_INTERRUPTED;
	WardenUnresolved unresolved = {0, 0};

	if (ring->transaction_first == 0)
	{
		finish_session(ring);
		return;
	}
	SWIFT(warden_ring_resolve(ring, writer->rings[i].data, (int64) ring->transaction_position,
							  ring->transaction_first, 0, outcome, false, &unresolved));
	if (unresolved.first != 0)
	{
		WardenRecord record = own_record(WARDEN_EVENT_TRANSACTION, NULL);

		record.outcome = outcome;
		record.session = ring->session;
		record.statement_no = unresolved.first;
		record.last_statement_no = unresolved.last;
		if (!warden_audit_append_own(&record))
			return;				/* no room now: the next turn tries again */
	}
	ring->transaction_first = 0;
	finish_session(ring);
}

static void
free_drained_orphans(Writer *writer)
{
	for (int i = 0; i < writer->ring_count; i++)
	{
		WardenRing *ring = writer->rings[i].ring;

		if (ring->state == WARDEN_RING_ORPHANED)
			warden_ring_free(writer->ring_index[i]);
	}
}

static bool
anyone_writing(const Writer *writer)
{
	for (int i = 0; i < writer->ring_count; i++)
		if (warden_load_acquire(&writer->rings[i].ring->writing) != 0)
			return true;
	return false;
}

static WardenCollected
collect(Writer *writer)
{
	uint64		first = writer->chain.last_seq + 1;
	uint64		next = warden_load_acquire(&warden_spool_database(writer->slot)->counter);
	/* no more than there can be: places are cleared and looked through */
	uint64		capacity = next > first ? Min(next - first, BATCH) : BATCH;
	WardenCollected collected;

	find_rings(writer);
	SWIFT(warden_drain_collect(writer->rings, writer->ring_count, first, writer->records, (int64) capacity, &collected));
	warden_shared_database(writer->slot)->damaged += collected.damaged;
	return collected;
}

/*
 * A number was given and no record has it: looked at again once nobody is in the middle of writing. What is still
 * missing then was lost with its backend, and a gap record takes its place.
 */
static void
fill_gap(Writer *writer)
{
	WardenCollected again;
	int			patience = 100;

	while (anyone_writing(writer) && patience-- > 0)
		pg_usleep(1000);
	if (anyone_writing(writer))
		return;					/* the next turn looks again */
	again = collect(writer);
	if (again.ready > 0 || !again.hole)
		return;
	warden_write_gap(&writer->chain);
	warden_alert_gap(writer->slot, writer->chain.last_seq);
}

/* One transaction. True where there may be more. */
static bool
drain(Writer *writer)
{
	WardenCollected collected;
	uint64		before;
	TimestampTz started = GetCurrentTimestamp();

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (!OidIsValid(get_extension_oid("pg_warden", true)))
	{
		PopActiveSnapshot();
		CommitTransactionCommand();
		warden_database_forget(writer->slot);
		proc_exit(0);
	}
	warden_governed_refresh();
	if (warden_spool_database(writer->slot)->extension != warden_catalog.extension)
	{
		/* dropped and made again: the first statement under the new one sees to the counter */
		PopActiveSnapshot();
		CommitTransactionCommand();
		return false;
	}
	warden_chain_read(&writer->chain);
	before = writer->chain.last_seq;
	find_rings(writer);
	for (int i = 0; i < writer->ring_count; i++)
		if (warden_ring_needs_end(writer->ring_index[i]))
			finish_orphan(writer, i);
	warden_session_refresh();
	warden_prepared_finish(writer->database);
	collected = collect(writer);
	if (collected.ready > 0)
		warden_write_records(&writer->chain, writer->records, collected.ready);
	else if (collected.hole)
		fill_gap(writer);
	if (writer->chain.last_seq != before)
		warden_chain_store(&writer->chain);
	PopActiveSnapshot();
	CommitTransactionCommand();
	/* also moves past bytes that make no sense */
	if (writer->chain.last_seq != before || collected.damaged > 0)
		SWIFT(warden_drain_release(writer->rings, writer->ring_count, writer->chain.last_seq));
	if (writer->chain.last_seq != before)
	{
		warden_writer_progress(writer->slot, writer->chain.last_seq);
		warden_drain_noted(writer->slot, writer->chain.last_seq - before, started);
		writer->busy = GetCurrentTimestamp();
	}
	free_drained_orphans(writer);
	/* behind a gap there may be more */
	return writer->chain.last_seq - before >= BATCH || (collected.ready == 0 && writer->chain.last_seq != before);
}

static void
writer_setup(Writer *writer, int slot)
{
	WardenSharedDatabase *shared = warden_shared_database(slot);

	writer->slot = slot;
	writer->database = warden_spool_database(slot)->database;
	writer->rings = MemoryContextAlloc(TopMemoryContext, sizeof(WardenRingRef) * warden_ring_total());
	writer->ring_index = MemoryContextAlloc(TopMemoryContext, sizeof(int) * warden_ring_total());
	writer->records = MemoryContextAlloc(TopMemoryContext, sizeof(uint8_t *) * BATCH);
	writer->busy = GetCurrentTimestamp();
	/* room in the rings is freed by what is on disk; no standby is waited for */
	SetConfigOption("synchronous_commit", "local", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_OVERRIDE);
	/* a table locked by somebody must not stop the writer in silence: it fails, says so, and tries again */
	SetConfigOption("lock_timeout", "5s", PGC_USERSET, PGC_S_OVERRIDE);
	/* partitions are what they are whatever the database's defaults for its tables */
	SetConfigOption("default_table_access_method", "heap", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("default_tablespace", "", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("statement_timeout", "0", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_read_only", "off", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("default_table_access_method", "heap", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("row_security", "on", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_isolation", "read committed", PGC_USERSET, PGC_S_OVERRIDE);
	shared->wanted = 0;
	shared->writer_pid = MyProcPid;
	shared->writer_latch = MyLatch;
	on_shmem_exit(writer_exit, Int32GetDatum(slot));
	warden_internal_depth++;	/* all of it is the extension's own work */
}

/* Sessions that are refused cannot read the table: they write numbers only once somebody has compared the counter with it. */
static void
check_counter(int slot)
{
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (OidIsValid(get_extension_oid("pg_warden", true)))
	{
		warden_governed_refresh();
		warden_counter_check(slot);
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	warden_shared_database(slot)->wanted = 0;
}

/* Tomorrow's partition is made from noon on, and when the writer starts, not when its first record waits for it. */
static void
look_ahead(Writer *writer)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz ahead = now + (writer->partition_until == 0 ? USECS_PER_DAY : USECS_PER_DAY / 2);

	if (ahead < writer->partition_until || now < writer->next_look_ahead)
		return;
	/* there is time: where somebody holds a lock, records do not wait for this */
	writer->next_look_ahead = now + 10 * USECS_PER_MINUTE;
	StartTransactionCommand();
	(void) set_config_option("lock_timeout", "100ms", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
	PushActiveSnapshot(GetTransactionSnapshot());
	warden_governed_refresh();
	if (OidIsValid(warden_catalog.extension) && OidIsValid(get_extension_oid("pg_warden", true)))
		warden_partition_ensure(ahead);
	PopActiveSnapshot();
	CommitTransactionCommand();
	writer->partition_until = ahead - ahead % USECS_PER_DAY + USECS_PER_DAY;
}

static void
take_turn(Writer *writer)
{
	if (!warden_shared_database(writer->slot)->ready)
		check_counter(writer->slot);
	warden_alert_look(writer->slot);
	warden_alert_announce(writer->slot);
	find_rings(writer);
	while (anything_to_do(writer) && drain(writer))
		CHECK_FOR_INTERRUPTS();
	look_ahead(writer);
}

/* A turn that fails is a turn to be taken again: what it did not commit is still in the rings. */
static void
try_turn(Writer *writer)
{
	PG_TRY();
	{
		take_turn(writer);
		warden_writer_succeeded(writer->slot);
	}
	PG_CATCH();
	{
		warden_writer_failed(writer->slot);
	}
	PG_END_TRY();
	warden_writer_pause();
}

/*
 * The server shuts down, or somebody needs the database alone. Sessions that end at this moment say so when they have
 * rolled back: they get a moment. What comes later is in the spool, and written after the next start.
 */
static void
take_last_turns(Writer *writer)
{
	try_turn(writer);
	pg_usleep(100000);
	find_rings(writer);
	if (anything_to_do(writer))
		try_turn(writer);
}

void
warden_worker_writer(Datum arg)
{
	Writer		writer = {0};

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(warden_spool_database(DatumGetInt32(arg))->database, InvalidOid, 0);
	writer_setup(&writer, DatumGetInt32(arg));
	pgstat_report_appname("pg_warden writer");
	warden_identity_check(writer.slot);
	while (!ShutdownRequestPending)
	{
		CHECK_FOR_INTERRUPTS();
		try_turn(&writer);
		/* a database at rest does not keep a worker: the launcher starts one when there is something to write */
		if (GetCurrentTimestamp() - writer.busy > IDLE_EXIT && !anything_to_do(&writer))
			break;
		pgstat_report_stat(true);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, warden_flush_interval,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
	}
	if (ShutdownRequestPending)
		take_last_turns(&writer);
}
