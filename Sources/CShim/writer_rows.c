/*
 * Rows of the audit table, inserted in bulk the way COPY does it.
 */
#include "writer_rows.h"

#include "access/tableam.h"
#include "access/heapam.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/partition.h"
#include "catalog/pg_am.h"
#include "dictionary.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Rows per call of table_multi_insert. */
#define ROWS 1000

typedef struct Partition
{
	int64		day;			/* days since 2000-01-01 UTC */
	Relation	rel;
	ResultRelInfo *info;
	EState	   *estate;
	BulkInsertState bulk;
	/* of indexes not made by us every row must be told; NULL where an index is ours */
	RelationPtr all_indexes;
	RelationPtr other_indexes;
	bool		has_others;
	/* rows that wait to be inserted together; kept from batch to batch */
	TupleDesc	desc;
	MemoryContext slot_memory;
	TupleTableSlot *slots[ROWS];
	int64		at[ROWS];
	bool		is_singular[ROWS];	/* for the index of amendments and lists of their own */
	int			filled;
	MemoryContext row_memory;	/* what a row is made of, until it is in its slot */
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

/* Default privileges that somebody has set open nothing of the audit. */
static void
close_to_everybody(const char *name)
{
	int			count;
	SPITupleTable *grantees;
	Oid			type = TEXTOID;
	Datum		value = CStringGetTextDatum(name);

	count = warden_internal_sql("SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END "
								"FROM pg_class c, aclexplode(c.relacl) WHERE c.relname = $1 AND "
								"c.relnamespace = 'warden'::regnamespace AND grantee <> c.relowner",
								1, &type, &value, NULL);
	grantees = SPI_tuptable;
	for (int i = 0; i < count; i++)
		warden_internal_sql(psprintf("REVOKE ALL ON warden.%s FROM %s", name,
									 SPI_getvalue(grantees->vals[i], grantees->tupdesc, 1)), 0, NULL, NULL, NULL);
}

static void
make_partition(void *arg)
{
	int64		day = *(int64 *) arg;

	warden_members_from_here();
	/* in two steps: made as a partition at once, it would wait for everybody who reads the audit */
	warden_internal_sql(psprintf("CREATE TABLE warden.%s (LIKE warden.audit_record INCLUDING ALL EXCLUDING INDEXES)",
								 partition_name(day)), 0, NULL, NULL, NULL);
	warden_internal_sql(psprintf("ALTER TABLE warden.audit_record ATTACH PARTITION warden.%s FOR VALUES FROM (%s) TO (%s)",
								 partition_name(day), day_literal(day), day_literal(day + 1)), 0, NULL, NULL, NULL);
	close_to_everybody(partition_name(day));
}

/* The name alone proves nothing: what has it must be a partition of the audit, made as we make them. */
static void
check_partition(Relation rel)
{
	if (rel->rd_rel->relkind != RELKIND_RELATION || !rel->rd_rel->relispartition ||
		get_partition_parent(RelationGetRelid(rel), true) != warden_catalog.audit_record)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("relation \"%s\" is in the place of a partition of the audit", RelationGetRelationName(rel)),
				 errhint("Move it out of schema warden, under warden.break_glass(reason).")));
	warden_check_layout(rel, warden_catalog.audit_record);
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

void
warden_partition_ensure(int64 at)
{
	(void) partition_of_day(day_of(at));
}

/* Slots are made once, for a description of their own: the relation's is let go at the end of each transaction. */
static void
make_slots(Partition *partition)
{
	MemoryContext caller;

	if (partition->desc != NULL && equalTupleDescs(partition->desc, RelationGetDescr(partition->rel)))
		return;
	if (partition->slot_memory == NULL)
	{
		partition->slot_memory = AllocSetContextCreate(TopMemoryContext, "pg_warden slots", ALLOCSET_DEFAULT_SIZES);
		partition->row_memory = AllocSetContextCreate(TopMemoryContext, "pg_warden rows", ALLOCSET_DEFAULT_SIZES);
	}
	partition->desc = NULL;
	MemoryContextReset(partition->slot_memory);
	caller = MemoryContextSwitchTo(partition->slot_memory);
	partition->desc = CreateTupleDescCopy(RelationGetDescr(partition->rel));
	for (int i = 0; i < ROWS; i++)
		partition->slots[i] = MakeSingleTupleTableSlot(partition->desc, table_slot_callbacks(partition->rel));
	MemoryContextSwitchTo(caller);
}

