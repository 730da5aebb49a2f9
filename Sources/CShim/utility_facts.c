/*
 * Facts of statements that are not planned: DDL, COPY, GRANT, SET and the rest. Names are resolved without locks, for
 * an early refusal that waits for nobody; what really falls is decided again by the object access hook, on OIDs.
 */
#include "shim.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "nodes/nodeFuncs.h"
#include "nodes/value.h"
#include "parser/parse_utilcmd.h"
#include "rewrite/rewriteHandler.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/* For what has no case of its own the command tag tells. */
static WardenClasses
classes_by_tag(const char *tag)
{
	if (strncmp(tag, "CREATE ", 7) == 0 || strcmp(tag, "SELECT INTO") == 0)
		return WARDEN_CLASS_CREATE;
	if (strncmp(tag, "ALTER ", 6) == 0)
		return WARDEN_CLASS_ALTER;
	if (strncmp(tag, "DROP ", 5) == 0)
		return 0;				/* each object by the object access hook */
	if (strncmp(tag, "GRANT", 5) == 0 || strncmp(tag, "REVOKE", 6) == 0)
		return WARDEN_CLASS_GRANT;
	return WARDEN_CLASS_MISC;
}

static void
named_relation(WardenFacts *facts, const RangeVar *name, WardenClasses classes)
{
	Oid			relid;

	if (name == NULL)
		return;
	relid = RangeVarGetRelid(name, NoLock, true);
	if (OidIsValid(relid))
		warden_facts_relation(facts, relid, classes);
}

/* Which columns COPY names, or all of them. */
static void
copied_columns(WardenFacts *facts, CopyStmt *stmt)
{
	WardenAccess *access = &facts->accesses[0];
	WardenRelation *relation = warden_relation(access->object->oid);
	int16_t    *columns = MemoryContextAllocZero(warden_statement_memory(),
												 sizeof(int16_t) * (list_length(stmt->attlist) + 1));
	int64_t		count = 0;
	ListCell   *cell;

	foreach(cell, stmt->attlist)
		columns[count++] = get_attnum(relation->oid, strVal(lfirst(cell)));
	/* 0 is the whole row */
	if (stmt->attlist == NIL)
		count = 1;
	qsort(columns, count, sizeof(int16_t), warden_ascending);
	if (stmt->is_from)
	{
		access->written_columns = columns;
		access->written_count = count;
		return;
	}
	access->read_columns = columns;
	access->read_count = count;
	if (relation->sensitive_count > 0)
		warden_masked_read();
	if (relation->maskable)
		warden_facts_masked(access, relation);
}

static void
copy_facts(WardenFacts *facts, CopyStmt *stmt)
{
	WardenClasses classes = stmt->is_from ? WARDEN_CLASS_COPY_IN : WARDEN_CLASS_COPY_OUT;

	if (stmt->is_program)
		facts->statement.classes |= WARDEN_CLASS_COPY_PROGRAM;
	else if (stmt->filename != NULL)
		facts->statement.classes |= WARDEN_CLASS_SERVER_FILE;
	facts->statement.classes |= classes;
	named_relation(facts, stmt->relation, classes | (stmt->is_from ? WARDEN_CLASS_INSERT : WARDEN_CLASS_READ));
	if (facts->count == 1)
		copied_columns(facts, stmt);
}

static void
grant_facts(WardenFacts *facts, GrantStmt *stmt)
{
	ListCell   *cell;

	facts->statement.classes |= WARDEN_CLASS_GRANT;
	/* all tables in a schema: the audit's among them */
	if (stmt->targtype == ACL_TARGET_ALL_IN_SCHEMA && stmt->objtype == OBJECT_TABLE)
		foreach(cell, stmt->objects)
			if (get_namespace_oid(strVal(lfirst(cell)), true) == warden_catalog.schema)
				warden_facts_relation(facts, warden_catalog.audit_record, WARDEN_CLASS_GRANT);
}

