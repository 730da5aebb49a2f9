/*
 * Roads from SQL to the host: what reads or writes files of the server, runs code of the host, or reads what tables
 * hold past the executor. Known by OIDs, languages and libraries, never by a text.
 *
 * Not among them, since they tell or do nothing that a client could not be trusted with who may call them at all:
 * monitoring without a file's name or content (pg_current_logfile, pg_control_*, pg_stat_*), pg_reload_conf and
 * pg_rotate_logfile (what the configuration file says is up to who owns the host), backup, promotion, WAL switches.
 */
#include "shim.h"

#include "access/htup_details.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "commands/proclang.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "parser/parse_func.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/syscache.h"

/*
 * The server's own functions, in order of OID. Some are not in every version; no other function has their OIDs there.
 * Slots are among them: a slot's plugin is a library of the host, and what it decodes are rows of every table.
 */
static const Oid host_functions[] = {
	764, 765, 767,				/* lo_import, lo_export */
	2623,						/* pg_stat_file */
	2624,						/* pg_read_file */
	2625,						/* pg_ls_dir */
	3293, 3295, 3297, 3307,		/* pg_read_file, pg_read_binary_file, pg_ls_dir, pg_stat_file */
	3329,						/* pg_show_all_file_settings: the view pg_file_settings */
	3353, 3354,					/* pg_ls_logdir, pg_ls_waldir */
	3401,						/* pg_hba_file_rules */
	3782, 3783, 3784, 3785,		/* pg_logical_slot_get_changes, …_peek_…, …_binary_… */
	3786,						/* pg_create_logical_replication_slot */
	3826, 3827, 3828,			/* pg_read_file, pg_read_binary_file */
	4100,						/* pg_read_file_old */
	4222, 4223, 4224,			/* pg_copy_logical_replication_slot */
	5029, 5030, 5031,			/* pg_ls_tmpdir, pg_ls_archive_statusdir */
	6208, 6209,					/* pg_read_file, pg_read_binary_file: 16 */
	6250,						/* pg_ident_file_mappings */
	6270, 6271, 6272,			/* pg_ls_logicalsnapdir, pg_ls_logicalmapdir, pg_ls_replslotdir */
	6400,						/* pg_ls_summariesdir: 18 */
};

StaticAssertDecl(F_PG_READ_FILE_TEXT == 3826 && F_LO_EXPORT == 765 && F_PG_HBA_FILE_RULES == 3401 &&
				 F_PG_LOGICAL_SLOT_GET_CHANGES == 3782, "the OIDs of the server's own functions never change");

static bool
is_host_function(Oid function)
{
	int			low = 0;
	int			high = lengthof(host_functions) - 1;

	while (low <= high)
	{
		int			middle = (low + high) / 2;

		if (host_functions[middle] == function)
			return true;
		if (host_functions[middle] < function)
			low = middle + 1;
		else
			high = middle - 1;
	}
	return false;
}

/* Libraries whose functions reach files, or the pages and the log in which every table's rows are. */
static const char *const host_libraries[] = {"adminpack", "pageinspect", "pg_surgery", "pg_walinspect"};

static bool
is_in(const char *library, const char *const *libraries, int count)
{
	for (int i = 0; i < count; i++)
		if (strcmp(library, libraries[i]) == 0)
			return true;
	return false;
}

/* "$libdir/adminpack", "/usr/…/adminpack.so": adminpack. In the current memory context. */
static char *
library_of(HeapTuple tuple)
{
	bool		isnull;
	Datum		path = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_probin, &isnull);
	char	   *name;
	char	   *suffix;

	if (isnull)
		return pstrdup("");
	name = TextDatumGetCString(path);
	if (strrchr(name, '/') != NULL)
		name = strrchr(name, '/') + 1;
	suffix = strrchr(name, '.');
	if (suffix != NULL)
		*suffix = '\0';
	return name;
}

bool
warden_row_tells_statements(HeapTuple tuple)
{
	static const char *const libraries[] = {"pg_stat_monitor", "pg_stat_statements"};

	return is_in(library_of(tuple), libraries, lengthof(libraries));
}

bool
warden_row_shows_pages(HeapTuple tuple)
{
	static const char *const libraries[] = {"pageinspect", "pg_dirtyread", "pg_walinspect"};

	return is_in(library_of(tuple), libraries, lengthof(libraries));
}

bool
warden_language_is_trusted(Oid language)
{
	HeapTuple	tuple = SearchSysCache1(LANGOID, ObjectIdGetDatum(language));
	bool		trusted = false;

	if (HeapTupleIsValid(tuple))
	{
		trusted = ((Form_pg_language) GETSTRUCT(tuple))->lanpltrusted;
		ReleaseSysCache(tuple);
	}
	return trusted;
}

