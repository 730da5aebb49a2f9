/*
 * The roads by which values of masked and labelled columns get into other columns: statements that write, each time they
 * are executed; CREATE TABLE AS, SELECT INTO and CREATE MATERIALIZED VIEW; ALTER TABLE, which may compute a column of
 * others.
 */
#include "lineage.h"

#include "catalog/namespace.h"
#include "commands/prepare.h"
#include "miscadmin.h"
#include "rewrite/rewriteHandler.h"
#include "utils/memutils.h"

static bool
anything_to_inherit(void)
{
	return warden_any_masks || warden_any_labels;
}

/* --- statements that write --- */

static bool
runs_code(void)
{
	return warden_running_function() != NULL || (warden_utility_now != NULL && IsA(warden_utility_now, DoStmt));
}

/*
 * Variables of a PL/pgSQL function are parameters of its statements. A plan for any of their values is made without
 * them: while no function runs, the parameters are the client's.
 */
List *
warden_inflows_planned(Query *query, ParamListInfo params)
{
	WardenLineageOptions options = 0;

	if (likely(!anything_to_inherit()) || (query->commandType == CMD_SELECT && !query->hasModifyingCTE))
		return NIL;
	/* what a foreign key writes, it takes from columns that its table has already */
	if (InNoForceRLSOperation())
		return NIL;
	if (params == NULL ? runs_code() : warden_params_of_plpgsql(params))
		options |= WARDEN_LINEAGE_PARAMETERS;
	return warden_inflows_written(query, options);
}

/* In place of variables, what is in them. */
static void
resolve_parameters(List *inflows, ParamListInfo params)
{
	ListCell   *cell;
	ListCell   *inner;

	foreach(cell, inflows)
	{
		WardenInflow *inflow = lfirst(cell);
		List	   *origins = NIL;

		foreach(inner, inflow->origins)
		{
			WardenOrigin *origin = lfirst(inner);

			if (OidIsValid(origin->relation))
				origins = warden_origin_add(origins, origin);
			else
				origins = warden_origins_of_variable(origins, params, origin);
		}
		inflow->origins = origins;
	}
}

void
warden_copies_start(QueryDesc *query)
{
	MemoryContext caller;
	MemoryContext memory;
	List	   *inflows;

	if (likely(!anything_to_inherit()) || !warden_inflows_are_noted(query->plannedstmt))
		return;
	memory = AllocSetContextCreate(CurrentMemoryContext, "pg_warden copies", ALLOCSET_SMALL_SIZES);
	caller = MemoryContextSwitchTo(memory);
	inflows = warden_inflows_of_plan(query->plannedstmt);
	resolve_parameters(inflows, query->params);
	warden_derive(inflows);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(memory);
}

/* --- statements that make a table of a query --- */

static CreateTableAsStmt *
creation(Node *utility)
{
	Node	   *query;

	if (IsA(utility, CreateTableAsStmt))
		return (CreateTableAsStmt *) utility;
	if (!IsA(utility, ExplainStmt))
		return NULL;
	query = ((ExplainStmt *) utility)->query;
	if (!IsA(query, Query) || ((Query *) query)->utilityStmt == NULL)
		return NULL;
	return creation(((Query *) query)->utilityStmt);
}

static Oid
created_relation(CreateTableAsStmt *stmt)
{
	RangeVar   *name = stmt->into->rel;

	return get_relname_relid(name->relname, RangeVarGetCreationNamespace(name));
}

static bool
is_execution(const CreateTableAsStmt *stmt)
{
	return ((Query *) stmt->query)->commandType == CMD_UTILITY;
}

/* What is in a materialized view may be made anew, with other eyes. */
static WardenLineageOptions
eyes(const CreateTableAsStmt *stmt)
{
	return stmt->objtype == OBJECT_MATVIEW ? WARDEN_LINEAGE_ANYBODY : 0;
}

