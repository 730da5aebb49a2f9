/*
 * The objects that utility statements name: COMMENT, SECURITY LABEL, GRANT, VACUUM, LOCK, CALL and the like. Looked up
 * without locks, for the record and for an early decision; a name that is not there is the statement's to complain of.
 * What the object access hook tells of a statement (ALTER, CREATE, DROP of anything) is not looked up here.
 */
#include "shim.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_cast.h"
#include "catalog/pg_class.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_conversion.h"
#include "catalog/pg_database.h"
#include "catalog/pg_event_trigger.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_language.h"
#include "catalog/pg_largeobject.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_publication.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_subscription.h"
#include "catalog/pg_tablespace.h"
#include "catalog/pg_transform.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_ts_config.h"
#include "catalog/pg_ts_dict.h"
#include "catalog/pg_ts_parser.h"
#include "catalog/pg_ts_template.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/event_trigger.h"
#include "commands/extension.h"
#include "commands/policy.h"
#include "commands/proclang.h"
#include "commands/tablespace.h"
#include "commands/trigger.h"
#include "foreign/foreign.h"
#include "nodes/makefuncs.h"
#include "nodes/value.h"
#include "parser/parse_func.h"
#include "parser/parse_oper.h"
#include "parser/parse_type.h"
#include "rewrite/rewriteSupport.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

/* pg_warden's own objects are protected by the statements that change them; these do not. */
static void
touched(WardenFacts *facts, Oid class_id, Oid object_id, WardenClasses classes)
{
	WardenRelation *relation;
	const WardenObject *object;

	facts->statement.classes |= classes;
	if (!OidIsValid(object_id))
		return;
	if (class_id == RelationRelationId)
	{
		relation = warden_relation(object_id);
		object = relation ? &relation->object : NULL;
	}
	else
		object = warden_existing_object(class_id, object_id);
	if (object != NULL)
		(void) warden_facts_access(facts, object, (object->flags & WARDEN_OBJECT_OWN) &&
								   (classes & WARDEN_CLASS_GRANT) == 0 ? WARDEN_CLASS_MISC : classes);
}

static void
touched_relation(WardenFacts *facts, const RangeVar *name, WardenClasses classes)
{
	touched(facts, RelationRelationId, name ? RangeVarGetRelid(name, NoLock, true) : InvalidOid, classes);
}

static void
touched_schemas(WardenFacts *facts, List *names, WardenClasses classes)
{
	ListCell   *cell;

	foreach(cell, names)
		touched(facts, NamespaceRelationId, get_namespace_oid(strVal(lfirst(cell)), true), classes);
}

/* --- objects of every kind, as the grammar names them --- */

static bool
is_relation(ObjectType type)
{
	return type == OBJECT_TABLE || type == OBJECT_VIEW || type == OBJECT_MATVIEW || type == OBJECT_INDEX ||
		type == OBJECT_SEQUENCE || type == OBJECT_FOREIGN_TABLE;
}

/* Named by the relation that it is a part of, and a name of its own. */
static bool
is_part_of_relation(ObjectType type)
{
	return type == OBJECT_COLUMN || type == OBJECT_TABCONSTRAINT || type == OBJECT_TRIGGER || type == OBJECT_RULE ||
		type == OBJECT_POLICY;
}

static bool
is_function(ObjectType type)
{
	return type == OBJECT_FUNCTION || type == OBJECT_PROCEDURE || type == OBJECT_ROUTINE || type == OBJECT_AGGREGATE;
}

/* Those with a name that is one word. */
static Oid
simple_object(ObjectType type, const char *name, Oid *class_id)
{
	switch (type)
	{
		case OBJECT_SCHEMA:
			*class_id = NamespaceRelationId;
			return get_namespace_oid(name, true);
		case OBJECT_DATABASE:
			*class_id = DatabaseRelationId;
			return get_database_oid(name, true);
		case OBJECT_ROLE:
			*class_id = AuthIdRelationId;
			return get_role_oid(name, true);
		case OBJECT_EXTENSION:
			*class_id = ExtensionRelationId;
			return get_extension_oid(name, true);
		case OBJECT_LANGUAGE:
			*class_id = LanguageRelationId;
			return get_language_oid(name, true);
		case OBJECT_TABLESPACE:
			*class_id = TableSpaceRelationId;
			return get_tablespace_oid(name, true);
		case OBJECT_FDW:
			*class_id = ForeignDataWrapperRelationId;
			return get_foreign_data_wrapper_oid(name, true);
		case OBJECT_FOREIGN_SERVER:
			*class_id = ForeignServerRelationId;
			return get_foreign_server_oid(name, true);
		case OBJECT_PUBLICATION:
			*class_id = PublicationRelationId;
			return get_publication_oid(name, true);
		case OBJECT_SUBSCRIPTION:
			*class_id = SubscriptionRelationId;
			return get_subscription_oid(name, true);
		case OBJECT_EVENT_TRIGGER:
			*class_id = EventTriggerRelationId;
			return get_event_trigger_oid(name, true);
		case OBJECT_ACCESS_METHOD:
			*class_id = AccessMethodRelationId;
			return get_am_oid(name, true);
		default:
			return InvalidOid;
	}
}

