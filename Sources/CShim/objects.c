/*
 * Facts of objects. Those of relations are cached per backend and rebuilt after the server has told that the
 * relation, or an ancestor of it, has changed. An entry is used within one statement only, so a rebuild may free
 * what an earlier one allocated.
 */
#include "labels.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_statistic.h"
#include "catalog/pg_statistic_ext_data.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

static HTAB *relations = NULL;
/* how often the server has told of changes: facts made meanwhile are not kept */
static uint64 invalidations = 0;

static HTAB *
relation_table(void)
{
	HASHCTL		ctl = {0};

	if (relations == NULL)
	{
		ctl.keysize = sizeof(Oid);
		ctl.entrysize = sizeof(WardenRelation);
		ctl.hcxt = TopMemoryContext;
		relations = hash_create("pg_warden relations", 256, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	return relations;
}

static bool
concerns(const WardenRelation *entry, Oid relid)
{
	if (relid == InvalidOid || entry->oid == relid)
		return true;
	for (int64_t i = 0; i < entry->object.ancestor_count; i++)
		if (entry->object.ancestors[i] == relid)
			return true;
	return false;
}

/* Parents carry the labels of their children. */
static void
invalidate_ancestors(Oid relid)
{
	WardenRelation *entry = hash_search(relations, &relid, HASH_FIND, NULL);

	for (int64_t i = 0; entry != NULL && entry->valid && i < entry->object.ancestor_count; i++)
	{
		WardenRelation *ancestor = hash_search(relations, &entry->object.ancestors[i], HASH_FIND, NULL);

		if (ancestor != NULL)
			ancestor->valid = false;
	}
}

void
warden_objects_invalidate(Oid relid)
{
	HASH_SEQ_STATUS scan;
	WardenRelation *entry;

	invalidations++;
	if (relations == NULL)
		return;
	if (warden_any_labels && relid != InvalidOid)
		invalidate_ancestors(relid);
	hash_seq_init(&scan, relations);
	while ((entry = hash_seq_search(&scan)) != NULL)
		if (entry->valid && concerns(entry, relid))
			entry->valid = false;
}

List *
warden_ancestors(Oid relid, Oid but, Snapshot snapshot)
{
	Relation	inherits = table_open(InheritsRelationId, AccessShareLock);
	List	   *found = list_make1_oid(relid);

	for (int i = 0; i < list_length(found); i++)
	{
		ScanKeyData key;
		SysScanDesc scan;
		HeapTuple	tuple;

		ScanKeyInit(&key, Anum_pg_inherits_inhrelid, BTEqualStrategyNumber, F_OIDEQ,
					ObjectIdGetDatum(list_nth_oid(found, i)));
		scan = systable_beginscan(inherits, InheritsRelidSeqnoIndexId, true, snapshot, 1, &key);
		while ((tuple = systable_getnext(scan)) != NULL)
		{
			Oid			parent = ((Form_pg_inherits) GETSTRUCT(tuple))->inhparent;

			if (i > 0 || parent != but)
				found = list_append_unique_oid(found, parent);
		}
		systable_endscan(scan);
	}
	table_close(inherits, AccessShareLock);
	return list_delete_first(found);
}

static const char *
kind_word(char relkind)
{
	switch (relkind)
	{
		case RELKIND_RELATION:
			return "table";
		case RELKIND_PARTITIONED_TABLE:
			return "partitioned table";
		case RELKIND_VIEW:
			return "view";
		case RELKIND_MATVIEW:
			return "materialized view";
		case RELKIND_INDEX:
		case RELKIND_PARTITIONED_INDEX:
			return "index";
		case RELKIND_SEQUENCE:
			return "sequence";
		case RELKIND_FOREIGN_TABLE:
			return "foreign table";
		case RELKIND_TOASTVALUE:
			return "TOAST table";
		default:
			return "type";
	}
}

static WardenObjectFlags
relation_flags(Oid relid, Form_pg_class form)
{
	WardenObjectFlags flags = 0;

	if (form->relpersistence == RELPERSISTENCE_TEMP)
		flags |= WARDEN_OBJECT_TEMPORARY;
	if (form->relnamespace == PG_CATALOG_NAMESPACE || relid < FirstNormalObjectId)
		flags |= WARDEN_OBJECT_CATALOG;
	if (relid == StatisticRelationId || relid == StatisticExtDataRelationId || form->relkind == RELKIND_TOASTVALUE)
		flags |= WARDEN_OBJECT_STATISTICS;
	if (form->relnamespace == warden_catalog.schema || form->relnamespace == warden_catalog.views)
		flags |= WARDEN_OBJECT_OWN;
	/* the views too: who reads the audit reads it through them */
	if (form->relnamespace == warden_catalog.schema && strncmp(NameStr(form->relname), "audit_", 6) == 0)
		flags |= WARDEN_OBJECT_AUDIT;
	if (relid == warden_catalog.secret_policy)
		flags |= WARDEN_OBJECT_SECRET;
	return flags;
}

/* Takes `count` bytes off the chunk. */
static void *
take(char **chunk, Size count)
{
	void	   *start = *chunk;

	*chunk += MAXALIGN(count);
	return start;
}

static WardenText
take_text(char **chunk, const char *string)
{
	Size		length = strlen(string);
	char	   *copy = take(chunk, length + 1);

	memcpy(copy, string, length + 1);
	return (WardenText) {(uint8_t *) copy, (int64_t) length};
}

static bool
is_masked_source(Oid relid)
{
	for (int i = 0; i < warden_mask_count; i++)
		if (warden_masks[i].relation == relid)
			return true;
	return false;
}

/* Which of the relation's columns are masked, by its own masks or, by name, by an ancestor's. */
static void
fill_masked(WardenRelation *entry)
{
	for (int column = 1; column <= entry->object.column_count; column++)
	{
		const WardenText *name = &entry->object.columns[column - 1];
		bool		masked = false;

		if (name->length == 0)
			continue;
		for (int i = 0; i < warden_mask_count && !masked; i++)
		{
			const WardenMaskEntry *mask = &warden_masks[i];

			if (mask->relation == entry->oid)
				masked = mask->column == column;
			else if (concerns(entry, mask->relation))
				masked = mask->column == get_attnum(mask->relation, (const char *) name->bytes);
		}
		if (masked)
			entry->masked[entry->masked_count++] = (int16_t) column;
	}
}

/* Masked ones and labelled ones, each once. */
static void
fill_sensitive(WardenRelation *entry, int16_t *columns)
{
	int			count = 0;
	int			kept = 0;

	for (int i = 0; i < entry->masked_count; i++)
		columns[count++] = entry->masked[i];
	for (int64_t i = 0; i < entry->object.label_count; i++)
		columns[count++] = entry->object.labels[i].column;
	qsort(columns, count, sizeof(int16_t), warden_ascending);
	for (int i = 0; i < count; i++)
		if (kept == 0 || columns[kept - 1] != columns[i])
			columns[kept++] = columns[i];
	entry->sensitive = columns;
	entry->sensitive_count = kept;
}

/* A copy of the labels and their texts, which are the same for all columns of a label. */
static WardenColumnLabel *
take_labels(char **chunk, const WardenColumnLabel *labels, int count)
{
	WardenColumnLabel *copy = take(chunk, sizeof(WardenColumnLabel) * count);

	for (int i = 0; i < count; i++)
	{
		copy[i] = labels[i];
		copy[i].label = i > 0 && copy[i - 1].number == labels[i].number ? copy[i - 1].label :
			take_text(chunk, (const char *) labels[i].label.bytes);
	}
	return copy;
}

/* The labels of its columns, and with the masked ones what is not to be in the audit. */
static void
fill_labels(WardenRelation *entry, bool has_children)
{
	int			count;
	const WardenColumnLabel *labels = warden_labels_of(entry, has_children, &count);
	Size		size = MAXALIGN(sizeof(WardenColumnLabel) * count) + count * MAXALIGN(NAMEDATALEN) +
		MAXALIGN(sizeof(int16_t) * (count + entry->masked_count));
	char	   *chunk;

	if (entry->label_chunk != NULL)
		pfree(entry->label_chunk);
	entry->label_chunk = NULL;
	entry->object.labels = NULL;
	entry->object.label_count = 0;
	entry->sensitive = entry->masked;
	entry->sensitive_count = entry->masked_count;
	if (count == 0)
		return;
	chunk = entry->label_chunk = MemoryContextAlloc(TopMemoryContext, size);
	entry->object.labels = take_labels(&chunk, labels, count);
	entry->object.label_count = count;
	fill_sensitive(entry, take(&chunk, sizeof(int16_t) * (count + entry->masked_count)));
}

static Size
encoded_size(int natts)
{
	return MAXALIGN(1024 + natts * 160);
}

/* Records say of a relation what is encoded here, once. */
static void
encode(WardenObject *object, void *room)
{
	WardenBuffer out = {room, (int64_t) encoded_size((int) object->column_count), 0};

	SWIFT(warden_object_encode(object, &out));
	object->encoded.bytes = out.length > 0 ? room : NULL;
	object->encoded.length = out.length;
}

static void
fill(WardenRelation *entry, HeapTuple tuple, List *ancestors)
{
	Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);
	int			natts = form->relnatts;
	char	   *schema = get_namespace_name(form->relnamespace);
	char	   *name = quote_qualified_identifier(schema ? schema : "?", NameStr(form->relname));
	Size		size = MAXALIGN(strlen(name) + 1) + MAXALIGN(sizeof(uint32_t) * (list_length(ancestors) + 1)) +
		MAXALIGN(sizeof(WardenText) * (natts + 1)) + natts * MAXALIGN(NAMEDATALEN) +
		MAXALIGN(sizeof(int16_t) * (natts + 1)) + encoded_size(natts);
	char	   *chunk = MemoryContextAlloc(TopMemoryContext, size);
	uint32_t   *parents;
	WardenText *columns;
	ListCell   *cell;
	int			n = 0;

	if (entry->chunk != NULL)
		pfree(entry->chunk);
	entry->chunk = chunk;
	entry->relkind = form->relkind;
	entry->owner = form->relowner;
	entry->row_security = form->relrowsecurity;
	entry->object.catalog = RelationRelationId;
	entry->object.oid = entry->oid;
	entry->object.schema = form->relnamespace;
	entry->object.flags = relation_flags(entry->oid, form);
	entry->object.kind = warden_text(kind_word(form->relkind));
	entry->object.name = take_text(&chunk, name);
	parents = take(&chunk, sizeof(uint32_t) * (list_length(ancestors) + 1));
	foreach(cell, ancestors)
		parents[n++] = lfirst_oid(cell);
	entry->object.ancestors = parents;
	entry->object.ancestor_count = n;
	columns = take(&chunk, sizeof(WardenText) * (natts + 1));
	for (int i = 0; i < natts; i++)
	{
		char	   *column = warden_column_name(entry->oid, (AttrNumber) (i + 1));

		columns[i] = take_text(&chunk, column ? column : "");
	}
	entry->object.columns = columns;
	entry->object.column_count = natts;
	entry->masked = take(&chunk, sizeof(int16_t) * (natts + 1));
	entry->masked_count = 0;
	encode(&entry->object, take(&chunk, encoded_size(natts)));
	SWIFT(warden_object_hashes(&entry->object));
}

static WardenRelation *
build(WardenRelation *entry)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(entry->oid));
	uint64		before = invalidations;
	List	   *ancestors;
	bool		has_children;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	ancestors = warden_ancestors(entry->oid, InvalidOid, NULL);
	fill(entry, tuple, ancestors);
	has_children = ((Form_pg_class) GETSTRUCT(tuple))->relhassubclass;
	ReleaseSysCache(tuple);
	entry->maskable = is_masked_source(entry->oid);
	for (int64_t i = 0; i < entry->object.ancestor_count && !entry->maskable; i++)
		entry->maskable = is_masked_source(entry->object.ancestors[i]);
	if (entry->maskable)
		fill_masked(entry);
	fill_labels(entry, has_children);
	SWIFT_GET(entry->object.unconcerned, warden_policy_unconcerned(&entry->object));
	entry->valid = before == invalidations;
	return entry;
}

