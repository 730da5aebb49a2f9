/*
 * Commands that reach from any database into governed ones. They are checked in databases without the extension too,
 * as long as some database of the cluster is governed; in governed ones the guards decide besides.
 */
#include "shim.h"

#include "commands/dbcommands.h"
#include "miscadmin.h"

static bool
weakens(const AlterSystemStmt *stmt)
{
	const VariableSetStmt *set = stmt->setstmt;

	return set->kind == VAR_RESET_ALL || set->name == NULL || pg_strncasecmp(set->name, "warden.", 7) == 0 ||
		pg_strcasecmp(set->name, "shared_preload_libraries") == 0;
}

static int
slot_of(const char *name)
{
	Oid			database = name ? get_database_oid(name, true) : InvalidOid;

	return OidIsValid(database) ? warden_database_slot(database, false) : -1;
}

/* The writer's connection must not stand in the way of commands that need the database alone. */
static void
make_room(const char *name)
{
	int			slot = slot_of(name);

	if (slot >= 0)
		warden_writer_leave(slot);
}

static void
check_create(CreatedbStmt *stmt)
{
	ListCell   *cell;

	foreach(cell, stmt->options)
	{
		DefElem    *option = lfirst(cell);

		if (strcmp(option->defname, "template") == 0 && option->arg != NULL && IsA(option->arg, String))
			make_room(strVal(option->arg));
	}
}

const char *
warden_cluster_refusal(Node *utility)
{
	if (IsA(utility, AlterSystemStmt) && weakens((AlterSystemStmt *) utility) && warden_any_database() &&
		!warden_governed())
		return "ALTER SYSTEM of pg_warden's settings is blocked";
	if (IsA(utility, DropdbStmt) && slot_of(((DropdbStmt *) utility)->dbname) >= 0 && !warden_governed())
		return "DROP DATABASE of a governed database is blocked";
	return NULL;
}

void
warden_cluster_check(Node *utility)
{
	const char *refusal = warden_cluster_refusal(utility);

	if (refusal != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg_internal("%s", refusal),
				 errdetail("Guard \"self-protection\": a database of this cluster is governed by pg_warden."),
				 errhint("Connect to a governed database and call warden.break_glass(reason) there, or %s.",
						 IsA(utility, DropdbStmt) ? "drop the extension in it first" : "edit postgresql.conf")));
	if (IsA(utility, DropdbStmt))
		make_room(((DropdbStmt *) utility)->dbname);
	else if (IsA(utility, CreatedbStmt))
		check_create((CreatedbStmt *) utility);
	else if (IsA(utility, RenameStmt) && ((RenameStmt *) utility)->renameType == OBJECT_DATABASE)
		make_room(((RenameStmt *) utility)->subname);
}
