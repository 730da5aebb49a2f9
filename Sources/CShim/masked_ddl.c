/*
 * DDL through which a masked subject would reach real values, or a mask would be lost. Refused before it runs.
 */
#include "shim.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "nodes/pg_list.h"
#include "utils/lsyscache.h"

static WardenRelation *
named(const RangeVar *name)
{
	Oid			relid = name ? RangeVarGetRelid(name, NoLock, true) : InvalidOid;

	return OidIsValid(relid) ? warden_relation(relid) : NULL;
}

static bool
is_masked_for_session(WardenRelation *relation)
{
	bool		masked[MaxHeapAttributeNumber];

	return relation != NULL && relation->maskable && warden_columns_masked(relation, masked);
}

static void
refuse(const WardenRelation *relation, const char *what, const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("%s on masked table \"%s\" is refused", what, get_rel_name(relation->oid)),
			 errdetail("%s", why),
			 errhint("Ask the owner of the table, or a member of warden_admin for an exemption.")));
}

static void
check_constraint(Node *node)
{
	Constraint *constraint = (Constraint *) node;
	WardenRelation *relation;

	if (!IsA(node, Constraint) || constraint->contype != CONSTR_FOREIGN)
		return;
	relation = named(constraint->pktable);
	if (is_masked_for_session(relation))
		refuse(relation, "a foreign key", "Its checks would tell which real values exist.");
}

static void
check_element(Node *element)
{
	ListCell   *cell;

	if (element == NULL)
		return;
	check_constraint(element);
	if (IsA(element, ColumnDef))
		foreach(cell, ((ColumnDef *) element)->constraints)
			check_constraint(lfirst(cell));
}

/* A mask of a child does not hold for reads through its parent: masks are made on the topmost table. */
static void
check_new_child(const RangeVar *child)
{
	WardenRelation *relation = named(child);

	for (int i = 0; relation != NULL && i < warden_mask_count; i++)
		if (warden_masks[i].relation == relation->oid)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("masked table \"%s\" cannot become a child of another table", get_rel_name(relation->oid)),
					 errdetail("Its columns would be read real through the parent."),
					 errhint("Take its masks off with warden.unmask(), and mask the parent: the mask holds for all children.")));
}

static void
check_alter_table(AlterTableStmt *stmt)
{
	ListCell   *cell;

	foreach(cell, stmt->cmds)
	{
		AlterTableCmd *command = lfirst(cell);

		if (command->subtype == AT_AddConstraint || command->subtype == AT_AddColumn)
			check_element(command->def);
		if (command->subtype == AT_AttachPartition)
			check_new_child(((PartitionCmd *) command->def)->name);
		if (command->subtype == AT_AddInherit)
			check_new_child(stmt->relation);
	}
}

void
warden_refuse_masked_ddl(Node *utility)
{
	ListCell   *cell;
	WardenRelation *relation;

	switch (nodeTag(utility))
	{
		case T_CreateTrigStmt:
			relation = named(((CreateTrigStmt *) utility)->relation);
			if (is_masked_for_session(relation))
				refuse(relation, "CREATE TRIGGER", "A trigger is handed the real rows.");
			break;
		case T_CreateStmt:
			foreach(cell, ((CreateStmt *) utility)->tableElts)
				check_element(lfirst(cell));
			break;
		case T_AlterTableStmt:
			check_alter_table((AlterTableStmt *) utility);
			break;
		default:
			break;
	}
}
