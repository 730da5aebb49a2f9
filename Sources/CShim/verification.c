/*
 * One pass over the audit: every record is hashed again, in the order of the numbers, as docs/audit-format.md says.
 *
 * The writer appends, so rows lie in the order of their numbers, but for a few: around midnight two partitions take turns,
 * and a vacuumed page may take a later row. What comes before its turn waits in memory, up to a limit; what is waited for
 * in vain by then is looked up. So memory stays flat, and nothing is sorted.
 *
 * The first thing wrong is what is reported. From there on rows are only counted; no hash behind it says anything.
 */
#include "verification.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "partitioning/partdesc.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* Bytes of rows that wait for their turn. */
#define AHEAD_LIMIT ((Size) 16 * 1024 * 1024)

/* A context or a shape. */
typedef struct Reference
{
	int32		id;				/* key */
	bool		altered;		/* the row does not fit the digest beside it */
	bool		doubled;
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
} Reference;

/* A row before its turn, or one that was looked up before it was met. */
typedef struct Ahead
{
	uint64		seq;			/* key */
	MinimalTuple tuple;
	bool		doubled;
} Ahead;

/* A record whose number is of a dropped partition's range. */
typedef struct Loose
{
	uint64		seq;			/* key */
	uint8		before[PG_SHA256_DIGEST_LENGTH];	/* the hash that its own follows on */
	bool		met;
} Loose;

typedef struct Verification
{
	WardenVerified *result;
	const WardenDigest *expected;
	Snapshot	snapshot;
	MemoryContext memory;		/* of the result */
	MemoryContext row_memory;
	uint64		next;			/* the number whose turn it is */
	uint64		current;		/* for the context of errors */
	uint8		head[PG_SHA256_DIGEST_LENGTH];
	HTAB	   *contexts;
	HTAB	   *shapes;
	HTAB	   *ahead;
	Size		ahead_bytes;
	HTAB	   *fetched;		/* numbers looked up, not yet met */
	/* what warden.retain has dropped */
	uint64		dropped;		/* the last number of it, 0 = nothing */
	HTAB	   *loose;			/* records of lower numbers that are still there */
	char	   *retained_digest;	/* NULL: an event in the chain has told of it, or nothing is kept */
	TupleTableSlot *waiting_slot;
	/* its hash does not fit: whether the record or the hash was altered, the next record tells */
	uint64		doubtful;		/* 0 = none */
	uint8		stored[PG_SHA256_DIGEST_LENGTH];
} Verification;

/* --- the finding --- */

/* Of several findings that of the least number counts, of several for one number the first. */
static void
found(Verification *v, uint64 seq, const char *problem)
{
	if (v->result->problem != NULL && v->result->bad_seq <= seq)
		return;
	v->result->bad_seq = seq;
	v->result->problem = MemoryContextStrdup(v->memory, problem);
}

static bool
same_hash(const uint8 *a, const uint8 *b)
{
	return memcmp(a, b, PG_SHA256_DIGEST_LENGTH) == 0;
}

/* --- values of rows --- */

static WardenText
column_text(TupleTableSlot *slot, int column)
{
	struct varlena *value;

	if (slot->tts_isnull[column])
		return warden_text(NULL);
	value = PG_DETOAST_DATUM_PACKED(slot->tts_values[column]);
	return (WardenText) {(const uint8_t *) VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value)};
}

static uint64
column_number(TupleTableSlot *slot, int column)
{
	return slot->tts_isnull[column] ? 0 : (uint64) DatumGetInt64(slot->tts_values[column]);
}

static int64
column_measure(TupleTableSlot *slot, int column)
{
	return slot->tts_isnull[column] ? -1 : DatumGetInt64(slot->tts_values[column]);
}

