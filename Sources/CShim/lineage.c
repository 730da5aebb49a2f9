/*
 * Lineage of what a query gives and stores: the columns, masked or labelled, whose values are in it. Every place where
 * a value is stored is followed back through the query tree, after rewriting, when views are in it: through subqueries,
 * CTEs, joins, set operations, VALUES, rows and what data-changing CTEs return, down to columns of relations. Swift says
 * what of a value gets through each step. Conditions are not followed: which rows are there is no value.
 */
#include "lineage.h"

#include "access/sysattr.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/fmgroids.h"

/* A query that has to be followed further than this is refused. */
#define STEPS 50000

typedef struct Scope
{
	Query	   *query;
	struct Scope *outer;
	/* what is followed is what the query returns of its changes, and so the rows as they are after them */
	bool		returning;
} Scope;

typedef struct Walk
{
	Scope	   *scope;			/* whose range table Vars of level 0 refer to */
	WardenFlow	flow;			/* what arrives of what is looked at */
	WardenPassage passage;		/* of the node whose inputs are looked at */
	bool		answers;		/* that node is boolean: it tests inputs that are not */
	WardenLineageOptions options;
	List	   *origins;
	List	   *ctes;			/* being followed: a recursive one leads to itself */
	int			steps;
} Walk;

static bool collect(Node *node, Walk *walk);
static void collect_column(Query *query, Scope *outer, AttrNumber attno, Walk *walk);

/* --- origins --- */

List *
warden_origin_add(List *origins, const WardenOrigin *added)
{
	WardenOrigin *origin;
	ListCell   *cell;

	if (added->flow == WARDEN_FLOW_NONE)
		return origins;
	foreach(cell, origins)
	{
		origin = lfirst(cell);
		if (origin->relation != added->relation || origin->column != added->column || origin->field != added->field)
			continue;
		origin->flow = Min(origin->flow, added->flow);
		return origins;
	}
	origin = palloc(sizeof(WardenOrigin));
	*origin = *added;
	return lappend(origins, origin);
}

static bool
is_among(const int16_t *columns, int count, AttrNumber column)
{
	for (int i = 0; i < count; i++)
		if (columns[i] == column)
			return true;
	return false;
}

static bool
is_seen_masked(WardenRelation *relation, AttrNumber column)
{
	bool		masked[MaxHeapAttributeNumber];

	if (!is_among(relation->masked, relation->masked_count, column) || !warden_columns_masked(relation, masked))
		return false;
	for (int i = 0; i < relation->masked_count; i++)
		if (relation->masked[i] == column)
			return masked[i];
	return false;
}

List *
warden_origin_of_column(List *origins, Oid relid, AttrNumber column, WardenFlow flow, WardenLineageOptions options)
{
	WardenRelation *relation = warden_relation(relid);
	bool		boolean;

	if (relation == NULL || !is_among(relation->sensitive, relation->sensitive_count, column))
		return origins;
	if (!(options & WARDEN_LINEAGE_ANYBODY) && is_seen_masked(relation, column))
		return origins;
	boolean = getBaseType(get_atttype(relid, column)) == BOOLOID;
	SWIFT_GET(flow, warden_flow_from(flow, boolean));
	return warden_origin_add(origins, &(WardenOrigin) {.relation = relid, .column = column, .flow = flow});
}

/* --- the way --- */

static void
count_step(Walk *walk)
{
	check_stack_depth();
	if (++walk->steps > STEPS)
		ereport(ERROR,
				(errcode(ERRCODE_STATEMENT_TOO_COMPLEX),
				 errmsg("statement is too complex to tell what of labelled or masked columns it would store"),
				 errhint("Split it into smaller ones.")));
}

static void
collect_through(WardenPassage passage, Node *node, Walk *walk)
{
	WardenFlow	flow = walk->flow;

	SWIFT_GET(walk->flow, warden_flow_through(flow, passage));
	if (walk->flow != WARDEN_FLOW_NONE)
		(void) collect(node, walk);
	walk->flow = flow;
}

