/*
 * What waits in the rings, and how fast the writer is: for warden.status() and for the alert. Read without locks while
 * producers and the writer work: each figure is right for some moment just now.
 */
#include "shim.h"

#include "utils/timestamp.h"

/* Percent of a ring; a backend wakes the writer at half of it. */
#define NEARLY_FULL 90

/* A record is written within warden.flush_interval; what waits for so many of them, and at least so long, is stuck. */
#define INTERVALS_BEHIND 10
#define LEAST_BEHIND (10 * USECS_PER_SEC)

static void
look_at_ring(int index, uint64 written, WardenBacklog *backlog)
{
	WardenRing *ring = warden_ring_at(index);
	uint64		tail = warden_load_acquire(&ring->tail);
	uint64		head = warden_load_acquire(&ring->head);
	uint64		bytes = head > tail ? head - tail : 0;
	WardenWaiting waiting;
	bool		found;

	backlog->rings++;
	backlog->bytes += bytes;
	backlog->fullest = Max(backlog->fullest, bytes * 100 / ring->capacity);
	backlog->lost += ring->lost;
	if (bytes == 0)
		return;
	SWIFT_GET(found, warden_ring_waiting(ring, warden_ring_bytes(index), written, &waiting));
	if (found && (backlog->oldest_seq == 0 || waiting.seq < backlog->oldest_seq))
	{
		backlog->oldest_seq = waiting.seq;
		backlog->oldest_at = waiting.at;
	}
}

void
warden_backlog(int slot, WardenBacklog *backlog)
{
	Oid			database = warden_spool_database(slot)->database;
	uint64		written = warden_load_acquire(&warden_shared_database(slot)->written);

	memset(backlog, 0, sizeof(*backlog));
	for (int i = 0; i < warden_ring_total(); i++)
	{
		WardenRing *ring = warden_ring_at(i);

		if (ring->state != WARDEN_RING_FREE && ring->database == database && ring->capacity == warden_ring_capacity())
			look_at_ring(i, written, backlog);
	}
}

int64
warden_backlog_age(const WardenBacklog *backlog)
{
	int64		now = GetCurrentTimestamp();

	return backlog->oldest_seq == 0 || now < backlog->oldest_at ? 0 : now - backlog->oldest_at;
}

bool
warden_backlog_behind(const WardenBacklog *backlog)
{
	int64		limit = Max((int64) warden_flush_interval * 1000 * INTERVALS_BEHIND, LEAST_BEHIND);

	return backlog->fullest >= NEARLY_FULL || warden_backlog_age(backlog) > limit;
}

void
warden_drain_noted(int slot, uint64 records, int64 started)
{
	WardenSharedDatabase *shared = warden_shared_database(slot);
	int64		spent = GetCurrentTimestamp() - started;

	if (spent < 0)
		return;
	if (shared->drain_time > 10 * USECS_PER_SEC)
	{
		shared->drain_time /= 2;
		shared->drained /= 2;
	}
	shared->drained += records;
	shared->drain_time += (uint64) spent;
}

uint64
warden_drain_rate(int slot)
{
	WardenSharedDatabase *shared = warden_shared_database(slot);
	uint64		spent = shared->drain_time;

	return spent == 0 ? 0 : (uint64) ((double) shared->drained * USECS_PER_SEC / spent);
}