/* The canonical bytes do not tell NULL from what stands for it: the writer stores one of both. */
static bool
stands_for_null(TupleTableSlot *slot)
{
	static const int numbers[] = {COLUMN_STATEMENT_NO, COLUMN_LAST_STATEMENT_NO, COLUMN_PARENT_NO, COLUMN_REQUEST_ID,
	COLUMN_STATEMENT_HASH};
	static const int measures[] = {COLUMN_ROWS, COLUMN_BYTES, COLUMN_DURATION};
	static const int never_null[] = {COLUMN_SEQ, COLUMN_AT, COLUMN_SESSION, COLUMN_CONTEXT, COLUMN_SHAPE, COLUMN_EVENT};

	for (size_t i = 0; i < lengthof(never_null); i++)
		if (slot->tts_isnull[never_null[i]])
			return true;
	for (size_t i = 0; i < lengthof(numbers); i++)
		if (!slot->tts_isnull[numbers[i]] && DatumGetInt64(slot->tts_values[numbers[i]]) == 0)
			return true;
	for (size_t i = 0; i < lengthof(measures); i++)
		if (!slot->tts_isnull[measures[i]] && DatumGetInt64(slot->tts_values[measures[i]]) < 0)
			return true;
	return (!slot->tts_isnull[COLUMN_TRANSACTION] && DatumGetInt32(slot->tts_values[COLUMN_TRANSACTION]) == 0) ||
		(!slot->tts_isnull[COLUMN_OUTCOME] && DatumGetChar(slot->tts_values[COLUMN_OUTCOME]) == 0);
}

static void
row_from_slot(WardenAuditRow *row, TupleTableSlot *slot)
{
	memset(row, 0, sizeof(*row));
	row->seq = column_number(slot, COLUMN_SEQ);
	row->at = DatumGetTimestampTz(slot->tts_values[COLUMN_AT]);
	row->session = column_number(slot, COLUMN_SESSION);
	row->statement_no = column_number(slot, COLUMN_STATEMENT_NO);
	row->last_statement_no = column_number(slot, COLUMN_LAST_STATEMENT_NO);
	row->parent_no = column_number(slot, COLUMN_PARENT_NO);
	row->rows = column_measure(slot, COLUMN_ROWS);
	row->bytes = column_measure(slot, COLUMN_BYTES);
	row->duration = column_measure(slot, COLUMN_DURATION);
	row->request_id = (int64) column_number(slot, COLUMN_REQUEST_ID);
	row->statement_hash = column_number(slot, COLUMN_STATEMENT_HASH);
	row->transaction = slot->tts_isnull[COLUMN_TRANSACTION] ? 0 :
		(uint32) DatumGetInt32(slot->tts_values[COLUMN_TRANSACTION]);
	row->event = (uint8) DatumGetChar(slot->tts_values[COLUMN_EVENT]);
	row->outcome = slot->tts_isnull[COLUMN_OUTCOME] ? 0 : (uint8) DatumGetChar(slot->tts_values[COLUMN_OUTCOME]);
	row->sqlstate = column_text(slot, COLUMN_SQLSTATE);
	row->error = column_text(slot, COLUMN_ERROR);
	row->statement = column_text(slot, COLUMN_STATEMENT);
	row->access = column_text(slot, COLUMN_ACCESS);
	row->parameters = column_text(slot, COLUMN_PARAMETERS);
}

/* --- contexts and shapes --- */

typedef void (*Digester) (TupleTableSlot *slot, uint8 *digest);

static void
digest_context(TupleTableSlot *slot, uint8 *digest)
{
	WardenAuditContext context;
	WardenText *texts = (WardenText *) &context;

	for (size_t i = 0; i < sizeof(context) / sizeof(*texts); i++)
		texts[i] = column_text(slot, (int) i + 2);
	warden_context_digest(&context, digest);
}

static void
digest_shape(TupleTableSlot *slot, uint8 *digest)
{
	WardenAuditShape shape = {
		.statement_hash = column_number(slot, 2),
		.statement_class = column_text(slot, 3),
		.command = column_text(slot, 4),
		.decision = column_text(slot, 5),
		.guard = column_text(slot, 6),
		.access = column_text(slot, 7),
		.statement = column_text(slot, 8)
	};

	warden_shape_digest(&shape, digest);
}