static void
collect_in(Scope *scope, Node *node, Walk *walk)
{
	Scope	   *caller = walk->scope;

	walk->scope = scope;
	(void) collect(node, walk);
	walk->scope = caller;
}

/* --- columns of queries and of what stands in a range table --- */

/* The expressions of a list at that place; 0: all of them. */
static void
collect_items(List *items, Scope *scope, AttrNumber attno, Walk *walk)
{
	ListCell   *cell;

	foreach(cell, items)
		if (attno == 0 || foreach_current_index(cell) + 1 == attno)
			collect_in(scope, lfirst(cell), walk);
}

static void
collect_entries(List *entries, Scope *scope, AttrNumber attno, Walk *walk)
{
	ListCell   *cell;

	foreach(cell, entries)
	{
		TargetEntry *entry = lfirst(cell);

		if (!entry->resjunk && (attno == 0 || entry->resno == attno))
			collect_in(scope, (Node *) entry->expr, walk);
	}
}

/* The column of a result; 0: all of them. The parts of a UNION are subqueries of the query. */
static void
collect_column(Query *query, Scope *outer, AttrNumber attno, Walk *walk)
{
	Scope		inner = {query, outer, query->commandType != CMD_SELECT};
	ListCell   *cell;

	count_step(walk);
	if (query->setOperations == NULL)
		collect_entries(inner.returning ? query->returningList : query->targetList, &inner, attno, walk);
	else
		foreach(cell, query->rtable)
		{
			RangeTblEntry *rte = lfirst(cell);

			if (rte->rtekind == RTE_SUBQUERY)
				collect_column(rte->subquery, &inner, attno, walk);
		}
}

static void
collect_cte(RangeTblEntry *rte, Scope *scope, AttrNumber attno, Walk *walk)
{
	ListCell   *cell;

	for (Index level = rte->ctelevelsup; level > 0 && scope != NULL; level--)
		scope = scope->outer;
	if (scope == NULL)
		return;
	foreach(cell, scope->query->cteList)
	{
		CommonTableExpr *cte = lfirst(cell);

		if (strcmp(cte->ctename, rte->ctename) != 0 || list_member_ptr(walk->ctes, cte))
			continue;
		walk->ctes = lappend(walk->ctes, cte);
		collect_column((Query *) cte->ctequery, scope, attno, walk);
		walk->ctes = list_delete_last(walk->ctes);
		return;
	}
}

/* What is stored into a column of the relation that the query changes. */
static void
collect_written(Scope *scope, AttrNumber attno, Walk *walk)
{
	Scope		before = {scope->query, scope->outer, false};
	Query	   *query = scope->query;
	ListCell   *cell;

	count_step(walk);
	if (query->commandType == CMD_INSERT || query->commandType == CMD_UPDATE)
		collect_entries(query->targetList, &before, attno, walk);
	if (query->onConflict != NULL)
		collect_entries(query->onConflict->onConflictSet, &before, attno, walk);
	foreach(cell, query->mergeActionList)
		collect_entries(lfirst_node(MergeAction, cell)->targetList, &before, attno, walk);
}

static void
collect_relation(RangeTblEntry *rte, int varno, Scope *scope, AttrNumber attno, Walk *walk)
{
	Query	   *query = scope->query;
	WardenRelation *relation;

	if (query->onConflict != NULL && query->onConflict->exclRelIndex == varno)
	{
		Scope		before = {query, scope->outer, false};

		collect_entries(query->targetList, &before, attno, walk);
		return;
	}
	if (scope->returning && query->resultRelation == varno)
		collect_written(scope, attno, walk);
	if (attno != 0)
	{
		walk->origins = warden_origin_of_column(walk->origins, rte->relid, attno, walk->flow, walk->options);
		return;
	}
	relation = warden_relation(rte->relid);
	for (int column = 1; relation != NULL && column <= (int) relation->object.column_count; column++)
	{
		walk->origins = warden_origin_of_column(walk->origins, rte->relid, (AttrNumber) column, walk->flow, walk->options);
		relation = warden_relation(rte->relid);
	}
}

