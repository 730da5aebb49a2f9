/*
 * DDL through which a masked subject would reach real values, or a mask would be lost. Refused before it runs.
 */
#include "shim.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

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

/*
 * A mask of a child does not hold for reads through its parent: masks are made on the topmost table. That is where those
 * that labels give go by themselves.
 */
static void
check_new_child(const RangeVar *child)
{
	WardenRelation *relation = named(child);

	for (int i = 0; relation != NULL && i < warden_mask_count; i++)
		if (warden_masks[i].relation == relation->oid && !warden_masks[i].by_label)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("masked table \"%s\" cannot become a child of another table", get_rel_name(relation->oid)),
					 errdetail("Its columns would be read real through the parent."),
					 errhint("Take its masks off with warden.unmask(), and mask the parent: the mask holds for all children.")));
}

/* --- who would own a masked table, and so see its real values --- */

/* Who may decide who sees real values. */
static bool
may_show_values(void)
{
	return superuser() || warden_session.break_glass ||
		is_member_of_role(GetUserId(), get_role_oid("warden_admin", true));
}

/* Which columns the role sees masked; how many. */
static int64
masked_for(WardenRelation *relation, Oid role, bool *masked)
{
	WardenSession session = warden_session;
	int64_t		count;

	memset(masked, 0, sizeof(bool) * relation->masked_count);
	if (relation->masked_count == 0 || superuser_arg(role) || has_privs_of_role(role, relation->owner))
		return 0;
	session.role_oid = role;
	session.superuser = false;
	session.role_memberships = warden_memberships(role, &session.role_membership_count);
	SWIFT_GET(count, warden_masked_columns(&session, &relation->object, false, GetCurrentTimestamp(),
										   relation->masked, relation->masked_count, masked));
	return count;
}

/* Would the role, which sees masks now, see real values as the relation's owner? */
static bool
would_see_more(WardenRelation *relation, Oid role)
{
	bool		masked[MaxHeapAttributeNumber];

	return masked_for(relation, role, masked) > 0;
}

/* Does the role see a column real that this session sees masked? */
static bool
sees_more(WardenRelation *relation, Oid role)
{
	bool		mine[MaxHeapAttributeNumber];
	bool		theirs[MaxHeapAttributeNumber];

	if (!warden_columns_masked(relation, mine))
		return false;
	(void) masked_for(relation, role, theirs);
	for (int i = 0; i < relation->masked_count; i++)
		if (mine[i] && !theirs[i])
			return true;
	return false;
}

static void
check_new_owner(Oid relid, Oid role)
{
	WardenRelation *relation = OidIsValid(relid) ? warden_relation(relid) : NULL;

	if (relation != NULL && relation->maskable && OidIsValid(role) && would_see_more(relation, role) && !may_show_values())
		refuse(relation, "ALTER TABLE OWNER", "The new owner would see the real values.");
}

static void
check_reassigned(ReassignOwnedStmt *stmt)
{
	Oid			owner = get_rolespec_oid(stmt->newrole, true);
	ListCell   *cell;
	ListCell   *owned;

	foreach(cell, stmt->roles)
		foreach(owned, warden_owned_relations(get_rolespec_oid(lfirst(cell), true)))
			check_new_owner(lfirst_oid(owned), owner);
}

/*
 * Whoever becomes a role sees what it sees, and an admin decides who does: a new member, or a password that somebody else
 * chose, shows the values.
 */
static void
check_granted(Oid granted)
{
	Oid			admins = get_role_oid("warden_admin", true);

	if (!OidIsValid(granted) || may_show_values())
		return;
	if (OidIsValid(admins) && !superuser_arg(granted) && is_member_of_role(granted, admins))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" is not given to others by you", GetUserNameFromId(granted, false)),
				 errdetail("Its members decide who sees real values."),
				 errhint("Ask a superuser or a member of warden_admin.")));
	for (int i = 0; i < warden_mask_count; i++)
	{
		WardenRelation *relation = warden_relation(warden_masks[i].relation);

		if (relation != NULL && relation->maskable && sees_more(relation, granted))
			refuse(relation, "a new member, or password, of a role that sees real values", "You see masks.");
	}
}

static void
check_grant(GrantRoleStmt *stmt)
{
	ListCell   *cell;

	foreach(cell, stmt->granted_roles)
		if (stmt->is_grant)
			check_granted(get_role_oid(((AccessPriv *) lfirst(cell))->priv_name, true));
}

/* IN ROLE; and ALTER GROUP … ADD USER, which grants the group. */
static void
check_role_options(List *options, Oid role)
{
	ListCell   *cell;
	ListCell   *member;

	foreach(cell, options)
	{
		DefElem    *option = lfirst(cell);

		if (strcmp(option->defname, "addroleto") == 0)
			foreach(member, (List *) option->arg)
				check_granted(get_rolespec_oid(lfirst(member), true));
		else if (strcmp(option->defname, "rolemembers") == 0 ||
				 (role != GetUserId() && strcmp(option->defname, "password") == 0))
			check_granted(role);
	}
}

/* --- */

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
		if (command->subtype == AT_ChangeOwner)
			check_new_owner(RangeVarGetRelid(stmt->relation, NoLock, true), get_rolespec_oid(command->newowner, true));
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
		case T_ReassignOwnedStmt:
			check_reassigned((ReassignOwnedStmt *) utility);
			break;
		case T_GrantRoleStmt:
			check_grant((GrantRoleStmt *) utility);
			break;
		case T_CreateRoleStmt:
			check_role_options(((CreateRoleStmt *) utility)->options, InvalidOid);
			break;
		case T_AlterRoleStmt:
			check_role_options(((AlterRoleStmt *) utility)->options, ((AlterRoleStmt *) utility)->action > 0 ?
							   get_rolespec_oid(((AlterRoleStmt *) utility)->role, true) : InvalidOid);
			break;
		default:
			break;
	}
}