static void
load_reference(Verification *v, HTAB *table, TupleTableSlot *slot, Digester digester)
{
	MemoryContext caller = MemoryContextSwitchTo(v->row_memory);
	int32		id = DatumGetInt32(slot->tts_values[0]);
	WardenText	stored = column_text(slot, 1);
	bool		doubled;
	Reference  *reference = hash_search(table, &id, HASH_ENTER, &doubled);

	digester(slot, reference->digest);
	reference->doubled = doubled;
	reference->altered = stored.length != PG_SHA256_DIGEST_LENGTH || !same_hash(stored.bytes, reference->digest);
	MemoryContextSwitchTo(caller);
	MemoryContextReset(v->row_memory);
}

/* Each row is hashed once; records refer to its digest. */
static HTAB *
load_references(Verification *v, Oid relid, Digester digester)
{
	HASHCTL		control = {.keysize = sizeof(int32), .entrysize = sizeof(Reference), .hcxt = CurrentMemoryContext};
	HTAB	   *table = hash_create("pg_warden references", 1024, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	Relation	rel = table_open(relid, AccessShareLock);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	TableScanDesc scan;

	warden_check_layout(rel, relid);
	scan = table_beginscan_strat(rel, v->snapshot, 0, NULL, true, false);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		load_reference(v, table, slot, digester);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, AccessShareLock);
	return table;
}

/* False where something is wrong with it. */
static bool
refer(Verification *v, uint64 seq, HTAB *table, TupleTableSlot *slot, int column, const char *what, WardenText *digest)
{
	int32		id = DatumGetInt32(slot->tts_values[column]);
	Reference  *reference;

	if (id == 0)
		return true;
	reference = hash_search(table, &id, HASH_FIND, NULL);
	if (reference == NULL)
		found(v, seq, psprintf("the row of %s that the record refers to is gone: id %d", what, id));
	else if (reference->doubled)
		found(v, seq, psprintf("the row of %s that the record refers to is there twice: id %d", what, id));
	else if (reference->altered)
		found(v, seq, psprintf("the row of %s that the record refers to was altered: id %d", what, id));
	else
		*digest = (WardenText) {reference->digest, PG_SHA256_DIGEST_LENGTH};
	return reference != NULL && !reference->doubled && !reference->altered;
}

/* --- the chain --- */

/* The hash of the row over `head`, in `head`; false where it could not be made. */
static bool
link_row(Verification *v, TupleTableSlot *slot, uint8 *head)
{
	MemoryContext caller = MemoryContextSwitchTo(v->row_memory);
	WardenAuditRow row;
	bool		fits;

	row_from_slot(&row, slot);
	fits = refer(v, row.seq, v->contexts, slot, COLUMN_CONTEXT, "warden.audit_context", &row.context_digest) &&
		refer(v, row.seq, v->shapes, slot, COLUMN_SHAPE, "warden.audit_shape", &row.shape_digest);
	if (fits)
		warden_chain_link(head, &row);
	MemoryContextSwitchTo(caller);
	return fits;
}

static void
stored_hash(Verification *v, TupleTableSlot *slot, uint8 *hash)
{
	MemoryContext caller = MemoryContextSwitchTo(v->row_memory);
	WardenText	text = column_text(slot, COLUMN_HASH);

	memset(hash, 0, PG_SHA256_DIGEST_LENGTH);
	if (text.length == PG_SHA256_DIGEST_LENGTH)
		memcpy(hash, text.bytes, PG_SHA256_DIGEST_LENGTH);
	MemoryContextSwitchTo(caller);
}

/* What follows tells which of both is the original: `fits_stored`, `fits_computed`. */
static void
judge(Verification *v, bool fits_stored, bool fits_computed)
{
	if (fits_computed)
		found(v, v->doubtful, "the hash of the record was altered; what it says is as it was");
	else if (fits_stored)
		found(v, v->doubtful, "the record was altered: its hash is of something else");
	else
		found(v, v->doubtful,
			  "the record is not the one that was written under this number: it, or what it refers to, was altered, replaced "
			  "or reordered");
	v->doubtful = 0;
}

