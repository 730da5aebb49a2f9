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
#include "common/hashfn.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

/* Rows per call of table_multi_insert. */
#define ROWS 500
#define COLUMNS 20

typedef struct Partition
{
	int64		day;			/* days since 2000-01-01 UTC */
	Relation	rel;
	ResultRelInfo *info;
	EState	   *estate;
	BulkInsertState bulk;
	TupleTableSlot *slots[ROWS];
	int64		at[ROWS];
	bool		is_amendment[ROWS];
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
index_row(Partition *partition, int i)
{
	list_free(WARDEN_INSERT_INDEXES(partition->info, partition->slots[i], partition->estate));
	ResetPerTupleExprContext(partition->estate);
}

/*
 * Indexes the rows from `first` on that are in the same block; the row behind them. BRIN keeps the least and the
 * greatest value of a range of blocks, so the rows in between tell it nothing: seq only grows, the extremes of `at` are
 * looked for. The other index has amendments only.
 */
static int
index_block(Partition *partition, int first)
{
	BlockNumber block = ItemPointerGetBlockNumber(&partition->slots[first]->tts_tid);
	int			end = first;
	int			earliest = first;
	int			latest = first;

	while (end < partition->filled && ItemPointerGetBlockNumber(&partition->slots[end]->tts_tid) == block)
	{
		if (partition->at[end] < partition->at[earliest])
			earliest = end;
		if (partition->at[end] > partition->at[latest])
			latest = end;
		end++;
	}
	for (int i = first; i < end; i++)
		if (i == first || i == end - 1 || i == earliest || i == latest || partition->is_amendment[i])
			index_row(partition, i);
	return end;
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
	for (int i = 0; i < partition->filled;)
		i = index_block(partition, i);
	for (int i = 0; i < partition->filled; i++)
		ExecClearTuple(partition->slots[i]);
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

/* --- contexts and shapes: said once, in tables of their own --- */

static Datum
text_or_null(WardenText text, char *null)
{
	*null = text.bytes == NULL ? 'n' : ' ';
	return text.bytes == NULL ? (Datum) 0 :
		PointerGetDatum(cstring_to_text_with_len((const char *) text.bytes, (int) text.length));
}

/* SHA-256 over texts, each with its length, so that no two lists of texts are the same bytes. */
static bytea *
texts_digest(const WardenText *texts, int count)
{
	bytea	   *digest = palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	pg_cryptohash_ctx *hash = pg_cryptohash_create(PG_SHA256);
	bool		failed = hash == NULL || pg_cryptohash_init(hash) < 0;

	for (int i = 0; i < count && !failed; i++)
	{
		int64		length = texts[i].bytes ? texts[i].length : -1;

		failed = pg_cryptohash_update(hash, (uint8 *) &length, sizeof(length)) < 0 ||
			(length > 0 && pg_cryptohash_update(hash, texts[i].bytes, length) < 0);
	}
	if (failed || pg_cryptohash_final(hash, (uint8 *) VARDATA(digest), PG_SHA256_DIGEST_LENGTH) < 0)
		elog(ERROR, "pg_warden: SHA-256 failed");
	pg_cryptohash_free(hash);
	SET_VARSIZE(digest, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	return digest;
}

#define DETAILS_MAX 11

/* Texts that are a row of a table of their own; `id` is what records refer to it by. */
typedef struct Details
{
	const char *table;
	const WardenText *texts;
	int			count;
	uint64		id;				/* in: the number to give to a new row */
} Details;

static void
store_details(Details *details, Datum digest)
{
	Oid			types[DETAILS_MAX + 2] = {INT8OID, BYTEAOID};
	Datum		values[DETAILS_MAX + 2] = {Int64GetDatum((int64) details->id), digest};
	char		nulls[DETAILS_MAX + 3] = "  ";
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO warden.%s VALUES ($1, $2", details->table);
	for (int i = 0; i < details->count; i++)
	{
		types[i + 2] = TEXTOID;
		values[i + 2] = text_or_null(details->texts[i], &nulls[i + 2]);
		appendStringInfo(&sql, ", $%d", i + 3);
	}
	nulls[details->count + 2] = '\0';
	appendStringInfoChar(&sql, ')');
	warden_internal_sql(sql.data, details->count + 2, types, values, nulls);
}

/* Ids are the numbers of the first records that said so: they need no counter. */
static void
find_details(void *arg)
{
	Details    *details = arg;
	Oid			types[1] = {BYTEAOID};
	Datum		digest = PointerGetDatum(texts_digest(details->texts, details->count));

	if (warden_internal_sql(psprintf("SELECT id FROM warden.%s WHERE digest = $1", details->table), 1, types, &digest,
							NULL) > 0)
	{
		bool		isnull;

		details->id = (uint64) DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
		return;
	}
	store_details(details, digest);
}

/* What was looked up lately. An error ends the writer, so an entry never outlives what it tells of. */
typedef struct Known
{
	uint8	   *key;
	int64		key_length;
	uint64		id;
	WardenText	json;
} Known;

#define KNOWN_CONTEXTS 64
#define KNOWN_SHAPES 512

static Known known_contexts[KNOWN_CONTEXTS];
static Known known_shapes[KNOWN_SHAPES];

/* Dropped and made again, the extension's tables are others. */
static void
forget_other_extension(void)
{
	static Oid	extension = InvalidOid;

	if (extension != warden_catalog.extension)
	{
		for (int i = 0; i < KNOWN_CONTEXTS; i++)
			known_contexts[i].key_length = -1;
		for (int i = 0; i < KNOWN_SHAPES; i++)
			known_shapes[i].key_length = -1;
	}
	extension = warden_catalog.extension;
}

static void
remember(Known *known, const uint8 *key, int64 length, uint64 id, WardenText json)
{
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);

	if (known->key != NULL)
		pfree(known->key);
	known->key_length = -1;
	known->key = palloc(length + json.length + 1);
	memcpy(known->key, key, length);
	if (json.bytes != NULL)
		memcpy(known->key + length, json.bytes, json.length);
	known->json = json;
	known->json.bytes = json.bytes ? known->key + length : NULL;
	known->id = id;
	known->key_length = length;
	MemoryContextSwitchTo(caller);
}

/* The id of the row's context: usually the one that the session had a record ago. */
static uint64
context_id(const WardenAuditRow *row)
{
	Known	   *known = &known_contexts[row->session % KNOWN_CONTEXTS];
	const WardenText fields[] = {row->database, row->session_user, row->role, row->identity, row->agent,
		row->application, row->client_address, row->environment, row->intent, row->ticket, row->run};
	Details		details = {"audit_context", fields, lengthof(fields), row->seq};

	if (known->key_length == row->context.length && memcmp(known->key, row->context.bytes, known->key_length) == 0)
		return known->id;
	warden_internal_run(find_details, &details);
	remember(known, row->context.bytes, row->context.length, details.id, warden_text(NULL));
	return details.id;
}

/* All that a shape is made of, side by side, to be compared at once; 0 where it is too long for that. */
static int64
shape_key(const WardenAuditRow *row, uint8 *key, int64 capacity)
{
	const WardenText parts[] = {row->statement_class, row->command, row->decision, row->guard, row->access_list};
	int64		length = 0;

	for (size_t i = 0; i < lengthof(parts); i++)
	{
		int64		part = parts[i].bytes ? parts[i].length : -1;

		if (length + (int64) sizeof(part) + Max(part, 0) > capacity)
			return 0;
		memcpy(key + length, &part, sizeof(part));
		length += sizeof(part);
		if (part > 0)
			memcpy(key + length, parts[i].bytes, part);
		length += Max(part, 0);
	}
	return length;
}

static WardenText valid_text(WardenText text);

static WardenText
access_json(WardenText list)
{
	static uint8_t bytes[65536];
	WardenBuffer out = {bytes, sizeof(bytes), 0};

	if (list.bytes == NULL)
		return warden_text(NULL);
	SWIFT(warden_access_json(list, &out));
	return valid_text((WardenText) {bytes, out.length});
}

/* The id of the row's shape; fills in the JSON of what it touched. */
static uint64
shape_id(WardenAuditRow *row)
{
	static uint8 key[16384];
	int64		length = shape_key(row, key, sizeof(key));
	Known	   *known = &known_shapes[hash_bytes(key, (int) length) % KNOWN_SHAPES];
	WardenText	texts[5];
	Details		details = {"audit_shape", texts, lengthof(texts), row->seq};

	if (length > 0 && known->key_length == length && memcmp(known->key, key, length) == 0)
	{
		row->access = known->json;
		return known->id;
	}
	row->access = access_json(row->access_list);
	texts[0] = row->statement_class;
	texts[1] = row->command;
	texts[2] = row->decision;
	texts[3] = row->guard;
	texts[4] = row->access;
	warden_internal_run(find_details, &details);
	if (length > 0)
		remember(known, key, length, details.id, row->access);
	return details.id;
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
	WardenText *texts[] = {&row->command, &row->statement, &row->guard, &row->error, &row->database,
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
fill_slot(TupleTableSlot *slot, const WardenAuditRow *row, uint64 context, uint64 shape, const uint8 *hash)
{
	const WardenText texts[] = {row->event, row->outcome, row->sqlstate, row->error, row->statement};
	WardenText	digest = {hash, PG_SHA256_DIGEST_LENGTH};
	int			column = 0;

	put_number(slot, column++, (int64) row->seq, false);
	put_number(slot, column++, row->at, false);
	put_number(slot, column++, (int64) context, false);
	put_number(slot, column++, (int64) shape, false);
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

static bool
is_amendment(const WardenAuditRow *row)
{
	static const char word[] = "transaction";

	return row->event.length == (int64_t) strlen(word) && memcmp(row->event.bytes, word, strlen(word)) == 0;
}

static void
add_row(Partition *partition, WardenChain *chain, WardenAuditRow *row)
{
	TupleTableSlot *slot;
	MemoryContext caller;
	uint64		context;
	uint64		shape;

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
	shape = shape_id(row);
	warden_chain_link(chain->head, row);
	ExecClearTuple(slot);
	fill_slot(slot, row, context, shape, chain->head);
	ExecStoreVirtualTuple(slot);
	partition->at[partition->filled] = row->at;
	partition->is_amendment[partition->filled] = is_amendment(row);
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
	Partition	partition = {0};

	forget_other_extension();
	warden_chain_begin();
	for (int64 i = 0; i < count; i++)
	{
		uint8_t		nothing;
		/* the JSON is made once per shape */
		WardenBuffer scratch = {&nothing, 0, 0};
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

	forget_other_extension();
	warden_chain_begin();
	add_row(&partition, chain, &row);
	close_partition(&partition);
	warden_chain_end();
	CommandCounterIncrement();
}
