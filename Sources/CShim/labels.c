/*
 * Labels of columns as they are in force: loaded with the policy, kept sorted by relation, and spread from there. A
 * column carries its own labels; those of the column of its name in every parent, since it is read through them; and
 * those of the column of its name in every child, since that one is read through it. A label that was given to a table
 * is one of each of its columns, later ones too.
 */
#include "labels.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

/* A row of the policy. */
typedef struct Entry
{
	Oid			relation;
	int32		number;			/* of the label */
	int16		column;			/* 0: every column of the relation */
} Entry;

typedef struct Name
{
	char		text[NAMEDATALEN];	/* key */
	int32		number;
} LabelName;

bool		warden_any_labels = false;

/* everything that was loaded; emptied as a whole */
static MemoryContext memory = NULL;
static HTAB *names = NULL;
static Entry *entries = NULL;
static int	entry_count = 0;
static int	entry_room = 0;
/* by number */
static WardenText *texts = NULL;
static int	text_count = 0;
static int	text_room = 0;

/* --- loading --- */

void
warden_labels_begin(void)
{
	HASHCTL		ctl = {.keysize = NAMEDATALEN, .entrysize = sizeof(LabelName)};

	warden_any_labels = false;
	entry_count = entry_room = text_count = text_room = 0;
	entries = NULL;
	texts = NULL;
	names = NULL;
	if (memory == NULL)
		memory = AllocSetContextCreate(TopMemoryContext, "pg_warden labels", ALLOCSET_SMALL_SIZES);
	else
		MemoryContextReset(memory);
	ctl.hcxt = memory;
	names = hash_create("pg_warden labels", 64, &ctl, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
}

/* Room for one element more, in the memory of what is loaded. */
static void *
grown(void *elements, int count, int *room, Size size)
{
	if (count < *room)
		return elements;
	*room = Max(64, *room * 2);
	return elements == NULL ? MemoryContextAlloc(memory, size * *room) : repalloc(elements, size * *room);
}

static int32
number_of(const char *label)
{
	bool		found;
	LabelName  *name = hash_search(names, label, HASH_ENTER, &found);

	if (found)
		return name->number;
	texts = grown(texts, text_count, &text_room, sizeof(WardenText));
	texts[text_count] = warden_text(MemoryContextStrdup(memory, label));
	name->number = text_count++;
	return name->number;
}

/* In another database, or after a restore, the numbers may differ: the name tells. */
static AttrNumber
column_of(const WardenLabelRow *row)
{
	return row->attnum == 0 || row->relation == row->made_for ? row->attnum : get_attnum(row->relation, row->column_name);
}

void
warden_labels_add(const WardenLabelRow *row)
{
	AttrNumber	column = column_of(row);

	if (column < 0 || (column == 0 && row->attnum != 0) || strlen(row->label) >= NAMEDATALEN)
		return;
	entries = grown(entries, entry_count, &entry_room, sizeof(Entry));
	entries[entry_count++] = (Entry) {row->relation, number_of(row->label), column};
}

static int
by_relation(const void *a, const void *b)
{
	const Entry *one = a;
	const Entry *other = b;

	return one->relation < other->relation ? -1 : one->relation > other->relation;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp((const char *) ((const WardenText *) a)->bytes, (const char *) ((const WardenText *) b)->bytes);
}

/* Until here labels are numbered as they came. */
static void
number_by_name(void)
{
	WardenText *came = MemoryContextAlloc(memory, sizeof(WardenText) * Max(text_count, 1));
	LabelName  *name;

	memcpy(came, texts, sizeof(WardenText) * text_count);
	qsort(texts, text_count, sizeof(WardenText), by_name);
	for (int i = 0; i < text_count; i++)
	{
		name = hash_search(names, texts[i].bytes, HASH_FIND, NULL);
		SWIFT_GET(name->number, warden_policy_add_label(texts[i]));
	}
	for (int i = 0; i < entry_count; i++)
	{
		name = hash_search(names, came[entries[i].number].bytes, HASH_FIND, NULL);
		entries[i].number = name->number;
	}
	pfree(came);
}

void
warden_labels_commit(void)
{
	if (text_count > 0)
		number_by_name();
	if (entry_count > 0)
		qsort(entries, entry_count, sizeof(Entry), by_relation);
	warden_any_labels = entry_count > 0;
}

/* --- what a relation's columns carry --- */

/* The first entry of a relation, and how many there are. */
static const Entry *
entries_of(Oid relation, int *count)
{
	int			low = 0;
	int			high = entry_count;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (entries[middle].relation < relation)
			low = middle + 1;
		else
			high = middle;
	}
	for (high = low; high < entry_count && entries[high].relation == relation; high++)
		;
	*count = high - low;
	return *count > 0 ? &entries[low] : NULL;
}

typedef struct Found
{
	WardenColumnLabel *labels;
	int			count;
	int			room;
} Found;

static void
carries(Found *found, int32 number, AttrNumber column)
{
	if (column <= 0)
		return;
	if (found->count == found->room)
	{
		found->room = Max(8, found->room * 2);
		found->labels = found->labels == NULL ? palloc(sizeof(WardenColumnLabel) * found->room) :
			repalloc(found->labels, sizeof(WardenColumnLabel) * found->room);
	}
	found->labels[found->count++] = (WardenColumnLabel) {number, column, texts[number]};
}