static void
check_digest(Verification *v, uint64 seq, int64 at)
{
	char		time[40];

	if (v->expected == NULL || v->expected->last_seq != seq || v->result->problem != NULL)
		return;
	if (!same_hash(v->head, v->expected->head))
		found(v, seq, "the chain up to here is not the one that the digest was taken of: it was rewritten");
	warden_digest_time(at, time);
	if (strcmp(v->expected->last_at, time) != 0)
		found(v, seq, "the digest was altered: its last record is of another time");
}

/* The event by which warden.retain tells what is kept. */
static void
look_for_retention(Verification *v, TupleTableSlot *slot)
{
	MemoryContext caller;
	WardenText	text;

	if (v->retained_digest == NULL || DatumGetChar(slot->tts_values[COLUMN_EVENT]) != 'p')
		return;
	caller = MemoryContextSwitchTo(v->row_memory);
	text = column_text(slot, COLUMN_STATEMENT);
	if (text.bytes != NULL && strncmp(warden_cstring(text), "retain: ", 8) == 0 &&
		strstr(warden_cstring(text), v->retained_digest) != NULL)
		v->retained_digest = NULL;
	MemoryContextSwitchTo(caller);
}

/* A record that the range of a dropped partition has left behind. */
static void
check_loose(Verification *v, TupleTableSlot *slot, Loose *loose)
{
	uint8		stored[PG_SHA256_DIGEST_LENGTH];

	v->current = loose->seq;
	if (loose->met)
		found(v, loose->seq, "the record is there twice");
	loose->met = true;
	stored_hash(v, slot, stored);
	if (link_row(v, slot, loose->before) && !same_hash(stored, loose->before))
		found(v, loose->seq, "the record was altered: its hash is of something else");
	MemoryContextReset(v->row_memory);
}

/* The row whose turn it is. */
static void
check_row(Verification *v, TupleTableSlot *slot)
{
	uint8		over_stored[PG_SHA256_DIGEST_LENGTH];
	uint8		stored[PG_SHA256_DIGEST_LENGTH];

	v->current = v->next;
	memcpy(over_stored, v->stored, sizeof(over_stored));
	stored_hash(v, slot, stored);
	if (!link_row(v, slot, v->head) || (v->doubtful != 0 && !link_row(v, slot, over_stored)))
	{
		/* what it refers to is gone, but the record before is the first in question */
		if (v->doubtful != 0)
			judge(v, false, false);
	}
	else if (v->doubtful != 0)
		judge(v, same_hash(stored, over_stored), same_hash(stored, v->head));
	else if (stands_for_null(slot))
		found(v, v->next, "the record was altered: it has a value that is never written");
	else if (!same_hash(stored, v->head))
	{
		v->doubtful = v->next;
		memcpy(v->stored, stored, sizeof(stored));
	}
	else
	{
		look_for_retention(v, slot);
		check_digest(v, v->next, DatumGetTimestampTz(slot->tts_values[COLUMN_AT]));
	}
	v->next++;
	MemoryContextReset(v->row_memory);
}

/* --- rows before their turn --- */

static void
take_waiting(Verification *v)
{
	Ahead	   *waiting;

	while (v->result->problem == NULL && hash_get_num_entries(v->ahead) > 0 &&
		   (waiting = hash_search(v->ahead, &v->next, HASH_FIND, NULL)) != NULL)
	{
		uint64		seq = v->next;

		ExecStoreMinimalTuple(waiting->tuple, v->waiting_slot, false);
		slot_getallattrs(v->waiting_slot);
		check_row(v, v->waiting_slot);
		if (waiting->doubled)
			found(v, seq, "the record is there twice");
		ExecClearTuple(v->waiting_slot);
		v->ahead_bytes -= waiting->tuple->t_len;
		heap_free_minimal_tuple(waiting->tuple);
		hash_search(v->ahead, &seq, HASH_REMOVE, NULL);
	}
}

static void
missing(Verification *v, uint64 last)
{
	if (v->doubtful != 0)
		judge(v, false, false);
	if (last > v->next)
		found(v, v->next, psprintf("the record is missing, and so are those up to " UINT64_FORMAT, last));
	else
		found(v, v->next, "the record is missing");
}

