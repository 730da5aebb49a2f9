/*
 * The writer cannot write: a lock that somebody holds, a full disk, a tablespace that is read-only. Nothing is lost: what
 * was not committed is still in the rings. The reason is logged once, the writer tries again, less and less often, and
 * says so when it writes again.
 */
#include "shim.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "writer_rows.h"

#define FIRST_DELAY 200			/* milliseconds */
#define LONGEST_DELAY 5000
/* a failure that lasts is logged again */
#define REMIND_AFTER (10 * USECS_PER_MINUTE)

static int	delay = 0;			/* 0: all is well */
static int	reported_sqlstate = 0;
static TimestampTz reported_at = 0;

static const char *
hint_for(int sqlstate)
{
	switch (sqlstate)
	{
		case ERRCODE_LOCK_NOT_AVAILABLE:
		case ERRCODE_T_R_DEADLOCK_DETECTED:
			return "A session or a prepared transaction holds a lock on the audit's tables, see pg_locks: end it. Records wait in the spool.";
		case ERRCODE_DISK_FULL:
			return "Free some space where the audit's tables are. Records wait in the spool.";
		default:
			return "Records wait in the spool, and the writer tries again until the cause is gone.";
	}
}

static void
report(const ErrorData *error)
{
	TimestampTz now = GetCurrentTimestamp();

	if (error->sqlerrcode == reported_sqlstate && now - reported_at < REMIND_AFTER)
		return;
	reported_sqlstate = error->sqlerrcode;
	reported_at = now;
	ereport(LOG,
			(errcode(error->sqlerrcode),
			 errmsg("pg_warden cannot write the audit of database %u: %s", MyDatabaseId,
					error->message ? error->message : "unknown error"),
			 error->detail ? errdetail_internal("%s", error->detail) : 0,
			 errhint("%s", hint_for(error->sqlerrcode))));
}

void
warden_writer_failed(int slot)
{
	WardenSharedDatabase *shared = warden_shared_database(slot);
	ErrorData  *error;

	HOLD_INTERRUPTS();
	MemoryContextSwitchTo(TopMemoryContext);
	error = CopyErrorData();
	FlushErrorState();
	AbortCurrentTransaction();
	/* rows that it made are gone with the transaction */
	warden_rows_forget();
	RESUME_INTERRUPTS();
	report(error);
	FreeErrorData(error);
	if (shared->failing_since == 0)
		shared->failing_since = GetCurrentTimestamp();
	delay = delay == 0 ? FIRST_DELAY : Min(2 * delay, LONGEST_DELAY);
}

void
warden_writer_succeeded(int slot)
{
	if (delay == 0)
		return;
	ereport(LOG, (errmsg("pg_warden writes the audit of database %u again", MyDatabaseId)));
	warden_shared_database(slot)->failing_since = 0;
	delay = reported_sqlstate = 0;
}

/* Whoever wakes the writer does not make the cause go away. */
void
warden_writer_pause(void)
{
	TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), delay);

	for (;;)
	{
		long		left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), end);

		if (left <= 0 || ShutdownRequestPending)
			return;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, left, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}
