/*
 * Facts of a planned statement: per relation what is done to it and with which columns, and whether anything keeps
 * a row of a table out of an UPDATE or DELETE. All is read off the plan that will run, so that text, rules, views,
 * CTEs and cached plans make no difference.
 */
#include "shim.h"

#include "access/sysattr.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

/* --- columns --- */

static const int16_t *
columns_of(Bitmapset *set, int64_t *count)
{
	int			member = -1;
	int			n = bms_num_members(set);
	int16_t    *columns;

	*count = n;
	if (n == 0)
		return NULL;
	columns = MemoryContextAlloc(warden_statement_memory(), sizeof(int16_t) * n);
	n = 0;
	while ((member = bms_next_member(set, member)) >= 0)
		columns[n++] = (int16_t) (member + FirstLowInvalidHeapAttributeNumber);
	return columns;
}

/* Both lists are in order; so is the result. */
static const int16_t *
merge_columns(const int16_t *one, int64_t one_count, const int16_t *other, int64_t other_count, int64_t *count)
{
	int16_t    *merged = MemoryContextAlloc(warden_statement_memory(), sizeof(int16_t) * (one_count + other_count));
	int64_t		i = 0;
	int64_t		j = 0;

	for (*count = 0; i < one_count || j < other_count; (*count)++)
	{
		int16_t		next = j == other_count || (i < one_count && one[i] <= other[j]) ? one[i] : other[j];

		i += i < one_count && one[i] == next;
		j += j < other_count && other[j] == next;
		merged[*count] = next;
	}
	return merged;
}

/* A relation may be there more than once, with other columns each time. */
static void
add_set(const int16_t **columns, int64_t *count, Bitmapset *set)
{
	int64_t		more_count;
	const int16_t *more = columns_of(set, &more_count);

	if (more_count == 0)
		return;
	if (*count == 0)
	{
		*columns = more;
		*count = more_count;
	}
	else
		*columns = merge_columns(*columns, *count, more, more_count, count);
}

static void
add_columns(WardenAccess *access, WardenPermissions *permissions)
{
	add_set(&access->read_columns, &access->read_count, permissions->selectedCols);
	if (permissions->insertedCols == NULL && permissions->updatedCols == NULL)
		return;
	add_set(&access->inserted_columns, &access->inserted_count, permissions->insertedCols);
	add_set(&access->updated_columns, &access->updated_count, permissions->updatedCols);
	if (access->inserted_count == 0 || access->updated_count == 0)
	{
		access->written_columns = access->inserted_count > 0 ? access->inserted_columns : access->updated_columns;
		access->written_count = access->inserted_count + access->updated_count;
	}
	else
		access->written_columns = merge_columns(access->inserted_columns, access->inserted_count, access->updated_columns,
												access->updated_count, &access->written_count);
}

/* --- does a condition keep rows out? --- */

typedef struct Target
{
	Index		rti;
	List	   *rtable;
} Target;

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