/* The row whose turn it is was not met and much has come since: it lies far behind, or is gone. */
static void
look_up(Verification *v)
{
	Oid			types[1] = {INT8OID};
	Datum		values[1] = {Int64GetDatum((int64) v->next)};
	bool		isnull;
	Relation	rel;
	TupleTableSlot *slot;
	ItemPointerData tid;

	if (SPI_execute_with_args("SELECT tableoid, ctid FROM warden.audit_record WHERE seq = $1", 1, types, values, NULL,
							  true, 1) != SPI_OK_SELECT)
		elog(ERROR, "pg_warden: record " UINT64_FORMAT " could not be looked up", v->next);
	if (SPI_processed == 0)
	{
		missing(v, v->next);
		return;
	}
	rel = table_open(DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull)),
					 AccessShareLock);
	tid = *(ItemPointer) DatumGetPointer(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull));
	slot = table_slot_create(rel, NULL);
	if (!table_tuple_fetch_row_version(rel, &tid, v->snapshot, slot))
		elog(ERROR, "pg_warden: record " UINT64_FORMAT " could not be read", v->next);
	slot_getallattrs(slot);
	hash_search(v->fetched, &v->next, HASH_ENTER, NULL);
	check_row(v, slot);
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, AccessShareLock);
	SPI_freetuptable(SPI_tuptable);
}

static void
put_aside(Verification *v, uint64 seq, TupleTableSlot *slot)
{
	bool		doubled;
	Ahead	   *waiting = hash_search(v->ahead, &seq, HASH_ENTER, &doubled);

	if (doubled)
	{
		waiting->doubled = true;
		return;
	}
	waiting->doubled = false;
	waiting->tuple = ExecCopySlotMinimalTuple(slot);
	v->ahead_bytes += waiting->tuple->t_len;
	while (v->result->problem == NULL && v->ahead_bytes > AHEAD_LIMIT)
	{
		look_up(v);
		take_waiting(v);
	}
}

/* --- the pass --- */

/* Its turn is over. */
static void
come_late(Verification *v, TupleTableSlot *slot, uint64 seq)
{
	Loose	   *loose = hash_search(v->loose, &seq, HASH_FIND, NULL);
	bool		looked_up;

	if (loose != NULL)
	{
		check_loose(v, slot, loose);
		return;
	}
	hash_search(v->fetched, &seq, HASH_REMOVE, &looked_up);
	if (seq == 0 || seq > PG_INT64_MAX)
		found(v, seq, "a record has a number that is never given");
	else if (seq <= v->dropped)
		found(v, seq, "the record was added: warden.retain has dropped what had this number");
	else if (!looked_up)
		found(v, seq, "the record is there twice");
}

static void
meet(Verification *v, TupleTableSlot *slot)
{
	uint64		seq = column_number(slot, COLUMN_SEQ);

	v->result->records++;
	if (seq < v->next || seq > PG_INT64_MAX)
		come_late(v, slot, seq);
	else if (v->result->problem != NULL)
		return;
	else if (seq > v->next)
		put_aside(v, seq, slot);
	else
	{
		check_row(v, slot);
		take_waiting(v);
	}
}

static void
scan_partition(Verification *v, Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	TableScanDesc scan;

	warden_check_layout(rel, warden_catalog.audit_record);
	scan = table_beginscan_strat(rel, v->snapshot, 0, NULL, true, false);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		meet(v, slot);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, AccessShareLock);
}

/* In the order of the days. */
static void
scan_partitions(Verification *v)
{
	Relation	parent = table_open(warden_catalog.audit_record, AccessShareLock);
	PartitionDesc partitions = RelationGetPartitionDesc(parent, true);

	v->waiting_slot = MakeSingleTupleTableSlot(RelationGetDescr(parent), &TTSOpsMinimalTuple);
	for (int i = 0; i < partitions->nparts; i++)
		scan_partition(v, partitions->oids[i]);
	ExecDropSingleTupleTableSlot(v->waiting_slot);
	table_close(parent, AccessShareLock);
}