static bool
option_named(List *options, const char *name)
{
	ListCell   *cell;

	foreach(cell, options)
		if (strcmp(((DefElem *) lfirst(cell))->defname, name) == 0)
			return true;
	return false;
}

/* A statement with a password or a connection string as a literal. */
static bool
carries_secret(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_CreateRoleStmt:
			return option_named(((CreateRoleStmt *) stmt)->options, "password");
		case T_AlterRoleStmt:
			return option_named(((AlterRoleStmt *) stmt)->options, "password");
		case T_CreateUserMappingStmt:
		case T_AlterUserMappingStmt:
		case T_CreateSubscriptionStmt:
		case T_AlterSubscriptionStmt:
		case T_CreateForeignServerStmt:
		case T_AlterForeignServerStmt:
			return true;
		default:
			return false;
	}
}

/* What is made in a schema of pg_warden is a change of pg_warden. */
static void
created_in(WardenFacts *facts, Oid schema)
{
	facts->statement.classes |= WARDEN_CLASS_CREATE;
	/* what an extension's script puts into pg_catalog (adminpack) comes from the host, as the server's own does */
	if (OidIsValid(schema) && !(creating_extension && schema == PG_CATALOG_NAMESPACE))
		(void) warden_facts_access(facts, warden_other_object(NamespaceRelationId, schema), WARDEN_CLASS_CREATE);
}

/* What is not there yet has a name that a guard can be for. */
static void
created_as(WardenFacts *facts, Oid class_id, const char *kind, Oid schema, const char *name)
{
	WardenObject *object = MemoryContextAllocZero(warden_statement_memory(), sizeof(WardenObject));
	MemoryContext caller = MemoryContextSwitchTo(warden_statement_memory());

	object->catalog = class_id;
	object->schema = schema;
	object->kind = warden_text(kind);
	object->name = warden_text(quote_qualified_identifier(get_namespace_name(schema), name));
	MemoryContextSwitchTo(caller);
	(void) warden_facts_fall(facts, object, WARDEN_CLASS_CREATE);
}

static void
created_relation(WardenFacts *facts, RangeVar *name)
{
	Oid			schema;
	Oid			there;

	facts->statement.classes |= WARDEN_CLASS_CREATE;
	/* of a schema that is not there the statement itself will complain */
	if (name == NULL || name->relpersistence == RELPERSISTENCE_TEMP ||
		(name->schemaname != NULL && !OidIsValid(get_namespace_oid(name->schemaname, true))))
		return;
	schema = RangeVarGetCreationNamespace(name);
	if (isTempNamespace(schema))
		return;
	created_in(facts, schema);
	there = get_relname_relid(name->relname, schema);
	if (OidIsValid(there))
		warden_facts_relation(facts, there, WARDEN_CLASS_CREATE);
	else
		created_as(facts, RelationRelationId, "relation", schema, name->relname);
}

static void
created_function(WardenFacts *facts, List *names)
{
	char	   *name;
	char	   *schema_name;
	Oid			schema;

	DeconstructQualifiedName(names, &schema_name, &name);
	schema = schema_name ? LookupExplicitNamespace(schema_name, true) : QualifiedNameGetCreationNamespace(names, &name);
	facts->statement.classes |= WARDEN_CLASS_CREATE;
	if (!OidIsValid(schema) || isTempNamespace(schema))
		return;
	created_in(facts, schema);
	created_as(facts, ProcedureRelationId, "function", schema, name);
}

/* Types, operators and the like: the schema alone is told. */
static void
created_named(WardenFacts *facts, List *names)
{
	char	   *name;
	char	   *schema;

	DeconstructQualifiedName(names, &schema, &name);
	created_in(facts, schema ? get_namespace_oid(schema, true) : QualifiedNameGetCreationNamespace(names, &name));
}

