/*
 * Does a condition of a plan keep a row of the changed table out? One that is the same for every row does not, nor one
 * that is true of every row whatever its columns hold. NULLs are not counted against it: x = x is no condition, though
 * a row without an x does not meet it.
 *
 * What takes arithmetic to see (id - id = 0) is taken for a condition: guards with max_rows count the rows themselves.
 */
#include "shim.h"

#include "access/sysattr.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/syscache.h"

static bool always_true(Node *condition, const WardenChangedRelation *target);

static bool
mentions(Node *node, Index rti)
{
	List	   *vars = pull_var_clause(node, PVC_RECURSE_AGGREGATES | PVC_RECURSE_WINDOWFUNCS |
									   PVC_RECURSE_PLACEHOLDERS);
	ListCell   *cell;

	foreach(cell, vars)
	{
		Node	   *var = lfirst(cell);

		/* Vars of joined rows are OUTER_VAR and INNER_VAR: they may come from the target */
		/* tableoid is the same for every row */
		if (IsA(var, Var) && ((Var *) var)->varattno != TableOidAttributeNumber &&
			(((Var *) var)->varno == (int) rti || IS_SPECIAL_VARNO(((Var *) var)->varno)))
			return true;
	}
	return false;
}

/* --- values that are never NULL --- */

static bool
column_never_null(const Var *var, const WardenChangedRelation *target)
{
	RangeTblEntry *rte;
	HeapTuple	tuple;
	bool		notnull = false;

	if (var->varno != (int) target->rti)
		return false;
	/* system columns; and the row itself, which is there, whatever its columns are */
	if (var->varattno <= 0)
		return true;
	rte = rt_fetch(target->rti, target->rtable);
	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(rte->relid), Int16GetDatum(var->varattno));
	if (HeapTupleIsValid(tuple))
	{
		notnull = ((Form_pg_attribute) GETSTRUCT(tuple))->attnotnull;
		ReleaseSysCache(tuple);
	}
	return notnull;
}

static bool
never_null(Node *node, const WardenChangedRelation *target)
{
	ListCell   *cell;

	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return column_never_null((Var *) node, target);
	if (IsA(node, Const))
		return !((Const *) node)->constisnull;
	if (IsA(node, NullTest) || IsA(node, BooleanTest) || IsA(node, DistinctExpr))
		return true;
	/* comparisons that an index could use have a result for any two values */
	if (IsA(node, OpExpr) && ((OpExpr *) node)->opresulttype == BOOLOID &&
		(warden_operator_is_reflexive(((OpExpr *) node)->opno) ||
		 warden_operator_is_reflexive(get_negator(((OpExpr *) node)->opno))))
	{
		foreach(cell, ((OpExpr *) node)->args)
			if (!never_null(lfirst(cell), target))
				return false;
		return true;
	}
	return false;
}

/* --- what is true of every row --- */

/* Of coalesce(NULL, x) the server keeps coalesce(x). */
static Node *
bare(Node *node)
{
	while (node != NULL && IsA(node, CoalesceExpr) && list_length(((CoalesceExpr *) node)->args) == 1)
		node = linitial(((CoalesceExpr *) node)->args);
	return node;
}

static bool
same_arguments(List *args)
{
	return list_length(args) == 2 && equal(bare(linitial(args)), bare(lsecond(args))) &&
		!contain_volatile_functions((Node *) args);
}

/* x LIKE '%', x ~ '', x ~ '.*' */
static bool
matches_everything(OpExpr *op)
{
	Const	   *pattern = list_length(op->args) == 2 ? lsecond(op->args) : NULL;
	char	   *like;

	if (pattern == NULL || !IsA(pattern, Const) || pattern->constisnull || pattern->consttype != TEXTOID)
		return false;
	like = TextDatumGetCString(pattern->constvalue);
	switch (get_opcode(op->opno))
	{
		case F_TEXTLIKE:
		case F_NAMELIKE:
		case F_BPCHARLIKE:
		case F_TEXTICLIKE:
		case F_NAMEICLIKE:
		case F_BPCHARICLIKE:
			return like[0] != '\0' && strspn(like, "%") == strlen(like);
		case F_TEXTREGEXEQ:
		case F_NAMEREGEXEQ:
		case F_BPCHARREGEXEQ:
		case F_TEXTICREGEXEQ:
		case F_NAMEICREGEXEQ:
		case F_BPCHARICREGEXEQ:
			return strcmp(like, "") == 0 || strcmp(like, ".*") == 0 || strcmp(like, "^") == 0 ||
				strcmp(like, "$") == 0 || strcmp(like, "^.*$") == 0 || strcmp(like, "^(?:.*)$") == 0;
		case F_STARTS_WITH:
			return like[0] == '\0';
		default:
			return false;
	}
}

