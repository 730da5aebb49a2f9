/*
 * The spool: one file under the data directory (spool_file.c), mapped by the postmaster and inherited by every process.
 *
 * Layout: a page with the header and the databases' counters, then the rings' headers, a page each, then the rings'
 * data. The file is allocated whole when it is made, so that a full disk is an error at start and not a signal later.
 * Mapped pages outlive the processes: after a crash of the server the rings are as their backends left them, and are
 * drained before they are used again.
 *
 * Locking: `lock` covers the states of rings and the table of databases. What is inside a ring is covered by the
 * protocol in warden_spool.h.
 */
#include "spool_file.h"

#include <signal.h>

#include "access/transam.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* more rings than backends: one that still waits for its writer need not hold up a session of another database */
#define SPARE_RINGS 16
/* the last ones are for writers, who need one to get on, and for superusers, who are to see what is wrong */
#define RESERVED_RINGS 8

typedef struct SpoolShared
{
	LWLock	   *lock;
	int			launcher_pid;
	Latch	   *launcher_latch;
	ConditionVariable progress;
	WardenFlushes flushes;
	/* the first transaction id that was given since the server's start, 0 = not known yet */
	uint64		first_xid;
	WardenSharedDatabase databases[WARDEN_MAX_DATABASES];
} SpoolShared;

static SpoolShared *shared = NULL;
static SpoolHeader *spool = NULL;

static shmem_request_hook_type previous_request = NULL;
static shmem_startup_hook_type previous_startup = NULL;

/* --- where things are --- */

int
warden_ring_total(void)
{
	return (int) spool->ring_count;
}

uint64
warden_ring_capacity(void)
{
	return spool->ring_size;
}

WardenRing *
warden_ring_at(int index)
{
	return spool_ring(spool, (uint32) index);
}

uint8_t *
warden_ring_bytes(int index)
{
	return (uint8_t *) spool + SPOOL_PAGE * (Size) (1 + spool->ring_count) + spool->ring_size * (Size) index;
}

WardenSpoolDatabase *
warden_spool_database(int slot)
{
	return &spool->databases[slot];
}

WardenSharedDatabase *
warden_shared_database(int slot)
{
	return &shared->databases[slot];
}

WardenFlushes *
warden_flushes(void)
{
	return &shared->flushes;
}

/*
 * After a power loss a ring's header may be what it never was. One that does not even know the size of its data, or whose
 * they are, cannot be read: it is wiped; the numbers that it held are found missing.
 */
static bool
is_usable(WardenRing *ring, int index)
{
	if (ring->capacity == spool->ring_size && OidIsValid(ring->database))
		return true;
	ereport(LOG,
			(errmsg("the header of ring %d of pg_warden's spool is damaged: what it held is lost", index),
			 errdetail("Numbers missing in the audit become events \"gap\".")));
	memset(ring, 0, sizeof(*ring));
	return false;
}

/* No backend is alive: whatever is owned was left behind. */
static void
adopt_orphans(void)
{
	for (int i = 0; i < warden_ring_total(); i++)
	{
		WardenRing *ring = warden_ring_at(i);

		ring->writing = 0;
		ring->owner_pid = 0;
		if (ring_is_done_with(ring))
			ring->state = WARDEN_RING_FREE;
		else if (is_usable(ring, i))
			ring->state = WARDEN_RING_ORPHANED;
		/* the page with the table of databases may be older than the rings */
		if (ring->state == WARDEN_RING_ORPHANED)
			(void) warden_database_slot(ring->database, true);
	}
	for (int slot = 0; slot < WARDEN_MAX_DATABASES; slot++)
		shared->databases[slot].wanted = spool->databases[slot].database != 0;
}

static void
request(void)
{
	if (previous_request)
		previous_request();
	RequestAddinShmemSpace(MAXALIGN(sizeof(SpoolShared)));
	RequestNamedLWLockTranche("pg_warden", 2);
}

static void
startup(void)
{
	bool		found;

	if (previous_startup)
		previous_startup();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("pg_warden", sizeof(SpoolShared), &found);
	if (!found)
	{
		memset(shared, 0, sizeof(*shared));
		shared->lock = &GetNamedLWLockTranche("pg_warden")[0].lock;
		shared->flushes.lock = &GetNamedLWLockTranche("pg_warden")[1].lock;
		ConditionVariableInit(&shared->progress);
		/* after a crash the postmaster starts anew with the same mapping */
		if (spool == NULL)
			spool = warden_spool_open((uint32) (MaxBackends + SPARE_RINGS), (uint64) warden_spool_size * 1024);
		adopt_orphans();
		warden_prepared_adopt();
	}
	LWLockRelease(AddinShmemInitLock);
}