/* Entries never leave the table: those used last are found without a search. */
#define RECENT 16

WardenRelation *
warden_relation(Oid relid)
{
	static WardenRelation *recent[RECENT];
	WardenRelation **place = &recent[relid % RECENT];
	bool		found;
	WardenRelation *entry;
	MemoryContext caller;

	if (likely(*place != NULL && (*place)->oid == relid && (*place)->valid))
		return *place;
	entry = hash_search(relation_table(), &relid, HASH_ENTER, &found);
	*place = entry;
	if (!found)
	{
		entry->valid = false;
		entry->chunk = NULL;
		entry->label_chunk = NULL;
		entry->object.labels = NULL;
		entry->object.label_count = 0;
	}
	if (likely(entry->valid))
		return entry;
	caller = MemoryContextSwitchTo(warden_statement_memory());
	entry = build(entry);
	MemoryContextSwitchTo(caller);
	return entry;
}

Oid
warden_topmost(Oid relid)
{
	WardenRelation *relation = warden_relation(relid);

	for (int64_t i = 0; relation != NULL && i < relation->object.ancestor_count; i++)
	{
		WardenRelation *ancestor = warden_relation(relation->object.ancestors[i]);

		if (ancestor != NULL && ancestor->object.ancestor_count == 0)
			return ancestor->oid;
		relation = warden_relation(relid);
	}
	return InvalidOid;
}

