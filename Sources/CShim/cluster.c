/*
 * Commands that reach from any database into governed ones. They are checked in databases without the extension too,
 * as long as some database of the cluster is governed; in governed ones the guards decide besides.
 */
#include "shim.h"

#include "commands/dbcommands.h"
#include "miscadmin.h"

static void
refuse(const char *what, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("%s is blocked", what),
			 errdetail("Guard \"self-protection\": a database of this cluster is governed by pg_warden."),
			 errhint("%s", hint)));
}

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
check_drop(const char *name)
{
	if (slot_of(name) >= 0 && !warden_governed())
		refuse("DROP DATABASE of a governed database",
			   "Connect to a governed database and call warden.break_glass(reason) there, or drop the extension in it first.");
	make_room(name);
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

void
warden_cluster_check(Node *utility)
{
	switch (nodeTag(utility))
	{
		case T_AlterSystemStmt:
			if (weakens((AlterSystemStmt *) utility) && warden_any_database() && !warden_governed())
				refuse("ALTER SYSTEM of pg_warden's settings",
					   "Connect to a governed database and call warden.break_glass(reason) there, or edit postgresql.conf.");
			break;
		case T_DropdbStmt:
			check_drop(((DropdbStmt *) utility)->dbname);
			break;
		case T_CreatedbStmt:
			check_create((CreatedbStmt *) utility);
			break;
		case T_RenameStmt:
			if (((RenameStmt *) utility)->renameType == OBJECT_DATABASE)
				make_room(((RenameStmt *) utility)->subname);
			break;
		default:
			break;
	}
}
