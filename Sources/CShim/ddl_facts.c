/*
 * Facts of DDL on objects that are there: DROP and what it takes along, TRUNCATE, ALTER of anything, and what is made on
 * a relation. Names are resolved without locks.
 */
#include "shim.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_publication.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_subscription.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "nodes/nodeFuncs.h"
#include "nodes/value.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"

static void
named_relation(WardenFacts *facts, const RangeVar *name, WardenClasses classes)
{
	Oid			relid = name ? RangeVarGetRelid(name, NoLock, true) : InvalidOid;

	facts->statement.classes |= classes;
	if (OidIsValid(relid))
		warden_facts_relation(facts, relid, classes);
}

static void
named_object(WardenFacts *facts, ObjectAddress object, WardenClasses classes)
{
	const WardenObject *found;

	facts->statement.classes |= classes;
	if (!OidIsValid(object.objectId))
		return;
	if (object.classId == RelationRelationId)
	{
		warden_facts_relation(facts, object.objectId, classes);
		return;
	}
	found = warden_existing_object(object.classId, object.objectId);
	if (found != NULL)
		(void) warden_facts_access(facts, found, classes);
}

/* --- DROP, TRUNCATE, ALTER TABLE --- */

static bool
is_part(ObjectType type)
{
	return type == OBJECT_TRIGGER || type == OBJECT_RULE || type == OBJECT_POLICY;
}

static void
drop_facts(WardenFacts *facts, DropStmt *stmt)
{
	WardenClosure *closure = warden_closure(stmt->behavior == DROP_CASCADE);
	ListCell   *cell;

	foreach(cell, stmt->objects)
	{
		ObjectAddress object = warden_object_named(stmt->removeType, lfirst(cell));
		bool		internal = false;

		if (!OidIsValid(object.objectId))
			continue;
		if (is_part(stmt->removeType))
			warden_facts_relation(facts, warden_whole_of(object.classId, object.objectId, &internal), WARDEN_CLASS_ALTER);
		facts->statement.drops_extension |= object.classId == ExtensionRelationId &&
			object.objectId == warden_catalog.extension;
		warden_closure_root(closure, object.classId, object.objectId, 0);
	}
	warden_closure_grow(closure);
	warden_closure_facts(facts, closure);
}

static void
drop_owned_facts(WardenFacts *facts, DropOwnedStmt *stmt)
{
	WardenClosure *closure = warden_closure(stmt->behavior == DROP_CASCADE);
	ListCell   *cell;

	foreach(cell, stmt->roles)
		warden_closure_owned(closure, get_rolespec_oid(lfirst(cell), true));
	warden_closure_grow(closure);
	warden_closure_facts(facts, closure);
}

static void
reassign_facts(WardenFacts *facts, ReassignOwnedStmt *stmt)
{
	ListCell   *cell;

	facts->statement.classes |= WARDEN_CLASS_ALTER;
	foreach(cell, stmt->roles)
		warden_reassign_facts(facts, get_rolespec_oid(lfirst(cell), true));
}

static bool
reads_column(Node *node, const char *name)
{
	if (node == NULL)
		return false;
	if (IsA(node, ColumnRef))
	{
		Node	   *last = llast(((ColumnRef *) node)->fields);

		/* a whole row, or the column by the table's name */
		return IsA(last, A_Star) || (IsA(last, String) && strcmp(strVal(last), name) == 0);
	}
	return raw_expression_tree_walker(node, reads_column, (void *) name);
}

/* ALTER COLUMN … TYPE … USING an expression that does not read the column: what was in it is gone. */
static bool
wipes_column(Oid relid, const AlterTableCmd *command)
{
	Node	   *expression;
	char	   *table;

	if (command->subtype != AT_AlterColumnType || command->name == NULL)
		return false;
	expression = ((ColumnDef *) command->def)->raw_default;
	table = get_rel_name(relid);
	return expression != NULL && !reads_column(expression, command->name) &&
		!(table != NULL && reads_column(expression, table));
}

