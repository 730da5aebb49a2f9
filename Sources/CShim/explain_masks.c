/*
 * What warden.explain tells of masks: how the subject would see each masked column that the statement reads.
 */
#include "explain.h"

#include "catalog/pg_class.h"
#include "masking.h"
#include "parser/parsetree.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

/* As warden_columns_masked, for the subject. */
static bool
subject_masks(const WardenExplaining *explaining, const WardenRelation *relation, bool *masked)
{
	int64_t		count;
	bool		owner = has_privs_of_role(explaining->session.role_oid, relation->owner);

	SWIFT_GET(count, warden_masked_columns(&explaining->session, &relation->object, owner, GetCurrentTimestamp(),
										   relation->masked, relation->masked_count, masked));
	return count > 0;
}

static WardenRelation *
masked_relation(const WardenObject *object)
{
	WardenRelation *relation = object->catalog == RelationRelationId ? warden_relation(object->oid) : NULL;

	return relation != NULL && relation->maskable && relation->masked_count > 0 ? relation : NULL;
}

/* The method of the mask that holds for the column: the relation's own, else an ancestor's. */
static const char *
method_of(const WardenRelation *relation, AttrNumber column)
{
	const char *name = (const char *) relation->object.columns[column - 1].bytes;

	for (int i = 0; i < warden_mask_count; i++)
		if (warden_masks[i].relation == relation->oid && warden_masks[i].column == column)
			return warden_masks[i].method;
	for (int i = 0; i < warden_mask_count; i++)
		if (warden_is_ancestor(warden_masks[i].relation, relation->oid) &&
			warden_masks[i].column == get_attnum(warden_masks[i].relation, name))
			return warden_masks[i].method;
	return "unknown";
}

static const char *
why_real(const WardenExplaining *explaining, const WardenRelation *relation)
{
	if (explaining->session.superuser)
		return "real values: superuser";
	if (has_privs_of_role(explaining->session.role_oid, relation->owner))
		return "real values: owner";
	return "real values: exempt";
}

static bool
is_read(const WardenAccess *access, AttrNumber column)
{
	for (int64_t i = 0; i < access->read_count; i++)
		if (access->read_columns[i] == 0 || access->read_columns[i] == column)
			return true;
	return false;
}

static void
explain_column(WardenExplaining *explaining, const WardenAccess *access, const WardenRelation *relation,
			   AttrNumber column, bool masked)
{
	const char *object = access->hidden ? NULL :
		psprintf("%s.%s", (const char *) relation->object.name.bytes,
				 (const char *) relation->object.columns[column - 1].bytes);

	warden_explain_row(explaining, "mask", masked ? "mask" : "allow", object,
					   masked ? psprintf("method %s; not exempt", method_of(relation, column)) :
					   why_real(explaining, relation));
	warden_explain_result(explaining, "allow", "the statement runs");
}

void
warden_explain_masks(WardenExplaining *explaining, const WardenFacts *facts)
{
	bool		masked[MaxHeapAttributeNumber];

	for (int i = 0; warden_any_masks && i < facts->count; i++)
	{
		const WardenAccess *access = &facts->accesses[i];
		WardenRelation *relation = access->read_count > 0 ? masked_relation(access->object) : NULL;

		if (relation == NULL)
			continue;
		(void) subject_masks(explaining, relation, masked);
		for (int m = 0; m < relation->masked_count; m++)
			if (is_read(access, relation->masked[m]))
				explain_column(explaining, access, relation, relation->masked[m], masked[m]);
	}
}

static void
explain_write(WardenExplaining *explaining, Query *query)
{
	bool		masked[MaxHeapAttributeNumber];
	WardenRelation *relation;
	WardenVerdict verdict;
	AttrNumber	column;
	WardenFacts facts;

	if (query->commandType == CMD_SELECT || query->resultRelation == 0)
		return;
	relation = warden_relation(rt_fetch(query->resultRelation, query->rtable)->relid);
	if (relation == NULL || !relation->maskable || !subject_masks(explaining, relation, masked) ||
		!warden_write_reads_masked(query, relation, masked, &column))
		return;
	warden_facts_begin(&facts, "UPDATE");
	(void) warden_facts_access(&facts, &relation->object, warden_command_class(query->commandType));
	SWIFT(warden_masked_write(&relation->object, column, WARDEN_MASKED_WRITE_READS, warden_facts_hide(&facts),
							  warden_texts(), &verdict));
	warden_explain_row(explaining, "mask", "block",
					   facts.accesses[0].hidden ? NULL : (const char *) relation->object.name.bytes,
					   "masked columns are read to change data; not exempt");
	warden_explain_result(explaining, "block", warden_cstring(verdict.message));
}

void
warden_explain_masked_writes(WardenExplaining *explaining, Query *query)
{
	ListCell   *cell;

	if (!warden_any_masks)
		return;
	explain_write(explaining, query);
	foreach(cell, query->cteList)
		explain_write(explaining, castNode(Query, lfirst_node(CommonTableExpr, cell)->ctequery));
}
