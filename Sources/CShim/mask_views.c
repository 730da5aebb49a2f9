/*
 * Masking views: one per masked table in schema warden_views, made from the policy. A view is the single definition
 * of what a masked subject sees; masking.c takes its expressions from there.
 *
 * They must not stand in the way of migrations, though a view holds on to its table's columns: before DDL that might
 * meet one, the views concerned are dropped, and made anew afterwards in the same transaction.
 */
#include "shim.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "mask_fit.h"
#include "mask_rows.h"
#include "mb/pg_wchar.h"
#include "access/relation.h"
#include "miscadmin.h"
#include "rewrite/rewriteHandler.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

/* The base relation of a view over one table; InvalidOid where it is something else. */
static Oid
table_below(Query *query)
{
	Oid			found = InvalidOid;
	ListCell   *cell;

	foreach(cell, query->rtable)
	{
		RangeTblEntry *rte = lfirst(cell);

		if (rte->rtekind != RTE_RELATION || !rte->inFromCl)
			continue;
		if (OidIsValid(found))
			return InvalidOid;
		found = rte->relid;
	}
	return found;
}

Query *
warden_mask_view_query(Relation view, Oid relid)
{
	Query	   *query = view->rd_rel->relkind == RELKIND_VIEW ? get_view_query(view) : NULL;

	if (query == NULL || table_below(query) != relid)
		elog(ERROR, "pg_warden: \"%s\" is not the masking view of relation %u", RelationGetRelationName(view), relid);
	return query;
}

/* Is the name free, or that of the table's own masking view? */
static bool
may_be_named(const char *name, Oid relid)
{
	Oid			view = get_relname_relid(name, warden_catalog.views);
	Relation	rel = OidIsValid(view) ? try_relation_open(view, AccessShareLock) : NULL;
	bool		own;

	if (rel == NULL)
		return true;
	own = rel->rd_rel->relkind == RELKIND_VIEW && table_below(get_view_query(rel)) == relid;
	relation_close(rel, AccessShareLock);
	return own;
}

const char *
warden_mask_view_name(Oid relid)
{
	char	   *schema = get_namespace_name(get_rel_namespace(relid));
	char	   *table = get_rel_name(relid);
	char	   *oid = psprintf("__%u", relid);
	char	   *name;
	int			room = NAMEDATALEN - 1 - (int) strlen(oid);

	if (schema == NULL || table == NULL)
		return "";
	name = psprintf("%s__%s", schema, table);
	/*
	 * A name that is too long, or that another table's view has (a.b__c and a__b.c), ends in the table's OID: no two
	 * tables share a view.
	 */
	if (strlen(name) < NAMEDATALEN && may_be_named(name, relid))
		return name;
	return psprintf("%.*s%s", pg_mbcliplen(name, (int) strlen(name), room), name, oid);
}

static void
drop_view(Oid view, const char *behavior)
{
	warden_internal_sql(psprintf("DROP VIEW %s %s", quote_qualified_identifier("warden_views", get_rel_name(view)),
								 behavior), 0, NULL, NULL, NULL);
}

/* Views of users over a masking view: it stays then, and the server says what its dependents stand in the way of. */
static bool
has_dependents(Oid view)
{
	Oid			types[1] = {OIDOID};
	Datum		values[1] = {ObjectIdGetDatum(view)};

	return warden_internal_sql("SELECT 1 FROM pg_depend WHERE refclassid = 'pg_class'::regclass AND refobjid = $1 "
							   "AND deptype = 'n' AND NOT (classid = 'pg_rewrite'::regclass AND objid IN ("
							   "SELECT oid FROM pg_rewrite WHERE ev_class = $1))", 1, types, values, NULL) > 0;
}

/* --- building --- */

/* Its masks as they are to be, into SPI_tuptable. False where the table has none. */
static bool
refresh_rows(Oid relid)
{
	Oid			types[1] = {OIDOID};
	Datum		values[1] = {ObjectIdGetDatum(relid)};

	warden_mask_rows_bind(relid);
	return warden_internal_sql("SELECT attnum, method, options, expression FROM warden.mask_policy "
							   "WHERE relation = $1 AND attnum <> 0", 1, types, values, NULL) > 0;
}

