/*
 * The spool's file: its layout, and whose it is. For spool.c, which is the only user of what is in it.
 */
#ifndef WARDEN_SPOOL_FILE_H
#define WARDEN_SPOOL_FILE_H

#include "shim.h"

#define SPOOL_PAGE 4096

/* The first page of the file; what follows: the rings' headers, a page each, then the rings' data. */
typedef struct SpoolHeader
{
	uint64		magic;
	uint32		ring_count;
	/* of the cluster that the records belong to, when a ring was last taken; 0 = none was */
	uint32		timeline;
	uint64		ring_size;		/* bytes of data per ring */
	uint64		system_identifier;
	WardenSpoolDatabase databases[WARDEN_MAX_DATABASES];
} SpoolHeader;

StaticAssertDecl(sizeof(SpoolHeader) <= SPOOL_PAGE, "the spool's header is a page");

static inline WardenRing *
spool_ring(SpoolHeader *spool, uint32 index)
{
	return (WardenRing *) ((char *) spool + SPOOL_PAGE * (Size) (1 + index));
}

/* Nothing of the ring is left to be written, and nothing left to be told of its session. */
static inline bool
ring_is_done_with(const WardenRing *ring)
{
	return ring->head == ring->tail && ring->transaction_first == 0 && ring->session_open == 0;
}

/*
 * Maps this cluster's spool, of so many rings of that size, and makes it where it is not there. One of another size
 * is kept as long as it holds records; one that is another cluster's, or no spool at all, is set aside.
 */
extern SpoolHeader *warden_spool_open(uint32 rings, uint64 ring_size);

#endif