/* Those with a qualified name. */
static Oid
qualified_object(ObjectType type, List *name, Oid *class_id)
{
	switch (type)
	{
		case OBJECT_STATISTIC_EXT:
			*class_id = StatisticExtRelationId;
			return get_statistics_object_oid(name, true);
		case OBJECT_COLLATION:
			*class_id = CollationRelationId;
			return get_collation_oid(name, true);
		case OBJECT_CONVERSION:
			*class_id = ConversionRelationId;
			return get_conversion_oid(name, true);
		case OBJECT_TSPARSER:
			*class_id = TSParserRelationId;
			return get_ts_parser_oid(name, true);
		case OBJECT_TSDICTIONARY:
			*class_id = TSDictionaryRelationId;
			return get_ts_dict_oid(name, true);
		case OBJECT_TSTEMPLATE:
			*class_id = TSTemplateRelationId;
			return get_ts_template_oid(name, true);
		case OBJECT_TSCONFIGURATION:
			*class_id = TSConfigRelationId;
			return get_ts_config_oid(name, true);
		default:
			return InvalidOid;
	}
}

static Oid
type_named(Node *name)
{
	TypeName   *type = IsA(name, List) ? makeTypeNameFromNameList((List *) name) : (TypeName *) name;

	return LookupTypeNameOid(NULL, type, true);
}

/* Named by an access method, or by types. */
static Oid
other_object(ObjectType type, List *name, Oid *class_id)
{
	Oid			method;

	if (type == OBJECT_CAST || type == OBJECT_TRANSFORM)
	{
		Oid			first = type_named(linitial(name));

		*class_id = type == OBJECT_CAST ? CastRelationId : TransformRelationId;
		if (!OidIsValid(first))
			return InvalidOid;
		if (type == OBJECT_TRANSFORM)
			return get_transform_oid(first, get_language_oid(strVal(lsecond(name)), true), true);
		return get_cast_oid(first, type_named(lsecond(name)), true);
	}
	method = get_am_oid(strVal(linitial(name)), true);
	if (!OidIsValid(method))
		return InvalidOid;
	name = list_copy_tail(name, 1);
	*class_id = type == OBJECT_OPCLASS ? OperatorClassRelationId : OperatorFamilyRelationId;
	return type == OBJECT_OPCLASS ? get_opclass_oid(method, name, true) : get_opfamily_oid(method, name, true);
}

/* A constraint, trigger, rule or policy, of the relation that the first names say. */
static Oid
part_of_relation(ObjectType type, List *name, Oid *class_id)
{
	List	   *whole = list_truncate(list_copy(name), list_length(name) - 1);
	const char *part = strVal(llast(name));
	Oid			relid = whole == NIL ? InvalidOid : RangeVarGetRelid(makeRangeVarFromNameList(whole), NoLock, true);

	if (!OidIsValid(relid))
		return InvalidOid;
	switch (type)
	{
		case OBJECT_TABCONSTRAINT:
			*class_id = ConstraintRelationId;
			return get_relation_constraint_oid(relid, part, true);
		case OBJECT_TRIGGER:
			*class_id = TriggerRelationId;
			return get_trigger_oid(relid, part, true);
		case OBJECT_RULE:
			*class_id = RewriteRelationId;
			return get_rewrite_oid(relid, part, true);
		case OBJECT_POLICY:
			*class_id = PolicyRelationId;
			return get_relation_policy_oid(relid, part, true);
		default:
			return InvalidOid;
	}
}

static Oid
relation_named(Node *name)
{
	return RangeVarGetRelid(IsA(name, List) ? makeRangeVarFromNameList((List *) name) : (RangeVar *) name, NoLock, true);
}