/* x = x, x <= x, x >= x */
static bool
operator_always_true(OpExpr *op)
{
	return (same_arguments(op->args) && warden_operator_is_reflexive(op->opno)) || matches_everything(op);
}

/* x IS DISTINCT FROM x, x <> x, x < x: their opposite is true of every row. */
static bool
never_true(Node *node, const WardenChangedRelation *target)
{
	if (IsA(node, DistinctExpr))
		return same_arguments(((DistinctExpr *) node)->args);
	if (IsA(node, NullTest))
		return ((NullTest *) node)->nulltesttype == IS_NULL && !((NullTest *) node)->argisrow &&
			never_null((Node *) ((NullTest *) node)->arg, target);
	return IsA(node, OpExpr) && same_arguments(((OpExpr *) node)->args) &&
		warden_operator_is_reflexive(get_negator(((OpExpr *) node)->opno));
}

/* x = ANY (ARRAY[…, x, …]), x <> ALL ('{}') */
static bool
array_always_true(ScalarArrayOpExpr *expr)
{
	ArrayExpr  *array = lsecond(expr->args);

	if (!expr->useOr && IsA(array, Const) && !((Const *) array)->constisnull)
		return ARR_NDIM(DatumGetArrayTypeP(((Const *) array)->constvalue)) == 0;
	return expr->useOr && IsA(array, ArrayExpr) && list_member(array->elements, linitial(expr->args)) &&
		warden_operator_is_reflexive(expr->opno);
}

/* ROW(a, b) >= ROW(a, b); of = the server makes one comparison for each. */
static bool
row_compares_with_itself(RowCompareExpr *expr)
{
	return warden_row_compare_is_reflexive(expr) && equal(expr->largs, expr->rargs) &&
		!contain_volatile_functions((Node *) expr->largs);
}

/* The planner makes x IS NOT NULL of x = x, without a place in the text; to those of the statement's own one is given. */
static bool
mark_null_tests(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, mark_null_tests, context, 0);
	if (IsA(node, NullTest) && ((NullTest *) node)->location < 0)
		((NullTest *) node)->location = 0;
	return expression_tree_walker(node, mark_null_tests, context);
}

void
warden_mark_null_tests(Query *query)
{
	if (query->commandType != CMD_SELECT || query->hasModifyingCTE)
		(void) mark_null_tests((Node *) query, NULL);
}

static bool
null_test_always_true(NullTest *test, const WardenChangedRelation *target)
{
	Node	   *arg = (Node *) test->arg;

	if (test->argisrow)
		return false;
	if (test->nulltesttype == IS_NOT_NULL)
		return test->location < 0 || never_null(arg, target);
	return IsA(arg, NullIfExpr) && same_arguments(((NullIfExpr *) arg)->args);
}

/* x IS DISTINCT FROM NULL */
static bool
distinct_always_true(DistinctExpr *expr, const WardenChangedRelation *target)
{
	Node	   *one = linitial(expr->args);
	Node	   *other = lsecond(expr->args);

	if (IsA(one, Const) && ((Const *) one)->constisnull)
		return never_null(other, target);
	return IsA(other, Const) && ((Const *) other)->constisnull && never_null(one, target);
}

static bool
boolean_test_always_true(BooleanTest *test, const WardenChangedRelation *target)
{
	switch (test->booltesttype)
	{
		case IS_TRUE:
		case IS_NOT_FALSE:
			return always_true((Node *) test->arg, target);
		case IS_FALSE:
		case IS_NOT_TRUE:
			return never_true((Node *) test->arg, target);
		case IS_NOT_UNKNOWN:
			return never_null((Node *) test->arg, target);
		default:
			return false;
	}
}

static bool
all_always_true(List *conditions, const WardenChangedRelation *target)
{
	ListCell   *cell;

	foreach(cell, conditions)
		if (!always_true(lfirst(cell), target))
			return false;
	return conditions != NIL;
}

static bool
case_always_true(CaseExpr *expr, const WardenChangedRelation *target)
{
	ListCell   *cell;

	foreach(cell, expr->args)
		if (!always_true((Node *) lfirst_node(CaseWhen, cell)->result, target))
			return false;
	return expr->defresult != NULL && always_true((Node *) expr->defresult, target);
}

