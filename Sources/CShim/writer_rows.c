/*
 * Rows of the audit table, inserted in bulk the way COPY does it.
 */
#include "writer_rows.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

/* Rows per call of table_multi_insert. */
#define ROWS 500
#define COLUMNS 24

typedef struct Partition
{
	int64		day;			/* days since 2000-01-01 UTC */
	Relation	rel;
	ResultRelInfo *info;
	EState	   *estate;
	BulkInsertState bulk;
	TupleTableSlot *slots[ROWS];
	int			filled;
	int			made;
	MemoryContext row_memory;
} Partition;

/* --- partitions --- */

static int64
day_of(int64 at)
{
	return at >= 0 ? at / USECS_PER_DAY : (at - USECS_PER_DAY + 1) / USECS_PER_DAY;
}

static char *
partition_name(int64 day)
{
	int			year,
				month,
				mday;

	j2date((int) (day + POSTGRES_EPOCH_JDATE), &year, &month, &mday);
	return psprintf("audit_record_%04d%02d%02d", year, month, mday);
}

static char *
day_literal(int64 day)
{
	int			year,
				month,
				mday;

	j2date((int) (day + POSTGRES_EPOCH_JDATE), &year, &month, &mday);
	return psprintf("'%04d-%02d-%02d 00:00:00+00'", year, month, mday);
}

static void
make_partition(void *arg)
{
	int64		day = *(int64 *) arg;

	warden_members_from_here();
	warden_internal_sql(psprintf("CREATE TABLE warden.%s PARTITION OF warden.audit_record FOR VALUES FROM (%s) TO (%s)",
								 partition_name(day), day_literal(day), day_literal(day + 1)), 0, NULL, NULL, NULL);
}

/* The name alone proves nothing: what has it must be a partition of the audit, made as we make them. */
static void
check_partition(Relation rel)
{
	if (rel->rd_rel->relkind != RELKIND_RELATION || !rel->rd_rel->relispartition ||
		get_partition_parent(RelationGetRelid(rel), true) != warden_catalog.audit_record ||
		RelationGetDescr(rel)->natts != COLUMNS)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("relation \"%s\" is in the place of a partition of the audit", RelationGetRelationName(rel)),
				 errhint("Move it out of schema warden, under warden.break_glass(reason).")));
}

static Oid
partition_of_day(int64 day)
{
	Oid			oid = get_relname_relid(partition_name(day), warden_catalog.schema);

	if (OidIsValid(oid))
		return oid;
	warden_internal_run(make_partition, &day);
	CommandCounterIncrement();
	return get_relname_relid(partition_name(day), warden_catalog.schema);
}

static void
open_partition(Partition *partition, int64 day)
{
	partition->day = day;
	partition->rel = table_open(partition_of_day(day), RowExclusiveLock);
	check_partition(partition->rel);
	partition->estate = CreateExecutorState();
	partition->info = makeNode(ResultRelInfo);
	InitResultRelInfo(partition->info, partition->rel, 1, NULL, 0);
	ExecOpenIndices(partition->info, false);
	partition->bulk = GetBulkInsertState();
	partition->filled = 0;
	partition->made = 0;
	partition->row_memory = AllocSetContextCreate(CurrentMemoryContext, "pg_warden rows", ALLOCSET_DEFAULT_SIZES);
}

static void
flush_rows(Partition *partition)
{
	MemoryContext caller;

	if (partition->filled == 0)
		return;
	caller = MemoryContextSwitchTo(partition->row_memory);
	table_multi_insert(partition->rel, partition->slots, partition->filled, GetCurrentCommandId(true), 0,
					   partition->bulk);
	MemoryContextSwitchTo(caller);
	for (int i = 0; i < partition->filled; i++)
	{
		if (partition->info->ri_NumIndices > 0)
			list_free(WARDEN_INSERT_INDEXES(partition->info, partition->slots[i], partition->estate));
		ResetPerTupleExprContext(partition->estate);
		ExecClearTuple(partition->slots[i]);
	}
	partition->filled = 0;
	MemoryContextReset(partition->row_memory);
}

static void
close_partition(Partition *partition)
{
	if (partition->rel == NULL)
		return;
	flush_rows(partition);
	for (int i = 0; i < partition->made; i++)
		ExecDropSingleTupleTableSlot(partition->slots[i]);
	table_finish_bulk_insert(partition->rel, 0);
	FreeBulkInsertState(partition->bulk);
	ExecCloseIndices(partition->info);
	FreeExecutorState(partition->estate);
	MemoryContextDelete(partition->row_memory);
	table_close(partition->rel, NoLock);
	partition->rel = NULL;
}

