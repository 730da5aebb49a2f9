/*
 * Changes of masked tables by those who see masks. A relation that is changed cannot become a subquery: what a statement
 * returns of it is masked in place; reading its masked columns for anything else (conditions, new values, conflicts) is
 * refused. So is storing what was shown: a masked value never replaces a real one.
 */
#include "masking.h"
#include "mask_call.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parse_func.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/typcache.h"

PG_FUNCTION_INFO_V1(warden_sql_mask_write_check);

/* A relation that a query changes, and that the session sees masked. */
typedef struct ChangedRelation
{
	Index		rti;
	int			level;
	const WardenRelation *relation;
	const bool *masked;
	AttrNumber	read;			/* out: a masked column that is read; 0 = the whole row */
} ChangedRelation;

static void
raise_masked_write(const WardenPlanning *planning, Query *query, const ChangedRelation *changed, WardenMaskedWrite why)
{
	WardenVerdict verdict;
	WardenRecorded recorded = {.position = -1};
	WardenFacts facts;
	WardenSource source;
	const WardenObject *object = &changed->relation->object;

	warden_facts_begin(&facts, GetCommandTagName(CreateCommandTag((Node *) query)));
	(void) warden_facts_access(&facts, object, warden_command_class(query->commandType));
	warden_source(&source, planning->text, query->stmt_location, query->stmt_len, query->queryId);
	warden_redaction_apply(&source, &planning->redaction);
	SWIFT(warden_masked_write(object, changed->read, why, false, warden_texts(), &verdict));
	warden_audit_start(&recorded, &facts, &verdict, &source);
	warden_failure_told();
	if (warden_facts_hide(&facts))
		SWIFT(warden_masked_write(object, changed->read, why, true, warden_texts(), &verdict));
	warden_raise(&verdict);
}

static bool
is_var_of(Node *node, const ChangedRelation *changed)
{
	return IsA(node, Var) && ((Var *) node)->varno == (int) changed->rti &&
		(int) ((Var *) node)->varlevelsup == changed->level;
}

static bool
reads_masked(Node *node, ChangedRelation *changed)
{
	if (node == NULL)
		return false;
	if (is_var_of(node, changed))
	{
		changed->read = ((Var *) node)->varattno;
		return changed->read == 0 || warden_column_is_masked(changed->relation, changed->masked, changed->read);
	}
	if (IsA(node, Query))
	{
		bool		result;

		changed->level++;
		result = query_tree_walker((Query *) node, reads_masked, changed, 0);
		changed->level--;
		return result;
	}
	return expression_tree_walker(node, reads_masked, changed);
}

static bool
query_reads_masked(Query *query, ChangedRelation *changed)
{
	OnConflictExpr *conflict = query->onConflict;

	return reads_masked((Node *) query->targetList, changed) || reads_masked((Node *) query->jointree, changed) ||
		reads_masked((Node *) query->mergeActionList, changed) || reads_masked(WARDEN_MERGE_CONDITION(query), changed) ||
		(conflict && (reads_masked((Node *) conflict->onConflictSet, changed) ||
					  reads_masked(conflict->onConflictWhere, changed)));
}

bool
warden_write_reads_masked(Query *query, const WardenRelation *relation, const bool *masked, AttrNumber *column)
{
	ChangedRelation changed = {.rti = (Index) query->resultRelation, .relation = relation, .masked = masked};
	bool		reads = query_reads_masked(query, &changed);

	*column = changed.read;
	return reads;
}

static void
refuse_reads(Query *query, ChangedRelation *changed, const WardenPlanning *planning)
{
	if (query_reads_masked(query, changed))
		raise_masked_write(planning, query, changed, WARDEN_MASKED_WRITE_READS);
}

/* --- conflicts: whether there is one tells that a real value exists --- */

