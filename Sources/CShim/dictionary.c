/*
 * Dictionary encoding of the audit. A record refers to its context (who acted) and to its shape (what kind of statement it
 * was) by number; rows of either are looked up by digest, and made where there are none. They never change.
 *
 * A shape says as much as was seen before with the same words: all, the statement's text included; all but the text (texts
 * that differ by a literal each time); or class, command, decision and guard only. What it does not say stands in the
 * record itself. So what never comes again takes no row of the table, and what comes again and again takes one.
 */
#include "dictionary.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "writer_rows.h"

/* --- what was looked up lately --- */

#define WAYS 4
#define KEY_PARTS 6
/* longer ones are not remembered, so what they are the key of is never made */
#define LONGEST_KEY 16384

/* The texts that an entry was made of, one after the other in `bytes`, and a number beside them. */
typedef struct Known
{
	WardenEntry entry;
	bool		used;
	uint64		last_use;
	uint64		number;
	int64		lengths[KEY_PARTS];	/* -1: NULL */
	int64		room;
	uint8	   *bytes;
} Known;

typedef struct Key
{
	uint64		number;
	int			count;
	WardenText	parts[KEY_PARTS];
} Key;

#define CONTEXT_SETS 64
#define SHAPE_SETS 256

static Known known_contexts[CONTEXT_SETS * WAYS];
static Known known_shapes[SHAPE_SETS * WAYS];
static uint64 uses = 0;

static bool
is_known_as(const Known *known, const Key *key)
{
	const uint8 *bytes = known->bytes;

	if (!known->used || known->number != key->number)
		return false;
	for (int i = 0; i < key->count; i++)
		if (known->lengths[i] != (key->parts[i].bytes ? key->parts[i].length : -1))
			return false;
	for (int i = 0; i < key->count; i++)
	{
		if (known->lengths[i] > 0 && memcmp(bytes, key->parts[i].bytes, known->lengths[i]) != 0)
			return false;
		bytes += Max(known->lengths[i], 0);
	}
	return true;
}

static Known *
find_known(Known *set, const Key *key)
{
	for (int i = 0; i < WAYS; i++)
		if (is_known_as(&set[i], key))
		{
			set[i].last_use = ++uses;
			return &set[i];
		}
	return NULL;
}

static int64
key_length(const Key *key)
{
	int64		length = 0;

	for (int i = 0; i < key->count; i++)
		length += key->parts[i].bytes ? key->parts[i].length : 0;
	return length;
}

/* In place of what was used the longest time ago. */
static Known *
remember(Known *set, const Key *key, const WardenEntry *entry)
{
	Known	   *known = set;
	int64		length = key_length(key);
	uint8	   *bytes;

	for (int i = 1; i < WAYS; i++)
		if (set[i].last_use < known->last_use)
			known = &set[i];
	known->used = false;
	known->entry = *entry;
	if (length > LONGEST_KEY)
		return known;
	if (known->room < length)
	{
		if (known->bytes != NULL)
			pfree(known->bytes);
		known->room = 0;
		known->bytes = MemoryContextAlloc(TopMemoryContext, length);
		known->room = length;
	}
	bytes = known->bytes;
	for (int i = 0; i < key->count; i++)
	{
		known->lengths[i] = key->parts[i].bytes ? key->parts[i].length : -1;
		if (known->lengths[i] > 0)
			memcpy(bytes, key->parts[i].bytes, known->lengths[i]);
		bytes += Max(known->lengths[i], 0);
	}
	known->number = key->number;
	known->last_use = ++uses;
	known->used = true;
	return known;
}

/* --- the tables --- */

typedef struct Table
{
	Oid		   *oid;			/* in warden_catalog */
	const char *primary_key;
	const char *digest_key;
	int32		last_id;		/* -1: not known yet */
} Table;

static Table contexts = {&warden_catalog.audit_context, "audit_context_pkey", "audit_context_digest_key", -1};
static Table shapes = {&warden_catalog.audit_shape, "audit_shape_pkey", "audit_shape_digest_key", -1};

void
warden_dictionary_forget(void)
{
	for (size_t i = 0; i < lengthof(known_contexts); i++)
		known_contexts[i].used = false;
	for (size_t i = 0; i < lengthof(known_shapes); i++)
		known_shapes[i].used = false;
	contexts.last_id = shapes.last_id = -1;
}

static Oid
index_named(const char *name)
{
	Oid			oid = get_relname_relid(name, warden_catalog.schema);

	if (!OidIsValid(oid))
		elog(ERROR, "pg_warden: index warden.%s is missing", name);
	return oid;
}