static void
store_expression(Oid relid, AttrNumber attnum, const WardenFittedMask *mask)
{
	Oid			types[5] = {OIDOID, INT2OID, TEXTOID, TEXTOID, JSONBOID};
	Datum		values[5] = {ObjectIdGetDatum(relid), Int16GetDatum(attnum), CStringGetTextDatum(mask->expression),
	CStringGetTextDatum(mask->method), JsonbPGetDatum(mask->options)};

	warden_internal_sql("UPDATE warden.mask_policy SET expression = $3, method = $4, options = $5 "
						"WHERE relation = $1 AND attnum = $2 AND (expression <> $3 OR method <> $4)",
						5, types, values, NULL);
}

/* A migration goes on where a column's new type has no such mask, and shows nothing of it. */
static WardenFittedMask
fit_again(Oid relid, AttrNumber attnum, const char *method, Jsonb *options)
{
	WardenFittedMask mask = warden_fit_mask(relid, attnum, method, options, false);

	if (mask.problem != NULL)
		ereport(WARNING,
				(errmsg("the mask of column \"%s\" of \"%s\" is now %s", warden_column_name(relid, attnum),
						get_rel_name(relid), mask.method),
				 errdetail("Method %s does not fit it any more: %s.", method, mask.problem),
				 errhint("warden.mask() gives it another one.")));
	return mask;
}

/* expressions[attnum - 1] for the masked columns, made anew: names and types may have changed */
static char **
column_expressions(Oid relid, int natts)
{
	WardenFittedMask *masks = palloc0(sizeof(WardenFittedMask) * natts);
	char	  **expressions = palloc0(sizeof(char *) * natts);
	SPITupleTable *rows = SPI_tuptable;
	uint64		count = SPI_processed;

	for (uint64 i = 0; i < count; i++)
	{
		bool		isnull;
		AttrNumber	attnum = DatumGetInt16(SPI_getbinval(rows->vals[i], rows->tupdesc, 1, &isnull));
		char	   *method = SPI_getvalue(rows->vals[i], rows->tupdesc, 2);
		Datum		options = SPI_getbinval(rows->vals[i], rows->tupdesc, 3, &isnull);

		if (attnum < 1 || attnum > natts)
			elog(ERROR, "pg_warden: mask of column %d of relation %u", attnum, relid);
		masks[attnum - 1] = fit_again(relid, attnum, method, DatumGetJsonbP(options));
		expressions[attnum - 1] = masks[attnum - 1].expression;
	}
	for (int i = 0; i < natts; i++)
		if (expressions[i] != NULL)
			store_expression(relid, (AttrNumber) (i + 1), &masks[i]);
	return expressions;
}

static void
create_view(Oid relid, int natts, char **expressions)
{
	StringInfoData sql;
	const char *separator = "";

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE OR REPLACE VIEW %s WITH (security_invoker = true) AS SELECT ",
					 quote_qualified_identifier("warden_views", warden_mask_view_name(relid)));
	for (int i = 0; i < natts; i++)
	{
		char	   *column = warden_column_name(relid, (AttrNumber) (i + 1));

		if (column == NULL)
			continue;
		appendStringInfo(&sql, "%s%s AS %s", separator,
						 expressions[i] ? expressions[i] : quote_identifier(column), quote_identifier(column));
		separator = ", ";
	}
	appendStringInfo(&sql, " FROM %s",
					 quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), get_rel_name(relid)));
	warden_internal_sql(sql.data, 0, NULL, NULL, NULL);
	warden_internal_sql(psprintf("GRANT SELECT ON %s TO PUBLIC",
								 quote_qualified_identifier("warden_views", warden_mask_view_name(relid))),
						0, NULL, NULL, NULL);
}

static int
relation_columns(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	int			natts;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "pg_warden: relation %u does not exist", relid);
	natts = ((Form_pg_class) GETSTRUCT(tuple))->relnatts;
	ReleaseSysCache(tuple);
	return natts;
}

void
warden_mask_view_build(Oid relid)
{
	Oid			view = get_relname_relid(warden_mask_view_name(relid), warden_catalog.views);
	bool		masked = refresh_rows(relid);
	int			natts = relation_columns(relid);

	if (OidIsValid(view) && !masked)
		drop_view(view, "RESTRICT");
	if (masked)
		create_view(relid, natts, column_expressions(relid, natts));
	/* plans and facts of the table are to be made anew, in every session */
	CacheInvalidateRelcacheByRelid(relid);
}

/* --- out of the way of DDL --- */

static List *
all_masked(void)
{
	List	   *found = NIL;

	for (int i = 0; i < warden_mask_count; i++)
		found = list_append_unique_oid(found, warden_masks[i].relation);
	return found;
}

