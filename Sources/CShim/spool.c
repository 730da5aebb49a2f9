/*
 * The spool: one file under the data directory, mapped by the postmaster and inherited by every process.
 *
 * Layout: a page with the header and the databases' counters, then the rings' headers, a page each, then the rings'
 * data. The file is allocated whole when it is made, so that a full disk is an error at start and not a signal later.
 * Mapped pages outlive the processes: after a crash of the server the rings are as their backends left them, and are
 * drained before they are used again.
 *
 * Locking: `lock` covers the states of rings and the table of databases. What is inside a ring is covered by the
 * protocol in warden_spool.h.
 */
#include "shim.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "miscadmin.h"
#include "common/file_perm.h"
#include "pgstat.h"
#include "storage/condition_variable.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#define SPOOL_DIRECTORY "pg_warden"
#define SPOOL_FILE "pg_warden/spool"
#define SPOOL_MAGIC UINT64CONST(0x316c6f6f70736477)	/* "wdspool1" */
#define SPOOL_PAGE 4096
/* more rings than backends: one that still waits for its writer need not hold up a session of another database */
#define SPARE_RINGS 16

typedef struct SpoolHeader
{
	uint64		magic;
	uint32		ring_count;
	uint32		unused;
	uint64		ring_size;		/* bytes of data per ring */
	WardenSpoolDatabase databases[WARDEN_MAX_DATABASES];
} SpoolHeader;

StaticAssertDecl(sizeof(SpoolHeader) <= SPOOL_PAGE, "the spool's header is a page");

typedef struct SpoolShared
{
	LWLock	   *lock;
	int			launcher_pid;
	Latch	   *launcher_latch;
	ConditionVariable progress;
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
	return (WardenRing *) ((char *) spool + SPOOL_PAGE * (Size) (1 + index));
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

/* --- making and mapping the file --- */

static Size
spool_bytes(uint32 rings, uint64 ring_size)
{
	return SPOOL_PAGE * (Size) (1 + rings) + (Size) rings * ring_size;
}

static void
make_file(uint32 rings, uint64 ring_size)
{
	SpoolHeader header = {.magic = SPOOL_MAGIC, .ring_count = rings, .ring_size = ring_size};
	int			fd = open(SPOOL_FILE ".new", O_RDWR | O_CREAT | O_TRUNC, pg_file_create_mode);
	int			failed;

	if (fd < 0)
		ereport(FATAL, (errcode_for_file_access(), errmsg("could not create file \"%s\": %m", SPOOL_FILE)));
	failed = posix_fallocate(fd, 0, (off_t) spool_bytes(rings, ring_size));
	if (failed != 0)
	{
		errno = failed;
		ereport(FATAL,
				(errcode_for_file_access(),
				 errmsg("could not allocate %zu bytes for \"%s\": %m", spool_bytes(rings, ring_size), SPOOL_FILE),
				 errhint("Free some disk space, or lower warden.spool_size or max_connections.")));
	}
	if (pg_pwrite(fd, &header, sizeof(header), 0) != (ssize_t) sizeof(header) || pg_fsync(fd) != 0 || close(fd) != 0)
		ereport(FATAL, (errcode_for_file_access(), errmsg("could not write file \"%s\": %m", SPOOL_FILE)));
	if (rename(SPOOL_FILE ".new", SPOOL_FILE) != 0)
		ereport(FATAL, (errcode_for_file_access(), errmsg("could not rename file \"%s\": %m", SPOOL_FILE)));
}

static SpoolHeader *
map_file(void)
{
	int			fd = open(SPOOL_FILE, O_RDWR);
	struct stat status;
	SpoolHeader *mapped;

	if (fd < 0)
	{
		if (errno == ENOENT)
			return NULL;
		ereport(FATAL, (errcode_for_file_access(), errmsg("could not open file \"%s\": %m", SPOOL_FILE)));
	}
	if (fstat(fd, &status) != 0)
		ereport(FATAL, (errcode_for_file_access(), errmsg("could not stat file \"%s\": %m", SPOOL_FILE)));
	mapped = status.st_size < SPOOL_PAGE ? MAP_FAILED :
		mmap(NULL, status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (mapped == MAP_FAILED || mapped->magic != SPOOL_MAGIC ||
		spool_bytes(mapped->ring_count, mapped->ring_size) != (Size) status.st_size)
		ereport(FATAL,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("file \"%s\" is not a spool of pg_warden", SPOOL_FILE),
				 errhint("Move it away to start without what it holds: the audit will show the gap.")));
	return mapped;
}

static bool
is_drained(SpoolHeader *old)
{
	for (uint32 i = 0; i < old->ring_count; i++)
	{
		WardenRing *ring = (WardenRing *) ((char *) old + SPOOL_PAGE * (Size) (1 + i));

		if (ring->head != ring->tail || ring->transaction_first != 0)
			return false;
	}
	return true;
}

static void
resize(uint32 rings, uint64 ring_size)
{
	WardenSpoolDatabase databases[WARDEN_MAX_DATABASES];

	if (!is_drained(spool))
	{
		ereport(LOG,
				(errmsg("pg_warden keeps its spool of %u rings until the records in it are written", spool->ring_count),
				 errhint("The new size takes effect at a later start.")));
		return;
	}
	memcpy(databases, spool->databases, sizeof(databases));
	munmap(spool, spool_bytes(spool->ring_count, spool->ring_size));
	make_file(rings, ring_size);
	spool = map_file();
	memcpy(spool->databases, databases, sizeof(databases));
}

static void
open_spool(void)
{
	uint32		rings = (uint32) (MaxBackends + SPARE_RINGS);
	uint64		ring_size = (uint64) warden_spool_size * 1024;

	if (MakePGDirectory(SPOOL_DIRECTORY) != 0 && errno != EEXIST)
		ereport(FATAL, (errcode_for_file_access(), errmsg("could not create directory \"%s\": %m", SPOOL_DIRECTORY)));
	spool = map_file();
	if (spool == NULL)
	{
		make_file(rings, ring_size);
		spool = map_file();
	}
	else if (spool->ring_count != rings || spool->ring_size != ring_size)
		resize(rings, ring_size);
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
		if (ring->head != ring->tail || ring->transaction_first != 0)
			ring->state = WARDEN_RING_ORPHANED;
		else
			ring->state = WARDEN_RING_FREE;
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
	RequestNamedLWLockTranche("pg_warden", 1);
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
		shared->lock = &(GetNamedLWLockTranche("pg_warden"))->lock;
		ConditionVariableInit(&shared->progress);
		/* after a crash the postmaster starts anew with the same mapping */
		if (spool == NULL)
			open_spool();
		adopt_orphans();
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

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
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
			ring->state = WARDEN_RING_FREE;
		}
	}
}