/* The least number that waits. */
static uint64
first_ahead(Verification *v)
{
	HASH_SEQ_STATUS status;
	Ahead	   *waiting;
	uint64		first = PG_UINT64_MAX;

	hash_seq_init(&status, v->ahead);
	while ((waiting = hash_seq_search(&status)) != NULL)
		first = Min(first, waiting->seq);
	return first;
}

static void
check_end(Verification *v, const WardenDigest *chain)
{
	uint64		last = v->next - 1;

	if (v->result->problem == NULL && hash_get_num_entries(v->ahead) > 0)
		missing(v, first_ahead(v) - 1);
	if (v->doubtful != 0)
		judge(v, chain->last_seq == last && same_hash(chain->head, v->stored),
			  chain->last_seq == last && same_hash(chain->head, v->head));
	if (v->result->problem != NULL)
		return;
	if (last < chain->last_seq)
		found(v, v->next, psprintf("records are missing at the end: " UINT64_FORMAT " to " UINT64_FORMAT, v->next,
								   chain->last_seq));
	else if (last > chain->last_seq)
		found(v, chain->last_seq + 1, "warden.audit_chain does not know the record: it was added, or the chain altered");
	else if (!same_hash(v->head, chain->head))
		found(v, last, "the head in warden.audit_chain is not the hash of the last record");
	else if (chain->records != last)
		found(v, last, psprintf("warden.audit_chain counts " UINT64_FORMAT " records where there were " UINT64_FORMAT,
								chain->records, last));
	else if (v->expected != NULL && v->expected->last_seq > last)
		found(v, v->next, psprintf("records that the digest covers are gone from the end: " UINT64_FORMAT " to "
								   UINT64_FORMAT, v->next, v->expected->last_seq));
}

/* --- what was dropped by warden.retain --- */

static uint64
number_cell(int row, int column)
{
	bool		isnull;
	Datum		datum = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &isnull);

	return isnull ? 0 : (uint64) DatumGetInt64(datum);
}

static void
hash_cell(int row, int column, uint8 *hash)
{
	bool		isnull;
	Datum		datum = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &isnull);

	memset(hash, 0, PG_SHA256_DIGEST_LENGTH);
	if (!isnull && VARSIZE_ANY_EXHDR(DatumGetByteaPP(datum)) == PG_SHA256_DIGEST_LENGTH)
		memcpy(hash, VARDATA_ANY(DatumGetByteaPP(datum)), PG_SHA256_DIGEST_LENGTH);
}

static void
check_dropped_digest(Verification *v, uint64 last, const uint8 *head)
{
	if (v->expected != NULL && v->expected->last_seq == last && !same_hash(v->expected->head, head))
		found(v, last, "the chain up to here is not the one that the digest was taken of: it was rewritten");
}

static void
load_loose(Verification *v)
{
	(void) SPI_execute("SELECT seq::bigint, hash_before::text::bytea FROM warden.audit_loose", true, 0);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		uint64		seq = number_cell((int) i, 1);
		Loose	   *loose = hash_search(v->loose, &seq, HASH_ENTER, NULL);

		loose->met = false;
		hash_cell((int) i, 2, loose->before);
	}
	SPI_freetuptable(SPI_tuptable);
}

/* Verification goes on from there. What is kept is itself covered, by an event in the chain. */
static void
load_retained(Verification *v)
{
	bool		comparable = v->expected == NULL;

	(void) SPI_execute("SELECT last_seq::bigint, head_after::text::bytea FROM warden.audit_retained WHERE last_seq IS NOT NULL ORDER BY last_seq",
					   true, 0);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		v->dropped = number_cell((int) i, 1);
		hash_cell((int) i, 2, v->head);
		check_dropped_digest(v, v->dropped, v->head);
		comparable |= v->expected != NULL && v->expected->last_seq == v->dropped;
	}
	SPI_freetuptable(SPI_tuptable);
	v->next = v->dropped + 1;
	(void) SPI_execute("SELECT " WARDEN_RETAINED_DIGEST " WHERE EXISTS (SELECT FROM warden.audit_retained) "
					   "OR EXISTS (SELECT FROM warden.audit_loose)", true, 1);
	if (SPI_processed > 0)
		v->retained_digest = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	load_loose(v);
	if (!comparable && v->expected->last_seq != 0 && v->expected->last_seq <= v->dropped)
		found(v, v->expected->last_seq,
			  "the digest cannot be compared: warden.retain has dropped the record that it ends with; take a later one");
}

