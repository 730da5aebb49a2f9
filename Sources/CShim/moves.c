/*
 * Names, schemas and parents that change. Guards follow what they named by its OID; but a guard on a schema, on a parent,
 * or on a name that nothing had when it was made, would not hold for an object any more that leaves it. So facts tell of
 * such an object what it is now and what it will be, and the guard that would be lost decides (Decision.swift).
 *
 * Before the statement, by names, for an early refusal; and once more from the object access hook, on the OIDs and the
 * catalogs' new rows.
 */
#include "shim.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

/* As many objects of a schema that is renamed are looked at. */
#define MOST_IN_SCHEMA 20000

static const WardenObject *
object_now(Oid class_id, Oid object_id)
{
	WardenRelation *relation;

	if (class_id != RelationRelationId)
		return warden_existing_object(class_id, object_id);
	relation = warden_relation(object_id);
	return relation ? &relation->object : NULL;
}

/* A copy to change, in the statement's memory. */
static WardenObject *
copy_of(const WardenObject *object)
{
	WardenObject *copy = MemoryContextAlloc(warden_statement_memory(), sizeof(WardenObject));

	*copy = *object;
	copy->encoded = warden_text(NULL);
	copy->unconcerned = 0;
	copy->name_hash = 0;
	copy->schema_hash = 0;
	return copy;
}

/* Told as an access of its own: what the statement does to the object otherwise is another matter. */
static void
moves(WardenFacts *facts, const WardenObject *now, const WardenObject *after)
{
	WardenAccess *access;

	warden_facts_column(facts, now, WARDEN_CLASS_ALTER, 0);
	for (int i = 0; i < facts->count; i++)
	{
		access = &facts->accesses[i];
		if (access->object == now && access->chain.bytes == NULL && access->after == NULL)
		{
			access->after = after;
			return;
		}
	}
}

static void
named(WardenObject *object, const char *schema, const char *name)
{
	MemoryContext caller = MemoryContextSwitchTo(warden_statement_memory());

	object->name = warden_text(schema ? quote_qualified_identifier(schema, name) : quote_identifier(name));
	MemoryContextSwitchTo(caller);
}

/* The last part of an object's name, without quotes. */
static const char *
own_name(const WardenObject *object)
{
	char	   *name = object->catalog == RelationRelationId ? get_rel_name(object->oid) :
		object->catalog == ProcedureRelationId ? get_func_name(object->oid) : NULL;

	return name ? name : "?";
}

/* --- RENAME --- */

static void
rename_column(WardenFacts *facts, RenameStmt *stmt, const WardenObject *now)
{
	AttrNumber	attnum = get_attnum(now->oid, stmt->subname);
	WardenObject *after;
	WardenText *columns;
	WardenAccess *access;

	if (attnum <= 0 || attnum > now->column_count)
	{
		warden_facts_column(facts, now, WARDEN_CLASS_ALTER, 0);
		return;
	}
	after = copy_of(now);
	columns = MemoryContextAlloc(warden_statement_memory(), sizeof(WardenText) * now->column_count);
	memcpy(columns, now->columns, sizeof(WardenText) * now->column_count);
	columns[attnum - 1] = warden_text(stmt->newname);
	after->columns = columns;
	warden_facts_column(facts, now, WARDEN_CLASS_ALTER, attnum);
	access = &facts->accesses[facts->count - 1];
	if (access->object == now)
		access->after = after;
}

static void
rename_relation(WardenFacts *facts, RenameStmt *stmt)
{
	Oid			relid = RangeVarGetRelid(stmt->relation, NoLock, true);
	const WardenObject *now = OidIsValid(relid) ? object_now(RelationRelationId, relid) : NULL;
	WardenObject *after;

	if (now == NULL)
		return;
	switch (stmt->renameType)
	{
		case OBJECT_COLUMN:
		case OBJECT_ATTRIBUTE:
			rename_column(facts, stmt, now);
			break;
		case OBJECT_TABCONSTRAINT:
		case OBJECT_TRIGGER:
		case OBJECT_RULE:
		case OBJECT_POLICY:
			warden_facts_column(facts, now, WARDEN_CLASS_ALTER, 0);
			break;
		default:
			after = copy_of(now);
			named(after, get_namespace_name(now->schema), stmt->newname);
			moves(facts, now, after);
	}
}

