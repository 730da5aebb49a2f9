/*
 * The hash chain over the audit: docs/audit-format.md. The server's own SHA-256; the encoding is Swift's.
 */
#include "writer_rows.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "common/cryptohash.h"
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

/*
 * Room for canonical bytes of texts of that length, behind room for a hash; grows to the longest. Texts together plus
 * 256 bytes are always enough.
 */
static WardenBuffer *
room_for(int64 texts)
{
	static WardenBuffer buffer = {NULL, 0, 0};
	int64		needed = PG_SHA256_DIGEST_LENGTH + texts + 256;

	if (buffer.capacity < needed)
	{
		if (buffer.bytes != NULL)
			pfree(buffer.bytes);
		buffer.capacity = 0;
		buffer.bytes = MemoryContextAllocHuge(TopMemoryContext, needed + 4096);
		buffer.capacity = needed + 4096;
	}
	buffer.length = 0;
	return &buffer;
}

static void
hash(const uint8 *bytes, int64 length, uint8 *digest)
{
	if (hasher == NULL || pg_cryptohash_init(hasher) < 0 || pg_cryptohash_update(hasher, bytes, length) < 0 ||
		pg_cryptohash_final(hasher, digest, PG_SHA256_DIGEST_LENGTH) < 0)
		elog(ERROR, "pg_warden: SHA-256 failed");
}

void
warden_chain_link(uint8 *head, const WardenAuditRow *row)
{
	WardenBuffer *buffer = room_for(row->statement.length + row->access.length + row->error.length +
									row->parameters.length + row->sqlstate.length);
	WardenBuffer canonical = {buffer->bytes + PG_SHA256_DIGEST_LENGTH, buffer->capacity - PG_SHA256_DIGEST_LENGTH, 0};
	bool		encoded;

	SWIFT_GET(encoded, warden_row_canonical(row, &canonical));
	if (!encoded)
		elog(ERROR, "pg_warden: audit record " UINT64_FORMAT " is too large to be hashed", row->seq);
	memcpy(buffer->bytes, head, PG_SHA256_DIGEST_LENGTH);
	hash(buffer->bytes, PG_SHA256_DIGEST_LENGTH + canonical.length, head);
}

void
warden_context_digest(const WardenAuditContext *context, uint8 *digest)
{
	const WardenText *texts = (const WardenText *) context;
	int64		length = 0;
	WardenBuffer *buffer;
	bool		encoded;

	for (size_t i = 0; i < sizeof(*context) / sizeof(*texts); i++)
		length += texts[i].length;
	buffer = room_for(length);
	SWIFT_GET(encoded, warden_context_canonical(context, buffer));
	if (!encoded)
		elog(ERROR, "pg_warden: a context of the audit is too large to be hashed");
	hash(buffer->bytes, buffer->length, digest);
}

void
warden_shape_digest(const WardenAuditShape *shape, uint8 *digest)
{
	WardenBuffer *buffer = room_for(shape->statement_class.length + shape->command.length + shape->decision.length +
									shape->guard.length + shape->access.length + shape->statement.length);
	bool		encoded;

	SWIFT_GET(encoded, warden_shape_canonical(shape, buffer));
	if (!encoded)
		elog(ERROR, "pg_warden: a shape of the audit is too large to be hashed");
	hash(buffer->bytes, buffer->length, digest);
}

/* --- warden.audit_chain --- */

/* What keeps the row from being read; NULL where nothing does. It is ours alone, but not while the library is away. */
static const char *
problem_of(Relation rel, HeapTuple tuple)
{
	TupleDesc	desc = RelationGetDescr(rel);
	bool		isnull;

	if (!warden_layout_fits(rel, warden_catalog.audit_chain))
		return "table warden.audit_chain has other columns than pg_warden gave it";
	if (!HeapTupleIsValid(tuple))
		return "table warden.audit_chain is empty";
	if (HeapTupleHasNulls(tuple) ||
		DatumGetInt64(heap_getattr(tuple, 2, desc, &isnull)) < 0 || DatumGetInt64(heap_getattr(tuple, 3, desc, &isnull)) < 0 ||
		VARSIZE_ANY_EXHDR(DatumGetByteaPP(heap_getattr(tuple, 4, desc, &isnull))) != PG_SHA256_DIGEST_LENGTH)
		return "the row of table warden.audit_chain is damaged";
	return NULL;
}

/* Its one row; to be freed by the caller. */
static HeapTuple
chain_tuple(Relation rel)
{
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple = systable_getnext(scan);
	const char *problem = problem_of(rel, tuple);

	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("%s", problem),
				 errdetail("It was changed while the server ran without pg_warden. What should be recorded is refused."),
				 errhint("Repair it with a server started without pg_warden, or let warden.audit be \"none\" in postgresql.conf meanwhile.")));
	tuple = heap_copytuple(tuple);
	systable_endscan(scan);
	return tuple;
}

bool
warden_chain_is_sound(void)
{
	Relation	rel = table_open(warden_catalog.audit_chain, AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	bool		sound = problem_of(rel, systable_getnext(scan)) == NULL;

	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return sound;
}

void
warden_chain_read(WardenChain *chain)
{
	Relation	rel = table_open(warden_catalog.audit_chain, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	HeapTuple	tuple = chain_tuple(rel);
	bool		isnull;
	bytea	   *head;

	chain->last_seq = (uint64) DatumGetInt64(heap_getattr(tuple, 2, desc, &isnull));
	chain->records = (uint64) DatumGetInt64(heap_getattr(tuple, 3, desc, &isnull));
	head = DatumGetByteaPP(heap_getattr(tuple, 4, desc, &isnull));
	memcpy(chain->head, VARDATA_ANY(head), PG_SHA256_DIGEST_LENGTH);
	heap_freetuple(tuple);
	table_close(rel, AccessShareLock);
}

uint64
warden_chain_last_seq(void)
{
	WardenChain chain;

	warden_chain_read(&chain);
	return chain.last_seq;
}

void
warden_chain_store(const WardenChain *chain)
{
	Relation	rel = table_open(warden_catalog.audit_chain, RowExclusiveLock);
	TupleDesc	desc = RelationGetDescr(rel);
	HeapTuple	tuple = chain_tuple(rel);
	int			columns[] = {2, 3, 4};
	bool		nulls[] = {false, false, false};
	Datum		values[3];
	struct
	{
		int32		header;
		uint8		bytes[PG_SHA256_DIGEST_LENGTH];
	}			head;
	HeapTuple	changed;

	SET_VARSIZE(&head, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	memcpy(head.bytes, chain->head, PG_SHA256_DIGEST_LENGTH);
	values[0] = Int64GetDatum((int64) chain->last_seq);
	values[1] = Int64GetDatum((int64) chain->records);
	values[2] = PointerGetDatum(&head);
	changed = heap_modify_tuple_by_cols(tuple, desc, lengthof(columns), columns, values, nulls);
	CatalogTupleUpdate(rel, &tuple->t_self, changed);
	heap_freetuple(changed);
	heap_freetuple(tuple);
	table_close(rel, NoLock);
}