static void
check_retained(Verification *v)
{
	HASH_SEQ_STATUS status;
	Loose	   *loose;

	hash_seq_init(&status, v->loose);
	while ((loose = hash_seq_search(&status)) != NULL)
		if (!loose->met)
			found(v, loose->seq, "the record is missing");
	/* only where the whole chain was looked at */
	if (v->result->problem == NULL && v->retained_digest != NULL)
		found(v, v->dropped, "what warden.retain keeps of dropped partitions was altered: no event tells of it");
}

/* Is it a digest of this chain at all? */
static void
check_origin(Verification *v, const WardenDigest *chain)
{
	if (v->expected == NULL)
		return;
	if (strcmp(v->expected->chain, chain->chain) != 0)
		found(v, 0, psprintf("the digest is of the audit of another database: of chain %s, and this one is %s",
							 v->expected->chain, chain->chain));
	else if (v->expected->cluster != chain->cluster || v->expected->timeline != chain->timeline)
		ereport(NOTICE,
				(errmsg("the digest was taken on another cluster or timeline, of which this chain is a continuation"),
				 errdetail("It is of system %llu, timeline %llu; the chain goes on under system %llu, timeline %llu.",
						   (unsigned long long) v->expected->cluster, (unsigned long long) v->expected->timeline,
						   (unsigned long long) chain->cluster, (unsigned long long) chain->timeline)));
}

static void
tell_record(void *arg)
{
	Verification *v = arg;

	if (v->current != 0)
		errcontext("verification of record " UINT64_FORMAT " of the audit", v->current);
}

static void
tell_speed(const WardenVerified *verified, TimestampTz started)
{
	double		seconds = (GetCurrentTimestamp() - started) / (double) USECS_PER_SEC;

	if (verified->records > 100000 && seconds > 0)
		ereport(NOTICE,
				(errmsg("verified %llu records in %.1f seconds: %.0f records/s", (unsigned long long) verified->records,
						seconds, verified->records / seconds)));
}

static HTAB *
numbers_table(const char *name, Size entry)
{
	HASHCTL		control = {.keysize = sizeof(uint64), .entrysize = entry, .hcxt = CurrentMemoryContext};

	return hash_create(name, 256, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

void
warden_verify(const WardenDigest *expected, MemoryContext memory, WardenVerified *verified)
{
	Verification v = {.result = verified, .expected = expected, .memory = memory, .next = 1};
	TimestampTz started = GetCurrentTimestamp();
	ErrorContextCallback callback = {error_context_stack, tell_record, &v};
	WardenDigest chain;

	memset(verified, 0, sizeof(*verified));
	v.snapshot = GetActiveSnapshot();
	v.row_memory = AllocSetContextCreate(CurrentMemoryContext, "pg_warden verify", ALLOCSET_DEFAULT_SIZES);
	v.ahead = numbers_table("pg_warden rows ahead", sizeof(Ahead));
	v.fetched = numbers_table("pg_warden rows fetched", sizeof(Ahead));
	v.loose = numbers_table("pg_warden loose rows", sizeof(Loose));
	error_context_stack = &callback;
	warden_digest_take(&chain);
	load_retained(&v);
	check_origin(&v, &chain);
	warden_chain_begin();
	v.contexts = load_references(&v, warden_catalog.audit_context, digest_context);
	v.shapes = load_references(&v, warden_catalog.audit_shape, digest_shape);
	scan_partitions(&v);
	warden_chain_end();
	check_retained(&v);
	check_end(&v, &chain);
	error_context_stack = callback.previous;
	tell_speed(verified, started);
}