/* Masked tables that are the named one, above it or below it. */
static List *
masked_kin(const RangeVar *name)
{
	Oid			relid = name ? RangeVarGetRelid(name, NoLock, true) : InvalidOid;
	List	   *found = NIL;
	ListCell   *cell;

	if (!OidIsValid(relid))
		return NIL;
	foreach(cell, all_masked())
	{
		Oid			masked = lfirst_oid(cell);

		if (masked == relid || warden_is_ancestor(masked, relid) || warden_is_ancestor(relid, masked))
			found = lappend_oid(found, masked);
	}
	return found;
}

/* Does any command change columns, or who owns and where the table is? Others cannot meet a view. */
static bool
meets_columns(AlterTableStmt *stmt)
{
	ListCell   *cell;

	foreach(cell, stmt->cmds)
		switch (((AlterTableCmd *) lfirst(cell))->subtype)
		{
			case AT_ValidateConstraint:
			case AT_SetStatistics:
			case AT_SetOptions:
			case AT_ResetOptions:
			case AT_SetStorage:
			case AT_SetRelOptions:
			case AT_ResetRelOptions:
			case AT_AddConstraint:
			case AT_DropConstraint:
			case AT_AddIndex:
			case AT_ColumnDefault:
			case AT_SetNotNull:
			case AT_DropNotNull:
			case AT_EnableRowSecurity:
			case AT_DisableRowSecurity:
			case AT_ForceRowSecurity:
			case AT_NoForceRowSecurity:
			case AT_AttachPartition:
			case AT_DetachPartition:
			case AT_DetachPartitionFinalize:
			case AT_AddInherit:
			case AT_DropInherit:
			case AT_EnableTrig:
			case AT_DisableTrig:
			case AT_ReplicaIdentity:
				break;
			default:
				return true;
		}
	return false;
}

static List *
concerned(Node *stmt)
{
	ListCell   *cell;
	List	   *found = NIL;

	switch (nodeTag(stmt))
	{
		case T_AlterTableStmt:
			return meets_columns((AlterTableStmt *) stmt) ? masked_kin(((AlterTableStmt *) stmt)->relation) : NIL;
		case T_RenameStmt:
			if (((RenameStmt *) stmt)->relation == NULL)
				return ((RenameStmt *) stmt)->renameType == OBJECT_SCHEMA ? all_masked() : NIL;
			return masked_kin(((RenameStmt *) stmt)->relation);
		case T_AlterObjectSchemaStmt:
			return masked_kin(((AlterObjectSchemaStmt *) stmt)->relation);
		case T_DropStmt:
			if (((DropStmt *) stmt)->removeType == OBJECT_EXTENSION)
				return all_masked();
			if (((DropStmt *) stmt)->removeType != OBJECT_TABLE && ((DropStmt *) stmt)->removeType != OBJECT_MATVIEW &&
				((DropStmt *) stmt)->removeType != OBJECT_FOREIGN_TABLE)
				return ((DropStmt *) stmt)->behavior == DROP_CASCADE ? all_masked() : NIL;
			foreach(cell, ((DropStmt *) stmt)->objects)
				found = list_concat_unique_oid(found, masked_kin(makeRangeVarFromNameList(lfirst(cell))));
			return found;
		case T_DropOwnedStmt:
			return all_masked();
		default:
			return NIL;
	}
}

/* With the tables or the extension themselves, dependents go as the statement says: CASCADE takes them along. */
static bool
takes_dependents(Node *stmt)
{
	return IsA(stmt, DropStmt) && ((DropStmt *) stmt)->behavior == DROP_CASCADE &&
		(((DropStmt *) stmt)->removeType == OBJECT_TABLE || warden_dropping_extension);
}

typedef struct Aside
{
	List	   *relations;
	bool		cascade;
} Aside;

static void
drop_views(void *arg)
{
	Aside	   *aside = arg;
	ListCell   *cell;

	foreach(cell, aside->relations)
	{
		Oid			view;

		/*
		 * The table before its view, in the order of readers, who hold the table when they look at the view. The DDL
		 * that follows takes this lock, or waits for what is in its way, anyhow.
		 */
		LockRelationOid(lfirst_oid(cell), AccessExclusiveLock);
		view = get_relname_relid(warden_mask_view_name(lfirst_oid(cell)), warden_catalog.views);

		if (OidIsValid(view) && (aside->cascade || !has_dependents(view)))
			drop_view(view, aside->cascade ? "CASCADE" : "RESTRICT");
	}
}