char *
warden_column_name(Oid relid, AttrNumber attno)
{
	HeapTuple	tuple = SearchSysCacheAttNum(relid, attno);
	char	   *name;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	name = pstrdup(NameStr(((Form_pg_attribute) GETSTRUCT(tuple))->attname));
	ReleaseSysCache(tuple);
	return name;
}

bool
warden_is_ancestor(Oid ancestor, Oid relid)
{
	WardenRelation *relation = warden_relation(relid);

	return relation != NULL && ancestor != relid && concerns(relation, ancestor);
}

static Oid
schema_of(const ObjectAddress *address)
{
	AttrNumber	attnum = get_object_attnum_namespace(address->classId);
	int			cache = get_object_catcache_oid(address->classId);
	HeapTuple	tuple;
	Oid			schema = InvalidOid;
	bool		isnull;

	if (address->classId == NamespaceRelationId)
		return address->objectId;
	if (attnum == InvalidAttrNumber || cache < 0)
		return InvalidOid;
	tuple = SearchSysCache1(cache, ObjectIdGetDatum(address->objectId));
	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	schema = DatumGetObjectId(SysCacheGetAttr(cache, tuple, attnum, &isnull));
	ReleaseSysCache(tuple);
	return isnull ? InvalidOid : schema;
}

static WardenObjectFlags
other_flags(const ObjectAddress *address, Oid schema)
{
	WardenObjectFlags flags = 0;

	if (warden_is_own_object(address->classId, address->objectId) || (OidIsValid(schema) && schema == warden_catalog.schema))
		flags |= WARDEN_OBJECT_OWN;
	/* what is made in the schema could stand in the audit's way */
	if (address->classId == NamespaceRelationId && address->objectId == warden_catalog.schema)
		flags |= WARDEN_OBJECT_AUDIT;
	if (address->classId == NamespaceRelationId && address->objectId == PG_CATALOG_NAMESPACE)
		flags |= WARDEN_OBJECT_CATALOG;
	if (OidIsValid(schema) && isTempNamespace(schema))
		flags |= WARDEN_OBJECT_TEMPORARY;
	return flags;
}