void
warden_spool_install(void)
{
	previous_request = shmem_request_hook;
	shmem_request_hook = request;
	previous_startup = shmem_startup_hook;
	shmem_startup_hook = startup;
}

/* --- transactions of an earlier run --- */

void
warden_note_first_xid(void)
{
	uint64		expected = 0;

	if (!RecoveryInProgress())
		(void) __atomic_compare_exchange_n(&shared->first_xid, &expected,
										   U64FromFullTransactionId(ReadNextFullTransactionId()), false,
										   __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

uint64
warden_first_xid(void)
{
	return warden_load_acquire(&shared->first_xid);
}

/* --- databases --- */

static int
find_database(Oid database)
{
	for (int slot = 0; slot < WARDEN_MAX_DATABASES; slot++)
		if (spool->databases[slot].database == database)
			return slot;
	return -1;
}

int
warden_database_slot(Oid database, bool create)
{
	int			slot;

	LWLockAcquire(shared->lock, create ? LW_EXCLUSIVE : LW_SHARED);
	slot = find_database(database);
	if (slot < 0 && create && (slot = find_database(InvalidOid)) >= 0)
	{
		memset(&shared->databases[slot], 0, sizeof(WardenSharedDatabase));
		spool->databases[slot].counter = 1;
		spool->databases[slot].extension = InvalidOid;
		spool->databases[slot].database = database;
	}
	LWLockRelease(shared->lock);
	return slot;
}

/* What the rings of the database hold has no table to go to. The lock is held. */
static void
discard_records(int slot)
{
	for (int i = 0; i < warden_ring_total(); i++)
	{
		WardenRing *ring = warden_ring_at(i);

		if (ring->database != spool->databases[slot].database || ring->state == WARDEN_RING_FREE)
			continue;
		/* a live owner goes on without being governed; what it has written has no table to go to */
		warden_store_release(&ring->tail, warden_load_acquire(&ring->head));
		if (ring->state == WARDEN_RING_ORPHANED)
		{
			ring->transaction_first = 0;
			ring->session_open = 0;
			ring->state = WARDEN_RING_FREE;
		}
	}
}

void
warden_database_forget(int slot)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	discard_records(slot);
	warden_prepared_forget_database(spool->databases[slot].database);
	memset(&shared->databases[slot], 0, sizeof(WardenSharedDatabase));
	spool->databases[slot].database = InvalidOid;
	spool->databases[slot].extension = InvalidOid;
	LWLockRelease(shared->lock);
	ConditionVariableBroadcast(&shared->progress);
}

/*
 * The highest number in the rings of the database; 0 = none. After a power loss the page with the counters may be
 * older than the rings' pages, and older than the table.
 */
static uint64
highest_in_rings(Oid database)
{
	uint64		highest = 0;
	const uint8_t *none = NULL;

	for (int i = 0; i < warden_ring_total(); i++)
	{
		WardenRingRef ref = {warden_ring_at(i), warden_ring_bytes(i)};
		WardenCollected collected;

		if (ref.ring->database != database || ref.ring->state == WARDEN_RING_FREE ||
			ref.ring->capacity != spool->ring_size)
			continue;
		SWIFT(warden_drain_collect(&ref, 1, PG_UINT64_MAX, &none, 0, &collected));
		highest = Max(highest, collected.highest);
	}
	return highest;
}

void
warden_counter_check(int slot)
{
	WardenSharedDatabase *database = &shared->databases[slot];
	uint64		last = warden_chain_last_seq();

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	if (spool->databases[slot].extension != warden_catalog.extension)
	{
		/* the first time, or the extension was dropped and made again */
		if (OidIsValid(spool->databases[slot].extension))
			discard_records(slot);
		spool->databases[slot].extension = warden_catalog.extension;
		spool->databases[slot].counter = last + 1;
		database->ready = 0;
	}
	if (!database->ready)
	{
		/* a number is never given twice: not one that is in the table, nor one that still waits in a ring */
		uint64		given = Max(last, highest_in_rings(MyDatabaseId));

		if (spool->databases[slot].counter <= given)
			spool->databases[slot].counter = given + 1;
		database->written = last;
		database->ready = 1;
	}
	database->wanted = 1;
	LWLockRelease(shared->lock);
	if (shared->launcher_latch != NULL)
		SetLatch(shared->launcher_latch);
}

/* --- rings --- */

/*
 * A ring whose owner has gone in good order, and which waits for its writer only, has room for another: sessions that come
 * and go faster than the writer turns do not use up the rings.
 */
static bool
can_go_on(const WardenRing *ring, Oid database)
{
	return ring->state == WARDEN_RING_ORPHANED && ring->database == database && ring->transaction_first == 0 &&
		ring->session_open == 0 && ring->capacity == spool->ring_size &&
		warden_load_acquire(&ring->head) - warden_load_acquire(&ring->tail) <= ring->capacity / 4;
}

/* Where a ring can be had: from `start` on; the caller holds the lock. */
static int
find_ring(int start, Oid database, bool reserved)
{
	int			total = warden_ring_total();
	int			found = -1;
	int			free = 0;

	for (int i = 0; i < total; i++)
	{
		int			index = (start + i) % total;

		if (can_go_on(warden_ring_at(index), database))
			return index;
		if (warden_ring_at(index)->state != WARDEN_RING_FREE)
			continue;
		free++;
		if (found < 0)
			found = index;
	}
	return reserved || free > RESERVED_RINGS ? found : -1;
}

static void
own(WardenRing *ring, Oid database, uint64 session)
{
	if (ring->state == WARDEN_RING_FREE)
		memset(ring, 0, sizeof(*ring));
	ring->capacity = spool->ring_size;
	ring->session = session;
	ring->database = database;
	ring->last_statement = 0;
	ring->xid = 0;
	ring->owner_pid = (uint32) MyProcPid;
	ring->state = WARDEN_RING_OWNED;
}

int
warden_ring_take(Oid database, uint64 session, bool reserved)
{
	int			found;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	/* a promoted standby goes on under another one */
	spool->timeline = GetWALInsertionTimeLine();
	found = find_ring(WARDEN_PROCESS_NUMBER() % warden_ring_total(), database, reserved);
	if (found >= 0)
		own(warden_ring_at(found), database, session);
	LWLockRelease(shared->lock);
	return found;
}

void
warden_ring_leave(int index)
{
	WardenRing *ring = warden_ring_at(index);

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	ring->owner_pid = 0;
	ring->state = ring_is_done_with(ring) ? WARDEN_RING_FREE : WARDEN_RING_ORPHANED;
	LWLockRelease(shared->lock);
}

void
warden_ring_free(int index)
{
	WardenRing *ring = warden_ring_at(index);

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	if (ring->state == WARDEN_RING_ORPHANED && ring_is_done_with(ring))
		ring->state = WARDEN_RING_FREE;
	LWLockRelease(shared->lock);
}

bool
warden_ring_needs_end(int index)
{
	WardenRing *ring = warden_ring_at(index);
	bool		needs;

	LWLockAcquire(shared->lock, LW_SHARED);
	needs = ring->state == WARDEN_RING_ORPHANED && (ring->transaction_first != 0 || ring->session_open != 0);
	LWLockRelease(shared->lock);
	return needs;
}

/* --- waking and waiting --- */

void
warden_set_launcher(int pid, Latch *latch)
{
	shared->launcher_pid = pid;
	shared->launcher_latch = latch;
}

void
warden_wake_writer(int slot)
{
	Latch	   *latch = shared->databases[slot].writer_latch;

	if (latch != NULL)
		SetLatch(latch);
	else
	{
		shared->databases[slot].wanted = 1;
		if (shared->launcher_latch != NULL)
			SetLatch(shared->launcher_latch);
	}
}

bool
warden_any_database(void)
{
	for (int slot = 0; slot < WARDEN_MAX_DATABASES; slot++)
		if (OidIsValid(spool->databases[slot].database))
			return true;
	return false;
}

void
warden_writer_leave(int slot)
{
	WardenSharedDatabase *database = &shared->databases[slot];
	int			patience = 500;

	database->away_until = GetCurrentTimestamp() + 5 * USECS_PER_SEC;
	if (database->writer_pid > 0)
		kill(database->writer_pid, SIGTERM);
	while (database->writer_pid > 0 && patience-- > 0)
	{
		CHECK_FOR_INTERRUPTS();
		pg_usleep(10000);
	}
}

void
warden_wait_for_writer(int slot, long timeout_ms)
{
	(void) slot;
	ConditionVariablePrepareToSleep(&shared->progress);
	(void) ConditionVariableTimedSleep(&shared->progress, timeout_ms, PG_WAIT_EXTENSION);
	ConditionVariableCancelSleep();
}

void
warden_writer_progress(int slot, uint64 written)
{
	warden_store_release(&shared->databases[slot].written, written);
	ConditionVariableBroadcast(&shared->progress);
}
