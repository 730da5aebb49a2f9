/*
 * What the server's catalogs and views show of others' rows and statements: the statistics of masked columns, and the
 * texts of statements that other roles run. Both are seen in the query being planned, whatever view or function it
 * came through: a reference to statistics gets a condition of row security, a function that tells statements becomes
 * a subquery over it. What these decide, they decide when the query runs.
 */
#include "shim.h"

#include "access/htup_details.h"
#include "catalog/pg_statistic.h"
#include "catalog/pg_statistic_ext_data.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/value.h"
#include "optimizer/optimizer.h"
#include "parser/parse_func.h"
#include "rewrite/rewriteManip.h"
#include "utils/fmgroids.h"

static FuncExpr *
call_own(const char *name, int count, const Oid *types, Oid result, List *arguments)
{
	List	   *names = list_make2(makeString(pstrdup("warden")), makeString(pstrdup(name)));

	return makeFuncExpr(LookupFuncName(names, count, types, false), result, arguments, InvalidOid,
						exprCollation(llast(arguments)), COERCE_EXPLICIT_CALL);
}

/* --- statistics --- */

bool
warden_statistics_filter(Query *query, Index rti, RangeTblEntry *rte)
{
	static const Oid types[] = {OIDOID, INT2OID};
	Node	   *shown;

	if (query->resultRelation == (int) rti)
		return false;
	if (rte->relid == StatisticRelationId)
		shown = (Node *) call_own("mask_column_statistics", 2, types, BOOLOID,
								  list_make2(makeVar((int) rti, Anum_pg_statistic_starelid, OIDOID, -1, InvalidOid, 0),
											 makeVar((int) rti, Anum_pg_statistic_staattnum, INT2OID, -1, InvalidOid, 0)));
	else if (rte->relid == StatisticExtDataRelationId)
		shown = (Node *) call_own("mask_extended_statistics", 1, types, BOOLOID,
								  list_make1(makeVar((int) rti, Anum_pg_statistic_ext_data_stxoid, OIDOID, -1,
													 InvalidOid, 0)));
	else
		return false;
	/* first: conditions of others are not asked about what is hidden */
	rte->securityQuals = lcons(shown, rte->securityQuals);
	return true;
}

/* --- statements of others --- */

bool
warden_tells_statements(Oid function)
{
	WardenFunction *facts;

	if (likely(function < FirstNormalObjectId))
		return function == F_PG_STAT_GET_ACTIVITY;
	facts = warden_function(function);
	return facts != NULL && facts->tells_statements;
}

bool
warden_is_statements_call(const Node *call)
{
	return IsA(call, FuncExpr) && warden_tells_statements(((const FuncExpr *) call)->funcid);
}

static Node *
column_named(TupleDesc desc, const char *name, const char *other, Oid type)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);

		if (column->atttypid == type &&
			(strcmp(NameStr(column->attname), name) == 0 || strcmp(NameStr(column->attname), other) == 0))
			return (Node *) makeVar(1, (AttrNumber) (i + 1), type, -1, InvalidOid, 0);
	}
	return (Node *) makeNullConst(type, -1, InvalidOid);
}

/* Of the server's function, of pg_stat_statements, and of pg_stat_monitor. */
static bool
holds_statement(const FormData_pg_attribute *column)
{
	static const char *const names[] = {"query", "top_query", "query_plan", "comments", "message"};

	for (int i = 0; i < (int) lengthof(names) && column->atttypid == TEXTOID; i++)
		if (strcmp(NameStr(column->attname), names[i]) == 0)
			return true;
	return false;
}

static Node *
shown_column(TupleDesc desc, int index)
{
	static const Oid types[] = {INT4OID, OIDOID, TEXTOID};
	Form_pg_attribute column = TupleDescAttr(desc, index);
	Var		   *var = makeVar(1, (AttrNumber) (index + 1), column->atttypid, column->atttypmod, column->attcollation, 0);
	FuncExpr   *call;

	if (!holds_statement(column))
		return (Node *) var;
	call = call_own("mask_statement_text", 3, types, TEXTOID,
					list_make3(column_named(desc, "pid", "pid", INT4OID),
							   column_named(desc, "usesysid", "userid", OIDOID), var));
	call->funccollid = column->attcollation;
	return (Node *) call;
}

static List *
shown_columns(const RangeTblEntry *rte, TupleDesc desc)
{
	List	   *list = NIL;

	for (int i = 0; i < desc->natts; i++)
		list = lappend(list, makeTargetEntry((Expr *) shown_column(desc, i), (AttrNumber) (i + 1),
											 pstrdup(NameStr(TupleDescAttr(desc, i)->attname)), false));
	if (rte->funcordinality)
		list = lappend(list, makeTargetEntry((Expr *) makeVar(1, (AttrNumber) (desc->natts + 1), INT8OID, -1,
															  InvalidOid, 0),
											 (AttrNumber) (desc->natts + 1), pstrdup("ordinality"), false));
	return list;
}

static void
become_subquery(RangeTblEntry *rte, TupleDesc desc)
{
	Query	   *sub = makeNode(Query);
	RangeTblEntry *inner = copyObject(rte);
	RangeTblRef *reference = makeNode(RangeTblRef);

	inner->inFromCl = true;
	inner->lateral = false;
	IncrementVarSublevelsUp((Node *) inner->functions, 1, 0);
	reference->rtindex = 1;
	sub->commandType = CMD_SELECT;
	sub->querySource = QSRC_ORIGINAL;
	sub->canSetTag = true;
	sub->rtable = list_make1(inner);
	sub->jointree = makeFromExpr(list_make1(reference), NULL);
	sub->hasSubLinks = checkExprHasSubLink((Node *) inner->functions);
	sub->targetList = shown_columns(rte, desc);
	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = sub;
	rte->security_barrier = false;
	rte->functions = NIL;
	rte->funcordinality = false;
}

static void
refuse_statements(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("function %s is not open to sessions that see masks, other than alone in FROM", name),
			 errdetail("It tells the statements of others, which may hold real values."),
			 errhint("Call it in FROM: others' statements are left out.")));
}

void
warden_statements_refuse(Oid function)
{
	if (warden_tells_statements(function) && warden_anything_masked())
		refuse_statements(get_func_name(function));
}

void
warden_statements_hide(RangeTblEntry *rte)
{
	ListCell   *cell;

	foreach(cell, rte->functions)
	{
		Node	   *call = ((RangeTblFunction *) lfirst(cell))->funcexpr;
		TupleDesc	desc;

		if (!warden_is_statements_call(call))
			continue;
		if (list_length(rte->functions) == 1 && (desc = get_expr_result_tupdesc(call, true)) != NULL)
			become_subquery(rte, desc);
		else
			warden_statements_refuse(((FuncExpr *) call)->funcid);
		return;
	}
}

/* The same question, answered by us. */
void
warden_statement_of_backend(FuncExpr *call)
{
	static const Oid types[] = {INT4OID};

	if (unlikely(call->funcid == F_PG_STAT_GET_BACKEND_ACTIVITY))
		call->funcid = LookupFuncName(list_make2(makeString(pstrdup("warden")),
												 makeString(pstrdup("mask_backend_activity"))), 1, types, false);
}