static bool
index_covers_masked(Oid indexid, Oid table, ChangedRelation *changed)
{
	Relation	index = index_open(indexid, AccessShareLock);
	Bitmapset  *columns = NULL;
	int			column = -1;
	bool		found = false;

	if (index->rd_index->indisunique || index->rd_index->indisexclusion)
	{
		for (int i = 0; i < index->rd_index->indnkeyatts; i++)
			columns = bms_add_member(columns, index->rd_index->indkey.values[i] - FirstLowInvalidHeapAttributeNumber);
		pull_varattnos((Node *) RelationGetIndexExpressions(index), 1, &columns);
		pull_varattnos((Node *) RelationGetIndexPredicate(index), 1, &columns);
	}
	while (!found && (column = bms_next_member(columns, column)) >= 0)
	{
		AttrNumber	attno = (AttrNumber) (column + FirstLowInvalidHeapAttributeNumber);
		char	   *name = attno > 0 ? get_attname(table, attno, true) : NULL;

		/* partitions number their columns as they like */
		changed->read = name ? get_attnum(changed->relation->oid, name) : 0;
		found = changed->read > 0 && warden_column_is_masked(changed->relation, changed->masked, changed->read);
	}
	index_close(index, AccessShareLock);
	return found;
}

static bool
any_index_covers_masked(ChangedRelation *changed)
{
	List	   *tables = list_make1_oid(changed->relation->oid);
	ListCell   *table;
	ListCell   *cell;

	/* partitions may have unique indexes that their parent does not have */
	if (changed->relation->relkind == RELKIND_PARTITIONED_TABLE)
		tables = find_all_inheritors(changed->relation->oid, AccessShareLock, NULL);
	foreach(table, tables)
	{
		Relation	rel = table_open(lfirst_oid(table), AccessShareLock);
		List	   *indexes = RelationGetIndexList(rel);
		bool		found = false;

		foreach(cell, indexes)
			found = found || index_covers_masked(lfirst_oid(cell), lfirst_oid(table), changed);
		table_close(rel, NoLock);
		if (found)
			return true;
	}
	return false;
}

static void
refuse_conflicts(Query *query, ChangedRelation *changed, const WardenPlanning *planning)
{
	OnConflictExpr *conflict = query->onConflict;
	bool		tells;

	if (conflict == NULL)
		return;
	if (OidIsValid(conflict->constraint))
		tells = index_covers_masked(get_constraint_index(conflict->constraint), changed->relation->oid, changed);
	else if (conflict->arbiterElems != NIL)
		tells = reads_masked((Node *) conflict->arbiterElems, changed) || reads_masked(conflict->arbiterWhere, changed);
	else
		tells = any_index_covers_masked(changed);
	if (tells)
		raise_masked_write(planning, query, changed, WARDEN_MASKED_WRITE_CONFLICT);
}

/* --- where a new value comes from --- */

/* A query and those around it. */
typedef struct Scope
{
	Query	   *query;
	const struct Scope *above;
} Scope;

typedef struct Trace
{
	const Scope *scope;
	List	   *ctes;			/* those that were looked into: recursive ones refer to themselves */
} Trace;

static bool shows_masked(Node *node, Trace *trace);

/* A reference that was redirected, or a masking view by its own name. */
static bool
is_masking(const Query *query)
{
	ListCell   *cell;
	int			length;

	foreach(cell, query->rtable)
	{
		RangeTblEntry *rte = lfirst(cell);

		if (rte->rtekind == RTE_RELATION && warden_stamp(rte, WARDEN_STAMP_MASK, &length) != NULL)
			return true;
	}
	return false;
}

/* Column `attno` of what the query gives; 0: any. */
static bool
output_shows_masked(Query *query, const Scope *above, AttrNumber attno, Trace *trace)
{
	Scope		scope = {query, above};
	const Scope *outside = trace->scope;
	bool		masking = is_masking(query);
	bool		found = false;
	ListCell   *cell;

	check_stack_depth();
	trace->scope = &scope;
	foreach(cell, query->returningList != NIL ? query->returningList : query->targetList)
	{
		TargetEntry *entry = lfirst(cell);

		if (entry->resjunk || (attno != 0 && entry->resno != attno))
			continue;
		found = found || (masking ? !IsA(entry->expr, Var) : shows_masked((Node *) entry->expr, trace));
	}
	if (query->setOperations != NULL)
		foreach(cell, query->rtable)
		{
			RangeTblEntry *rte = lfirst(cell);

			if (rte->rtekind == RTE_SUBQUERY)
				found = found || output_shows_masked(rte->subquery, &scope, attno, trace);
		}
	trace->scope = outside;
	return found;
}