/* What is in a schema is called otherwise with it: rules that know it by its name alone would lose it. */
static void
rename_contents(WardenFacts *facts, Oid schema, const char *name, Oid class_id, AttrNumber schema_column)
{
	Relation	catalog = table_open(class_id, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *found = NIL;
	ListCell   *cell;

	ScanKeyInit(&key, schema_column, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(schema));
	scan = systable_beginscan(catalog, InvalidOid, false, NULL, 1, &key);
	while ((tuple = systable_getnext(scan)) != NULL && list_length(found) < MOST_IN_SCHEMA)
		found = lappend_oid(found, class_id == RelationRelationId ? ((Form_pg_class) GETSTRUCT(tuple))->oid :
							((Form_pg_proc) GETSTRUCT(tuple))->oid);
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	foreach(cell, found)
	{
		const WardenObject *now = object_now(class_id, lfirst_oid(cell));
		WardenObject *after;
		WardenAccess *access;

		if (now == NULL)
			continue;
		after = copy_of(now);
		named(after, name, own_name(now));
		access = warden_facts_fall(facts, now, 0);
		access->chain = now->name;
		access->after = after;
	}
}

static void
rename_schema(WardenFacts *facts, Oid schema, const char *name)
{
	const WardenObject *now = OidIsValid(schema) ? warden_existing_object(NamespaceRelationId, schema) : NULL;
	WardenObject *after;

	if (now == NULL)
		return;
	after = copy_of(now);
	named(after, NULL, name);
	moves(facts, now, after);
	if (!warden_unbound_patterns)
		return;
	rename_contents(facts, schema, name, RelationRelationId, Anum_pg_class_relnamespace);
	rename_contents(facts, schema, name, ProcedureRelationId, Anum_pg_proc_pronamespace);
}

static void
rename_other(WardenFacts *facts, RenameStmt *stmt)
{
	ObjectAddress object = warden_object_named(stmt->renameType, stmt->object);
	const WardenObject *now = OidIsValid(object.objectId) ?
		warden_existing_object(object.classId, object.objectId) : NULL;
	WardenObject *after;

	if (now == NULL)
		return;
	after = copy_of(now);
	named(after, OidIsValid(now->schema) ? get_namespace_name(now->schema) : NULL, stmt->newname);
	moves(facts, now, after);
}

void
warden_rename_facts(WardenFacts *facts, RenameStmt *stmt)
{
	Oid			database;

	facts->statement.classes |= WARDEN_CLASS_ALTER;
	if (stmt->relation != NULL)
		rename_relation(facts, stmt);
	else if (stmt->renameType == OBJECT_SCHEMA)
		rename_schema(facts, get_namespace_oid(stmt->subname, true), stmt->newname);
	else if (stmt->renameType == OBJECT_DATABASE)
	{
		database = get_database_oid(stmt->subname, true);
		if (OidIsValid(database))
		{
			const WardenObject *now = warden_other_object(DatabaseRelationId, database);
			WardenObject *after = copy_of(now);

			after->name = warden_text(stmt->newname);
			moves(facts, now, after);
		}
	}
	else if (stmt->object != NULL)
		rename_other(facts, stmt);
}

/* --- SET SCHEMA --- */

void
warden_set_schema_facts(WardenFacts *facts, AlterObjectSchemaStmt *stmt)
{
	ObjectAddress object = stmt->relation ?
		(ObjectAddress) {RelationRelationId, RangeVarGetRelid(stmt->relation, NoLock, true), 0} :
		warden_object_named(stmt->objectType, stmt->object);
	const WardenObject *now = OidIsValid(object.objectId) ? object_now(object.classId, object.objectId) : NULL;
	WardenObject *after;

	facts->statement.classes |= WARDEN_CLASS_ALTER;
	if (now == NULL)
		return;
	after = copy_of(now);
	/* an extension's members are told by the object access hook, each when it moves */
	if (object.classId != ExtensionRelationId)
	{
		after->schema = get_namespace_oid(stmt->newschema, true);
		named(after, stmt->newschema, own_name(now));
	}
	moves(facts, now, after);
}

/* --- parents --- */

static const WardenObject *
with_ancestors(const WardenObject *now, List *ancestors)
{
	WardenObject *after = copy_of(now);
	uint32_t   *oids = MemoryContextAlloc(warden_statement_memory(), sizeof(uint32_t) * (list_length(ancestors) + 1));
	ListCell   *cell;

	after->ancestors = oids;
	after->ancestor_count = 0;
	foreach(cell, ancestors)
		oids[after->ancestor_count++] = lfirst_oid(cell);
	return after;
}

/* DETACH PARTITION, NO INHERIT */
void
warden_leave_facts(WardenFacts *facts, Oid child, Oid parent)
{
	const WardenObject *now = OidIsValid(child) ? object_now(RelationRelationId, child) : NULL;

	if (now != NULL && OidIsValid(parent))
		moves(facts, now, with_ancestors(now, warden_ancestors(child, parent, NULL)));
}

/* ATTACH PARTITION, INHERIT: leave for the parent may be more than a guard on the child allows. */
void
warden_join_facts(WardenFacts *facts, Oid child, Oid parent)
{
	const WardenObject *now = OidIsValid(child) ? object_now(RelationRelationId, child) : NULL;
	List	   *ancestors;

	if (now == NULL || !OidIsValid(parent))
		return;
	ancestors = list_concat_unique_oid(warden_ancestors(child, InvalidOid, NULL),
									   warden_ancestors(parent, InvalidOid, NULL));
	moves(facts, now, with_ancestors(now, list_append_unique_oid(ancestors, parent)));
}

/* --- what has changed --- */

/* The name and the schema of an object as the command that runs has made them; false where they are not to be had. */
static bool
changed_to(Oid class_id, Oid object_id, NameData *name, Oid *schema)
{
	AttrNumber	name_column = get_object_attnum_name(class_id);
	AttrNumber	schema_column = get_object_attnum_namespace(class_id);
	Relation	catalog;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		isnull;

	if (name_column == InvalidAttrNumber)
		return false;
	catalog = table_open(class_id, AccessShareLock);
	ScanKeyInit(&key, get_object_attnum_oid(class_id), BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(object_id));
	scan = systable_beginscan(catalog, get_object_oid_index(class_id), true, SnapshotSelf, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		*name = *DatumGetName(heap_getattr(tuple, name_column, RelationGetDescr(catalog), &isnull));
		*schema = schema_column == InvalidAttrNumber ? InvalidOid :
			DatumGetObjectId(heap_getattr(tuple, schema_column, RelationGetDescr(catalog), &isnull));
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return HeapTupleIsValid(tuple);
}

/* Nothing else is told of it: what the statement does to the object was decided before. */
static void
has_moved(WardenFacts *facts, const WardenObject *now, const WardenObject *after)
{
	WardenAccess *access = warden_facts_fall(facts, now, 0);

	access->after = after;
	warden_facts_complete(facts);
}

bool
warden_parents_changed_facts(WardenFacts *facts, Oid child)
{
	const WardenObject *now = object_now(RelationRelationId, child);

	if (now != NULL)
		has_moved(facts, now, with_ancestors(now, warden_ancestors(child, InvalidOid, SnapshotSelf)));
	return now != NULL;
}

bool
warden_moved_facts(WardenFacts *facts, Oid class_id, Oid object_id)
{
	const WardenObject *now;
	WardenObject *after;
	NameData	name;
	Oid			schema;

	/* row types and array types go where what they belong to goes */
	if (class_id == TypeRelationId && (get_typtype(object_id) == TYPTYPE_COMPOSITE ||
									   OidIsValid(get_element_type(object_id))))
		return false;
	if (!is_objectclass_supported(class_id) || !changed_to(class_id, object_id, &name, &schema))
		return false;
	now = object_now(class_id, object_id);
	if (now == NULL)
		return false;
	after = copy_of(now);
	if (class_id == NamespaceRelationId)
		named(after, NULL, NameStr(name));
	else
	{
		after->schema = schema;
		named(after, OidIsValid(schema) ? get_namespace_name(schema) : NULL, NameStr(name));
	}
	if (after->schema == now->schema && (class_id != NamespaceRelationId && class_id != RelationRelationId &&
										 class_id != ProcedureRelationId))
		return false;
	if (after->schema == now->schema && after->name.length == now->name.length &&
		memcmp(after->name.bytes, now->name.bytes, now->name.length) == 0)
		return false;
	has_moved(facts, now, after);
	return true;
}
