/*
 * The planner calls functions: immutable ones whose arguments are constants, those of operators whose selectivity it
 * estimates. For warden.explain nothing of a user's may run. So the arguments of such calls are hidden behind a call that the
 * planner cannot compute: of a built-in function, with a parameter that has no value. Columns in them stay in sight: what a
 * condition is about decides whether it keeps rows out.
 */
#include "explain.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

/* No statement has so many. */
#define NOBODYS_PARAMETER 65535

bool
warden_function_is_native(Oid function)
{
	HeapTuple	tuple;
	Oid			language = InvalidOid;

	if (function < FirstNormalObjectId)
		return true;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (HeapTupleIsValid(tuple))
	{
		language = ((Form_pg_proc) GETSTRUCT(tuple))->prolang;
		ReleaseSysCache(tuple);
	}
	return language == INTERNALlanguageId || language == ClanguageId;
}

static bool
is_in_sql(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	bool		result;

	if (!HeapTupleIsValid(tuple))
		return false;
	result = ((Form_pg_proc) GETSTRUCT(tuple))->prolang == SQLlanguageId;
	ReleaseSysCache(tuple);
	return result;
}

/* --- what the planner cannot compute --- */

/* Stands for a value of the type; `arguments` are what it is about. */
static Node *
unknown_value(Oid type, Oid collation, Oid input_collation, List *arguments, bool is_volatile)
{
	Param	   *param = makeNode(Param);
	FuncExpr   *call;

	param->paramkind = PARAM_EXTERN;
	param->paramid = NOBODYS_PARAMETER;
	param->paramtype = TEXTOID;
	param->paramtypmod = -1;
	param->paramcollid = DEFAULT_COLLATION_OID;
	param->location = -1;
	arguments = lcons(param, list_copy(arguments));
	if (is_volatile)
		arguments = lappend(arguments, makeFuncExpr(F_CLOCK_TIMESTAMP, TIMESTAMPTZOID, NIL, InvalidOid, InvalidOid,
													COERCE_EXPLICIT_CALL));
	call = makeFuncExpr(F_CONCAT, type, arguments, collation, input_collation, COERCE_EXPLICIT_CALL);
	return (Node *) call;
}

static Node *
hidden(Node *argument)
{
	return unknown_value(exprType(argument), exprCollation(argument), exprCollation(argument), list_make1(argument), false);
}

static List *
all_hidden(List *arguments)
{
	List	   *result = NIL;
	ListCell   *cell;

	foreach(cell, arguments)
		result = lappend(result, hidden(lfirst(cell)));
	return result;
}

/* --- calls --- */

/* One argument that is not constant is enough for the planner to leave the call alone. */
static Node *
tame_call(FuncExpr *call, bool completely)
{
	bool		is_volatile = func_volatile(call->funcid) == PROVOLATILE_VOLATILE;
	FuncExpr   *result;

	if (completely && is_in_sql(call->funcid))
	{
		result = (FuncExpr *) unknown_value(call->funcresulttype, call->funccollid, call->inputcollid, call->args,
											is_volatile);
		result->funcretset = call->funcretset;
		return (Node *) result;
	}
	/* it is never computed beforehand */
	if (is_volatile || call->funcretset)
		return (Node *) call;
	if (call->args == NIL && (call->funcresulttype == RECORDOID || type_is_rowtype(call->funcresulttype)))
		return (Node *) call;
	if (call->args == NIL)
		return unknown_value(call->funcresulttype, call->funccollid, call->inputcollid, NIL, false);
	linitial(call->args) = hidden(linitial(call->args));
	return (Node *) call;
}

/* The planner finds the index of ON CONFLICT by these, as they are. */
static Node *
keep_arbiters(OnConflictExpr *result, const OnConflictExpr *original)
{
	result->arbiterElems = original->arbiterElems;
	result->arbiterWhere = original->arbiterWhere;
	return (Node *) result;
}

/* Estimates compare the values of statistics by the operator itself. */
static Node *
tame_operator(OpExpr *expr)
{
	expr->args = all_hidden(expr->args);
	return (Node *) expr;
}

static Node *
tame(Node *node, void *context)
{
	bool	   *completely = context;
	Node	   *original = node;

	if (node == NULL)
		return NULL;
	if (IsA(node, Query))
		return (Node *) query_tree_mutator((Query *) node, tame, context, 0);
	node = expression_tree_mutator(node, tame, context);
	switch (nodeTag(node))
	{
		case T_FuncExpr:
			return warden_function_is_native(((FuncExpr *) node)->funcid) ? node : tame_call((FuncExpr *) node, *completely);
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
			set_opfuncid((OpExpr *) node);
			return warden_function_is_native(((OpExpr *) node)->opfuncid) ? node : tame_operator((OpExpr *) node);
		case T_ScalarArrayOpExpr:
			set_sa_opfuncid((ScalarArrayOpExpr *) node);
			if (!warden_function_is_native(((ScalarArrayOpExpr *) node)->opfuncid))
				((ScalarArrayOpExpr *) node)->args = all_hidden(((ScalarArrayOpExpr *) node)->args);
			return node;
		case T_OnConflictExpr:
			return keep_arbiters((OnConflictExpr *) node, (OnConflictExpr *) original);
		default:
			return node;
	}
}

Query *
warden_tame(Query *query, bool completely)
{
	return (Query *) tame((Node *) copyObject(query), &completely);
}

/* --- which functions are called --- */

static bool
note_function(Oid function, void *context)
{
	List	  **functions = context;

	*functions = list_append_unique_oid(*functions, function);
	return false;
}

static bool
collect_calls(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, collect_calls, context, 0);
	(void) check_functions_in_node(node, note_function, context);
	if (IsA(node, WindowFunc))
		(void) note_function(((WindowFunc *) node)->winfnoid, context);
	return expression_tree_walker(node, collect_calls, context);
}

List *
warden_called_functions(Query *query)
{
	List	   *functions = NIL;

	(void) collect_calls((Node *) query, &functions);
	return functions;
}