ObjectAddress
warden_object_named(ObjectType type, Node *name)
{
	ObjectAddress object = {InvalidOid, InvalidOid, 0};
	Oid		   *class_id = &object.classId;

	if (name == NULL)
		return object;
	if (is_relation(type))
		object = (ObjectAddress) {RelationRelationId, relation_named(name), 0};
	else if (is_part_of_relation(type))
		object.objectId = part_of_relation(type, (List *) name, class_id);
	else if (is_function(type))
		object = (ObjectAddress) {ProcedureRelationId, LookupFuncWithArgs(type, (ObjectWithArgs *) name, true), 0};
	else if (type == OBJECT_OPERATOR)
		object = (ObjectAddress) {OperatorRelationId, LookupOperWithArgs((ObjectWithArgs *) name, true), 0};
	else if (type == OBJECT_TYPE || type == OBJECT_DOMAIN)
		object = (ObjectAddress) {TypeRelationId, type_named(name), 0};
	else if (type == OBJECT_DOMCONSTRAINT)
		object = (ObjectAddress) {TypeRelationId, type_named(linitial((List *) name)), 0};
	else if (type == OBJECT_LARGEOBJECT)
		object = (ObjectAddress) {LargeObjectRelationId, oidparse(name), 0};
	else if (type == OBJECT_CAST || type == OBJECT_TRANSFORM || type == OBJECT_OPCLASS || type == OBJECT_OPFAMILY)
		object.objectId = other_object(type, (List *) name, class_id);
	else if (IsA(name, String))
		object.objectId = simple_object(type, strVal(name), class_id);
	else if (IsA(name, List))
		object.objectId = qualified_object(type, (List *) name, class_id);
	return object;
}

static void
named_object(WardenFacts *facts, ObjectType type, Node *name, WardenClasses classes)
{
	ObjectAddress object = warden_object_named(type, name);
	bool		internal = false;

	/* what is done to a part is done to the relation */
	if (type == OBJECT_COLUMN && list_length((List *) name) > 1)
		object = (ObjectAddress) {RelationRelationId,
			relation_named((Node *) list_truncate(list_copy((List *) name), list_length((List *) name) - 1)), 0};
	else if (is_part_of_relation(type))
		object = (ObjectAddress) {RelationRelationId, OidIsValid(object.objectId) ?
			warden_whole_of(object.classId, object.objectId, &internal) : InvalidOid, 0};
	touched(facts, object.classId, object.objectId, classes);
}

/* --- statements --- */

/* A guard on one of the tables is met by GRANT … ON ALL TABLES. */
static void
granted_tables(WardenFacts *facts, Oid schema)
{
	Relation	catalog = table_open(RelationRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *tables = NIL;
	ListCell   *cell;

	ScanKeyInit(&key, Anum_pg_class_relnamespace, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(schema));
	scan = systable_beginscan(catalog, InvalidOid, false, NULL, 1, &key);
	while ((tuple = systable_getnext(scan)) != NULL)
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);

		if (form->relkind != RELKIND_INDEX && form->relkind != RELKIND_PARTITIONED_INDEX &&
			form->relkind != RELKIND_SEQUENCE && form->relkind != RELKIND_COMPOSITE_TYPE)
			tables = lappend_oid(tables, form->oid);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	foreach(cell, tables)
		touched(facts, RelationRelationId, lfirst_oid(cell), WARDEN_CLASS_GRANT);
}

static void
granted(WardenFacts *facts, GrantStmt *stmt)
{
	ListCell   *cell;

	facts->statement.classes |= WARDEN_CLASS_GRANT;
	if (stmt->targtype == ACL_TARGET_ALL_IN_SCHEMA)
	{
		touched_schemas(facts, stmt->objects, WARDEN_CLASS_GRANT);
		if (stmt->objtype == OBJECT_TABLE && (warden_guarded_classes & WARDEN_CLASS_GRANT) != 0)
			foreach(cell, stmt->objects)
				granted_tables(facts, get_namespace_oid(strVal(lfirst(cell)), true));
	}
	else if (stmt->targtype == ACL_TARGET_OBJECT)
		foreach(cell, stmt->objects)
			named_object(facts, stmt->objtype, lfirst(cell), WARDEN_CLASS_GRANT);
}

static void
granted_role(WardenFacts *facts, GrantRoleStmt *stmt)
{
	ListCell   *cell;

	facts->statement.classes |= WARDEN_CLASS_GRANT | WARDEN_CLASS_ROLE;
	foreach(cell, stmt->granted_roles)
		touched(facts, AuthIdRelationId, get_role_oid(((AccessPriv *) lfirst(cell))->priv_name, true),
				WARDEN_CLASS_GRANT | WARDEN_CLASS_ROLE);
	foreach(cell, stmt->grantee_roles)
	{
		RoleSpec   *role = lfirst(cell);

		if (role->roletype != ROLESPEC_PUBLIC)
			touched(facts, AuthIdRelationId, get_rolespec_oid(role, true), WARDEN_CLASS_GRANT | WARDEN_CLASS_ROLE);
	}
}

static void
default_privileges(WardenFacts *facts, AlterDefaultPrivilegesStmt *stmt)
{
	ListCell   *cell;

	facts->statement.classes |= WARDEN_CLASS_ALTER | WARDEN_CLASS_GRANT;
	foreach(cell, stmt->options)
		if (strcmp(((DefElem *) lfirst(cell))->defname, "schemas") == 0)
			touched_schemas(facts, (List *) ((DefElem *) lfirst(cell))->arg, WARDEN_CLASS_ALTER | WARDEN_CLASS_GRANT);
}

