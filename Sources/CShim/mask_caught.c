/*
 * Masks that may fail: warden.mask_caught(expression, constant). A value that the expression cannot take must neither
 * stop the statement nor come out in the error's text: the constant stands for it.
 *
 * A masking view calls the function plainly, so that the server knows what the mask depends on. Before planning, the call
 * becomes mask_caught_row(column, CASE WHEN mask_never() THEN expression END, constant): the expression stays in the
 * tree, for the planner's checks, for EXPLAIN and for parallel workers, and yet the executor does not evaluate it. The
 * function does, from its own call's tree, over the column that it is handed.
 */
#include "shim.h"
#include "mask_call.h"

#include "access/xact.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/params.h"
#include "parser/parse_func.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

PG_FUNCTION_INFO_V1(warden_sql_mask_caught);
PG_FUNCTION_INFO_V1(warden_sql_mask_caught_row);
PG_FUNCTION_INFO_V1(warden_sql_mask_never);

/* --- what may be caught without a subtransaction --- */

/* The server's own functions without effects leave nothing behind when they raise; so do ours. */
static bool
is_pure_function(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc form;
	bool		pure;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_proc) GETSTRUCT(tuple);
	pure = form->provolatile == PROVOLATILE_IMMUTABLE &&
		((function < FirstNormalObjectId && form->prolang == INTERNALlanguageId) ||
		 (form->pronamespace == warden_catalog.schema && form->prolang == ClanguageId));
	ReleaseSysCache(tuple);
	return pure;
}

static bool
is_impure_function(Oid function, void *context)
{
	(void) context;
	return !is_pure_function(function);
}

/* A function for any type calls what belongs to the type: users may have made that. */
static bool
is_servers_type(Oid type)
{
	Oid			base = getBaseType(type);
	Oid			element = get_element_type(base);

	if (OidIsValid(element))
		base = getBaseType(element);
	return base < FirstNormalObjectId && base != RECORDOID && base != RECORDARRAYOID;
}

static bool is_impure(Node *node, void *context);

static bool
has_impure_constraint(Oid domain)
{
	/* the memory context keeps a pointer to it */
	DomainConstraintRef *constraints = palloc(sizeof(DomainConstraintRef));
	ListCell   *cell;

	InitDomainConstraintRef(domain, constraints, CurrentMemoryContext, false);
	foreach(cell, constraints->constraints)
	{
		DomainConstraintState *constraint = lfirst(cell);

		if (constraint->check_expr != NULL && is_impure((Node *) constraint->check_expr, NULL))
			return true;
	}
	return false;
}

static bool
is_impure(Node *node, void *context)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_Var:
		case T_Const:
		case T_Param:
		case T_FuncExpr:
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
		case T_ScalarArrayOpExpr:
		case T_MinMaxExpr:
		case T_SubscriptingRef:
		case T_CoerceViaIO:
			if (!is_servers_type(exprType(node)))
				return true;
			break;
		case T_CoerceToDomain:
			if (has_impure_constraint(((CoerceToDomain *) node)->resulttype))
				return true;
			break;
		case T_RelabelType:
			/* of a type like citext, which becomes text before anything is called for it */
			if (IsA(((RelabelType *) node)->arg, Var) || IsA(((RelabelType *) node)->arg, Param))
				return false;
			break;
		case T_List:
		case T_BoolExpr:
		case T_ArrayCoerceExpr:
		case T_CollateExpr:
		case T_CaseExpr:
		case T_CaseWhen:
		case T_CaseTestExpr:
		case T_ArrayExpr:
		case T_CoalesceExpr:
		case T_NullTest:
		case T_BooleanTest:
		case T_CoerceToDomainValue:
			break;
		default:
			return true;
	}
	return check_functions_in_node(node, is_impure_function, context) ||
		expression_tree_walker(node, is_impure, context);
}

/* --- before planning --- */

bool		warden_mask_needs_subtransaction = false;

static Oid
own_function(char *name, int count, const Oid *types)
{
	return LookupFuncName(list_make2(makeString("warden"), makeString(name)), count, types, false);
}

static bool
find_column(Node *node, Node **column)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		*column = node;
		return true;
	}
	return expression_tree_walker(node, find_column, column);
}

