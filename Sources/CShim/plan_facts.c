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

/* --- does the plan keep rows out? --- */

static bool scans_target(Plan *plan, const WardenChangedRelation *target);
static bool limits(Plan *plan, const WardenChangedRelation *target);

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
scans_target(Plan *plan, const WardenChangedRelation *target)
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
scan_limits(Plan *plan, const WardenChangedRelation *target)
{
	switch (nodeTag(plan))
	{
		case T_IndexScan:
			return warden_conditions_exclude(((IndexScan *) plan)->indexqualorig, target);
		case T_IndexOnlyScan:
			return ((IndexOnlyScan *) plan)->indexqual != NIL;
		case T_BitmapHeapScan:
			return warden_conditions_exclude(((BitmapHeapScan *) plan)->bitmapqualorig, target);
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

/* An outer join that keeps every row of the target; to be asked for rows without a partner alone. */
static bool
keeps_unmatched(const Join *join, bool outer)
{
	return join->jointype == JOIN_FULL || join->jointype == (outer ? JOIN_LEFT : JOIN_RIGHT);
}

static bool
join_limits(Plan *plan, const WardenChangedRelation *target)
{
	Join	   *join = (Join *) plan;
	bool		outer = scans_target(outerPlan(plan), target);
	Plan	   *side = outer ? outerPlan(plan) : innerPlan(plan);

	if (target->unmatched && keeps_unmatched(join, outer))
		return limits(side, target);
	/* merge and hash joins compare; a nested loop without any condition pairs every row */
	if (!IsA(plan, NestLoop) || warden_conditions_exclude(join->joinqual, target) || ((NestLoop *) plan)->nestParams != NIL ||
		join->jointype == JOIN_ANTI)
		return true;
	return limits(side, target);
}

/* True where some node between the table and its change may keep a row of the target out. */
static bool
limits(Plan *plan, const WardenChangedRelation *target)
{
	ListCell   *cell;
	List	   *below;

	check_stack_depth();
	if (plan == NULL)
		return true;
	if (warden_conditions_exclude(plan->qual, target))
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
	ParamListInfo params;
} Modified;

/* `action`: of a MERGE, whose condition is a list that is ANDed. */
static WardenClasses
whole_table(ModifyTable *node, const Modified *modified, WardenClasses all, MergeAction *action)
{
	List	   *qual = action ? (List *) action->qual : NIL;
	ListCell   *cell;

	foreach(cell, node->resultRelations)
	{
		WardenChangedRelation target = {
			.rti = (Index) lfirst_int(cell), .rtable = modified->plan->rtable, .subplans = modified->plan->subplans,
			.params = modified->params, .unmatched = action != NULL && WARDEN_ACTS_ON_UNMATCHED(action)};

		if (scans_target(outerPlan(node), &target) && !limits(outerPlan(node), &target) &&
			!warden_conditions_exclude(qual, &target))
			return all;
	}
	return 0;
}

static WardenClasses
merge_classes(ModifyTable *node, const Modified *modified)
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
					whole_table(node, modified, WARDEN_CLASS_UPDATE_ALL, action);
			if (action->commandType == CMD_DELETE)
				classes |= WARDEN_CLASS_DELETE |
					whole_table(node, modified, WARDEN_CLASS_DELETE_ALL, action);
		}
	return classes;
}

static WardenClasses
modify_classes(ModifyTable *node, const Modified *modified)
{
	switch (node->operation)
	{
		case CMD_INSERT:
			return WARDEN_CLASS_INSERT | (node->onConflictAction == ONCONFLICT_UPDATE ? WARDEN_CLASS_UPDATE : 0);
		case CMD_UPDATE:
			return WARDEN_CLASS_UPDATE | whole_table(node, modified, WARDEN_CLASS_UPDATE_ALL, NULL);
		case CMD_DELETE:
			return WARDEN_CLASS_DELETE | whole_table(node, modified, WARDEN_CLASS_DELETE_ALL, NULL);
		case CMD_MERGE:
			return merge_classes(node, modified);
		default:
			return WARDEN_CLASS_MISC;
	}
}

/* The columns that are written are known of the parent: those of the same names. */
static void
written_as_parent(WardenAccess *access, PlannedStmt *plan, Index rti)
{
	RangeTblEntry *parent = warden_named_parent(plan, rti);
	WardenPermissions *permissions = parent ? warden_plan_permissions(plan, parent) : NULL;

	if (permissions == NULL || access->written_count > 0)
		return;
	access->written_columns = warden_columns_of_child(parent->relid, access->object->oid,
													  bms_union(permissions->insertedCols, permissions->updatedCols),
													  &access->written_count);
}

static void
modifies(Modified *modified, Index rti, WardenClasses classes)
{
	RangeTblEntry *rte = rt_fetch(rti, modified->plan->rtable);
	WardenRelation *relation = rte->rtekind == RTE_RELATION ? warden_relation(rte->relid) : NULL;

	if (relation != NULL)
		written_as_parent(warden_facts_access_via(modified->facts, &relation->object, classes, warden_via(rte)),
						  modified->plan, rti);
}

/* An UPDATE of the key moves rows to other partitions. */
static WardenClasses
moved_classes(ModifyTable *node, const Modified *modified, Index rti)
{
	return node->partColsUpdated && warden_partition_receives(modified->plan, rti) ? WARDEN_CLASS_INSERT : 0;
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
		WardenClasses classes = modify_classes(node, modified);

		/* of an updatable view the nominal relation may be the view: the table is the first result relation */
		modifies(modified, node->nominalRelation, classes);
		foreach(cell, node->resultRelations)
			modifies(modified, (Index) lfirst_int(cell), classes | moved_classes(node, modified, (Index) lfirst_int(cell)));
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

/* One over files of the host is a road to them, as a partition of a table that is named too. */
static void
add_foreign_table(WardenFacts *facts, RangeTblEntry *rte)
{
	WardenClasses classes = warden_host_relation(rte->relid);
	WardenRelation *relation;

	warden_may_be_client();
	relation = classes != 0 ? warden_relation(rte->relid) : NULL;
	if (relation != NULL)
		(void) warden_facts_access_via(facts, &relation->object, classes, warden_via(rte));
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
warden_plan_facts(WardenFacts *facts, PlannedStmt *plan, CmdType operation, ParamListInfo params)
{
	Modified	modified = {facts, plan, params};
	ListCell   *cell;

	foreach(cell, plan->rtable)
	{
		RangeTblEntry *rte = lfirst(cell);

		/* a view that was put in its place, too, where its reference has the permissions (16) */
		if (rte->rtekind == RTE_RELATION || (rte->rtekind == RTE_SUBQUERY && OidIsValid(rte->relid)))
			add_relation(facts, plan, rte);
		if (unlikely(rte->relkind == RELKIND_FOREIGN_TABLE))
			add_foreign_table(facts, rte);
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