/* The labels that the relation `source` has in the policy, for the columns of the same names. */
static void
add_labels_of(Found *found, Oid source, const WardenRelation *relation)
{
	int			count;
	const Entry *entry = entries_of(source, &count);

	for (; count > 0; count--, entry++)
	{
		if (entry->column == 0)
		{
			for (int column = 1; column <= relation->object.column_count; column++)
			{
				const WardenText *name = &relation->object.columns[column - 1];

				if (name->length > 0 && (source == relation->oid ||
										 get_attnum(source, (const char *) name->bytes) > 0))
					carries(found, entry->number, column);
			}
		}
		else if (source == relation->oid)
			carries(found, entry->number, entry->column);
		else
		{
			char	   *name = warden_column_name(source, entry->column);

			if (name != NULL)
				carries(found, entry->number, get_attnum(relation->oid, name));
		}
	}
}

static int
by_number(const void *a, const void *b)
{
	const WardenColumnLabel *one = a;
	const WardenColumnLabel *other = b;

	if (one->number != other->number)
		return one->number < other->number ? -1 : 1;
	return one->column < other->column ? -1 : one->column > other->column;
}

/* Sorted, each once. */
static void
put_in_order(Found *found)
{
	int			kept = 0;

	qsort(found->labels, found->count, sizeof(WardenColumnLabel), by_number);
	for (int i = 0; i < found->count; i++)
		if (kept == 0 || by_number(&found->labels[kept - 1], &found->labels[i]) != 0)
			found->labels[kept++] = found->labels[i];
	found->count = kept;
}

static bool
has_children_now(Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	bool		result = HeapTupleIsValid(tuple) && ((Form_pg_class) GETSTRUCT(tuple))->relhassubclass;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return result;
}

const WardenColumnLabel *
warden_labels_of(const WardenRelation *relation, bool has_children, int *count)
{
	Found		found = {0};
	ListCell   *cell;

	*count = 0;
	if (!warden_any_labels)
		return NULL;
	add_labels_of(&found, relation->oid, relation);
	for (int64_t i = 0; i < relation->object.ancestor_count; i++)
		add_labels_of(&found, relation->object.ancestors[i], relation);
	if (has_children)
		foreach(cell, find_all_inheritors(relation->oid, NoLock, NULL))
		{
			if (lfirst_oid(cell) == relation->oid)
				continue;
			add_labels_of(&found, lfirst_oid(cell), relation);
			/* what changes below it is told of it: its facts are kept, for those of its ancestors to go with them */
			if (has_children_now(lfirst_oid(cell)))
				(void) warden_relation(lfirst_oid(cell));
		}
	if (found.count > 0)
		put_in_order(&found);
	*count = found.count;
	return found.labels;
}

/* --- following the table --- */

void
warden_labels_forget(Oid relation, AttrNumber column)
{
	int			count;
	Relation	table;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (entries_of(relation, &count) == NULL)
		return;
	table = table_open(warden_catalog.label_policy, RowExclusiveLock);
	ScanKeyInit(&key, WARDEN_LABEL_RELATION, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relation));
	scan = systable_beginscan(table, InvalidOid, false, NULL, 1, &key);
	while ((tuple = systable_getnext(scan)) != NULL)
	{
		bool		isnull;
		int16		attnum = DatumGetInt16(heap_getattr(tuple, WARDEN_LABEL_ATTNUM, RelationGetDescr(table), &isnull));

		/* its triggers are for others; its index need not know of dead rows */
		if (column == 0 || attnum == column)
			simple_heap_delete(table, &tuple->t_self);
	}
	systable_endscan(scan);
	table_close(table, NoLock);
	CacheInvalidateRelcacheByRelid(warden_catalog.label_policy);
}

static void
follow_names(void *unused)
{
	(void) unused;
	warden_internal_sql("UPDATE warden.label_policy l SET column_name = a.attname FROM pg_attribute a "
						"WHERE a.attrelid = l.relation AND a.attnum = l.attnum AND NOT a.attisdropped "
						"AND l.made_for = l.relation::oid AND a.attname <> l.column_name", 0, NULL, NULL, NULL);
}

/* Labels are bound to the column; its name is what a dump has of it. */
void
warden_labels_follow(Node *utility)
{
	if (!warden_any_labels || !IsA(utility, RenameStmt))
		return;
	if (((RenameStmt *) utility)->renameType == OBJECT_COLUMN || ((RenameStmt *) utility)->renameType == OBJECT_ATTRIBUTE)
		warden_internal_run(follow_names, NULL);
}

void
warden_labels_keep(Oid child, Oid parent)
{
	Oid			types[2] = {OIDOID, OIDOID};
	Datum		values[2] = {ObjectIdGetDatum(child), ObjectIdGetDatum(parent)};

	/* what held by inheritance holds by a row of its own from now on */
	warden_internal_sql("WITH RECURSIVE above AS (SELECT $2 AS oid UNION "
						"SELECT i.inhparent FROM pg_inherits i JOIN above ON above.oid = i.inhrelid) "
						"INSERT INTO warden.label_policy (relation, made_for, attnum, column_name, label, source) "
						"SELECT DISTINCT c.attrelid, c.attrelid, c.attnum, c.attname, l.label, 'derived' "
						"FROM above JOIN warden.label_policy l ON l.relation = above.oid "
						"JOIN pg_attribute p ON p.attrelid = above.oid AND p.attnum > 0 AND NOT p.attisdropped "
						"AND (l.attnum = 0 OR l.attnum = p.attnum) "
						"JOIN pg_attribute c ON c.attrelid = $1 AND c.attname = p.attname AND NOT c.attisdropped "
						"ON CONFLICT DO NOTHING", 2, types, values, NULL);
	CacheInvalidateRelcacheByRelid(warden_catalog.label_policy);
}