static void
alter_command_facts(WardenFacts *facts, WardenClosure *closure, WardenRelation *relation, AlterTableCmd *command)
{
	WardenClasses classes = WARDEN_CLASS_ALTER;
	List	   *columns = warden_command_columns(relation, command);
	Oid			relid = relation->oid;
	ListCell   *cell;

	if (command->subtype == AT_AttachPartition)
		warden_join_facts(facts, RangeVarGetRelid(((PartitionCmd *) command->def)->name, NoLock, true), relid);
	if (command->subtype == AT_DetachPartition)
		warden_leave_facts(facts, RangeVarGetRelid(((PartitionCmd *) command->def)->name, NoLock, true), relid);
	if (command->subtype == AT_AddInherit || command->subtype == AT_DropInherit)
		named_relation(facts, (RangeVar *) command->def, WARDEN_CLASS_ALTER);
	if (command->subtype == AT_AddInherit)
		warden_join_facts(facts, relid, RangeVarGetRelid((RangeVar *) command->def, NoLock, true));
	if (command->subtype == AT_DropInherit)
		warden_leave_facts(facts, relid, RangeVarGetRelid((RangeVar *) command->def, NoLock, true));
	/* IF EXISTS: one that is not there is not dropped */
	if ((command->subtype == AT_DropColumn && columns != NIL) || wipes_column(relid, command))
		classes |= WARDEN_CLASS_DROP_COLUMN;
	if (columns == NIL)
		warden_facts_column(facts, &relation->object, classes, 0);
	foreach(cell, columns)
		warden_facts_column(facts, &relation->object, classes, lfirst_int(cell));
	if (command->subtype == AT_DropColumn && columns != NIL)
		warden_closure_root(closure, RelationRelationId, relid, linitial_int(columns));
	if (command->subtype == AT_DropConstraint && command->name != NULL)
		warden_closure_root(closure, ConstraintRelationId, get_relation_constraint_oid(relid, command->name, true), 0);
}

static void
alter_table_facts(WardenFacts *facts, AlterTableStmt *stmt)
{
	Oid			relid = RangeVarGetRelid(stmt->relation, NoLock, true);
	WardenClosure *closure = NULL;
	ListCell   *cell;

	facts->statement.classes |= WARDEN_CLASS_ALTER;
	if (!OidIsValid(relid) || warden_relation(relid) == NULL)
		return;
	foreach(cell, stmt->cmds)
	{
		AlterTableCmd *command = lfirst(cell);

		if (closure == NULL)
			closure = warden_closure(false);
		if (command->behavior == DROP_CASCADE)
			warden_closure_cascades(closure);
		alter_command_facts(facts, closure, warden_relation(relid), command);
	}
	warden_closure_grow(closure);
	warden_closure_facts(facts, closure);
}

static void
truncate_facts(WardenFacts *facts, TruncateStmt *stmt)
{
	WardenClosure *closure = warden_closure(stmt->behavior == DROP_CASCADE);
	ListCell   *cell;

	foreach(cell, stmt->relations)
	{
		RangeVar   *name = lfirst(cell);

		warden_closure_truncated(closure, RangeVarGetRelid(name, NoLock, true), name->inh);
	}
	warden_closure_truncate_facts(facts, closure);
}

/* --- ALTER of other things --- */

/* Tables that a publication is to send. */
static void
published(WardenFacts *facts, List *objects, WardenClasses classes)
{
	ListCell   *cell;

	facts->statement.classes |= classes;
	foreach(cell, objects)
	{
		PublicationObjSpec *object = lfirst(cell);
		Oid			schema;

		if (object->pubtable != NULL)
		{
			named_relation(facts, object->pubtable->relation, WARDEN_CLASS_ALTER);
			continue;
		}
		schema = object->name ? get_namespace_oid(object->name, true) : InvalidOid;
		named_object(facts, (ObjectAddress) {NamespaceRelationId, schema, 0}, WARDEN_CLASS_ALTER);
		/* the audit would be sent with it */
		if (OidIsValid(schema) && schema == warden_catalog.schema)
			warden_facts_relation(facts, warden_catalog.audit_record, WARDEN_CLASS_ALTER);
	}
}

static void
altered_database(WardenFacts *facts, const char *name)
{
	named_object(facts, (ObjectAddress) {DatabaseRelationId, get_database_oid(name, true), 0}, WARDEN_CLASS_ALTER);
}

static ObjectAddress
type_address(List *names)
{
	return warden_object_named(OBJECT_TYPE, (Node *) names);
}

static ObjectAddress
simple(ObjectType type, const char *name)
{
	return warden_object_named(type, (Node *) makeString(pstrdup(name)));
}

