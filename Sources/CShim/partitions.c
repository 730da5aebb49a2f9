/*
 * Partitions and children that a statement reaches through their parents. Guards on the parent hold for them anyway; a
 * guard that names one of them is to be met by the road through the parent, too. Which are read is known when the
 * executor has pruned what the parameters exclude; which rows are routed where, when they are.
 */
#include "shim.h"

#include "access/sysattr.h"
#include "nodes/pathnodes.h"
#include "parser/parsetree.h"
#include "utils/memutils.h"

static Index
parent_of(PlannedStmt *plan, Index rti)
{
	ListCell   *cell;

	foreach(cell, plan->appendRelations)
		if (lfirst_node(AppendRelInfo, cell)->child_relid == rti)
			return lfirst_node(AppendRelInfo, cell)->parent_relid;
	return 0;
}

RangeTblEntry *
warden_named_parent(PlannedStmt *plan, Index rti)
{
	RangeTblEntry *named = NULL;

	for (rti = parent_of(plan, rti); rti != 0; rti = parent_of(plan, rti))
	{
		RangeTblEntry *rte = rt_fetch(rti, plan->rtable);

		/* a UNION ALL is a parent, too */
		if (rte->rtekind != RTE_RELATION)
			break;
		named = rte;
	}
	return named;
}

static int16_t
column_of_child(const WardenRelation *parent, const WardenRelation *child, int16_t column)
{
	const WardenText *name;

	if (column <= 0 || column > parent->object.column_count)
		return column;
	name = &parent->object.columns[column - 1];
	for (int64_t i = 0; i < child->object.column_count; i++)
		if (child->object.columns[i].length == name->length &&
			memcmp(child->object.columns[i].bytes, name->bytes, name->length) == 0)
			return (int16_t) (i + 1);
	return 0;
}

static int
ascending(const void *one, const void *other)
{
	return *(const int16_t *) one - *(const int16_t *) other;
}

const int16_t *
warden_columns_of_child(Oid parent_relid, Oid child_relid, Bitmapset *columns, int64_t *count)
{
	const WardenRelation *parent = warden_relation(parent_relid);
	const WardenRelation *child = warden_relation(child_relid);
	int16_t    *numbers;
	int			member = -1;

	*count = 0;
	if (parent == NULL || child == NULL || bms_is_empty(columns))
		return NULL;
	numbers = MemoryContextAlloc(warden_statement_memory(), sizeof(int16_t) * bms_num_members(columns));
	while ((member = bms_next_member(columns, member)) >= 0)
		numbers[(*count)++] = column_of_child(parent, child, (int16_t) (member + FirstLowInvalidHeapAttributeNumber));
	qsort(numbers, *count, sizeof(int16_t), ascending);
	return numbers;
}

/* A guard is about the child, and would not have been asked for its parent. */
static bool
is_named(const WardenRelation *child, Oid parent, WardenClasses classes)
{
	const WardenRelation *ancestor = warden_relation(parent);
	bool		named;

	SWIFT_GET(named, warden_policy_names(&child->object, classes,
										 ancestor == NULL || ancestor->object.schema != child->object.schema));
	return named;
}

bool
warden_partition_receives(PlannedStmt *plan, Index rti)
{
	RangeTblEntry *parent;
	const WardenRelation *child;

	if (likely((warden_guarded_classes & WARDEN_CLASS_INSERT) == 0) || (parent = warden_named_parent(plan, rti)) == NULL)
		return false;
	child = warden_relation(rt_fetch(rti, plan->rtable)->relid);
	return child != NULL && is_named(child, parent->relid, WARDEN_CLASS_INSERT);
}

/* --- reads --- */

static bool
child_read(WardenFacts *facts, PlannedStmt *plan, Index rti)
{
	RangeTblEntry *rte = rt_fetch(rti, plan->rtable);
	RangeTblEntry *parent = warden_named_parent(plan, rti);
	WardenPermissions *permissions = parent ? warden_plan_permissions(plan, parent) : NULL;
	WardenRelation *child;
	WardenAccess *access;

	if (permissions == NULL || (permissions->requiredPerms & ACL_SELECT) == 0)
		return false;
	child = warden_relation(rte->relid);
	if (child == NULL || !is_named(child, parent->relid, WARDEN_CLASS_READ))
		return false;
	access = warden_facts_access_via(facts, &child->object, WARDEN_CLASS_READ, warden_via(parent));
	access->read_columns = warden_columns_of_child(parent->relid, rte->relid, permissions->selectedCols,
												   &access->read_count);
	return true;
}

bool
warden_children_read(WardenFacts *facts, QueryDesc *query)
{
	PlannedStmt *plan = query->plannedstmt;
	EState	   *estate = query->estate;
	bool		any = false;

	if (likely((warden_guarded_classes & WARDEN_CLASS_READ) == 0 || plan->appendRelations == NIL))
		return false;
	/* what was pruned was not opened */
	for (Index rti = 1; rti <= estate->es_range_table_size; rti++)
		if (estate->es_relations[rti - 1] != NULL)
			any |= child_read(facts, plan, rti);
	return any;
}

/* --- routed rows --- */

void
warden_partition_written(Oid parent, Oid partition, Bitmapset *columns, WardenClasses classes)
{
	WardenRelation *child;
	WardenAccess *access;
	WardenFacts facts;
	WardenVerdict verdict;

	if (likely((warden_guarded_classes & classes) == 0) || parent == partition || !warden_governed_known())
		return;
	child = warden_relation(partition);
	if (child == NULL || !is_named(child, parent, classes))
		return;
	warden_facts_beside(&facts, "INSERT");
	access = warden_facts_access(&facts, &child->object, classes);
	access->written_columns = warden_columns_of_child(parent, partition, columns, &access->written_count);
	warden_decide_reached(&facts, &verdict);
}