/* Is it the index of which block extremes are enough, or the one of amendments? */
static bool
is_own_index(const IndexInfo *index)
{
	const AttrNumber *columns = index->ii_IndexAttrNumbers;

	if (index->ii_NumIndexKeyAttrs != 2)
		return false;
	return (index->ii_Am == BRIN_AM_OID && columns[0] == COLUMN_SEQ + 1 && columns[1] == COLUMN_AT + 1) ||
		(index->ii_Predicate != NIL && columns[0] == COLUMN_SESSION + 1 && columns[1] == COLUMN_STATEMENT_NO + 1);
}

static void
open_indexes(Partition *partition)
{
	partition->info = makeNode(ResultRelInfo);
	InitResultRelInfo(partition->info, partition->rel, 1, NULL, 0);
	ExecOpenIndices(partition->info, false);
	partition->has_others = false;
	partition->all_indexes = partition->info->ri_IndexRelationDescs;
	partition->other_indexes = palloc0(sizeof(Relation) * (partition->info->ri_NumIndices + 1));
	for (int i = 0; i < partition->info->ri_NumIndices; i++)
	{
		if (is_own_index(partition->info->ri_IndexRelationInfo[i]))
			continue;
		partition->other_indexes[i] = partition->all_indexes[i];
		partition->has_others = true;
	}
}

static void
open_partition(Partition *partition, int64 day)
{
	partition->day = day;
	partition->rel = table_open(partition_of_day(day), RowExclusiveLock);
	check_partition(partition->rel);
	make_slots(partition);
	partition->estate = CreateExecutorState();
	open_indexes(partition);
	partition->bulk = GetBulkInsertState();
	partition->filled = 0;
}

static void
index_row(Partition *partition, int i, RelationPtr indexes)
{
	partition->info->ri_IndexRelationDescs = indexes;
	list_free(WARDEN_INSERT_INDEXES(partition->info, partition->slots[i], partition->estate));
	ResetPerTupleExprContext(partition->estate);
	partition->info->ri_IndexRelationDescs = partition->all_indexes;
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
		if (i == first || i == end - 1 || i == earliest || i == latest || partition->is_singular[i])
			index_row(partition, i, partition->all_indexes);
		else if (partition->has_others)
			index_row(partition, i, partition->other_indexes);
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
	MemoryContextReset(partition->row_memory);
	for (int i = 0; i < partition->filled;)
		i = index_block(partition, i);
	partition->filled = 0;
}

static void
close_partition(Partition *partition)
{
	if (partition->rel == NULL)
		return;
	flush_rows(partition);
	table_finish_bulk_insert(partition->rel, 0);
	FreeBulkInsertState(partition->bulk);
	ExecCloseIndices(partition->info);
	FreeExecutorState(partition->estate);
	table_close(partition->rel, NoLock);
	partition->rel = NULL;
}

/* --- rows --- */

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
	if (text.bytes != NULL)
		slot->tts_values[column] =
			PointerGetDatum(cstring_to_text_with_len((const char *) text.bytes, (int) text.length));
}

static void
put_numbers(TupleTableSlot *slot, const WardenAuditRow *row)
{
	put_number(slot, COLUMN_SEQ, (int64) row->seq, false);
	put_number(slot, COLUMN_AT, row->at, false);
	put_number(slot, COLUMN_SESSION, (int64) row->session, false);
	put_number(slot, COLUMN_STATEMENT_NO, (int64) row->statement_no, row->statement_no == 0);
	put_number(slot, COLUMN_LAST_STATEMENT_NO, (int64) row->last_statement_no, row->last_statement_no == 0);
	put_number(slot, COLUMN_PARENT_NO, (int64) row->parent_no, row->parent_no == 0);
	put_number(slot, COLUMN_ROWS, row->rows, row->rows < 0);
	put_number(slot, COLUMN_BYTES, row->bytes, row->bytes < 0);
	put_number(slot, COLUMN_DURATION, row->duration, row->duration < 0);
	put_number(slot, COLUMN_REQUEST_ID, row->request_id, row->request_id == 0);
	put_number(slot, COLUMN_STATEMENT_HASH, (int64) row->statement_hash, row->statement_hash == 0);
	slot->tts_values[COLUMN_TRANSACTION] = Int32GetDatum((int32) row->transaction);
	slot->tts_isnull[COLUMN_TRANSACTION] = (uint32) row->transaction == 0;
	slot->tts_values[COLUMN_EVENT] = CharGetDatum((char) row->event);
	slot->tts_isnull[COLUMN_EVENT] = false;
	slot->tts_values[COLUMN_OUTCOME] = CharGetDatum((char) row->outcome);
	slot->tts_isnull[COLUMN_OUTCOME] = row->outcome == 0;
}

static void
put_reference(TupleTableSlot *slot, int column, const WardenEntry *entry)
{
	slot->tts_values[column] = Int32GetDatum(entry ? entry->id : 0);
	slot->tts_isnull[column] = false;
}