static Node *
lazy_call(FuncExpr *call)
{
	Oid			types[3] = {ANYOID, ANYELEMENTOID, ANYELEMENTOID};
	Node	   *expression = linitial(call->args);
	Node	   *column = NULL;
	CaseExpr   *lazily = makeNode(CaseExpr);
	CaseWhen   *never = makeNode(CaseWhen);
	FuncExpr   *lazy;

	if (!find_column(expression, &column))
		column = (Node *) makeNullConst(TEXTOID, -1, InvalidOid);
	warden_mask_needs_subtransaction |= is_impure(expression, NULL);
	never->expr = (Expr *) makeFuncExpr(own_function("mask_never", 0, NULL), BOOLOID, NIL, InvalidOid, WARDEN_MASK_CALL,
										COERCE_EXPLICIT_CALL);
	never->result = (Expr *) expression;
	never->location = -1;
	lazily->casetype = exprType(expression);
	lazily->casecollid = exprCollation(expression);
	lazily->args = list_make1(never);
	lazily->defresult = (Expr *) makeNullConst(lazily->casetype, -1, lazily->casecollid);
	lazily->location = -1;
	lazy = makeFuncExpr(own_function("mask_caught_row", 3, types), call->funcresulttype,
						list_make3(copyObject(column), lazily, lsecond(call->args)), call->funccollid,
						WARDEN_MASK_CALL, COERCE_EXPLICIT_CALL);
	return (Node *) lazy;
}

static bool
is_mask_caught(const FuncExpr *call)
{
	char	   *name;

	if (call->funcid < FirstNormalObjectId || list_length(call->args) != 2 ||
		get_func_namespace(call->funcid) != warden_catalog.schema)
		return false;
	name = get_func_name(call->funcid);
	return name != NULL && strcmp(name, "mask_caught") == 0;
}

static Node *
make_lazy(Node *node, void *context)
{
	if (node == NULL)
		return NULL;
	node = expression_tree_mutator(node, make_lazy, context);
	return IsA(node, FuncExpr) && is_mask_caught((FuncExpr *) node) ? lazy_call((FuncExpr *) node) : node;
}

Node *
warden_mask_lazily(Node *expression)
{
	return make_lazy(expression, NULL);
}

/* --- at execution --- */

/* The expression of a call, ready to be evaluated over the value of `params`. */
typedef struct Caught
{
	ExprState  *state;
	ExprContext *context;
	ParamListInfo params;
	bool		pure;
} Caught;

typedef struct Placeholder
{
	Node	   *column;
} Placeholder;

static Node *
put_placeholder(Node *node, Placeholder *placeholder)
{
	if (node == NULL)
		return NULL;
	if (!IsA(node, Const) && equal(node, placeholder->column))
	{
		Param	   *param = makeNode(Param);

		param->paramkind = PARAM_EXTERN;
		param->paramid = 1;
		param->paramtype = exprType(node);
		param->paramtypmod = exprTypmod(node);
		param->paramcollid = exprCollation(node);
		param->location = -1;
		return (Node *) param;
	}
	/* a mask is an expression over its own column alone */
	if (IsA(node, Var) || IsA(node, Param))
		elog(ERROR, "pg_warden: a mask reads more than its column");
	return expression_tree_mutator(node, put_placeholder, placeholder);
}

static Expr *
lazy_expression(FunctionCallInfo fcinfo, Placeholder *placeholder)
{
	FuncExpr   *call = (FuncExpr *) fcinfo->flinfo->fn_expr;
	CaseExpr   *lazily;

	if (call == NULL || !IsA(call, FuncExpr) || list_length(call->args) != 3 || !IsA(lsecond(call->args), CaseExpr))
		elog(ERROR, "pg_warden: mask_caught_row is not called as the planner hook calls it");
	lazily = lsecond(call->args);
	if (list_length(lazily->args) != 1)
		elog(ERROR, "pg_warden: mask_caught_row is not called as the planner hook calls it");
	placeholder->column = linitial(call->args);
	return (Expr *) put_placeholder((Node *) linitial_node(CaseWhen, lazily->args)->result, placeholder);
}

static Caught *
make_ready(FunctionCallInfo fcinfo)
{
	MemoryContext caller = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	Placeholder placeholder;
	Expr	   *expression = lazy_expression(fcinfo, &placeholder);
	Caught	   *caught = palloc0(sizeof(Caught));

	caught->pure = !is_impure((Node *) expression, NULL);
	caught->params = makeParamList(1);
	caught->params->params[0].ptype = exprType(placeholder.column);
	caught->params->params[0].pflags = PARAM_FLAG_CONST;
	caught->state = ExecInitExprWithParams(expression, caught->params);
	caught->context = CreateStandaloneExprContext();
	caught->context->ecxt_param_list_info = caught->params;
	MemoryContextSwitchTo(caller);
	fcinfo->flinfo->fn_extra = caught;
	return caught;
}