/* --- contexts --- */

typedef struct ContextEntry
{
	int64		length;
	uint64		id;
	uint8		bytes[1000];
} ContextEntry;

static Datum
text_or_null(WardenText text, char *null)
{
	*null = text.bytes == NULL ? 'n' : ' ';
	return text.bytes == NULL ? (Datum) 0 :
		PointerGetDatum(cstring_to_text_with_len((const char *) text.bytes, (int) text.length));
}

typedef struct ContextSearch
{
	const WardenAuditRow *row;
	uint64		id;
} ContextSearch;

static bytea *
context_digest(WardenText context)
{
	bytea	   *digest = palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	pg_cryptohash_ctx *hash = pg_cryptohash_create(PG_SHA256);

	if (hash == NULL || pg_cryptohash_init(hash) < 0 ||
		pg_cryptohash_update(hash, context.bytes, context.length) < 0 ||
		pg_cryptohash_final(hash, (uint8 *) VARDATA(digest), PG_SHA256_DIGEST_LENGTH) < 0)
		elog(ERROR, "pg_warden: SHA-256 failed");
	pg_cryptohash_free(hash);
	SET_VARSIZE(digest, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	return digest;
}

static void
store_context(const WardenAuditRow *row, Datum digest)
{
	const WardenText fields[] = {row->database, row->session_user, row->role, row->identity, row->agent,
		row->application, row->client_address, row->environment, row->intent, row->ticket, row->run};
	Oid			types[13] = {INT8OID, BYTEAOID};
	Datum		values[13] = {Int64GetDatum((int64) row->seq), digest};
	char		nulls[14] = "  ";

	for (int i = 0; i < 11; i++)
	{
		types[i + 2] = TEXTOID;
		values[i + 2] = text_or_null(fields[i], &nulls[i + 2]);
	}
	nulls[13] = '\0';
	warden_internal_sql("INSERT INTO warden.audit_context VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
						13, types, values, nulls);
}

static void
find_context(void *arg)
{
	ContextSearch *search = arg;
	Oid			types[1] = {BYTEAOID};
	Datum		digest = PointerGetDatum(context_digest(search->row->context));

	if (warden_internal_sql("SELECT id FROM warden.audit_context WHERE digest = $1", 1, types, &digest, NULL) > 0)
	{
		bool		isnull;

		search->id = (uint64) DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
		return;
	}
	store_context(search->row, digest);
	search->id = search->row->seq;
}

/* The id of the row's context: usually the one that the session had a record ago. */
static uint64
context_id(const WardenAuditRow *row)
{
	static ContextEntry cache[64];
	static Oid	extension = InvalidOid;
	ContextEntry *entry = &cache[row->session % lengthof(cache)];
	ContextSearch search = {row, 0};

	/* dropped and made again, its tables are others */
	if (extension != warden_catalog.extension)
		memset(cache, 0, sizeof(cache));
	extension = warden_catalog.extension;

	if (entry->length == row->context.length && entry->length > 0 &&
		memcmp(entry->bytes, row->context.bytes, entry->length) == 0)
		return entry->id;
	/* an error ends the writer, so the cache never outlives what it tells of */
	warden_internal_run(find_context, &search);
	if (row->context.length <= (int64) sizeof(entry->bytes))
	{
		memcpy(entry->bytes, row->context.bytes, row->context.length);
		entry->length = row->context.length;
		entry->id = search.id;
	}
	return search.id;
}

/* --- rows --- */

/* Text that the table can hold: what is not valid in the database's encoding becomes question marks. */
static WardenText
valid_text(WardenText text)
{
	uint8_t    *copy;

	if (text.bytes == NULL ||
		pg_verify_mbstr(GetDatabaseEncoding(), (const char *) text.bytes, (int) text.length, true))
		return text;
	copy = palloc(text.length + 1);
	for (int64_t i = 0; i < text.length; i++)
		copy[i] = IS_HIGHBIT_SET(text.bytes[i]) || text.bytes[i] == '\0' ? '?' : text.bytes[i];
	return (WardenText) {copy, text.length};
}

static void
make_valid(WardenAuditRow *row)
{
	WardenText *texts[] = {&row->command, &row->statement, &row->guard, &row->error, &row->access, &row->database,
		&row->session_user, &row->role, &row->identity, &row->agent, &row->application, &row->client_address,
		&row->environment, &row->intent, &row->ticket, &row->run};

	for (size_t i = 0; i < lengthof(texts); i++)
		*texts[i] = valid_text(*texts[i]);
}

static void
put_number(TupleTableSlot *slot, int column, int64 value, bool isnull)
{
	slot->tts_values[column] = Int64GetDatum(value);
	slot->tts_isnull[column] = isnull;
}

static void
put_text(TupleTableSlot *slot, int column, WardenText text)
{
	slot->tts_isnull[column] = text.bytes == NULL;
	slot->tts_values[column] = text.bytes == NULL ? (Datum) 0 :
		PointerGetDatum(cstring_to_text_with_len((const char *) text.bytes, (int) text.length));
}

/* In the order of the columns of warden.audit_record. */
static void
fill_slot(TupleTableSlot *slot, const WardenAuditRow *row, uint64 context, const uint8 *hash)
{
	const WardenText texts[] = {row->event, row->statement_class, row->command, row->decision, row->outcome,
		row->guard, row->sqlstate, row->error, row->statement, row->access};
	WardenText	digest = {hash, PG_SHA256_DIGEST_LENGTH};
	int			column = 0;

	put_number(slot, column++, (int64) row->seq, false);
	put_number(slot, column++, row->at, false);
	put_number(slot, column++, (int64) context, false);
	put_number(slot, column++, (int64) row->session, false);
	put_number(slot, column++, (int64) row->statement_no, row->statement_no == 0);
	put_number(slot, column++, (int64) row->last_statement_no, row->last_statement_no == 0);
	put_number(slot, column++, (int64) row->parent_no, row->parent_no == 0);
	put_number(slot, column++, (int64) row->transaction, row->transaction == 0);
	put_number(slot, column++, (int64) row->statement_hash, row->statement_hash == 0);
	put_number(slot, column++, row->request_id, row->request_id == 0);
	put_number(slot, column++, row->rows, row->rows < 0);
	put_number(slot, column++, row->bytes, row->bytes < 0);
	put_number(slot, column++, row->duration, row->duration < 0);
	for (size_t i = 0; i < lengthof(texts); i++)
		put_text(slot, column++, texts[i]);
	put_text(slot, column, digest);
}

static void
add_row(Partition *partition, WardenChain *chain, WardenAuditRow *row)
{
	TupleTableSlot *slot;
	MemoryContext caller;
	uint64		context;

	if (partition->rel == NULL || partition->day != day_of(row->at))
	{
		close_partition(partition);
		open_partition(partition, day_of(row->at));
	}
	if (partition->filled == partition->made)
		partition->slots[partition->made++] = table_slot_create(partition->rel, NULL);
	slot = partition->slots[partition->filled];
	caller = MemoryContextSwitchTo(partition->row_memory);
	make_valid(row);
	context = row->context.bytes ? context_id(row) : 0;
	warden_chain_link(chain->head, row);
	ExecClearTuple(slot);
	fill_slot(slot, row, context, chain->head);
	ExecStoreVirtualTuple(slot);
	MemoryContextSwitchTo(caller);
	chain->last_seq = row->seq;
	chain->records++;
	if (++partition->filled == ROWS)
		flush_rows(partition);
}

static WardenAuditRow
gap_row(uint64 seq, const char *reason)
{
	WardenAuditRow row = {0};

	row.seq = seq;
	row.at = GetCurrentTimestamp();
	row.rows = row.bytes = row.duration = -1;
	row.event = warden_text("gap");
	row.outcome = warden_text("interrupted");
	row.error = warden_text(reason);
	return row;
}

/* A record starts with its length; warden_drain_collect has seen that it lies within its ring. */
static int64
record_length(const uint8_t *record)
{
	uint32		length;

	memcpy(&length, record, sizeof(length));
	return length;
}

void
warden_write_records(WardenChain *chain, const uint8_t **records, int64 count)
{
	static uint8_t bytes[65536];
	Partition	partition = {0};

	warden_chain_begin();
	for (int64 i = 0; i < count; i++)
	{
		WardenBuffer scratch = {bytes, sizeof(bytes), 0};
		WardenAuditRow row;
		bool		decoded;

		SWIFT_GET(decoded, warden_record_decode(records[i], record_length(records[i]), &scratch, &row));
		if (!decoded || row.seq != chain->last_seq + 1)
			row = gap_row(chain->last_seq + 1, "the record was damaged in the spool");
		add_row(&partition, chain, &row);
	}
	close_partition(&partition);
	warden_chain_end();
	CommandCounterIncrement();
}

void
warden_write_gap(WardenChain *chain)
{
	Partition	partition = {0};
	WardenAuditRow row = gap_row(chain->last_seq + 1,
								 "the number was given to a record that never arrived: its session was killed");

	warden_chain_begin();
	add_row(&partition, chain, &row);
	close_partition(&partition);
	warden_chain_end();
	CommandCounterIncrement();
}