void
warden_database_forget(int slot)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	discard_records(slot);
	memset(&shared->databases[slot], 0, sizeof(WardenSharedDatabase));
	spool->databases[slot].database = InvalidOid;
	spool->databases[slot].extension = InvalidOid;
	LWLockRelease(shared->lock);
	ConditionVariableBroadcast(&shared->progress);
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
		if (spool->databases[slot].counter <= last)
			spool->databases[slot].counter = last + 1;
		database->written = last;
		database->ready = 1;
	}
	database->wanted = 1;
	LWLockRelease(shared->lock);
	if (shared->launcher_latch != NULL)
		SetLatch(shared->launcher_latch);
}

/* --- rings --- */

int
warden_ring_take(Oid database, uint64 session)
{
	int			total = warden_ring_total();
	int			start = WARDEN_PROCESS_NUMBER() % total;
	int			found = -1;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < total && found < 0; i++)
	{
		WardenRing *ring = warden_ring_at((start + i) % total);

		if (ring->state != WARDEN_RING_FREE)
			continue;
		memset(ring, 0, sizeof(*ring));
		ring->capacity = spool->ring_size;
		ring->session = session;
		ring->database = database;
		ring->owner_pid = (uint32) MyProcPid;
		ring->state = WARDEN_RING_OWNED;
		found = (start + i) % total;
	}
	LWLockRelease(shared->lock);
	return found;
}

void
warden_ring_leave(int index)
{
	WardenRing *ring = warden_ring_at(index);

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	ring->owner_pid = 0;
	ring->state = ring->head == ring->tail && ring->transaction_first == 0 ?
		WARDEN_RING_FREE : WARDEN_RING_ORPHANED;
	LWLockRelease(shared->lock);
}

void
warden_ring_free(int index)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	warden_ring_at(index)->state = WARDEN_RING_FREE;
	LWLockRelease(shared->lock);
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