/* What else ALTER changes: true where the statement is one of these. */
static bool
alter_facts(WardenFacts *facts, Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_AlterOwnerStmt:
			if (((AlterOwnerStmt *) stmt)->objectType == OBJECT_DATABASE)
				altered_database(facts, strVal(((AlterOwnerStmt *) stmt)->object));
			else
				named_object(facts, warden_object_named(((AlterOwnerStmt *) stmt)->objectType,
														((AlterOwnerStmt *) stmt)->object), WARDEN_CLASS_ALTER);
			return true;
		case T_AlterFunctionStmt:
			named_object(facts, warden_object_named(((AlterFunctionStmt *) stmt)->objtype,
													(Node *) ((AlterFunctionStmt *) stmt)->func), WARDEN_CLASS_ALTER);
			return true;
		case T_AlterTypeStmt:
			named_object(facts, type_address(((AlterTypeStmt *) stmt)->typeName), WARDEN_CLASS_ALTER);
			return true;
		case T_AlterEnumStmt:
			named_object(facts, type_address(((AlterEnumStmt *) stmt)->typeName), WARDEN_CLASS_ALTER);
			return true;
		case T_AlterDomainStmt:
			named_object(facts, type_address(((AlterDomainStmt *) stmt)->typeName), WARDEN_CLASS_ALTER);
			return true;
		case T_AlterSeqStmt:
			named_relation(facts, ((AlterSeqStmt *) stmt)->sequence, WARDEN_CLASS_ALTER);
			return true;
		case T_AlterDatabaseStmt:
			altered_database(facts, ((AlterDatabaseStmt *) stmt)->dbname);
			return true;
		case T_AlterDatabaseSetStmt:
			altered_database(facts, ((AlterDatabaseSetStmt *) stmt)->dbname);
			return true;
		case T_AlterStatsStmt:
			named_object(facts, warden_object_named(OBJECT_STATISTIC_EXT, (Node *) ((AlterStatsStmt *) stmt)->defnames),
						 WARDEN_CLASS_ALTER);
			return true;
		case T_AlterFdwStmt:
			named_object(facts, simple(OBJECT_FDW, ((AlterFdwStmt *) stmt)->fdwname), WARDEN_CLASS_ALTER);
			return true;
		case T_AlterForeignServerStmt:
			named_object(facts, simple(OBJECT_FOREIGN_SERVER, ((AlterForeignServerStmt *) stmt)->servername),
						 WARDEN_CLASS_ALTER);
			return true;
		case T_AlterPublicationStmt:
			published(facts, ((AlterPublicationStmt *) stmt)->pubobjects, WARDEN_CLASS_ALTER);
			return true;
		default:
			return false;
	}
}

/* --- what is made on a relation, or of one --- */

/* Parents get a child; what is LIKE another copies its definition. */
static void
made_from(WardenFacts *facts, CreateStmt *stmt)
{
	ListCell   *cell;

	foreach(cell, stmt->inhRelations)
		named_relation(facts, lfirst(cell), WARDEN_CLASS_CREATE);
	foreach(cell, stmt->tableElts)
	{
		RangeVar   *model = IsA(lfirst(cell), TableLikeClause) ? ((TableLikeClause *) lfirst(cell))->relation : NULL;
		Oid			relid = model ? RangeVarGetRelid(model, NoLock, true) : InvalidOid;

		/* a table like one of pg_warden's does that no harm */
		if (OidIsValid(relid) && !warden_is_own_object(RelationRelationId, relid))
			warden_facts_relation(facts, relid, WARDEN_CLASS_CREATE);
	}
}

/* Elements run as parts of CREATE SCHEMA: what they say of things outside of it is told here. */
static void
schema_elements(WardenFacts *facts, CreateSchemaStmt *stmt)
{
	ListCell   *cell;

	foreach(cell, stmt->schemaElts)
	{
		if (IsA(lfirst(cell), CreateStmt))
			made_from(facts, lfirst(cell));
		else if (IsA(lfirst(cell), GrantStmt))
			(void) warden_utility_objects(facts, lfirst(cell));
	}
}

static void
statistics_of(WardenFacts *facts, List *relations)
{
	ListCell   *cell;

	foreach(cell, relations)
		if (IsA(lfirst(cell), RangeVar))
			named_relation(facts, lfirst(cell), WARDEN_CLASS_CREATE);
}

void
warden_made_of(WardenFacts *facts, Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_CreateStmt:
			made_from(facts, (CreateStmt *) stmt);
			break;
		case T_CreateForeignTableStmt:
			made_from(facts, &((CreateForeignTableStmt *) stmt)->base);
			break;
		case T_CreateSchemaStmt:
			schema_elements(facts, (CreateSchemaStmt *) stmt);
			break;
		case T_CreateStatsStmt:
			statistics_of(facts, ((CreateStatsStmt *) stmt)->relations);
			break;
		case T_CreatePublicationStmt:
			published(facts, ((CreatePublicationStmt *) stmt)->pubobjects, WARDEN_CLASS_CREATE);
			break;
		default:
			break;
	}
}

bool
warden_ddl_facts(WardenFacts *facts, Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_DropStmt:
			drop_facts(facts, (DropStmt *) stmt);
			return true;
		case T_DropOwnedStmt:
			drop_owned_facts(facts, (DropOwnedStmt *) stmt);
			return true;
		case T_ReassignOwnedStmt:
			reassign_facts(facts, (ReassignOwnedStmt *) stmt);
			return true;
		case T_TruncateStmt:
			truncate_facts(facts, (TruncateStmt *) stmt);
			return true;
		case T_AlterTableStmt:
			alter_table_facts(facts, (AlterTableStmt *) stmt);
			return true;
		default:
			return alter_facts(facts, stmt);
	}
}
