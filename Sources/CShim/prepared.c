/*
 * Prepared transactions. Their records stay open when their session goes on to other things, or goes away; how they end is
 * decided by another session, days and restarts later. What is open is kept in a file of its own, mapped like the spool:
 * the range of statements and the transaction's number. How it ended is then in the commit log, whoever ended it, with or
 * without this library loaded: the session that runs COMMIT PREPARED or ROLLBACK PREPARED looks there, and the writer.
 *
 * Entries change hands by compare-and-exchange of their state; a process that dies between leaves one that is adopted at
 * the next start.
 */
#include "shim.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/transam.h"
#include "access/twophase.h"
#include "common/file_perm.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#define PREPARED_FILE "pg_warden/prepared"
/* some may be over and not told yet */
#define SPARE 16

typedef enum EntryState
{
	ENTRY_FREE,
	ENTRY_FILLING,
	ENTRY_PREPARED,
	ENTRY_CLAIMED
} EntryState;

typedef struct Entry
{
	uint32		state;
	uint32		database;
	uint64		session;
	uint64		first;
	uint64		last;
	uint64		xid;
	uint64		unused[3];
} Entry;

StaticAssertDecl(sizeof(Entry) == 64, "entries do not straddle pages");

static Entry *entries = NULL;
static int	entry_count = 0;

static void
fail(const char *what)
{
	ereport(FATAL, (errcode_for_file_access(), errmsg("could not %s file \"%s\": %m", what, PREPARED_FILE)));
}

/* The file grows with max_prepared_transactions and keeps what is in it. */
static void
open_file(void)
{
	Size		size = sizeof(Entry) * (Size) (2 * max_prepared_xacts + SPARE);
	int			fd = open(PREPARED_FILE, O_RDWR | O_CREAT, pg_file_create_mode);
	struct stat status;

	if (fd < 0)
		fail("open");
	if (fstat(fd, &status) != 0)
		fail("stat");
	size = Max(size, (Size) status.st_size / sizeof(Entry) * sizeof(Entry));
	errno = posix_fallocate(fd, 0, (off_t) size);
	if (errno != 0)
		fail("allocate");
	entries = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (entries == MAP_FAILED)
		fail("map");
	close(fd);
	entry_count = (int) (size / sizeof(Entry));
}

/* In the postmaster, when no process is alive that could hold an entry. */
void
warden_prepared_adopt(void)
{
	/* after a crash the postmaster starts anew with the same mapping */
	if (entries == NULL)
		open_file();
	for (int i = 0; i < entry_count; i++)
	{
		if (entries[i].state == ENTRY_CLAIMED)
			entries[i].state = ENTRY_PREPARED;
		else if (entries[i].state != ENTRY_PREPARED)
			entries[i].state = ENTRY_FREE;
	}
}

int
warden_prepared_note(uint64 first, uint64 last, uint64 xid)
{
	for (int i = 0; i < entry_count; i++)
	{
		Entry	   *entry = &entries[i];

		if (!warden_compare_exchange(&entry->state, ENTRY_FREE, ENTRY_FILLING))
			continue;
		entry->database = MyDatabaseId;
		entry->session = warden_session_number;
		entry->first = first;
		entry->last = last;
		entry->xid = xid;
		(void) warden_compare_exchange(&entry->state, ENTRY_FILLING, ENTRY_PREPARED);
		/* what is prepared outlives a power loss, and so must this */
		(void) msync((char *) entries + i * sizeof(Entry) / 4096 * 4096, 4096, MS_SYNC);
		return i;
	}
	ereport(ERROR,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("the audit cannot follow another prepared transaction"),
			 errhint("End prepared transactions, or raise max_prepared_transactions.")));
	return -1;
}

void
warden_prepared_forget(int entry)
{
	(void) warden_compare_exchange(&entries[entry].state, ENTRY_PREPARED, ENTRY_FREE);
}

void
warden_prepared_forget_database(Oid database)
{
	for (int i = 0; i < entry_count; i++)
		if (entries[i].database == database)
			warden_prepared_forget(i);
}

static bool
is_open(const Entry *entry, Oid database)
{
	return warden_load_acquire32(&entry->state) == ENTRY_PREPARED && entry->database == database;
}

bool
warden_prepared_over(Oid database)
{
	for (int i = 0; i < entry_count; i++)
		if (is_open(&entries[i], database) && !TransactionIdIsInProgress((TransactionId) entries[i].xid))
			return true;
	return false;
}

static WardenOutcome
outcome_of(uint64 xid)
{
	LOCAL_FCINFO(fcinfo, 1);
	Datum		status;

	/* after a power loss the log may never have heard of it */
	if (xid >= U64FromFullTransactionId(ReadNextFullTransactionId()))
		return WARDEN_OUTCOME_INTERRUPTED;
	InitFunctionCallInfoData(*fcinfo, NULL, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = FullTransactionIdGetDatum(FullTransactionIdFromU64(xid));
	fcinfo->args[0].isnull = false;
	status = pg_xact_status(fcinfo);
	/* so long ago that the log has been cut */
	if (fcinfo->isnull)
		return WARDEN_OUTCOME_INTERRUPTED;
	if (strcmp(TextDatumGetCString(status), "committed") == 0)
		return WARDEN_OUTCOME_COMMITTED;
	return strcmp(TextDatumGetCString(status), "aborted") == 0 ? WARDEN_OUTCOME_ROLLED_BACK : WARDEN_OUTCOME_OPEN;
}

static bool
tell(const Entry *entry, WardenOutcome outcome)
{
	WardenRecord record = {0};

	record.event = WARDEN_EVENT_TRANSACTION;
	record.outcome = outcome;
	record.at = GetCurrentTimestamp();
	record.session = entry->session;
	record.statement_no = entry->first;
	record.last_statement_no = entry->last;
	record.context = warden_session_context;
	record.completion.rows = record.completion.bytes = record.completion.duration = -1;
	return warden_audit_append_own(&record);
}

void
warden_prepared_finish(Oid database)
{
	for (int i = 0; i < entry_count; i++)
	{
		Entry	   *entry = &entries[i];
		WardenOutcome outcome;

		if (!is_open(entry, database) || (outcome = outcome_of(entry->xid)) == WARDEN_OUTCOME_OPEN ||
			!warden_compare_exchange(&entry->state, ENTRY_PREPARED, ENTRY_CLAIMED))
			continue;
		(void) warden_compare_exchange(&entry->state, ENTRY_CLAIMED,
									   tell(entry, outcome) ? ENTRY_FREE : ENTRY_PREPARED);
	}
}