static bool
never_null(Node *node, const Target *target)
{
	Var		   *var = (Var *) node;
	RangeTblEntry *rte;
	HeapTuple	tuple;
	bool		notnull = false;

	if (!IsA(node, Var) || var->varno != (int) target->rti)
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

/* x = x, x <= x, x >= x, x IS NOT DISTINCT FROM x: true for every row that has an x. */
static bool
compares_with_itself(Expr *expr)
{
	OpExpr	   *op = (OpExpr *) expr;

	return list_length(op->args) == 2 && equal(linitial(op->args), lsecond(op->args)) &&
		!contain_volatile_functions((Node *) op->args) && warden_operator_is_reflexive(op->opno);
}

/* x IS DISTINCT FROM x */
static bool
is_never_true(Expr *expr)
{
	return IsA(expr, DistinctExpr) && equal(linitial(((DistinctExpr *) expr)->args), lsecond(((DistinctExpr *) expr)->args)) &&
		!contain_volatile_functions((Node *) ((DistinctExpr *) expr)->args);
}

/* x = ANY (ARRAY[…, x, …]) */
static bool
is_in_own_array(ScalarArrayOpExpr *expr)
{
	ArrayExpr  *array = lsecond(expr->args);

	return expr->useOr && IsA(array, ArrayExpr) && list_member(array->elements, linitial(expr->args)) &&
		warden_operator_is_reflexive(expr->opno);
}

/* x IS NULL OR x IS NOT NULL */
static bool
covers_null_and_not_null(List *args)
{
	ListCell   *one;
	ListCell   *other;

	foreach(one, args)
		foreach(other, args)
		{
			NullTest   *is_null = lfirst(one);
			NullTest   *is_not = lfirst(other);

			if (IsA(is_null, NullTest) && IsA(is_not, NullTest) && is_null->nulltesttype == IS_NULL &&
				is_not->nulltesttype == IS_NOT_NULL && equal(is_null->arg, is_not->arg))
				return true;
		}
	return false;
}

/* True where the condition may be false for one row of the target and true for another. */
static bool
excludes_rows(Node *condition, const Target *target)
{
	ListCell   *cell;

	check_stack_depth();
	if (condition == NULL)
		return false;
	if (is_andclause(condition))
	{
		foreach(cell, ((BoolExpr *) condition)->args)
			if (excludes_rows(lfirst(cell), target))
				return true;
		return false;
	}
	if (is_orclause(condition))
	{
		if (covers_null_and_not_null(((BoolExpr *) condition)->args))
			return false;
		foreach(cell, ((BoolExpr *) condition)->args)
			if (!excludes_rows(lfirst(cell), target))
				return false;
		return true;
	}
	if (!mentions(condition, target->rti))
		return false;
	if (IsA(condition, BooleanTest) && (((BooleanTest *) condition)->booltesttype == IS_TRUE ||
										((BooleanTest *) condition)->booltesttype == IS_NOT_FALSE))
		return excludes_rows((Node *) ((BooleanTest *) condition)->arg, target);
	if (is_notclause(condition))
		return !is_never_true(get_notclausearg((Expr *) condition));
	if (IsA(condition, ScalarArrayOpExpr))
		return !is_in_own_array((ScalarArrayOpExpr *) condition);
	if (IsA(condition, NullTest) && ((NullTest *) condition)->nulltesttype == IS_NOT_NULL &&
		!((NullTest *) condition)->argisrow)
		return !never_null((Node *) ((NullTest *) condition)->arg, target);
	if (IsA(condition, OpExpr))
		return !compares_with_itself((Expr *) condition);
	return true;
}

static bool
any_excludes(List *conditions, const Target *target)
{
	ListCell   *cell;

	foreach(cell, conditions)
		if (excludes_rows(lfirst(cell), target))
			return true;
	return false;
}

static bool scans_target(Plan *plan, const Target *target);
static bool limits(Plan *plan, const Target *target);

static List *
children(Plan *plan)
{
	switch (nodeTag(plan))
	{
		case T_Append:
			return ((Append *) plan)->appendplans;
		case T_MergeAppend:
			return ((MergeAppend *) plan)->mergeplans;
		case T_SubqueryScan:
			return list_make1(((SubqueryScan *) plan)->subplan);
		default:
			break;
	}
	if (outerPlan(plan) != NULL && innerPlan(plan) != NULL)
		return list_make2(outerPlan(plan), innerPlan(plan));
	if (outerPlan(plan) != NULL)
		return list_make1(outerPlan(plan));
	return NIL;
}

static bool
is_scan_of(Plan *plan, Index rti)
{
	switch (nodeTag(plan))
	{
		case T_SeqScan:
		case T_SampleScan:
		case T_IndexScan:
		case T_IndexOnlyScan:
		case T_BitmapHeapScan:
		case T_TidScan:
		case T_TidRangeScan:
		case T_ForeignScan:
		case T_CustomScan:
			return ((Scan *) plan)->scanrelid == rti;
		default:
			return false;
	}
}

static bool
scans_target(Plan *plan, const Target *target)
{
	ListCell   *cell;
	List	   *below;

	check_stack_depth();
	if (plan == NULL)
		return false;
	if (is_scan_of(plan, target->rti))
		return true;
	below = children(plan);
	foreach(cell, below)
		if (scans_target(lfirst(cell), target))
			return true;
	return false;
}

static bool
scan_limits(Plan *plan, const Target *target)
{
	switch (nodeTag(plan))
	{
		case T_IndexScan:
			return any_excludes(((IndexScan *) plan)->indexqualorig, target);
		case T_IndexOnlyScan:
			return ((IndexOnlyScan *) plan)->indexqual != NIL;
		case T_BitmapHeapScan:
			return any_excludes(((BitmapHeapScan *) plan)->bitmapqualorig, target);
		case T_TidScan:
		case T_TidRangeScan:
		case T_SampleScan:
			return true;
		case T_ForeignScan:
			/* what the other server evaluates is kept for rechecks */
			return ((ForeignScan *) plan)->fdw_recheck_quals != NIL || ((ForeignScan *) plan)->fdw_exprs != NIL;
		case T_CustomScan:
			return ((CustomScan *) plan)->custom_exprs != NIL;
		default:
			return false;
	}
}

static bool
join_limits(Plan *plan, const Target *target)
{
	Join	   *join = (Join *) plan;
	Plan	   *side = scans_target(outerPlan(plan), target) ? outerPlan(plan) : innerPlan(plan);

	/* merge and hash joins compare; a nested loop without any condition pairs every row */
	if (!IsA(plan, NestLoop) || any_excludes(join->joinqual, target) || ((NestLoop *) plan)->nestParams != NIL ||
		join->jointype == JOIN_ANTI)
		return true;
	return limits(side, target);
}

/* True where some node between the table and its change may keep a row of the target out. */
static bool
limits(Plan *plan, const Target *target)
{
	ListCell   *cell;
	List	   *below;

	check_stack_depth();
	if (plan == NULL)
		return true;
	if (any_excludes(plan->qual, target))
		return true;
	if (is_scan_of(plan, target->rti))
		return scan_limits(plan, target);
	if (IsA(plan, NestLoop) || IsA(plan, MergeJoin) || IsA(plan, HashJoin))
		return join_limits(plan, target);
	if (IsA(plan, Limit))
		return true;
	below = children(plan);
	foreach(cell, below)
		if (scans_target(lfirst(cell), target))
			return limits(lfirst(cell), target);
	/* no scan of the target below: nothing of it is touched (WHERE false) */
	return true;
}

/* --- ModifyTable nodes --- */

typedef struct Modified
{
	WardenFacts *facts;
	PlannedStmt *plan;
} Modified;

/* `qual`: what a MERGE action asks for besides, as the plan has it, a list that is ANDed. */
static WardenClasses
whole_table(ModifyTable *node, PlannedStmt *plan, WardenClasses all, Node *qual)
{
	ListCell   *cell;

	foreach(cell, node->resultRelations)
	{
		Target		target = {(Index) lfirst_int(cell), plan->rtable};

		if (scans_target(outerPlan(node), &target) && !limits(outerPlan(node), &target) &&
			!any_excludes((List *) qual, &target))
			return all;
	}
	return 0;
}

static WardenClasses
merge_classes(ModifyTable *node, PlannedStmt *plan)
{
	WardenClasses classes = WARDEN_CLASS_MERGE;
	ListCell   *outer;
	ListCell   *inner;

	foreach(outer, node->mergeActionLists)
		foreach(inner, (List *) lfirst(outer))
		{
			MergeAction *action = lfirst(inner);

			if (action->commandType == CMD_INSERT)
				classes |= WARDEN_CLASS_INSERT;
			if (action->commandType == CMD_UPDATE)
				classes |= WARDEN_CLASS_UPDATE |
					whole_table(node, plan, WARDEN_CLASS_UPDATE_ALL, action->qual);
			if (action->commandType == CMD_DELETE)
				classes |= WARDEN_CLASS_DELETE |
					whole_table(node, plan, WARDEN_CLASS_DELETE_ALL, action->qual);
		}
	return classes;
}

static WardenClasses
modify_classes(ModifyTable *node, PlannedStmt *plan)
{
	switch (node->operation)
	{
		case CMD_INSERT:
			return WARDEN_CLASS_INSERT | (node->onConflictAction == ONCONFLICT_UPDATE ? WARDEN_CLASS_UPDATE : 0);
		case CMD_UPDATE:
			return WARDEN_CLASS_UPDATE | whole_table(node, plan, WARDEN_CLASS_UPDATE_ALL, NULL);
		case CMD_DELETE:
			return WARDEN_CLASS_DELETE | whole_table(node, plan, WARDEN_CLASS_DELETE_ALL, NULL);
		case CMD_MERGE:
			return merge_classes(node, plan);
		default:
			return WARDEN_CLASS_MISC;
	}
}

static void
modifies(WardenFacts *facts, RangeTblEntry *rte, WardenClasses classes)
{
	WardenRelation *relation = rte->rtekind == RTE_RELATION ? warden_relation(rte->relid) : NULL;

	if (relation != NULL)
		(void) warden_facts_access_via(facts, &relation->object, classes, warden_via(rte));
}

static void
find_modifications(Plan *plan, Modified *modified)
{
	List	   *below;
	ListCell   *cell;

	check_stack_depth();
	if (plan == NULL)
		return;
	if (IsA(plan, ModifyTable))
	{
		ModifyTable *node = (ModifyTable *) plan;
		Index		rti = node->nominalRelation;
		RangeTblEntry *rte = rt_fetch(rti, modified->plan->rtable);
		WardenClasses classes = modify_classes(node, modified->plan);

		/* of an updatable view the nominal relation may be the view: the table is the first result relation */
		modifies(modified->facts, rte, classes);
		foreach(cell, node->resultRelations)
			modifies(modified->facts, rt_fetch(lfirst_int(cell), modified->plan->rtable), classes);
	}
	below = children(plan);
	foreach(cell, below)
		find_modifications(lfirst(cell), modified);
}

/* --- the whole --- */

void
warden_facts_masked(WardenAccess *access, WardenRelation *relation)
{
	bool	   *masked = MemoryContextAllocZero(warden_statement_memory(), relation->masked_count);
	int16_t    *columns;
	int			n = 0;

	if (!warden_columns_masked(relation, masked))
		return;
	columns = MemoryContextAlloc(warden_statement_memory(), sizeof(int16_t) * relation->masked_count);
	for (int i = 0; i < relation->masked_count; i++)
		for (int64_t r = 0; masked[i] && r < access->read_count; r++)
			if (access->read_columns[r] == relation->masked[i] || access->read_columns[r] == 0)
			{
				columns[n++] = relation->masked[i];
				break;
			}
	access->masked_columns = columns;
	access->masked_count = n;
}

static void
add_relation(WardenFacts *facts, PlannedStmt *plan, RangeTblEntry *rte)
{
	WardenPermissions *permissions = warden_plan_permissions(plan, rte);
	WardenRelation *relation;
	WardenAccess *access;

	if (permissions == NULL || permissions->requiredPerms == 0)
		return;
	relation = warden_relation(rte->relid);
	if (relation == NULL)
		return;
	access = warden_facts_access_via(facts, &relation->object,
									 (permissions->requiredPerms & ACL_SELECT) ? WARDEN_CLASS_READ : 0,
									 warden_via(rte));
	/* SELECT … FOR UPDATE of the audit would hold up its writer */
	if ((relation->object.flags & WARDEN_OBJECT_AUDIT) && (permissions->requiredPerms & ACL_UPDATE))
	{
		access->classes |= WARDEN_CLASS_UPDATE;
		facts->statement.classes |= WARDEN_CLASS_UPDATE;
	}
	add_columns(access, permissions);
	if (relation->sensitive_count == 0 || access->read_count == 0)
		return;
	warden_masked_read();
	if (relation->maskable)
		warden_facts_masked(access, relation);
}

/* What OLD and NEW of a rule's action stand for is not touched by the action. */
static void
drop_idle(WardenFacts *facts)
{
	int			kept = 0;

	for (int i = 0; i < facts->count; i++)
		if (facts->accesses[i].classes != 0)
			facts->accesses[kept++] = facts->accesses[i];
	facts->count = kept;
	facts->statement.access_count = kept;
}

void
warden_plan_facts(WardenFacts *facts, PlannedStmt *plan, CmdType operation)
{
	Modified	modified = {facts, plan};
	ListCell   *cell;

	foreach(cell, plan->rtable)
	{
		RangeTblEntry *rte = lfirst(cell);

		/* a view that was put in its place, too, where its reference has the permissions (16) */
		if (rte->rtekind == RTE_RELATION || (rte->rtekind == RTE_SUBQUERY && OidIsValid(rte->relid)))
			add_relation(facts, plan, rte);
	}
	if (operation == CMD_SELECT && !plan->hasModifyingCTE)
	{
		facts->statement.classes |= WARDEN_CLASS_READ;
		return;
	}
	find_modifications(plan->planTree, &modified);
	foreach(cell, plan->subplans)
		find_modifications(lfirst(cell), &modified);
	drop_idle(facts);
}
