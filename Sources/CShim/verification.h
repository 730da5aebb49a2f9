/*
 * Verification of the audit: one pass over its tables, the first thing wrong in it, and where it ends.
 */
#ifndef WARDEN_VERIFICATION_H
#define WARDEN_VERIFICATION_H

#include "writer_rows.h"

#include "utils/snapshot.h"

/* What warden.audit_digest() tells of a chain, to be kept elsewhere. */
typedef struct WardenDigest
{
	char		chain[40];		/* the chain's own id */
	uint64		cluster;		/* system identifier */
	uint64		timeline;
	uint64		database;		/* OID */
	uint64		records;		/* ever written */
	char		first_at[40];	/* ISO 8601, UTC; "-": there is no record */
	char		last_at[40];
	uint64		last_seq;
	uint8		head[PG_SHA256_DIGEST_LENGTH];
} WardenDigest;

/* A time as digests have it, in `text` of 40 bytes. */
extern void warden_digest_time(int64 at, char *text);
/* digest.c: the state of the chain as the active snapshot sees it. Inside warden_internal_run. */
extern void warden_digest_take(WardenDigest *digest);
extern char *warden_digest_text(const WardenDigest *digest);
/* Raises 22023 where the text is no digest. */
extern void warden_digest_parse(const char *text, WardenDigest *digest);

/*
 * What warden.retain keeps, all of it, as one digest in hexadecimal: an SQL expression. The event that tells of the last
 * call has it in its text.
 */
#define WARDEN_RETAINED_DIGEST \
	"pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(COALESCE((SELECT pg_catalog.string_agg(pg_catalog.concat_ws('|', " \
	"k.id, k.partition, k.first_seq, k.last_seq, k.records, EXTRACT(epoch FROM k.first_at), " \
	"EXTRACT(epoch FROM k.last_at), pg_catalog.encode(k.head_before, 'hex'), pg_catalog.encode(k.head_after, 'hex'), " \
	"k.dropped_by, EXTRACT(epoch FROM k.dropped_at)), E'\\n' ORDER BY k.id) FROM warden.audit_retained k), '') || E'\\n\\n' || " \
	"COALESCE((SELECT pg_catalog.string_agg(pg_catalog.concat_ws('|', l.seq, pg_catalog.encode(l.hash_before, 'hex')), E'\\n' " \
	"ORDER BY l.seq) FROM warden.audit_loose l), ''), 'UTF8')), 'hex')"

/* verification.c */
typedef struct WardenVerified
{
	uint64		records;		/* rows looked at */
	uint64		bad_seq;		/* 0: none in particular */
	char	   *problem;		/* in the memory context of the caller; NULL: nothing is wrong */
} WardenVerified;

/* Verifies all that the active snapshot sees, against `expected` too where it is not NULL. Inside warden_internal_run. */
extern void warden_verify(const WardenDigest *expected, MemoryContext memory, WardenVerified *verified);

#endif