static const Scope *
scope_above(const Scope *scope, Index levels)
{
	while (levels-- > 0 && scope != NULL)
		scope = scope->above;
	if (scope == NULL)
		elog(ERROR, "pg_warden: a column of a query that is not there");
	return scope;
}

static bool
cte_shows_masked(RangeTblEntry *rte, AttrNumber attno, const Scope *scope, Trace *trace)
{
	const Scope *home = scope_above(scope, rte->ctelevelsup);
	ListCell   *cell;

	foreach(cell, home->query->cteList)
	{
		CommonTableExpr *cte = lfirst(cell);

		if (strcmp(cte->ctename, rte->ctename) != 0)
			continue;
		if (rte->self_reference && list_member_ptr(trace->ctes, cte))
			return false;
		trace->ctes = lappend(trace->ctes, cte);
		return output_shows_masked(castNode(Query, cte->ctequery), home, attno, trace);
	}
	return true;
}

/* Of a relation that is not redirected: one that its query changes. */
static bool
relation_shows_masked(const Query *query, RangeTblEntry *rte, const Var *var, Trace *trace)
{
	bool		masked[MaxHeapAttributeNumber];
	WardenRelation *relation;
	ListCell   *cell;

	if (query->onConflict != NULL && query->onConflict->exclRelIndex == var->varno)
	{
		foreach(cell, query->targetList)
			if ((var->varattno == 0 || lfirst_node(TargetEntry, cell)->resno == var->varattno) &&
				shows_masked((Node *) lfirst_node(TargetEntry, cell)->expr, trace))
				return true;
		return false;
	}
	if (query->resultRelation != var->varno)
		return false;
	relation = warden_relation(rte->relid);
	return relation != NULL && relation->maskable && warden_columns_masked(relation, masked) &&
		(var->varattno == 0 || warden_column_is_masked(relation, masked, var->varattno));
}

/* The entry of a list that an attribute number names, or the whole list. */
static Node *
of_list(List *list, AttrNumber attno)
{
	return attno > 0 && attno <= list_length(list) ? list_nth(list, attno - 1) : (Node *) list;
}

static bool
var_shows_masked(Var *var, Trace *trace)
{
	const Scope *outside = trace->scope;
	const Scope *scope = scope_above(outside, var->varlevelsup);
	RangeTblEntry *rte = rt_fetch(var->varno, scope->query->rtable);
	ListCell   *cell;
	bool		found = false;

	check_stack_depth();
	trace->scope = scope;
	if (rte->rtekind == RTE_SUBQUERY)
		found = output_shows_masked(rte->subquery, scope, var->varattno, trace);
	else if (rte->rtekind == RTE_CTE)
		found = cte_shows_masked(rte, var->varattno, scope, trace);
	else if (rte->rtekind == RTE_RELATION)
		found = relation_shows_masked(scope->query, rte, var, trace);
	else if (rte->rtekind == RTE_JOIN)
		found = shows_masked(of_list(rte->joinaliasvars, var->varattno), trace);
	else if (rte->rtekind == RTE_VALUES)
		foreach(cell, rte->values_lists)
			found = found || shows_masked(of_list(lfirst(cell), var->varattno), trace);
	else
		found = shows_masked((Node *) rte->functions, trace) || shows_masked((Node *) rte->tablefunc, trace) ||
			shows_masked(of_list(WARDEN_GROUP_EXPRESSIONS(rte), var->varattno), trace);
	trace->scope = outside;
	return found;
}

