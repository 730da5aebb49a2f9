/*
 * Settings. Those that weaken governance are SIGHUP settings: no session can set them, a superuser's included, by
 * whatever road (SET, set_config, ALTER ROLE, startup options); ALTER SYSTEM is refused by the guard server-escape.
 * What remains is the configuration file, which belongs to who owns the host.
 */
#include "shim.h"

#include "nodes/pg_list.h"
#include "utils/guc.h"
#include "utils/varlena.h"

int			warden_mode = WARDEN_MODE_ENFORCE;
char	   *warden_environment = NULL;
static char *audit_list = NULL;

/* what audit_list says */
WardenClasses warden_audit_classes = ~(WardenClasses) 0;
bool		warden_audit_nested = true;
int			warden_audit_statement_limit = 16;
int			warden_audit_overflow = WARDEN_OVERFLOW_WAIT;
int			warden_audit_parameters = WARDEN_PARAMETERS_REDACTED;
int			warden_audit_durability = WARDEN_DURABILITY_CRASH;
int			warden_flush_interval = 200;
int			warden_spool_size = 1024;
char	   *warden_intent = NULL;
char	   *warden_ticket = NULL;
char	   *warden_agent = NULL;
char	   *warden_run = NULL;

static const struct config_enum_entry mode_options[] = {
	{"off", WARDEN_MODE_OFF, false},
	{"monitor", WARDEN_MODE_MONITOR, false},
	{"enforce", WARDEN_MODE_ENFORCE, false},
	{NULL, 0, false}
};

static const struct config_enum_entry overflow_options[] = {
	{"wait", WARDEN_OVERFLOW_WAIT, false},
	{"refuse", WARDEN_OVERFLOW_REFUSE, false},
	{NULL, 0, false}
};

static const struct config_enum_entry parameter_options[] = {
	{"none", WARDEN_PARAMETERS_NONE, false},
	{"redacted", WARDEN_PARAMETERS_REDACTED, false},
	{"full", WARDEN_PARAMETERS_FULL, false},
	{NULL, 0, false}
};

static const struct config_enum_entry durability_options[] = {
	{"crash", WARDEN_DURABILITY_CRASH, false},
	{"power", WARDEN_DURABILITY_POWER, false},
	{NULL, 0, false}
};

/* What a session says of itself is part of the context that its records carry. */
static void
assign_session_text(const char *newval, void *extra)
{
	(void) newval;
	(void) extra;
	warden_session_dirty();
}

static bool
check_session_text(char **newval, void **extra, GucSource source)
{
	(void) extra;
	(void) source;
	if (*newval != NULL && strlen(*newval) > 255)
	{
		GUC_check_errdetail("The value is limited to 255 bytes.");
		return false;
	}
	return true;
}

static void
define_session_text(const char *name, const char *description, char **variable)
{
	DefineCustomStringVariable(name, description, NULL, variable, "", PGC_USERSET, 0,
							   check_session_text, assign_session_text, NULL);
}

static void
assign_mode(int newval, void *extra)
{
	(void) newval;
	(void) extra;
	warden_mode_to_tell = true;
	warden_session_dirty();
}

static bool
check_audit(char **newval, void **extra, GucSource source)
{
	List	   *words;
	ListCell   *cell;
	WardenClasses classes = 0;

	(void) source;
	if (!SplitIdentifierString(pstrdup(*newval), ',', &words))
	{
		GUC_check_errdetail("The list is not well formed.");
		return false;
	}
	foreach(cell, words)
	{
		const char *word = lfirst(cell);
		WardenClasses named;

		SWIFT_GET(named, warden_class_named(warden_text(word)));
		/* transaction control and the like have no name of their own: they are part of `all` */
		if (strcmp(word, "all") == 0)
			named = ~(WardenClasses) 0;
		if (named == 0 && strcmp(word, "none") != 0)
		{
			GUC_check_errdetail("\"%s\" is no class of statements; accepted are all, none, and those of warden.guard.",
								word);
			return false;
		}
		classes |= named;
	}
	*extra = WARDEN_GUC_MALLOC(sizeof(classes));
	if (*extra == NULL)
		return false;
	memcpy(*extra, &classes, sizeof(classes));
	return true;
}

static void
assign_audit(const char *newval, void *extra)
{
	(void) newval;
	if (extra != NULL)
		memcpy(&warden_audit_classes, extra, sizeof(warden_audit_classes));
}

static void
define_audit_settings(void)
{
	DefineCustomStringVariable("warden.audit", "Which classes of statements are recorded.",
							   "all, none, or a list such as `write, ddl, role`. What is refused, would be, or raises an alert, is recorded always.",
							   &audit_list, "all", PGC_SIGHUP, GUC_LIST_INPUT, check_audit, assign_audit, NULL);
	DefineCustomBoolVariable("warden.audit_nested", "Records statements inside functions and DO blocks too.", NULL,
							 &warden_audit_nested, true, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("warden.audit_statement_limit", "Longest statement text kept in the audit.",
							"Of longer ones the beginning and the full length are kept.",
							&warden_audit_statement_limit, 16, 1, 1024, PGC_SIGHUP, GUC_UNIT_KB,
							NULL, NULL, NULL);
	DefineCustomEnumVariable("warden.audit_overflow", "What a statement does when its ring of records is full.",
							 "wait: until the writer has made room; refuse: fail with 53400.",
							 &warden_audit_overflow, WARDEN_OVERFLOW_WAIT, overflow_options, PGC_SIGHUP, 0,
							 NULL, NULL, NULL);
	DefineCustomEnumVariable("warden.audit_parameters", "Which values of parameters are recorded.",
							 "redacted: all but those of masked columns.",
							 &warden_audit_parameters, WARDEN_PARAMETERS_REDACTED, parameter_options, PGC_SIGHUP, 0,
							 NULL, NULL, NULL);
	DefineCustomEnumVariable("warden.audit_durability", "What a record survives before it is in the audit table.",
							 "crash: the death of every process; power: of the machine too, for a flush to disk per statement.",
							 &warden_audit_durability, WARDEN_DURABILITY_CRASH, durability_options, PGC_SIGHUP, 0,
							 NULL, NULL, NULL);
	DefineCustomIntVariable("warden.flush_interval", "How often the writer moves records into the audit table.",
							NULL, &warden_flush_interval, 200, 10, 60000, PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("warden.spool_size", "Room for records not yet in the audit table, per session.",
							NULL, &warden_spool_size, 1024, 256, 1024 * 1024, PGC_POSTMASTER, GUC_UNIT_KB,
							NULL, NULL, NULL);
}

void
warden_settings_define(void)
{
	DefineCustomEnumVariable("warden.mode", "Whether guards refuse, only record what they would refuse, or rest.",
							 NULL, &warden_mode, WARDEN_MODE_ENFORCE, mode_options, PGC_SIGHUP, 0,
							 NULL, assign_mode, NULL);
	DefineCustomStringVariable("warden.environment", "The environment that this server is part of.", NULL,
							   &warden_environment, "production", PGC_SIGHUP, 0,
							   check_session_text, assign_session_text, NULL);
	define_audit_settings();
	define_session_text("warden.intent", "What the session is about to do, in its own words; recorded.",
						&warden_intent);
	define_session_text("warden.ticket", "The ticket that the session works on; recorded.", &warden_ticket);
	define_session_text("warden.agent", "The AI agent that the session says it is; recorded, never trusted.",
						&warden_agent);
	define_session_text("warden.run", "The job or pipeline run that the session belongs to; recorded.",
						&warden_run);
	MarkGUCPrefixReserved("warden");
}