static void
altered_extension(WardenFacts *facts, const char *name)
{
	Oid			extension = get_extension_oid(name, true);

	facts->statement.classes |= WARDEN_CLASS_ALTER;
	if (OidIsValid(extension))
		(void) warden_facts_access(facts, warden_other_object(ExtensionRelationId, extension), WARDEN_CLASS_ALTER);
}

/* What LOCK has come by: views may refer to each other in a circle. */
typedef struct LockedRelations
{
	WardenFacts *facts;
	List	   *seen;
	bool		nowait;
} LockedRelations;

static void locked_through(LockedRelations *locked, Oid relid);

/* LOCK of a view locks the tables below, wherever in its query they are. */
static bool
locked_below(Node *node, void *context)
{
	ListCell   *cell;

	if (node == NULL)
		return false;
	if (!IsA(node, Query))
		return expression_tree_walker(node, locked_below, context);
	foreach(cell, ((Query *) node)->rtable)
	{
		RangeTblEntry *rte = lfirst(cell);

		if (rte->rtekind == RTE_RELATION)
			locked_through(context, rte->relid);
	}
	return query_tree_walker((Query *) node, locked_below, context, QTW_IGNORE_JOINALIASES);
}

static void
locked_through(LockedRelations *locked, Oid relid)
{
	Relation	view;

	check_stack_depth();
	if (list_member_oid(locked->seen, relid))
		return;
	locked->seen = lappend_oid(locked->seen, relid);
	if (warden_is_own_object(RelationRelationId, relid))
		warden_facts_relation(locked->facts, relid, WARDEN_CLASS_ALTER);
	if (get_rel_relkind(relid) != RELKIND_VIEW)
		return;
	/* where LOCK … NOWAIT would wait here it is to fail, as it would without us */
	if (locked->nowait && !ConditionalLockRelationOid(relid, AccessShareLock))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("could not obtain lock on relation \"%s\"", get_rel_name(relid))));
	view = table_open(relid, locked->nowait ? NoLock : AccessShareLock);
	(void) locked_below((Node *) get_view_query(view), locked);
	table_close(view, AccessShareLock);
}

/* A lock on the audit would hold up the writer, and then everybody. */
static void
locked(WardenFacts *facts, LockStmt *stmt)
{
	LockedRelations found = {facts, NIL, stmt->nowait};
	ListCell   *cell;

	facts->statement.classes |= WARDEN_CLASS_MISC;
	if (stmt->mode <= AccessShareLock)
		return;
	foreach(cell, stmt->relations)
	{
		Oid			relid = RangeVarGetRelid(lfirst(cell), NoLock, true);

		if (OidIsValid(relid))
			locked_through(&found, relid);
	}
}

/* What is no member of the extension any more would not be protected as one. */
static void
altered_members(WardenFacts *facts, const char *name)
{
	altered_extension(facts, name);
	if (get_extension_oid(name, true) == warden_catalog.extension)
		(void) warden_facts_access(facts, warden_other_object(NamespaceRelationId, warden_catalog.schema),
								   WARDEN_CLASS_ALTER);
}

static void
moved_to_schema(WardenFacts *facts, AlterObjectSchemaStmt *stmt)
{
	Oid			schema = get_namespace_oid(stmt->newschema, true);

	warden_set_schema_facts(facts, stmt);
	if (OidIsValid(schema))
		(void) warden_facts_access(facts, warden_other_object(NamespaceRelationId, schema), WARDEN_CLASS_CREATE);
}

static void
renamed_role(WardenFacts *facts, RenameStmt *stmt)
{
	Oid			role = get_role_oid(stmt->subname, true);

	facts->statement.classes |= WARDEN_CLASS_ROLE;
	if (OidIsValid(role))
		(void) warden_facts_access(facts, warden_other_object(AuthIdRelationId, role), WARDEN_CLASS_ROLE);
}