/* Does what the session sees masked go into the expression's value? Conditions of subqueries do not count. */
static bool
shows_masked(Node *node, Trace *trace)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return var_shows_masked((Var *) node, trace);
	if (IsA(node, SubLink) && ((SubLink *) node)->subLinkType == EXISTS_SUBLINK)
		return false;
	if (IsA(node, Query))
		return output_shows_masked((Query *) node, trace->scope, 0, trace);
	return expression_tree_walker(node, shows_masked, trace);
}

/* --- new values --- */

typedef void (*NewValue) (TargetEntry *entry, void *context);

/* The new values of columns that are seen masked. */
static void
each_new_value(Query *query, const ChangedRelation *changed, NewValue act, void *context)
{
	List	   *lists = query->commandType == CMD_UPDATE ? list_make1(query->targetList) : NIL;
	ListCell   *list;
	ListCell   *cell;

	if (query->onConflict != NULL)
		lists = lappend(lists, query->onConflict->onConflictSet);
	foreach(cell, query->mergeActionList)
		if (((MergeAction *) lfirst(cell))->commandType == CMD_UPDATE)
			lists = lappend(lists, ((MergeAction *) lfirst(cell))->targetList);
	foreach(list, lists)
		foreach(cell, (List *) lfirst(list))
		{
			TargetEntry *entry = lfirst(cell);

			if (!entry->resjunk && warden_column_is_masked(changed->relation, changed->masked, entry->resno))
				act(entry, context);
		}
}

typedef struct Sources
{
	Query	   *query;
	ChangedRelation *changed;
	const WardenPlanning *planning;
	Trace		trace;
} Sources;

/* (a, b) = (SELECT …): the parts stand for columns of a subquery, which is an entry of its own. */
static bool
is_part_of_many(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_MULTIEXPR)
		return true;
	return expression_tree_walker(node, is_part_of_many, context);
}

static bool
many_show_masked(Sources *sources)
{
	ListCell   *cell;

	foreach(cell, sources->query->targetList)
		if (lfirst_node(TargetEntry, cell)->resjunk &&
			shows_masked((Node *) lfirst_node(TargetEntry, cell)->expr, &sources->trace))
			return true;
	return false;
}

static void
refuse_masked_source(TargetEntry *entry, void *context)
{
	Sources    *sources = context;

	if (!shows_masked((Node *) entry->expr, &sources->trace) &&
		!(is_part_of_many((Node *) entry->expr, NULL) && many_show_masked(sources)))
		return;
	sources->changed->read = entry->resno;
	raise_masked_write(sources->planning, sources->query, sources->changed, WARDEN_MASKED_WRITE_STORES);
}

/* --- what is sent back as it was shown --- */

static bool
tells_more_than_null(Oid function, void *context)
{
	(void) context;
	return function >= FirstNormalObjectId && get_func_namespace(function) != warden_catalog.schema;
}

/* Our own masks, and casts, show NULL for NULL alone. */
static bool
may_hide_null(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, FuncExpr) && ((FuncExpr *) node)->funcid < FirstNormalObjectId)
	{
		FuncExpr   *call = (FuncExpr *) node;

		if (call->funcformat != COERCE_EXPLICIT_CAST && call->funcformat != COERCE_IMPLICIT_CAST)
			return true;
	}
	else if (!IsA(node, FuncExpr) && !IsA(node, Var) && !IsA(node, Const) && !IsA(node, RelabelType) &&
			 !IsA(node, CoerceViaIO) && !IsA(node, List))
		return true;
	return check_functions_in_node(node, tells_more_than_null, context) ||
		expression_tree_walker(node, may_hide_null, context);
}

static bool
shows_null_for_null(Node *mask)
{
	return contain_var_clause(mask) && !contain_nonstrict_functions(mask) && !may_hide_null(mask, NULL);
}

static Const *
boolean(bool value)
{
	return makeConst(BOOLOID, -1, InvalidOid, sizeof(bool), BoolGetDatum(value), false, true);
}

/* The mask of a column, or the column, as seen from `level` queries below the one that changes the relation. */
static Node *
column_here(const ChangedRelation *changed, Form_pg_attribute attribute)
{
	Node	   *expression = warden_masked_column(changed->relation, changed->masked, attribute);

	ChangeVarNodes(expression, 1, (int) changed->rti, 0);
	IncrementVarSublevelsUp(expression, changed->level, 0);
	return expression;
}