/* A function that is one of the server's own under another name. */
static bool
is_internal_host_function(HeapTuple tuple)
{
	bool		isnull;
	Datum		source = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_prosrc, &isnull);

	return isnull || is_host_function(fmgr_internal_function(TextDatumGetCString(source)));
}

WardenClasses
warden_host_function_row(Oid function, HeapTuple tuple)
{
	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(tuple);
	bool		host;

	if (function < FirstNormalObjectId)
		host = is_host_function(function);
	else if (form->prolang == INTERNALlanguageId)
		host = is_internal_host_function(tuple);
	else if (form->prolang == ClanguageId)
		host = !OidIsValid(getExtensionOfObject(ProcedureRelationId, function)) ||
			is_in(library_of(tuple), host_libraries, lengthof(host_libraries));
	else
		host = form->prolang != SQLlanguageId && !warden_language_is_trusted(form->prolang);
	return host ? WARDEN_CLASS_SERVER_FILE : 0;
}

WardenClasses
warden_host_function(Oid function)
{
	WardenFunction *facts;

	if (likely(function < FirstNormalObjectId))
		return is_host_function(function) ? WARDEN_CLASS_SERVER_FILE : 0;
	facts = warden_function(function);
	return facts != NULL ? facts->host : 0;
}

/* --- foreign tables over files --- */

static bool
reads_files(Oid server)
{
	Oid			handler = GetForeignDataWrapper(GetForeignServer(server)->fdwid)->fdwhandler;
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(handler));
	bool		files = false;

	if (HeapTupleIsValid(tuple))
	{
		files = strcmp(library_of(tuple), "file_fdw") == 0;
		ReleaseSysCache(tuple);
	}
	return files;
}

static WardenClasses
classes_by_options(List *options)
{
	ListCell   *cell;

	foreach(cell, options)
		if (strcmp(((DefElem *) lfirst(cell))->defname, "program") == 0)
			return WARDEN_CLASS_COPY_PROGRAM;
	return WARDEN_CLASS_SERVER_FILE;
}

WardenClasses
warden_host_relation(Oid relid)
{
	ForeignTable *table;

	if (get_rel_relkind(relid) != RELKIND_FOREIGN_TABLE)
		return 0;
	table = GetForeignTable(relid);
	return reads_files(table->serverid) ? classes_by_options(table->options) : 0;
}

/* --- definitions --- */

static DefElem *
option(List *options, const char *name)
{
	ListCell   *cell;

	foreach(cell, options)
		if (strcmp(((DefElem *) lfirst(cell))->defname, name) == 0)
			return lfirst(cell);
	return NULL;
}

/* Code in such a language is code of the host. A language that is not there is the statement's to complain of. */
static WardenClasses
classes_of_language(List *options, const char *otherwise)
{
	DefElem    *language = option(options, "language");
	Oid			oid = language ? get_language_oid(strVal(language->arg), true) :
		otherwise ? get_language_oid(otherwise, true) : InvalidOid;

	return OidIsValid(oid) && !warden_language_is_trusted(oid) ? WARDEN_CLASS_SYSTEM : 0;
}

static WardenClasses
classes_of_foreign_table(CreateForeignTableStmt *stmt)
{
	ForeignServer *server = GetForeignServerByName(stmt->servername, true);

	return server != NULL && reads_files(server->serverid) ? classes_by_options(stmt->options) : 0;
}

static WardenClasses
classes_of_altered_table(AlterTableStmt *stmt)
{
	ListCell   *cell;

	foreach(cell, stmt->cmds)
	{
		AlterTableCmd *command = lfirst(cell);
		Oid			relid;

		if (command->subtype != AT_GenericOptions)
			continue;
		relid = RangeVarGetRelid(stmt->relation, NoLock, true);
		if (OidIsValid(relid) && warden_host_relation(relid) != 0)
			return classes_by_options((List *) command->def);
	}
	return 0;
}

/* The support functions of an operator class are called by indexes, which nobody is told of. */
static WardenClasses
classes_of_support(List *items)
{
	WardenClasses classes = 0;
	ListCell   *cell;

	foreach(cell, items)
	{
		CreateOpClassItem *item = lfirst(cell);
		Oid			function;

		if (item->itemtype != OPCLASS_ITEM_FUNCTION || item->name == NULL)
			continue;
		function = LookupFuncWithArgs(OBJECT_FUNCTION, item->name, true);
		classes |= OidIsValid(function) ? warden_host_function(function) : 0;
	}
	return classes;
}

/* Roles that stand for the roads to the host: who has one needs no other leave. */
static bool
opens_host(List *roles)
{
	ListCell   *cell;

	foreach(cell, roles)
	{
		const char *name = IsA(lfirst(cell), AccessPriv) ? ((AccessPriv *) lfirst(cell))->priv_name :
			((RoleSpec *) lfirst(cell))->rolename;
		Oid			role = name ? get_role_oid(name, true) : InvalidOid;

		if (role == ROLE_PG_READ_SERVER_FILES || role == ROLE_PG_WRITE_SERVER_FILES ||
			role == ROLE_PG_EXECUTE_SERVER_PROGRAM)
			return true;
	}
	return false;
}