/* In a masking view each column that is not read as it is is a mask: nothing real comes out of it. */
static void
collect_masking_view(Query *body, Scope *scope, AttrNumber attno, Walk *walk)
{
	Scope		inner = {body, scope, false};
	ListCell   *cell;

	foreach(cell, body->targetList)
	{
		TargetEntry *entry = lfirst(cell);

		if (IsA(entry->expr, Var) && (attno == 0 || entry->resno == attno))
			collect_in(&inner, (Node *) entry->expr, walk);
	}
}

static void
collect_subquery(RangeTblEntry *rte, Scope *scope, AttrNumber attno, Walk *walk)
{
	Oid			view = rte->subquery != NULL ? WARDEN_VIEW_OF(rte) : InvalidOid;

	if (rte->subquery == NULL)
		return;
	if (OidIsValid(view) && get_rel_namespace(view) == warden_catalog.views)
		collect_masking_view(rte->subquery, scope, attno, walk);
	else
		collect_column(rte->subquery, scope, attno, walk);
}

/* What a column of something in the range table stands for. */
static void
collect_behind(RangeTblEntry *rte, int varno, Scope *scope, AttrNumber attno, Walk *walk)
{
	ListCell   *cell;

	count_step(walk);
	if (attno < 0)
		return;
	switch (rte->rtekind)
	{
		case RTE_RELATION:
			collect_relation(rte, varno, scope, attno, walk);
			break;
		case RTE_JOIN:
			collect_items(rte->joinaliasvars, scope, attno, walk);
			break;
		case RTE_SUBQUERY:
			collect_subquery(rte, scope, attno, walk);
			break;
		case RTE_CTE:
			collect_cte(rte, scope, attno, walk);
			break;
		case RTE_VALUES:
			foreach(cell, rte->values_lists)
				collect_items(lfirst(cell), scope, attno, walk);
			break;
		case RTE_FUNCTION:
			foreach(cell, rte->functions)
				collect_in(scope, lfirst_node(RangeTblFunction, cell)->funcexpr, walk);
			break;
		case RTE_TABLEFUNC:
			collect_in(scope, (Node *) rte->tablefunc, walk);
			break;
		default:
			collect_items(WARDEN_GROUP_EXPRESSIONS(rte), scope, attno, walk);
			break;
	}
}

static Scope *
scope_above(const Walk *walk, Index levels)
{
	Scope	   *scope = walk->scope;

	for (; levels > 0 && scope != NULL; levels--)
		scope = scope->outer;
	return scope;
}

static void
collect_var(const Var *var, AttrNumber attno, Walk *walk)
{
	Scope	   *scope = scope_above(walk, var->varlevelsup);
	WardenFlow	flow = walk->flow;

	if (scope == NULL || var->varno < 1 || var->varno > list_length(scope->query->rtable))
		return;
	/* a whole row is put together of its columns */
	if (attno == 0)
		SWIFT_GET(walk->flow, warden_flow_through(flow, WARDEN_PASSAGE_WORK));
	collect_behind(rt_fetch(var->varno, scope->query->rtable), var->varno, scope, attno, walk);
	walk->flow = flow;
}

/* --- expressions --- */

/* SET (a, b) = (SELECT …): the subquery is an entry of the target list of its own. */
static void
collect_multiple(const Param *param, Walk *walk)
{
	ListCell   *cell;

	foreach(cell, walk->scope->query->targetList)
	{
		SubLink    *link = (SubLink *) lfirst_node(TargetEntry, cell)->expr;

		if (IsA(link, SubLink) && link->subLinkType == MULTIEXPR_SUBLINK && link->subLinkId == param->paramid >> 16)
			collect_column((Query *) link->subselect, walk->scope, (AttrNumber) (param->paramid & 0xFFFF), walk);
	}
}