/* What is made, in which schema and by which name; true where the statement makes such a thing. */
static bool
created_facts(WardenFacts *facts, Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_CreateStmt:
			created_relation(facts, ((CreateStmt *) stmt)->relation);
			return true;
		case T_CreateForeignTableStmt:
			created_relation(facts, ((CreateForeignTableStmt *) stmt)->base.relation);
			return true;
		case T_CreateTableAsStmt:
			created_relation(facts, ((CreateTableAsStmt *) stmt)->into->rel);
			return true;
		case T_ViewStmt:
			created_relation(facts, ((ViewStmt *) stmt)->view);
			return true;
		case T_CreateSeqStmt:
			created_relation(facts, ((CreateSeqStmt *) stmt)->sequence);
			return true;
		case T_CompositeTypeStmt:
			created_relation(facts, ((CompositeTypeStmt *) stmt)->typevar);
			return true;
		case T_CreateEnumStmt:
			created_named(facts, ((CreateEnumStmt *) stmt)->typeName);
			return true;
		case T_CreateRangeStmt:
			created_named(facts, ((CreateRangeStmt *) stmt)->typeName);
			return true;
		case T_CreateDomainStmt:
			created_named(facts, ((CreateDomainStmt *) stmt)->domainname);
			return true;
		case T_DefineStmt:
			if (((DefineStmt *) stmt)->kind == OBJECT_AGGREGATE)
				created_function(facts, ((DefineStmt *) stmt)->defnames);
			else
				created_named(facts, ((DefineStmt *) stmt)->defnames);
			return true;
		case T_CreateFunctionStmt:
			created_function(facts, ((CreateFunctionStmt *) stmt)->funcname);
			return true;
		default:
			return false;
	}
}

static void
relation_facts(WardenFacts *facts, Node *stmt, const char *tag)
{
	switch (nodeTag(stmt))
	{
		case T_LockStmt:
			locked(facts, (LockStmt *) stmt);
			break;
		case T_AlterExtensionStmt:
			altered_extension(facts, ((AlterExtensionStmt *) stmt)->extname);
			break;
		case T_AlterExtensionContentsStmt:
			altered_members(facts, ((AlterExtensionContentsStmt *) stmt)->extname);
			break;
		case T_IndexStmt:
			named_relation(facts, ((IndexStmt *) stmt)->relation, WARDEN_CLASS_CREATE);
			break;
		case T_RenameStmt:
			if (((RenameStmt *) stmt)->renameType == OBJECT_ROLE)
				renamed_role(facts, (RenameStmt *) stmt);
			else
				warden_rename_facts(facts, (RenameStmt *) stmt);
			break;
		case T_AlterObjectSchemaStmt:
			moved_to_schema(facts, (AlterObjectSchemaStmt *) stmt);
			break;
		case T_CreateTrigStmt:
			named_relation(facts, ((CreateTrigStmt *) stmt)->relation, WARDEN_CLASS_CREATE);
			break;
		case T_RuleStmt:
			named_relation(facts, ((RuleStmt *) stmt)->relation, WARDEN_CLASS_CREATE);
			break;
		case T_CreatePolicyStmt:
			named_relation(facts, ((CreatePolicyStmt *) stmt)->table, WARDEN_CLASS_CREATE);
			break;
		case T_AlterPolicyStmt:
			named_relation(facts, ((AlterPolicyStmt *) stmt)->table, WARDEN_CLASS_ALTER);
			break;
		case T_RefreshMatViewStmt:
			/* WITH NO DATA empties it */
			named_relation(facts, ((RefreshMatViewStmt *) stmt)->relation, WARDEN_CLASS_OTHER_DDL |
						   (((RefreshMatViewStmt *) stmt)->skipData ? WARDEN_CLASS_TRUNCATE : 0));
			break;
		case T_ClusterStmt:
			named_relation(facts, ((ClusterStmt *) stmt)->relation, WARDEN_CLASS_OTHER_DDL);
			break;
		default:
			facts->statement.classes |= classes_by_tag(tag);
	}
}