/* --- one of two conditions is true of every row that has the columns --- */

/* x > 5 and x <= 5, or 5 >= x */
static bool
negate_each_other(OpExpr *one, OpExpr *other)
{
	Oid			negator = get_negator(one->opno);

	if (!OidIsValid(negator) || list_length(one->args) != 2 || list_length(other->args) != 2)
		return false;
	if (negator == other->opno && equal(one->args, other->args))
		return true;
	return get_commutator(negator) == other->opno && equal(linitial(one->args), lsecond(other->args)) &&
		equal(lsecond(one->args), linitial(other->args));
}

static bool
are_complementary(Node *one, Node *other)
{
	if (IsA(one, NullTest) && IsA(other, NullTest))
		return ((NullTest *) one)->nulltesttype != ((NullTest *) other)->nulltesttype &&
			equal(((NullTest *) one)->arg, ((NullTest *) other)->arg);
	if (is_notclause(one) && equal(get_notclausearg((Expr *) one), other))
		return true;
	if (IsA(one, OpExpr) && IsA(other, OpExpr))
		return negate_each_other((OpExpr *) one, (OpExpr *) other) && !contain_volatile_functions(one);
	/* x, and x IS NOT TRUE; x IS TRUE, and x IS NOT TRUE */
	if (IsA(one, BooleanTest) && ((BooleanTest *) one)->booltesttype == IS_NOT_TRUE)
		return equal(((BooleanTest *) one)->arg, other) ||
			(IsA(other, BooleanTest) && ((BooleanTest *) other)->booltesttype == IS_TRUE &&
			 equal(((BooleanTest *) one)->arg, ((BooleanTest *) other)->arg));
	if (IsA(one, BooleanTest) && IsA(other, BooleanTest) && ((BooleanTest *) one)->booltesttype == IS_NOT_FALSE)
		return ((BooleanTest *) other)->booltesttype == IS_FALSE &&
			equal(((BooleanTest *) one)->arg, ((BooleanTest *) other)->arg);
	return false;
}

static bool
or_always_true(List *args, const WardenChangedRelation *target)
{
	ListCell   *one;
	ListCell   *other;

	foreach(one, args)
	{
		if (always_true(lfirst(one), target))
			return true;
		foreach(other, args)
			if (are_complementary(lfirst(one), lfirst(other)))
				return true;
	}
	return false;
}

/* --- a subquery without a table: (SELECT x = x), EXISTS (SELECT WHERE x = x) --- */

typedef struct Arguments
{
	List	   *params;
	List	   *args;
} Arguments;

static Node *
with_arguments(Node *node, void *context)
{
	Arguments  *arguments = context;
	ListCell   *param;
	ListCell   *arg;

	if (node == NULL)
		return NULL;
	if (IsA(node, Param))
		forboth(param, arguments->params, arg, arguments->args)
			if (((Param *) node)->paramkind == PARAM_EXEC && ((Param *) node)->paramid == lfirst_int(param))
				return copyObject(lfirst(arg));
	return expression_tree_mutator(node, with_arguments, context);
}

/* What the subquery comes to as an expression; NULL where it is more than that. */
static Node *
expression_of(SubPlan *expr, const WardenChangedRelation *target)
{
	Arguments	arguments = {expr->parParam, expr->args};
	Plan	   *plan = list_nth(target->subplans, expr->plan_id - 1);
	List	   *condition;

	if (plan == NULL || !IsA(plan, Result) || outerPlan(plan) != NULL)
		return NULL;
	condition = (List *) with_arguments(((Result *) plan)->resconstantqual, &arguments);
	if (expr->subLinkType == EXISTS_SUBLINK)
		return (Node *) make_ands_explicit(condition);
	if (expr->subLinkType != EXPR_SUBLINK || list_length(plan->targetlist) != 1 ||
		(condition != NIL && !all_always_true(condition, target)))
		return NULL;
	return with_arguments((Node *) linitial_node(TargetEntry, plan->targetlist)->expr, &arguments);
}

static Node *
without_tables(Node *node, void *context)
{
	Node	   *expression;

	if (node == NULL)
		return NULL;
	if (IsA(node, SubPlan) && (expression = expression_of((SubPlan *) node, context)) != NULL)
		return without_tables(expression, context);
	return expression_tree_mutator(node, without_tables, context);
}