static List *
inflows_of_queries(List *queries, WardenLineageOptions options)
{
	List	   *inflows = NIL;
	ListCell   *cell;

	foreach(cell, queries)
		inflows = list_concat(inflows, warden_inflows_of_result(lfirst(cell), options));
	return inflows;
}

static List *
inflows_of_prepared(const ExecuteStmt *stmt)
{
	PreparedStatement *prepared = FetchPreparedStatement(stmt->name, false);

	return prepared != NULL ? inflows_of_queries(prepared->plansource->query_list, 0) : NIL;
}

static void
begin_creation(WardenCopy *copy, CreateTableAsStmt *stmt)
{
	if (!IsA(stmt->query, Query) || OidIsValid(created_relation(stmt)))
		return;
	copy->created = stmt;
	if (!is_execution(stmt))
		copy->inflows = inflows_of_queries(QueryRewrite(copyObject((Query *) stmt->query)), eyes(stmt));
}

static void
end_creation(WardenCopy *copy)
{
	Oid			relation = created_relation(copy->created);
	ListCell   *cell;

	if (!OidIsValid(relation))
		return;					/* EXPLAIN has only looked at it */
	/* what was prepared is up to date now that it has been executed */
	if (is_execution(copy->created))
		copy->inflows = inflows_of_prepared((ExecuteStmt *) ((Query *) copy->created->query)->utilityStmt);
	foreach(cell, copy->inflows)
		((WardenInflow *) lfirst(cell))->target = relation;
	warden_derive(copy->inflows);
}

/* --- ALTER TABLE --- */

/* ALTER COLUMN … TYPE … USING: what the expression names. */
static void
begin_retyping(WardenCopy *copy, AlterTableCmd *command)
{
	Node	   *expression = ((ColumnDef *) command->def)->raw_default;
	WardenInflow *inflow = palloc0(sizeof(WardenInflow));
	bool		whole_row = false;
	ListCell   *cell;
	List	   *columns;

	inflow->target = copy->altered;
	inflow->column = get_attnum(copy->altered, command->name);
	if (expression == NULL || inflow->column <= 0)
		return;
	columns = warden_expression_columns(copy->altered, expression, &whole_row);
	if (whole_row)
		for (int column = 1; column <= warden_relation(copy->altered)->object.column_count; column++)
			columns = list_append_unique_int(columns, column);
	foreach(cell, columns)
		inflow->origins = warden_origin_of_column(inflow->origins, copy->altered, (AttrNumber) lfirst_int(cell),
												  WARDEN_FLOW_CHANGED, WARDEN_LINEAGE_ANYBODY);
	copy->inflows = lappend(copy->inflows, inflow);
}

static void
begin_alteration(WardenCopy *copy, AlterTableStmt *stmt)
{
	Oid			relid = stmt->objtype == OBJECT_TABLE ? RangeVarGetRelid(stmt->relation, NoLock, true) : InvalidOid;
	WardenRelation *relation = OidIsValid(relid) ? warden_relation(relid) : NULL;
	ListCell   *cell;

	if (relation == NULL || relation->sensitive_count == 0)
		return;
	copy->altered = relid;
	foreach(cell, stmt->cmds)
		if (lfirst_node(AlterTableCmd, cell)->subtype == AT_AlterColumnType)
			begin_retyping(copy, lfirst(cell));
}

/* --- */

void
warden_copy_begin(WardenCopy *copy, Node *utility)
{
	CreateTableAsStmt *stmt;

	*copy = (WardenCopy) {0};
	if (!anything_to_inherit())
		return;
	if (IsA(utility, AlterTableStmt))
		begin_alteration(copy, (AlterTableStmt *) utility);
	else if ((stmt = creation(utility)) != NULL)
		begin_creation(copy, stmt);
}

void
warden_copy_end(WardenCopy *copy)
{
	if (copy->created != NULL)
		end_creation(copy);
	if (!OidIsValid(copy->altered) || get_rel_name(copy->altered) == NULL)
		return;
	warden_derive(copy->inflows);
	warden_derive_dependents(copy->altered);
}