static void
check_at_execution(TargetEntry *entry, void *context)
{
	const ChangedRelation *changed = context;
	Oid			types[4] = {ANYELEMENTOID, ANYELEMENTOID, BOOLOID, TEXTOID};
	Oid			function = LookupFuncName(list_make2(makeString("warden"), makeString("mask_write_check")), 4, types,
										  false);
	Relation	rel = table_open(changed->relation->oid, NoLock);
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(rel), entry->resno - 1);
	Node	   *shown = column_here(changed, attribute);
	Const	   *name = makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1,
								 CStringGetTextDatum(NameStr(attribute->attname)), false, false);

	entry->expr = (Expr *) makeFuncExpr(function, attribute->atttypid,
										list_make4(entry->expr, shown, boolean(shows_null_for_null(shown)), name),
										attribute->attcollation, WARDEN_MASK_CALL, COERCE_EXPLICIT_CALL);
	table_close(rel, NoLock);
}

/* How values of the column's type are compared. */
typedef struct Comparison
{
	Oid			type;
	int16		length;
	bool		by_value;
	FmgrInfo	equal;			/* fn_oid 0: by their image */
} Comparison;

static Comparison *
comparison(FunctionCallInfo fcinfo)
{
	Comparison *found = fcinfo->flinfo->fn_extra;
	TypeCacheEntry *type;

	if (found != NULL)
		return found;
	found = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(Comparison));
	found->type = getBaseType(get_fn_expr_argtype(fcinfo->flinfo, 0));
	type = lookup_type_cache(found->type, TYPECACHE_EQ_OPR_FINFO);
	found->length = type->typlen;
	found->by_value = type->typbyval;
	if (OidIsValid(type->eq_opr_finfo.fn_oid))
		fmgr_info_copy(&found->equal, &type->eq_opr_finfo, fcinfo->flinfo->fn_mcxt);
	fcinfo->flinfo->fn_extra = found;
	return found;
}

static Datum
as_jsonb(Datum json)
{
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(TextDatumGetCString(json)));
}

static bool
is_same(Comparison *comparison, Datum one, Datum other, Oid collation)
{
	/* drivers write it anew */
	if (comparison->type == JSONOID)
		return DatumGetBool(DirectFunctionCall2(jsonb_eq, as_jsonb(one), as_jsonb(other)));
	if (datum_image_eq(one, other, comparison->by_value, comparison->length))
		return true;
	return OidIsValid(comparison->equal.fn_oid) &&
		DatumGetBool(FunctionCall2Coll(&comparison->equal, collation, one, other));
}

/*
 * (new value, what the session sees of the present one, is NULL shown for NULL alone?, column): the new value, or an error
 * where it is what is shown. It tells nothing but what the mask shows.
 */
Datum
warden_sql_mask_write_check(PG_FUNCTION_ARGS)
{
	bool		same;

	WARDEN_MASK_MADE_ONLY(fcinfo);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		same = PG_ARGISNULL(0) && PG_ARGISNULL(1) && !PG_GETARG_BOOL(2);
	else
		same = is_same(comparison(fcinfo), PG_GETARG_DATUM(0), PG_GETARG_DATUM(1),
					   exprCollation(fcinfo->flinfo->fn_expr));
	if (same)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("column \"%s\" would be overwritten with its masked value", text_to_cstring(PG_GETARG_TEXT_PP(3))),
				 errdetail("The new value is what this session is shown in place of the real one, which would be lost."),
				 errhint("Leave the column out of the UPDATE, or give it a value of your own.")));
	fcinfo->isnull = PG_ARGISNULL(0);
	return PG_GETARG_DATUM(0);
}

/* --- what is returned --- */