static bool
always_true(Node *condition, const WardenChangedRelation *target)
{
	check_stack_depth();
	if (condition == NULL)
		return false;
	if (is_andclause(condition))
		return all_always_true(((BoolExpr *) condition)->args, target);
	if (is_orclause(condition))
		return or_always_true(((BoolExpr *) condition)->args, target);
	if (is_notclause(condition))
		return never_true((Node *) get_notclausearg((Expr *) condition), target);
	switch (nodeTag(condition))
	{
		case T_Const:
			return !((Const *) condition)->constisnull && DatumGetBool(((Const *) condition)->constvalue);
		case T_OpExpr:
			return operator_always_true((OpExpr *) condition);
		case T_DistinctExpr:
			return distinct_always_true((DistinctExpr *) condition, target);
		case T_ScalarArrayOpExpr:
			return array_always_true((ScalarArrayOpExpr *) condition);
		case T_RowCompareExpr:
			return row_compares_with_itself((RowCompareExpr *) condition);
		case T_NullTest:
			return null_test_always_true((NullTest *) condition, target);
		case T_BooleanTest:
			return boolean_test_always_true((BooleanTest *) condition, target);
		case T_CaseExpr:
			return case_always_true((CaseExpr *) condition, target);
		case T_CoalesceExpr:
			return all_always_true(((CoalesceExpr *) condition)->args, target);
		default:
			return false;
	}
}

/* --- the whole --- */

static bool
is_users_function(Oid function, void *context)
{
	(void) context;
	return function >= FirstNormalObjectId;
}

static bool
calls_users_function(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (check_functions_in_node(node, is_users_function, context))
		return true;
	return expression_tree_walker(node, calls_users_function, context);
}

/* The condition of a plan for any parameters with those that it has now; NULL where it cannot be told without running code. */
static Node *
condition_now(Node *condition, const WardenChangedRelation *target)
{
	PlannerInfo *root;

	if (target->params == NULL || contain_mutable_functions(condition) || contain_subplans(condition) ||
		calls_users_function(condition, NULL))
		return NULL;
	root = makeNode(PlannerInfo);
	root->glob = makeNode(PlannerGlobal);
	root->glob->boundParams = target->params;
	return eval_const_expressions(root, condition);
}

/* `$1 IS NULL OR id = $1`: the first is false now, or the plan has no condition. */
static bool
is_false_now(Node *condition, const WardenChangedRelation *target)
{
	Node	   *value = contain_var_clause(condition) ? NULL : condition_now(condition, target);

	return value != NULL && IsA(value, Const) && (((Const *) value)->constisnull || !DatumGetBool(((Const *) value)->constvalue));
}

static bool
is_key_lookup(Node *condition)
{
	OpExpr	   *op = (OpExpr *) condition;

	return IsA(condition, OpExpr) && list_length(op->args) == 2 && IsA(linitial(op->args), Var) &&
		IsA(lsecond(op->args), Param) && get_oprrest(op->opno) == F_EQSEL;
}

/* v LIKE $1, id = coalesce($1, id). A column that equals a parameter is a condition whatever the parameter is. */
static bool
always_true_now(Node *condition, const WardenChangedRelation *target)
{
	Node	   *value;

	if (target->params == NULL || is_key_lookup(condition))
		return false;
	value = condition_now(condition, target);
	return value != NULL && always_true(value, target);
}

static bool any_excludes(List *conditions, const WardenChangedRelation *target);

static bool
excludes_rows(Node *condition, const WardenChangedRelation *target)
{
	ListCell   *cell;

	check_stack_depth();
	if (condition == NULL)
		return false;
	if (is_andclause(condition))
		return any_excludes(((BoolExpr *) condition)->args, target);
	if (is_orclause(condition))
	{
		if (or_always_true(((BoolExpr *) condition)->args, target))
			return false;
		foreach(cell, ((BoolExpr *) condition)->args)
			if (!excludes_rows(lfirst(cell), target) && !is_false_now(lfirst(cell), target))
				return false;
		return true;
	}
	if (IsA(condition, CurrentOfExpr))
		return true;
	return mentions(condition, target->rti) && !always_true(condition, target) && !always_true_now(condition, target);
}

static bool
any_excludes(List *conditions, const WardenChangedRelation *target)
{
	ListCell   *cell;

	foreach(cell, conditions)
		if (excludes_rows(lfirst(cell), target))
			return true;
	return false;
}

bool
warden_conditions_exclude(List *conditions, const WardenChangedRelation *target)
{
	if (unlikely(contain_subplans((Node *) conditions)))
		conditions = (List *) without_tables((Node *) conditions, (WardenChangedRelation *) target);
	return any_excludes(conditions, target);
}