static bool
creates_role_in(CreateRoleStmt *stmt)
{
	DefElem    *roles = option(stmt->options, "addroleto");

	return roles != NULL && opens_host((List *) roles->arg);
}

/* ALTER GROUP … ADD USER */
static bool
adds_to_role(AlterRoleStmt *stmt)
{
	return stmt->action > 0 && option(stmt->options, "rolemembers") != NULL && opens_host(list_make1(stmt->role));
}

/* The next session would load them: LOAD by another name. */
static WardenClasses
classes_of_setting(const VariableSetStmt *stmt)
{
	return stmt != NULL && stmt->kind != VAR_RESET && stmt->kind != VAR_RESET_ALL && stmt->name != NULL &&
		(pg_strcasecmp(stmt->name, "session_preload_libraries") == 0 ||
		 pg_strcasecmp(stmt->name, "local_preload_libraries") == 0) ? WARDEN_CLASS_SYSTEM : 0;
}

/* The options of the session that begins name libraries to load. */
bool
warden_client_preloads(void)
{
	struct config_generic **settings;
	int			count;

	if (likely(session_preload_libraries_string == NULL || session_preload_libraries_string[0] == '\0'))
		return false;
	settings = WARDEN_SETTINGS(&count);
	for (int i = 0; i < count; i++)
		if (strcmp(settings[i]->name, "session_preload_libraries") == 0)
			return settings[i]->source == PGC_S_CLIENT;
	return false;
}

/* These may connect to where a foreign table, a server or a subscription says. */
static bool
may_connect(Node *stmt)
{
	return IsA(stmt, DoStmt) || IsA(stmt, ImportForeignSchemaStmt) || IsA(stmt, VacuumStmt) || IsA(stmt, TruncateStmt) ||
		IsA(stmt, CreateSubscriptionStmt) || IsA(stmt, AlterSubscriptionStmt) || IsA(stmt, DropSubscriptionStmt);
}

WardenClasses
warden_host_utility(Node *stmt)
{
	if (may_connect(stmt))
		warden_may_be_client();
	switch (nodeTag(stmt))
	{
		case T_CreateFunctionStmt:
			return classes_of_language(((CreateFunctionStmt *) stmt)->options, NULL);
		case T_DoStmt:
			return classes_of_language(((DoStmt *) stmt)->args, "plpgsql");
		case T_AlterFunctionStmt:
			return option(((AlterFunctionStmt *) stmt)->actions, "support") ? WARDEN_CLASS_SYSTEM : 0;
		case T_CreateOpClassStmt:
			return classes_of_support(((CreateOpClassStmt *) stmt)->items);
		case T_AlterOpFamilyStmt:
			return classes_of_support(((AlterOpFamilyStmt *) stmt)->items);
		case T_CreateForeignTableStmt:
			return classes_of_foreign_table((CreateForeignTableStmt *) stmt);
		case T_AlterTableStmt:
			return classes_of_altered_table((AlterTableStmt *) stmt);
		case T_CreateAmStmt:
		case T_CreateFdwStmt:
		case T_AlterFdwStmt:
		case T_CreateTransformStmt:
		case T_CreatePLangStmt:
		case T_CreateExtensionStmt:
		case T_AlterSystemStmt:
		case T_LoadStmt:
		case T_CreateSubscriptionStmt:
		case T_AlterSubscriptionStmt:
			/* of subscriptions: what is replicated is written without a statement */
			return WARDEN_CLASS_SYSTEM;
		case T_AlterRoleSetStmt:
			return classes_of_setting(((AlterRoleSetStmt *) stmt)->setstmt);
		case T_AlterDatabaseSetStmt:
			return classes_of_setting(((AlterDatabaseSetStmt *) stmt)->setstmt);
		case T_RenameStmt:
			return ((RenameStmt *) stmt)->renameType == OBJECT_LANGUAGE ? WARDEN_CLASS_SYSTEM : 0;
		case T_AlterOwnerStmt:
			return ((AlterOwnerStmt *) stmt)->objectType == OBJECT_LANGUAGE ? WARDEN_CLASS_SYSTEM : 0;
		case T_GrantRoleStmt:
			return ((GrantRoleStmt *) stmt)->is_grant && opens_host(((GrantRoleStmt *) stmt)->granted_roles) ?
				WARDEN_CLASS_SYSTEM : 0;
		case T_CreateRoleStmt:
			return creates_role_in((CreateRoleStmt *) stmt) ? WARDEN_CLASS_SYSTEM : 0;
		case T_AlterRoleStmt:
			return adds_to_role((AlterRoleStmt *) stmt) ? WARDEN_CLASS_SYSTEM : 0;
		default:
			return 0;
	}
}