static void
rebuild_views(void *arg)
{
	ListCell   *cell;

	foreach(cell, (List *) arg)
	{
		Oid			relid = lfirst_oid(cell);
		Oid			types[1] = {OIDOID};
		Datum		values[1] = {ObjectIdGetDatum(relid)};

		if (get_rel_name(relid) != NULL)
			warden_mask_view_build(relid);
		else
			warden_internal_sql("DELETE FROM warden.mask_policy WHERE relation = $1", 1, types, values, NULL);
	}
	CacheInvalidateRelcacheByRelid(warden_catalog.mask_policy);
}

static bool
may_change(Oid relid)
{
	Oid			user = GetUserId();

	return WARDEN_OWNS_RELATION(relid, user) || WARDEN_OWNS_SCHEMA(get_rel_namespace(relid), user);
}

List *
warden_mask_views_aside(Node *utility)
{
	Aside		aside = {warden_any_masks ? concerned(utility) : NIL, takes_dependents(utility)};
	ListCell   *cell;

	/* the statement will fail for want of privilege: not before it has locked anything */
	foreach(cell, aside.relations)
		if (!may_change(lfirst_oid(cell)))
			aside.relations = foreach_delete_current(aside.relations, cell);
	if (aside.relations != NIL)
		warden_internal_run(drop_views, &aside);
	return aside.relations;
}

void
warden_mask_views_restore(List *relations)
{
	/* DROP EXTENSION has taken the policy along */
	if (relations != NIL && OidIsValid(get_relname_relid("mask_policy", warden_catalog.schema)))
		warden_internal_run(rebuild_views, relations);
}

/* --- children that leave their parent --- */

typedef struct Leaving
{
	Oid			child;
	Oid			parent;
} Leaving;

static void
keep_masks(void *arg)
{
	Leaving    *leaving = arg;
	Oid			types[2] = {OIDOID, OIDOID};
	Datum		values[2] = {ObjectIdGetDatum(leaving->child), ObjectIdGetDatum(leaving->parent)};

	/* what held by inheritance holds by a policy of its own from now on */
	if (warden_internal_sql("INSERT INTO warden.mask_policy "
							"SELECT $1, c.attnum, c.attname, p.method, p.options, p.expression, p.source, p.label, $1 "
							"FROM warden.mask_policy p JOIN pg_attribute a ON a.attrelid = p.relation AND a.attnum = p.attnum "
							"JOIN pg_attribute c ON c.attrelid = $1 AND c.attname = a.attname AND NOT c.attisdropped "
							"WHERE p.relation = $2 OR p.relation IN (WITH RECURSIVE above AS ("
							"SELECT inhparent FROM pg_inherits WHERE inhrelid = $2 UNION "
							"SELECT i.inhparent FROM pg_inherits i JOIN above ON above.inhparent = i.inhrelid) "
							"SELECT inhparent FROM above) ON CONFLICT DO NOTHING", 2, types, values, NULL) > 0)
		warden_mask_view_build(leaving->child);
	CacheInvalidateRelcacheByRelid(warden_catalog.mask_policy);
	if (warden_any_labels)
		warden_labels_keep(leaving->child, leaving->parent);
}

static void
note_leaving(List **leavers, const RangeVar *child, const RangeVar *parent)
{
	Leaving    *leaving = palloc(sizeof(Leaving));

	leaving->child = RangeVarGetRelid(child, NoLock, true);
	leaving->parent = RangeVarGetRelid(parent, NoLock, true);
	if (OidIsValid(leaving->child) && OidIsValid(leaving->parent))
		*leavers = lappend(*leavers, leaving);
}

List *
warden_masks_leaving(Node *utility)
{
	List	   *leavers = NIL;
	ListCell   *cell;

	if ((!warden_any_masks && !warden_any_labels) || !IsA(utility, AlterTableStmt))
		return NIL;
	foreach(cell, ((AlterTableStmt *) utility)->cmds)
	{
		AlterTableCmd *command = lfirst(cell);
		RangeVar   *relation = ((AlterTableStmt *) utility)->relation;

		if (command->subtype == AT_DetachPartition)
			note_leaving(&leavers, ((PartitionCmd *) command->def)->name, relation);
		if (command->subtype == AT_DropInherit)
			note_leaving(&leavers, relation, (RangeVar *) command->def);
	}
	return leavers;
}

void
warden_masks_keep(List *leavers)
{
	ListCell   *cell;

	foreach(cell, leavers)
		warden_internal_run(keep_masks, lfirst(cell));
}