static void
collect_param(const Param *param, int field, Walk *walk)
{
	if (param->paramkind == PARAM_EXTERN && (walk->options & WARDEN_LINEAGE_PARAMETERS))
		walk->origins = warden_origin_add(walk->origins, &(WardenOrigin) {.column = param->paramid, .field = field,
										  .flow = walk->flow});
	else if (param->paramkind == PARAM_MULTIEXPR && walk->scope != NULL)
		collect_multiple(param, walk);
}

static void
collect_sublink(SubLink *link, Walk *walk)
{
	/* others answer whether there is a row, or one that equals something */
	if (link->subLinkType == EXPR_SUBLINK || link->subLinkType == ARRAY_SUBLINK)
		collect_column((Query *) link->subselect, walk->scope, 1, walk);
	else if (link->testexpr != NULL)
		collect_through(WARDEN_PASSAGE_TEST, link->testexpr, walk);
}

/* Functions of the server's whose result is one of the values that go in, or an array of them. */
static WardenPassage
passage_of(Oid function)
{
	static const char *const values[] = {"min", "max", "any_value", "array_agg", "unnest", "lag", "lead", "first_value",
	"last_value", "nth_value"};
	char	   *name;

	if (function == F_COUNT_ || function == F_COUNT_ANY)
		return WARDEN_PASSAGE_COUNT;
	if (function >= FirstNormalObjectId || (name = get_func_name(function)) == NULL)
		return WARDEN_PASSAGE_WORK;
	for (int i = 0; i < (int) lengthof(values); i++)
		if (strcmp(name, values[i]) == 0)
			return WARDEN_PASSAGE_VALUE;
	return WARDEN_PASSAGE_WORK;
}

static bool
collect_input(Node *node, Walk *walk)
{
	if (node == NULL)
		return false;
	if (IsA(node, List))
		return expression_tree_walker(node, collect_input, walk);
	if (IsA(node, TargetEntry))
		return collect_input((Node *) ((TargetEntry *) node)->expr, walk);
	collect_through(walk->answers && exprType(node) != BOOLOID ? WARDEN_PASSAGE_TEST : walk->passage, node, walk);
	return false;
}

static void
collect_inputs(List *inputs, WardenPassage passage, bool answers, Walk *walk)
{
	WardenPassage outer = walk->passage;
	bool		answered = walk->answers;

	walk->passage = passage;
	walk->answers = answers;
	(void) collect_input((Node *) inputs, walk);
	walk->passage = outer;
	walk->answers = answered;
}

static void
collect_call(FuncExpr *call, Walk *walk)
{
	WardenFunction *function = call->funcid >= FirstNormalObjectId ? warden_function(call->funcid) : NULL;
	bool		cast = call->funcformat != COERCE_EXPLICIT_CALL;

	/* what a mask gives is masked */
	if (function != NULL && function->is_mask)
		return;
	collect_inputs(call->args, cast && function == NULL ? WARDEN_PASSAGE_VALUE : passage_of(call->funcid),
				   !cast && call->funcresulttype == BOOLOID, walk);
}

static void
collect_case(CaseExpr *expression, Walk *walk)
{
	ListCell   *cell;

	/* CASE value WHEN … is a table of its values */
	if (expression->arg != NULL)
		collect_through(WARDEN_PASSAGE_WORK, (Node *) expression->arg, walk);
	foreach(cell, expression->args)
	{
		CaseWhen   *when = lfirst(cell);

		collect_through(WARDEN_PASSAGE_TEST, (Node *) when->expr, walk);
		(void) collect((Node *) when->result, walk);
	}
	(void) collect((Node *) expression->defresult, walk);
}

/* A column of a whole row is that column. */
static void
collect_field(FieldSelect *select, Walk *walk)
{
	Var		   *row = (Var *) select->arg;

	if (IsA(row, Var) && row->varattno == 0)
		collect_var(row, select->fieldnum, walk);
	else if (IsA(row, Param))
		collect_param((Param *) row, select->fieldnum, walk);
	else
		collect_through(WARDEN_PASSAGE_WORK, (Node *) select->arg, walk);
}