static void
vacuumed(WardenFacts *facts, VacuumStmt *stmt)
{
	ListCell   *cell;

	facts->statement.classes |= WARDEN_CLASS_MISC;
	foreach(cell, stmt->rels)
	{
		RangeVar   *name = ((VacuumRelation *) lfirst(cell))->relation;
		Oid			relid = name ? RangeVarGetRelid(name, NoLock, true) : InvalidOid;

		/* ANALYZE reads a foreign table as a SELECT does */
		touched(facts, RelationRelationId, relid, WARDEN_CLASS_MISC |
				(OidIsValid(relid) ? warden_host_relation(relid) : 0));
	}
}

static void
reindexed(WardenFacts *facts, ReindexStmt *stmt)
{
	facts->statement.classes |= WARDEN_CLASS_OTHER_DDL;
	if (stmt->relation != NULL)
		touched_relation(facts, stmt->relation, WARDEN_CLASS_OTHER_DDL);
	else if (stmt->kind == REINDEX_OBJECT_SCHEMA && stmt->name != NULL)
		touched(facts, NamespaceRelationId, get_namespace_oid(stmt->name, true), WARDEN_CLASS_OTHER_DDL);
}

/* Locks of pg_warden's own tables are a matter of its protection. */
static void
locked(WardenFacts *facts, LockStmt *stmt)
{
	ListCell   *cell;

	facts->statement.classes |= WARDEN_CLASS_MISC;
	foreach(cell, stmt->relations)
		touched_relation(facts, lfirst(cell), WARDEN_CLASS_MISC);
}

/* COMMENT, SECURITY LABEL; of a role it is a change of the role too. */
static void
described(WardenFacts *facts, ObjectType type, Node *object)
{
	WardenClasses classes = WARDEN_CLASS_OTHER_DDL | (type == OBJECT_ROLE ? WARDEN_CLASS_ROLE : 0);

	facts->statement.classes |= classes;
	named_object(facts, type, object, classes);
}

static void
reassigned(WardenFacts *facts, ReassignOwnedStmt *stmt)
{
	ListCell   *cell;

	facts->statement.classes |= WARDEN_CLASS_ROLE;
	foreach(cell, stmt->roles)
		touched(facts, AuthIdRelationId, get_rolespec_oid(lfirst(cell), true), WARDEN_CLASS_ROLE);
	touched(facts, AuthIdRelationId, get_rolespec_oid(stmt->newrole, true), WARDEN_CLASS_ROLE);
}

bool
warden_utility_objects(WardenFacts *facts, Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_CommentStmt:
			described(facts, ((CommentStmt *) stmt)->objtype, ((CommentStmt *) stmt)->object);
			return true;
		case T_SecLabelStmt:
			described(facts, ((SecLabelStmt *) stmt)->objtype, ((SecLabelStmt *) stmt)->object);
			return true;
		case T_GrantStmt:
			granted(facts, (GrantStmt *) stmt);
			return false;
		case T_GrantRoleStmt:
			granted_role(facts, (GrantRoleStmt *) stmt);
			return true;
		case T_AlterRoleSetStmt:
			facts->statement.classes |= WARDEN_CLASS_ROLE | WARDEN_CLASS_SET;
			if (((AlterRoleSetStmt *) stmt)->role != NULL)
				touched(facts, AuthIdRelationId, get_rolespec_oid(((AlterRoleSetStmt *) stmt)->role, true),
						WARDEN_CLASS_ROLE);
			return true;
		case T_AlterDatabaseSetStmt:
			facts->statement.classes |= WARDEN_CLASS_ALTER | WARDEN_CLASS_SET;
			touched(facts, DatabaseRelationId, get_database_oid(((AlterDatabaseSetStmt *) stmt)->dbname, true),
					WARDEN_CLASS_ALTER | WARDEN_CLASS_SET);
			return true;
		case T_ReassignOwnedStmt:
			reassigned(facts, (ReassignOwnedStmt *) stmt);
			return false;
		case T_AlterDefaultPrivilegesStmt:
			default_privileges(facts, (AlterDefaultPrivilegesStmt *) stmt);
			return true;
		case T_VacuumStmt:
			vacuumed(facts, (VacuumStmt *) stmt);
			return true;
		case T_ReindexStmt:
			reindexed(facts, (ReindexStmt *) stmt);
			return true;
		case T_LockStmt:
			locked(facts, (LockStmt *) stmt);
			return false;
		case T_CallStmt:
			facts->statement.classes |= WARDEN_CLASS_FUNCTION;
			if (((CallStmt *) stmt)->funcexpr != NULL)
				touched(facts, ProcedureRelationId, ((CallStmt *) stmt)->funcexpr->funcid, WARDEN_CLASS_FUNCTION);
			return true;
		default:
			return false;
	}
}