/* Does such an error say something of the value? Others, a cancellation say, are not the mask's to swallow. */
static bool
is_of_value(int sqlstate)
{
	switch (ERRCODE_TO_CATEGORY(sqlstate))
	{
		case MAKE_SQLSTATE('0', 'A', '0', '0', '0'):
		case MAKE_SQLSTATE('2', '1', '0', '0', '0'):
		case MAKE_SQLSTATE('2', '2', '0', '0', '0'):
		case MAKE_SQLSTATE('2', '3', '0', '0', '0'):
		case MAKE_SQLSTATE('3', '8', '0', '0', '0'):
		case MAKE_SQLSTATE('3', '9', '0', '0', '0'):
		case MAKE_SQLSTATE('4', '4', '0', '0', '0'):
		case MAKE_SQLSTATE('P', '0', '0', '0', '0'):
			return true;
		case MAKE_SQLSTATE('4', '2', '0', '0', '0'):
			return sqlstate != ERRCODE_INSUFFICIENT_PRIVILEGE;
		default:
			return sqlstate == ERRCODE_PROGRAM_LIMIT_EXCEEDED;
	}
}

/* The same error without its texts, which may tell the value. */
static void
raise_without_texts(int sqlstate)
{
	ereport(ERROR,
			(errcode(sqlstate),
			 errmsg("the mask of a column could not be computed"),
			 errdetail("Computing it ended in an error that is not told, since it may hold the column's value."),
			 errhint("Run the statement again; where that does not help, ask a member of warden_admin for another mask.")));
}

/* True where the expression raised; its value otherwise. */
static bool
fails_plainly(Caught *caught, Datum *value, bool *isnull)
{
	MemoryContext caller = CurrentMemoryContext;
	volatile bool failed = false;

	PG_TRY();
	{
		*value = ExecEvalExpr(caught->state, caught->context, isnull);
	}
	PG_CATCH();
	{
		int			sqlstate = geterrcode();

		MemoryContextSwitchTo(caller);
		FlushErrorState();
		if (!is_of_value(sqlstate))
			raise_without_texts(sqlstate);
		failed = true;
	}
	PG_END_TRY();
	return failed;
}

static bool
fails_in_subtransaction(Caught *caught, Datum *value, bool *isnull)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool failed = false;

	if (IsInParallelMode())
		raise_without_texts(ERRCODE_INVALID_TRANSACTION_STATE);
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		*value = ExecEvalExpr(caught->state, caught->context, isnull);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(caller);
		CurrentResourceOwner = owner;
	}
	PG_CATCH();
	{
		int			sqlstate = geterrcode();

		MemoryContextSwitchTo(caller);
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(caller);
		CurrentResourceOwner = owner;
		if (!is_of_value(sqlstate))
			raise_without_texts(sqlstate);
		failed = true;
	}
	PG_END_TRY();
	return failed;
}

/*
 * (column, CASE WHEN mask_never() THEN expression END, constant). The expression's value is made in the caller's
 * memory, as any function's result; what the expression keeps for itself goes with the next row.
 */
Datum
warden_sql_mask_caught_row(PG_FUNCTION_ARGS)
{
	Caught	   *caught = fcinfo->flinfo->fn_extra;
	Datum		value = (Datum) 0;
	bool		isnull = true;
	bool		failed;

	WARDEN_MASK_MADE_ONLY(fcinfo);
	if (caught == NULL)
		caught = make_ready(fcinfo);
	ResetExprContext(caught->context);
	caught->params->params[0].value = fcinfo->args[0].value;
	caught->params->params[0].isnull = fcinfo->args[0].isnull;
	if (caught->pure)
		failed = fails_plainly(caught, &value, &isnull);
	else
		failed = fails_in_subtransaction(caught, &value, &isnull);
	fcinfo->isnull = failed ? fcinfo->args[2].isnull : isnull;
	return failed ? fcinfo->args[2].value : value;
}

/* Where no planner hook has come by, when a mask is tried at its definition: what the expression gives. */
Datum
warden_sql_mask_caught(PG_FUNCTION_ARGS)
{
	fcinfo->isnull = fcinfo->args[0].isnull;
	return fcinfo->args[0].value;
}

Datum
warden_sql_mask_never(PG_FUNCTION_ARGS)
{
	WARDEN_MASK_MADE_ONLY(fcinfo);
	PG_RETURN_BOOL(false);
}
