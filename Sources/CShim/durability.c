/*
 * warden.audit_durability = power: what a backend has written to the spool is on disk before what depends on it leaves
 * the server: the record of a statement before the statement runs, the transaction's id and everything nested before its
 * commit.
 *
 * One fdatasync covers whatever any process has written to the mapped file before it began (on the systems that PostgreSQL
 * supports, pages changed through a mapping are the file's pages). So backends queue as they do for the write-ahead log:
 * each takes a ticket after its last write; who gets the lock flushes for all tickets given by then, and the others find
 * their ticket covered when they wake.
 *
 * A flush that fails refuses the statement; nobody is disconnected, and ROLLBACK never flushes.
 */
#include "shim.h"

#include <fcntl.h>
#include <unistd.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "storage/lwlock.h"

/* This process's own descriptor: a failed write is reported once to each that is open. */
static int	descriptor = -1;
/* How much of this process's ring is on disk. */
static WardenRing *flushed_ring = NULL;
static uint64 flushed_head = 0;

static void
open_spool(void)
{
	if (descriptor >= 0)
		return;
	if (!AcquireExternalFD())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("no file descriptor is left to flush the audit's spool: the statement is refused"),
				 errhint("Raise the system's limit of open files.")));
	descriptor = BasicOpenFile(WARDEN_SPOOL_PATH, O_RDWR);
	if (descriptor >= 0)
		return;
	ReleaseExternalFD();
	ereport(ERROR,
			(errcode_for_file_access(),
			 errmsg("could not open file \"%s\": %m", WARDEN_SPOOL_PATH),
			 errdetail("warden.audit_durability is \"power\": what cannot be flushed to disk is refused.")));
}

/* The lock is held. */
static bool
flush_up_to(WardenFlushes *flushes, uint64 covered)
{
	bool		done;

	pgstat_report_wait_start(PG_WAIT_EXTENSION);
	done = pg_fdatasync(descriptor) == 0;
	pgstat_report_wait_end();
	if (done)
	{
		flushes->count++;
		warden_store_release(&flushes->done, covered);
	}
	else
		flushes->failed++;
	return done;
}

static void
flush(WardenFlushes *flushes)
{
	uint64		ticket = warden_fetch_add(&flushes->wanted, 1) + 1;

	while (warden_load_acquire(&flushes->done) < ticket)
	{
		bool		done = true;
		int			saved;

		/* false where somebody else held it meanwhile, who may have flushed for us */
		if (!LWLockAcquireOrWait(flushes->lock, LW_EXCLUSIVE))
			continue;
		if (warden_load_acquire(&flushes->done) < ticket)
			done = flush_up_to(flushes, warden_load_acquire(&flushes->wanted));
		saved = errno;
		LWLockRelease(flushes->lock);
		errno = saved;
		if (!done)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not flush the audit's record to disk: %m"),
					 errdetail("warden.audit_durability is \"power\": the statement is refused."),
					 errhint("See to the disk and restart the server, or set warden.audit_durability to \"crash\".")));
	}
}

void
warden_durability_flush(WardenRing *ring, bool even_if_nothing_new)
{
	uint64		head;

	if (likely(warden_audit_durability != WARDEN_DURABILITY_POWER))
		return;
	head = warden_load_acquire(&ring->head);
	if (ring == flushed_ring && head == flushed_head && !even_if_nothing_new)
		return;
	open_spool();
	flush(warden_flushes());
	flushed_ring = ring;
	flushed_head = head;
}

char *
warden_durability_tell(bool *healthy)
{
	WardenFlushes *flushes = warden_flushes();

	*healthy = flushes->failed == 0;
	if (warden_audit_durability != WARDEN_DURABILITY_POWER)
		return pstrdup("crash");
	*healthy &= enableFsync;
	return psprintf("power: " UINT64_FORMAT " flushes, " UINT64_FORMAT " failed%s", flushes->count, flushes->failed,
					enableFsync ? "" : "; fsync is off: nothing is on disk for certain");
}
