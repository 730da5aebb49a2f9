/*
 * The hash chain over the audit: docs/audit-format.md. The server's own SHA-256; the encoding is Swift's.
 */
#include "writer_rows.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* A hash context belongs to the transaction that made it: one for each batch of rows. */
static pg_cryptohash_ctx *hasher = NULL;

void
warden_chain_begin(void)
{
	hasher = pg_cryptohash_create(PG_SHA256);
	if (hasher == NULL)
		elog(ERROR, "pg_warden: SHA-256 is not available");
}

void
warden_chain_end(void)
{
	pg_cryptohash_free(hasher);
	hasher = NULL;
}

/* Room for a row's canonical encoding; grows to the longest row. */
static WardenBuffer *
room_for(const WardenAuditRow *row)
{
	static WardenBuffer buffer = {NULL, 0, 0};
	int64		needed = row->statement.length + row->access.length + row->error.length + row->guard.length +
		row->command.length + 16384;

	if (buffer.capacity < needed)
	{
		if (buffer.bytes != NULL)
			pfree(buffer.bytes);
		buffer.bytes = MemoryContextAlloc(TopMemoryContext, needed);
		buffer.capacity = needed;
	}
	buffer.length = 0;
	return &buffer;
}

void
warden_chain_link(uint8 *head, const WardenAuditRow *row)
{
	WardenBuffer *canonical = room_for(row);
	bool		encoded;

	SWIFT_GET(encoded, warden_row_canonical(row, canonical));
	if (!encoded)
		elog(ERROR, "pg_warden: audit record " UINT64_FORMAT " is too large to be hashed", row->seq);
	if (hasher == NULL || pg_cryptohash_init(hasher) < 0 ||
		pg_cryptohash_update(hasher, head, PG_SHA256_DIGEST_LENGTH) < 0 ||
		pg_cryptohash_update(hasher, canonical->bytes, canonical->length) < 0 ||
		pg_cryptohash_final(hasher, head, PG_SHA256_DIGEST_LENGTH) < 0)
		elog(ERROR, "pg_warden: SHA-256 failed");
}

/* --- warden.audit_chain --- */

static void
read_tuple(WardenChain *chain, TupleDesc desc, HeapTuple tuple)
{
	bool		isnull;
	bytea	   *head;

	chain->last_seq = (uint64) DatumGetInt64(heap_getattr(tuple, 2, desc, &isnull));
	chain->records = (uint64) DatumGetInt64(heap_getattr(tuple, 3, desc, &isnull));
	head = DatumGetByteaPP(heap_getattr(tuple, 4, desc, &isnull));
	if (VARSIZE_ANY_EXHDR(head) != PG_SHA256_DIGEST_LENGTH)
		elog(ERROR, "pg_warden: the head of the audit's chain is damaged");
	memcpy(chain->head, VARDATA_ANY(head), PG_SHA256_DIGEST_LENGTH);
}

void
warden_chain_read(WardenChain *chain)
{
	Relation	rel = table_open(warden_catalog.audit_chain, AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple = systable_getnext(scan);

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "pg_warden: warden.audit_chain is empty");
	read_tuple(chain, RelationGetDescr(rel), tuple);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

uint64
warden_chain_last_seq(void)
{
	WardenChain chain;

	warden_chain_read(&chain);
	return chain.last_seq;
}

static void
store(void *arg)
{
	const WardenChain *chain = arg;
	bytea	   *head = palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	Oid			types[3] = {INT8OID, INT8OID, BYTEAOID};
	Datum		values[3];

	SET_VARSIZE(head, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	memcpy(VARDATA(head), chain->head, PG_SHA256_DIGEST_LENGTH);
	values[0] = Int64GetDatum((int64) chain->last_seq);
	values[1] = Int64GetDatum((int64) chain->records);
	values[2] = PointerGetDatum(head);
	if (warden_internal_sql("UPDATE warden.audit_chain SET last_seq = $1, records = $2, head = $3",
							3, types, values, NULL) != 1)
		elog(ERROR, "pg_warden: warden.audit_chain has no row");
}

void
warden_chain_store(const WardenChain *chain)
{
	warden_internal_run(store, (void *) chain);
}