static bool
collect_worked(Node *node, Walk *walk)
{
	if (node != NULL && IsA(node, List))
		return expression_tree_walker(node, collect_worked, walk);
	if (node != NULL)
		collect_through(WARDEN_PASSAGE_WORK, node, walk);
	return false;
}

/* What only hands on, by the node's kind; true where it was one of these. */
static bool
collect_handed_on(Node *node, Walk *walk)
{
	switch (nodeTag(node))
	{
		case T_RelabelType:
		case T_CoerceViaIO:
		case T_CoerceToDomain:
		case T_CollateExpr:
		case T_CoalesceExpr:
		case T_MinMaxExpr:
		case T_ArrayExpr:
		case T_List:
		case T_TargetEntry:
			return expression_tree_walker(node, collect, walk), true;
		case T_ArrayCoerceExpr:
			return collect((Node *) ((ArrayCoerceExpr *) node)->arg, walk), true;
		case T_NullIfExpr:
			return collect(linitial(((NullIfExpr *) node)->args), walk), true;
		default:
			return false;
	}
}

/* Operators and calls; true where it was one of these. */
static bool
collect_computed(Node *node, Walk *walk)
{
	switch (nodeTag(node))
	{
		case T_FuncExpr:
			collect_call((FuncExpr *) node, walk);
			return true;
		case T_Aggref:
			collect_inputs(((Aggref *) node)->args, passage_of(((Aggref *) node)->aggfnoid), false, walk);
			collect_inputs(((Aggref *) node)->aggdirectargs, WARDEN_PASSAGE_WORK, false, walk);
			return true;
		case T_WindowFunc:
			collect_inputs(((WindowFunc *) node)->args, passage_of(((WindowFunc *) node)->winfnoid), false, walk);
			return true;
		case T_OpExpr:
		case T_DistinctExpr:
			collect_inputs(((OpExpr *) node)->args, WARDEN_PASSAGE_WORK, ((OpExpr *) node)->opresulttype == BOOLOID, walk);
			return true;
		case T_ScalarArrayOpExpr:
			collect_inputs(((ScalarArrayOpExpr *) node)->args, WARDEN_PASSAGE_WORK, true, walk);
			return true;
		case T_RowCompareExpr:
			collect_inputs(((RowCompareExpr *) node)->largs, WARDEN_PASSAGE_WORK, true, walk);
			collect_inputs(((RowCompareExpr *) node)->rargs, WARDEN_PASSAGE_WORK, true, walk);
			return true;
		default:
			return false;
	}
}

static bool
collect(Node *node, Walk *walk)
{
	if (node == NULL)
		return false;
	count_step(walk);
	if (IsA(node, Var))
		collect_var((Var *) node, ((Var *) node)->varattno, walk);
	else if (IsA(node, Param))
		collect_param((Param *) node, 0, walk);
	else if (IsA(node, SubLink))
		collect_sublink((SubLink *) node, walk);
	else if (IsA(node, CaseExpr))
		collect_case((CaseExpr *) node, walk);
	else if (IsA(node, FieldSelect))
		collect_field((FieldSelect *) node, walk);
	/* whether it is there */
	else if (!IsA(node, NullTest) && !IsA(node, Query) && !collect_handed_on(node, walk) && !collect_computed(node, walk))
		return expression_tree_walker(node, collect_worked, walk);
	return false;
}

/* --- what is asked for --- */

/* Could anything come of it? Parameters may bring something along. */
static bool
may_carry(Node *node, WardenLineageOptions *options)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param))
		return ((Param *) node)->paramkind == PARAM_EXTERN && (*options & WARDEN_LINEAGE_PARAMETERS);
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;
		WardenRelation *relation = rte->rtekind == RTE_RELATION ? warden_relation(rte->relid) : NULL;

		return relation != NULL && relation->sensitive_count > 0;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, may_carry, options, QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, may_carry, options);
}