WardenObject *
warden_existing_object(Oid class_id, Oid object_id)
{
	MemoryContext caller = MemoryContextSwitchTo(warden_statement_memory());
	ObjectAddress address = {class_id, object_id, 0};
	WardenObject *object = palloc0(sizeof(WardenObject));
	char	   *kind = NULL;
	char	   *name = NULL;

	object->catalog = class_id;
	object->oid = object_id;
	if (class_id == DatabaseRelationId)
	{
		kind = "database";
		name = get_database_name(object_id);
	}
	else if (is_objectclass_supported(class_id))
	{
		object->schema = schema_of(&address);
		kind = getObjectTypeDescription(&address, true);
		if (class_id == ProcedureRelationId)
		{
			char	   *function = get_func_name(object_id);

			if (function != NULL)
				name = quote_qualified_identifier(get_namespace_name(object->schema), function);
		}
		else
			name = getObjectIdentity(&address, true);
	}
	object->flags = other_flags(&address, object->schema);
	object->kind = warden_text(kind ? kind : "object");
	object->name = warden_text(name);
	MemoryContextSwitchTo(caller);
	return name ? object : NULL;
}

WardenObject *
warden_other_object(Oid class_id, Oid object_id)
{
	WardenObject *object = warden_existing_object(class_id, object_id);
	MemoryContext caller;

	if (object != NULL)
		return object;
	caller = MemoryContextSwitchTo(warden_statement_memory());
	object = palloc0(sizeof(WardenObject));
	object->catalog = class_id;
	object->oid = object_id;
	object->kind = warden_text("object");
	object->name = warden_text(psprintf("%u", object_id));
	MemoryContextSwitchTo(caller);
	return object;
}