/* The row in the slot is a copy: what it was made of may go. */
static void
fill_slot(TupleTableSlot *slot, const WardenAuditRow *row, const WardenEntry *context, const WardenEntry *shape,
		  const uint8 *hash)
{
	struct
	{
		int32		header;
		uint8		bytes[PG_SHA256_DIGEST_LENGTH];
	}			link;

	ExecClearTuple(slot);
	put_numbers(slot, row);
	put_reference(slot, COLUMN_CONTEXT, context);
	put_reference(slot, COLUMN_SHAPE, shape);
	put_text(slot, COLUMN_SQLSTATE, row->sqlstate);
	put_text(slot, COLUMN_ERROR, row->error);
	put_text(slot, COLUMN_STATEMENT, row->statement);
	put_text(slot, COLUMN_ACCESS, row->access);
	put_text(slot, COLUMN_PARAMETERS, row->parameters);
	SET_VARSIZE(&link, sizeof(link));
	memcpy(link.bytes, hash, sizeof(link.bytes));
	slot->tts_values[COLUMN_HASH] = PointerGetDatum(&link);
	slot->tts_isnull[COLUMN_HASH] = false;
	ExecStoreVirtualTuple(slot);
	ExecMaterializeSlot(slot);
}

static void
add_row(Partition *partition, WardenChain *chain, WardenAuditRow *row)
{
	const WardenEntry *context;
	const WardenEntry *shape;
	TupleTableSlot *slot;
	MemoryContext caller;

	if (partition->rel == NULL || partition->day != day_of(row->at))
	{
		close_partition(partition);
		open_partition(partition, day_of(row->at));
	}
	slot = partition->slots[partition->filled];
	caller = MemoryContextSwitchTo(partition->row_memory);
	row->error = warden_valid_text(row->error);
	row->parameters = warden_valid_text(row->parameters);
	context = warden_context_of(row);
	shape = row->decision.bytes != NULL ? warden_shape_of(row) : NULL;
	warden_chain_link(chain->head, row);
	fill_slot(slot, row, context, shape, chain->head);
	MemoryContextSwitchTo(caller);
	MemoryContextReset(partition->row_memory);
	partition->at[partition->filled] = row->at;
	partition->is_singular[partition->filled] = row->event == 't' || row->access.bytes != NULL;
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
	row.event = 'g';
	row.outcome = 'i';
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

/* A time that no clock shows comes from damage, and would ask for a partition of its own. */
static bool
is_plausible(const WardenAuditRow *row)
{
	return row->at > 0 && row->at < 200 * 366 * USECS_PER_DAY;
}

static void
begin(Partition *partition)
{
	static Oid	extension = InvalidOid;

	/* dropped and made again, its tables are others */
	if (extension != warden_catalog.extension)
		warden_dictionary_forget();
	extension = warden_catalog.extension;
	partition->rel = NULL;
	warden_chain_begin();
	warden_guard_alerts_begin();
}

static void
end(Partition *partition)
{
	close_partition(partition);
	warden_chain_end();
	warden_guard_alerts_end();
	CommandCounterIncrement();
}

void
warden_rows_forget(void)
{
	warden_dictionary_forget();
}

/* A record was written by another processor's session: its memory is asked for before it is needed. */
static void
prefetch(const uint8_t *record)
{
	for (int line = 0; line < 8; line++)
		__builtin_prefetch(record + 64 * line);
}

void
warden_write_records(WardenChain *chain, const uint8_t **records, int64 count)
{
	static Partition partition;

	begin(&partition);
	for (int64 i = 0; i < count; i++)
	{
		uint8_t		nothing;
		/* the JSON is made once per shape */
		WardenBuffer scratch = {&nothing, 0, 0};
		WardenAuditRow row;
		bool		decoded;

		if (i + 2 < count)
			prefetch(records[i + 2]);
		SWIFT_GET(decoded, warden_record_decode(records[i], record_length(records[i]), &scratch, &row));
		if (!decoded || row.seq != chain->last_seq + 1 || !is_plausible(&row))
			row = gap_row(chain->last_seq + 1, "the record was damaged in the spool");
		/* alerts of the audit itself name no guard */
		if (unlikely(row.event == 'a') && row.guard.length > 0)
			warden_guard_alert(&row);
		add_row(&partition, chain, &row);
	}
	end(&partition);
}

void
warden_write_gap(WardenChain *chain)
{
	static Partition partition;
	WardenAuditRow row = gap_row(chain->last_seq + 1,
								 "the number was given to a record that never arrived: its session was killed");

	begin(&partition);
	add_row(&partition, chain, &row);
	end(&partition);
}