/* 0 where the table has no such row. */
static int32
find_id(Relation rel, const Table *table, Datum digest)
{
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	int32		id = 0;
	bool		isnull;

	ScanKeyInit(&key, 2, BTEqualStrategyNumber, F_BYTEAEQ, digest);
	scan = systable_beginscan(rel, index_named(table->digest_key), true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		id = DatumGetInt32(heap_getattr(tuple, 1, RelationGetDescr(rel), &isnull));
	systable_endscan(scan);
	return id;
}

static int32
greatest_id(Relation rel, const Table *table)
{
	Relation	index = index_open(index_named(table->primary_key), AccessShareLock);
	SysScanDesc scan = systable_beginscan_ordered(rel, index, NULL, 0, NULL);
	HeapTuple	tuple = systable_getnext_ordered(scan, BackwardScanDirection);
	bool		isnull;
	int32		id = HeapTupleIsValid(tuple) ? DatumGetInt32(heap_getattr(tuple, 1, RelationGetDescr(rel), &isnull)) : 0;

	systable_endscan_ordered(scan);
	index_close(index, AccessShareLock);
	return id;
}

static int32
next_id(Relation rel, Table *table)
{
	if (table->last_id < 0)
		table->last_id = greatest_id(rel, table);
	if (table->last_id == PG_INT32_MAX)
		elog(ERROR, "pg_warden: %s has no numbers left", RelationGetRelationName(rel));
	return ++table->last_id;
}

/* values[2 ...] are the row's; id and digest are put before them. */
static void
find_or_make(Table *table, WardenEntry *entry, Datum *values, bool *nulls, bool *made)
{
	Relation	rel = table_open(*table->oid, RowExclusiveLock);
	bytea	   *digest = palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);

	warden_check_layout(rel, *table->oid);
	SET_VARSIZE(digest, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	memcpy(VARDATA(digest), entry->digest, PG_SHA256_DIGEST_LENGTH);
	entry->id = find_id(rel, table, PointerGetDatum(digest));
	*made = entry->id == 0;
	if (*made)
	{
		entry->id = next_id(rel, table);
		values[0] = Int32GetDatum(entry->id);
		values[1] = PointerGetDatum(digest);
		nulls[0] = nulls[1] = false;
		CatalogTupleInsert(rel, heap_form_tuple(RelationGetDescr(rel), values, nulls));
		/* the next look-up of this transaction finds it */
		CommandCounterIncrement();
	}
	table_close(rel, NoLock);
}

static void
put_texts(const WardenText *texts, int count, Datum *values, bool *nulls)
{
	for (int i = 0; i < count; i++)
	{
		nulls[i] = texts[i].bytes == NULL;
		values[i] = nulls[i] ? (Datum) 0 :
			PointerGetDatum(cstring_to_text_with_len((const char *) texts[i].bytes, (int) texts[i].length));
	}
}

/* --- text --- */

WardenText
warden_valid_text(WardenText text)
{
	int			encoding = GetDatabaseEncoding();
	const char *from = (const char *) text.bytes;
	const char *end = from + text.length;
	uint8_t    *copy;
	uint8_t    *to;

	if (text.bytes == NULL || pg_verify_mbstr(encoding, from, (int) text.length, true))
		return text;
	copy = to = palloc(text.length + 1);
	while (from < end)
	{
		int			length = *from == '\0' ? -1 :
			!IS_HIGHBIT_SET(*from) ? 1 : pg_encoding_verifymbchar(encoding, from, (int) (end - from));

		if (length < 0)
			*to++ = '?';
		else
			memcpy(to, from, length);
		to += Max(length, 0);
		from += Max(length, 1);
	}
	return (WardenText) {copy, to - copy};
}

/* --- contexts --- */

#define CONTEXT_TEXTS 11

StaticAssertDecl(sizeof(WardenAuditContext) == CONTEXT_TEXTS * sizeof(WardenText), "a context is its texts");

static void
store_context(WardenText encoded, WardenEntry *entry)
{
	WardenAuditContext context;
	WardenText *texts = (WardenText *) &context;
	Datum		values[CONTEXT_TEXTS + 2];
	bool		nulls[CONTEXT_TEXTS + 2];
	bool		made;

	SWIFT(warden_context_decode(encoded, &context));
	for (int i = 0; i < CONTEXT_TEXTS; i++)
		texts[i] = warden_valid_text(texts[i]);
	warden_context_digest(&context, entry->digest);
	put_texts(texts, CONTEXT_TEXTS, values + 2, nulls + 2);
	find_or_make(&contexts, entry, values, nulls, &made);
}

const WardenEntry *
warden_context_of(WardenAuditRow *row)
{
	/* a session's context is mostly the one that it had a record ago */
	static Known *recent[256];
	Known	  **mine = &recent[row->session % lengthof(recent)];
	Key			key = {.count = 1, .parts = {row->context}};
	const WardenEntry *entry;
	Known	   *set;

	if (row->context.bytes == NULL)
		return NULL;
	if (*mine == NULL || !is_known_as(*mine, &key))
	{
		set = &known_contexts[hash_bytes(row->context.bytes, (int) row->context.length) % CONTEXT_SETS * WAYS];
		*mine = find_known(set, &key);
		if (*mine == NULL)
		{
			WardenEntry made;

			store_context(row->context, &made);
			*mine = remember(set, &key, &made);
		}
	}
	entry = &(*mine)->entry;
	row->context_digest = (WardenText) {entry->digest, PG_SHA256_DIGEST_LENGTH};
	return entry;
}

/* --- shapes --- */

/* Hashes of what was seen lately and has no row. */
static uint64 seen[8192];

/*
 * What comes twice and never again is not worth a row. A row costs what some uses of rows earn, so that a workload that
 * finds no use for them stops making them.
 */
#define ROW_PRICE 8
#define MOST_CREDIT 16384

static int	credit = MOST_CREDIT;

static WardenText
access_json(WardenText list)
{
	static uint8_t bytes[65536];
	WardenBuffer out = {bytes, sizeof(bytes), 0};

	if (list.bytes == NULL)
		return warden_text(NULL);
	SWIFT(warden_access_json(list, &out));
	return warden_valid_text((WardenText) {bytes, out.length});
}

static WardenEntry
store_shape(const WardenAuditShape *shape)
{
	const WardenText texts[] = {shape->statement_class, shape->command, shape->decision, shape->guard, shape->access,
		shape->statement};
	WardenEntry entry;
	Datum		values[lengthof(texts) + 3];
	bool		nulls[lengthof(texts) + 3];
	bool		made;

	warden_shape_digest(shape, entry.digest);
	values[2] = Int64GetDatum((int64) shape->statement_hash);
	nulls[2] = shape->statement_hash == 0;
	put_texts(texts, lengthof(texts), values + 3, nulls + 3);
	find_or_make(&shapes, &entry, values, nulls, &made);
	if (made)
		credit = Max(credit - ROW_PRICE, 0);
	return entry;
}

/* How much of a row its shape says. */
typedef enum Extent
{
	KIND,						/* class, command, decision, guard */
	OBJECTS,					/* and the hash and what was touched */
	EVERYTHING					/* and the text */
} Extent;

static Key
shape_key(const WardenAuditRow *row, Extent extent)
{
	Key			key = {.count = KEY_PARTS, .parts = {row->statement_class, row->command, row->decision, row->guard}};

	if (extent >= OBJECTS)
	{
		key.number = row->statement_hash;
		key.parts[4] = row->access_list;
	}
	if (extent == EVERYTHING)
		key.parts[5] = row->statement;
	return key;
}

/* Spread by numbers at hand: texts are compared, not hashed. */
static Known *
shape_set(const Key *key)
{
	uint64		mix = key->number;

	for (int i = 0; i < KEY_PARTS; i++)
		mix = (mix ^ (uint64) key->parts[i].length) * UINT64CONST(0x9E3779B97F4A7C15);
	return &known_shapes[(mix >> 32) % SHAPE_SETS * WAYS];
}

/* True the second time. */
static bool
seen_before(const Key *key)
{
	uint64		hash = key->number;
	uint64	   *place;

	for (int i = 0; i < key->count; i++)
		if (key->parts[i].bytes != NULL)
			hash = hash_bytes_extended(key->parts[i].bytes, (int) key->parts[i].length, hash + (uint64) i);
	place = &seen[hash % lengthof(seen)];
	if (*place == hash)
		return true;
	*place = hash;
	return false;
}

/* The row, as far as its shape says it. */
static WardenAuditShape
shape_of(const WardenAuditRow *row, Extent extent)
{
	WardenAuditShape shape = {
		.statement_class = row->statement_class,
		.command = warden_valid_text(row->command),
		.decision = row->decision,
		.guard = warden_valid_text(row->guard)
	};

	if (extent >= OBJECTS)
	{
		shape.statement_hash = row->statement_hash;
		shape.access = access_json(row->access_list);
	}
	if (extent == EVERYTHING)
		shape.statement = warden_valid_text(row->statement);
	return shape;
}

static const WardenEntry *
shape_entry(const WardenAuditRow *row, Extent extent)
{
	Key			key = shape_key(row, extent);
	Known	   *set = shape_set(&key);
	Known	   *known = find_known(set, &key);
	WardenAuditShape shape;
	WardenEntry entry;

	if (known != NULL)
	{
		if (extent != KIND && credit < MOST_CREDIT)
			credit++;
		return &known->entry;
	}
	if (extent != KIND && (key_length(&key) > LONGEST_KEY || !seen_before(&key) || credit < ROW_PRICE))
		return NULL;
	shape = shape_of(row, extent);
	entry = store_shape(&shape);
	return &remember(set, &key, &entry)->entry;
}

const WardenEntry *
warden_shape_of(WardenAuditRow *row)
{
	bool		has_objects = row->statement_hash != 0 || row->access_list.bytes != NULL;
	const WardenEntry *entry = NULL;
	int			extent = row->statement.bytes != NULL ? EVERYTHING : has_objects ? OBJECTS : KIND;

	while ((entry = shape_entry(row, extent)) == NULL)
		extent--;
	if (extent >= OBJECTS)
		row->statement_hash = 0;
	else
		row->access = access_json(row->access_list);
	row->statement = extent == EVERYTHING ? warden_text(NULL) : warden_valid_text(row->statement);
	row->shape_digest = (WardenText) {entry->digest, PG_SHA256_DIGEST_LENGTH};
	return entry;
}