static bool
anything_to_carry(Query *query, WardenLineageOptions options)
{
	return (warden_any_masks || warden_any_labels) && may_carry((Node *) query, &options);
}

static List *
origins_of(Scope *scope, Node *expression, WardenLineageOptions options)
{
	Walk		walk = {.scope = scope, .flow = WARDEN_FLOW_WHOLE, .options = options};

	(void) collect(expression, &walk);
	return walk.origins;
}

List *
warden_origins_of_column(Query *query, AttrNumber column, WardenLineageOptions options)
{
	Walk		walk = {.flow = WARDEN_FLOW_WHOLE, .options = options};

	collect_column(query, NULL, column, &walk);
	return walk.origins;
}

List *
warden_origins_of_expression(Node *expression, Oid relation)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	Query	   *query = makeNode(Query);
	Scope		scope = {query, NULL, false};

	rte->rtekind = RTE_RELATION;
	rte->relid = relation;
	query->commandType = CMD_SELECT;
	query->rtable = list_make1(rte);
	return origins_of(&scope, expression, WARDEN_LINEAGE_ANYBODY);
}

static List *
add_inflow(List *inflows, Oid target, AttrNumber column, List *origins)
{
	WardenInflow *inflow;

	if (origins == NIL)
		return inflows;
	inflow = palloc(sizeof(WardenInflow));
	*inflow = (WardenInflow) {target, column, origins};
	return lappend(inflows, inflow);
}

static List *
add_entries(List *inflows, List *entries, Scope *scope, Oid target, WardenLineageOptions options)
{
	ListCell   *cell;

	foreach(cell, entries)
	{
		TargetEntry *entry = lfirst(cell);

		if (!entry->resjunk)
			inflows = add_inflow(inflows, target, entry->resno, origins_of(scope, (Node *) entry->expr, options));
	}
	return inflows;
}

static List *
add_changes(List *inflows, Query *query, Scope *outer, WardenLineageOptions options)
{
	Scope		scope = {query, outer, false};
	Oid			target;
	ListCell   *cell;

	if (query->resultRelation < 1 || query->resultRelation > list_length(query->rtable) ||
		query->commandType == CMD_DELETE)
		return inflows;
	target = rt_fetch(query->resultRelation, query->rtable)->relid;
	if (query->commandType != CMD_MERGE)
		inflows = add_entries(inflows, query->targetList, &scope, target, options);
	if (query->onConflict != NULL)
		inflows = add_entries(inflows, query->onConflict->onConflictSet, &scope, target, options);
	foreach(cell, query->mergeActionList)
		inflows = add_entries(inflows, lfirst_node(MergeAction, cell)->targetList, &scope, target, options);
	return inflows;
}

List *
warden_inflows_written(Query *query, WardenLineageOptions options)
{
	Scope		scope = {query, NULL, false};
	List	   *inflows = NIL;
	ListCell   *cell;

	if ((query->resultRelation == 0 && !query->hasModifyingCTE) || !anything_to_carry(query, options))
		return NIL;
	inflows = add_changes(NIL, query, NULL, options);
	foreach(cell, query->cteList)
	{
		Query	   *inner = (Query *) lfirst_node(CommonTableExpr, cell)->ctequery;

		if (query->hasModifyingCTE && IsA(inner, Query))
			inflows = add_changes(inflows, inner, &scope, options);
	}
	return inflows;
}

List *
warden_inflows_of_result(Query *query, WardenLineageOptions options)
{
	List	   *inflows = NIL;
	AttrNumber	column = 0;
	ListCell   *cell;

	if (!anything_to_carry(query, options))
		return NIL;
	foreach(cell, query->commandType == CMD_SELECT ? query->targetList : query->returningList)
	{
		TargetEntry *entry = lfirst(cell);

		if (!entry->resjunk)
			inflows = add_inflow(inflows, InvalidOid, ++column, warden_origins_of_column(query, entry->resno, options));
	}
	return inflows;
}