static void
cluster_facts(WardenFacts *facts, Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_DropdbStmt:
			{
				Oid			database = get_database_oid(((DropdbStmt *) stmt)->dbname, true);

				if (OidIsValid(database))
					(void) warden_facts_access(facts, warden_other_object(DatabaseRelationId, database),
											   WARDEN_CLASS_DROP);
				break;
			}
		case T_DropRoleStmt:
			{
				ListCell   *cell;

				facts->statement.classes |= WARDEN_CLASS_ROLE;
				foreach(cell, ((DropRoleStmt *) stmt)->roles)
				{
					RoleSpec   *role = lfirst(cell);
					Oid			oid = role->roletype == ROLESPEC_CSTRING ?
						get_role_oid(role->rolename, true) : InvalidOid;

					if (OidIsValid(oid))
						(void) warden_facts_access(facts, warden_other_object(AuthIdRelationId, oid),
												   WARDEN_CLASS_ROLE);
				}
				break;
			}
		default:
			break;
	}
}

static bool
statement_classes(WardenFacts *facts, Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_AlterSystemStmt:
		case T_LoadStmt:
			return true;
		case T_CreateSubscriptionStmt:
		case T_AlterSubscriptionStmt:
		case T_CreateExtensionStmt:
		case T_CreatePLangStmt:
			facts->statement.classes |= classes_by_tag((const char *) facts->statement.command.bytes);
			return true;
		case T_CreateRoleStmt:
		case T_AlterRoleStmt:
			facts->statement.classes |= WARDEN_CLASS_ROLE;
			return true;
		case T_DropdbStmt:
		case T_DropRoleStmt:
			cluster_facts(facts, stmt);
			return true;
		case T_VariableSetStmt:
		case T_DiscardStmt:
			facts->statement.classes |= WARDEN_CLASS_SET;
			return true;
		case T_TransactionStmt:
			facts->statement.classes |= WARDEN_CLASS_TRANSACTION;
			return true;
		default:
			return false;
	}
}

/* CREATE and ALTER FUNCTION … SET: the setting is in force in every call. */
static void
function_settings(WardenFacts *facts, Node *stmt)
{
	if ((IsA(stmt, CreateFunctionStmt) && option_named(((CreateFunctionStmt *) stmt)->options, "set")) ||
		(IsA(stmt, AlterFunctionStmt) && option_named(((AlterFunctionStmt *) stmt)->actions, "set")))
		facts->statement.classes |= WARDEN_CLASS_SET;
}

static void
statement_facts(WardenFacts *facts, Node *stmt, const char *tag)
{
	facts->statement.classes |= warden_host_utility(stmt);
	function_settings(facts, stmt);
	warden_made_of(facts, stmt);
	if (statement_classes(facts, stmt) || warden_utility_objects(facts, stmt) || warden_ddl_facts(facts, stmt) ||
		created_facts(facts, stmt))
		return;
	switch (nodeTag(stmt))
	{
		case T_CopyStmt:
			copy_facts(facts, (CopyStmt *) stmt);
			break;
		case T_GrantStmt:
			grant_facts(facts, (GrantStmt *) stmt);
			break;
		default:
			relation_facts(facts, stmt, tag);
	}
}

void
warden_utility_facts(WardenFacts *facts, PlannedStmt *pstmt, const char *query, bool *has_secret)
{
	Node	   *stmt = pstmt->utilityStmt;
	const char *tag = GetCommandTagName(CreateCommandTag(stmt));

	(void) query;
	warden_facts_begin(facts, tag);
	*has_secret = carries_secret(stmt);
	statement_facts(facts, stmt, tag);
	warden_utility_columns(facts, stmt);
	warden_ddl_reads(facts, stmt);
	warden_facts_complete(facts);
}
