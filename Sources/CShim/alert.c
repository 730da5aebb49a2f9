/*
 * Alerts of the audit itself: it falls behind, or a number is missing.
 *
 * Noticing needs shared memory alone, so that the launcher does it too: a writer that hangs cannot. Who notices first tells the
 * server's log. Telling the database, by a record and by NOTIFY, needs a transaction in it, which is the writer's: as
 * soon as one can. An episode of falling behind is told once; it is over when nothing was seen of it for a while.
 */
#include "shim.h"

#include "access/xact.h"
#include "commands/async.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#define LOOK_EVERY USECS_PER_SEC
#define EPISODE_OVER (10 * USECS_PER_SEC)

typedef enum WardenAlert
{
	ALERT_BEHIND_RECORD = 1,
	ALERT_BEHIND_NOTIFY = 2,
	ALERT_GAP_RECORD = 4,
	ALERT_GAP_NOTIFY = 8
} WardenAlert;

static uint64
records_waiting(int slot)
{
	uint64		given = warden_load_acquire(&warden_spool_database(slot)->counter) - 1;
	uint64		written = warden_load_acquire(&warden_shared_database(slot)->written);

	return given > written ? given - written : 0;
}

static void
log_behind(int slot, const WardenBacklog *backlog)
{
	ereport(WARNING,
			(errmsg("the audit of database %u is falling behind", warden_spool_database(slot)->database),
			 errdetail("%llu records wait, the oldest for %.1f seconds; the fullest ring is filled to %llu percent.",
					   (unsigned long long) records_waiting(slot), warden_backlog_age(backlog) / (double) USECS_PER_SEC,
					   (unsigned long long) backlog->fullest),
			 errhint("See what the audit writer waits for: pg_stat_activity, the messages before this one, free disk "
					 "space. Sessions whose ring is full do as warden.audit_overflow says.")));
}

void
warden_alert_look(int slot)
{
	static int64 looked[WARDEN_MAX_DATABASES];
	WardenSharedDatabase *shared = warden_shared_database(slot);
	int64		now = GetCurrentTimestamp();
	WardenBacklog backlog;

	/* `written` means nothing before the counter was checked */
	if (now - looked[slot] < LOOK_EVERY || !shared->ready)
		return;
	looked[slot] = now;
	warden_backlog(slot, &backlog);
	if (!warden_backlog_behind(&backlog))
	{
		if (shared->behind && now - shared->behind_seen > EPISODE_OVER &&
			warden_compare_exchange(&shared->behind, 1, 0))
			ereport(LOG,
					(errmsg("the audit of database %u has caught up", warden_spool_database(slot)->database)));
		return;
	}
	shared->behind_seen = now;
	if (!warden_compare_exchange(&shared->behind, 0, 1))
		return;
	log_behind(slot, &backlog);
	__atomic_fetch_or(&shared->unannounced, ALERT_BEHIND_RECORD | ALERT_BEHIND_NOTIFY, __ATOMIC_SEQ_CST);
}

void
warden_alert_gap(int slot, uint64 seq)
{
	WardenSharedDatabase *shared = warden_shared_database(slot);

	shared->gaps++;
	shared->last_gap = seq;
	ereport(WARNING,
			(errmsg("record %llu of the audit of database %u is missing", (unsigned long long) seq,
					warden_spool_database(slot)->database),
			 errdetail("Its number was given and it never arrived, or it was damaged in the spool.")));
	__atomic_fetch_or(&shared->unannounced, ALERT_GAP_RECORD | ALERT_GAP_NOTIFY, __ATOMIC_SEQ_CST);
}

/* --- telling the database --- */

static bool
record_alert(const char *text)
{
	WardenRecord record = {0};

	warden_session_refresh();
	record.event = WARDEN_EVENT_ALERT;
	record.outcome = WARDEN_OUTCOME_COMMITTED;
	record.at = GetCurrentTimestamp();
	record.session = warden_session_number;
	record.context = warden_session_context;
	record.text = warden_text(text);
	record.text_limit = 1024;
	record.completion.rows = record.completion.bytes = record.completion.duration = -1;
	return warden_audit_append_own(&record);
}

static void
notify(const char *alert, const char *details)
{
	StringInfoData payload;

	initStringInfo(&payload);
	appendStringInfo(&payload, "{\"event\":\"alert\",\"kind\":\"alert\",\"alert\":\"%s\",\"database\":", alert);
	escape_json(&payload, get_database_name(MyDatabaseId));
	appendStringInfo(&payload, ",%s}", details);
	Async_Notify(WARDEN_CHANNEL, payload.data);
}

static void
told(WardenSharedDatabase *shared, uint32 what)
{
	__atomic_fetch_and(&shared->unannounced, ~what, __ATOMIC_SEQ_CST);
}

static void
announce_behind(int slot)
{
	WardenSharedDatabase *shared = warden_shared_database(slot);
	uint64		waiting = records_waiting(slot);
	WardenBacklog backlog;
	double		age;

	warden_backlog(slot, &backlog);
	age = warden_backlog_age(&backlog) / (double) USECS_PER_SEC;
	if ((shared->unannounced & ALERT_BEHIND_RECORD) &&
		record_alert(psprintf("audit_falling_behind: " UINT64_FORMAT " records wait, the oldest for %.1f seconds",
							  waiting, age)))
		told(shared, ALERT_BEHIND_RECORD);
	if (shared->unannounced & ALERT_BEHIND_NOTIFY)
		notify("audit_falling_behind",
			   psprintf("\"backlog\":" UINT64_FORMAT ",\"oldest_seq\":" UINT64_FORMAT ",\"oldest_seconds\":%.1f,"
						"\"fullest_ring_percent\":" UINT64_FORMAT, waiting, backlog.oldest_seq, age, backlog.fullest));
}

static void
announce_gap(int slot)
{
	WardenSharedDatabase *shared = warden_shared_database(slot);

	if ((shared->unannounced & ALERT_GAP_RECORD) &&
		record_alert(psprintf("audit_gap: record " UINT64_FORMAT " is missing", shared->last_gap)))
		told(shared, ALERT_GAP_RECORD);
	if (shared->unannounced & ALERT_GAP_NOTIFY)
		notify("audit_gap", psprintf("\"seq\":" UINT64_FORMAT ",\"gaps\":" UINT64_FORMAT, shared->last_gap,
									 shared->gaps));
}

void
warden_alert_announce(int slot)
{
	uint32		unannounced = warden_load_acquire32(&warden_shared_database(slot)->unannounced);

	if (unannounced == 0)
		return;
	StartTransactionCommand();
	warden_governed_refresh();
	/* dropped: the next drain sees to what is left of it */
	if (get_extension_oid("pg_warden", true) != warden_catalog.extension)
	{
		CommitTransactionCommand();
		return;
	}
	if (unannounced & (ALERT_BEHIND_RECORD | ALERT_BEHIND_NOTIFY))
		announce_behind(slot);
	if (unannounced & (ALERT_GAP_RECORD | ALERT_GAP_NOTIFY))
		announce_gap(slot);
	CommitTransactionCommand();
	/* a ring without room for the record: it is tried again */
	told(warden_shared_database(slot), unannounced & (ALERT_BEHIND_NOTIFY | ALERT_GAP_NOTIFY));
}