static Node *
returned_row(const ChangedRelation *changed, Var *var)
{
	Relation	rel = table_open(changed->relation->oid, NoLock);
	TupleDesc	desc = RelationGetDescr(rel);
	RowExpr    *row = makeNode(RowExpr);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		row->args = lappend(row->args, column_here(changed, attribute));
		row->colnames = lappend(row->colnames, makeString(pstrdup(NameStr(attribute->attname))));
	}
	row->row_typeid = var->vartype;
	row->row_format = COERCE_IMPLICIT_CAST;
	row->location = -1;
	table_close(rel, NoLock);
	return (Node *) row;
}

static Node *
returned_var(const ChangedRelation *changed, Var *var)
{
	Relation	rel;
	Node	   *expression;

	if (var->varattno != 0 && !warden_column_is_masked(changed->relation, changed->masked, var->varattno))
		return (Node *) copyObject(var);
	if (!WARDEN_VAR_IS_PLAIN(var))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("OLD and NEW of a table with masked columns are not returned to sessions that see masks"),
				 errdetail("They would be returned with real values."),
				 errhint("Name the columns without OLD and NEW in RETURNING: they are returned masked.")));
	if (var->varattno == 0)
		return returned_row(changed, var);
	rel = table_open(changed->relation->oid, NoLock);
	expression = column_here(changed, TupleDescAttr(RelationGetDescr(rel), var->varattno - 1));
	table_close(rel, NoLock);
	return expression;
}

static Node *
mask_returned(Node *node, ChangedRelation *changed)
{
	if (node == NULL)
		return NULL;
	if (is_var_of(node, changed))
		return returned_var(changed, (Var *) node);
	if (IsA(node, Query))
	{
		Node	   *result;

		changed->level++;
		result = (Node *) query_tree_mutator((Query *) node, mask_returned, changed, 0);
		changed->level--;
		return result;
	}
	return expression_tree_mutator(node, mask_returned, changed);
}

/* --- */

/* The relation that the query changes, where the session sees it masked. */
static bool
changed_relation(const Query *query, ChangedRelation *changed, bool *masked)
{
	RangeTblEntry *rte;
	WardenRelation *relation;

	if (query->commandType == CMD_SELECT || query->resultRelation == 0)
		return false;
	rte = rt_fetch(query->resultRelation, query->rtable);
	relation = rte->rtekind == RTE_RELATION ? warden_relation(rte->relid) : NULL;
	if (relation == NULL || !relation->maskable || !warden_columns_masked(relation, masked))
		return false;
	*changed = (ChangedRelation) {.rti = (Index) query->resultRelation, .relation = relation, .masked = masked};
	return true;
}

static void
refuse_writes(Query *query, const Scope *above, const WardenPlanning *planning)
{
	bool		masked[MaxHeapAttributeNumber];
	ChangedRelation changed;
	Scope		scope = {query, above};
	Sources		sources = {.query = query, .changed = &changed, .planning = planning, .trace = {.scope = &scope}};

	if (!changed_relation(query, &changed, masked))
		return;
	refuse_reads(query, &changed, planning);
	refuse_conflicts(query, &changed, planning);
	each_new_value(query, &changed, refuse_masked_source, &sources);
}

static void
mask_writes(Query *query)
{
	bool		masked[MaxHeapAttributeNumber];
	ChangedRelation changed;

	if (!changed_relation(query, &changed, masked))
		return;
	each_new_value(query, &changed, check_at_execution, &changed);
	query->returningList = (List *) mask_returned((Node *) query->returningList, &changed);
}

void
warden_masked_writes(Query *query, const WardenPlanning *planning)
{
	Scope		top = {query, NULL};
	ListCell   *cell;

	if (query->commandType == CMD_SELECT && !query->hasModifyingCTE)
		return;
	/* all of them before any is changed: one may read what another returns */
	refuse_writes(query, NULL, planning);
	foreach(cell, query->cteList)
		refuse_writes(castNode(Query, lfirst_node(CommonTableExpr, cell)->ctequery), &top, planning);
	mask_writes(query);
	foreach(cell, query->cteList)
		mask_writes(castNode(Query, lfirst_node(CommonTableExpr, cell)->ctequery));
}
