/*
 * Cached plans follow the subject. A plan that reads masked relations is made for one subject; the server's plan cache
 * knows of the current user alone. Whatever else makes another subject of the session makes its plans anew: the role
 * behind SECURITY DEFINER functions, the session's user, the name of the application, memberships (governed.c).
 */
#include "shim.h"

#include "utils/guc.h"
#include "utils/plancache.h"

/* A setting that is part of who the subject is: its own assign hook, called from ours. */
typedef struct SubjectSetting
{
	const char *name;
	GucStringAssignHook assign;
	GucStringAssignHook previous;
} SubjectSetting;

static void assign_role_setting(const char *value, void *extra);
static void assign_user_setting(const char *value, void *extra);
static void assign_application(const char *value, void *extra);

static SubjectSetting settings[] = {
	{"role", assign_role_setting, NULL},
	{"session_authorization", assign_user_setting, NULL},
	{"application_name", assign_application, NULL},
};

/* Settings are assigned when a rollback puts them back, too: nothing here may raise. */
static void
assign(SubjectSetting *setting, const char *value, void *extra)
{
	if (setting->previous)
		setting->previous(value, extra);
	if (warden_any_masks)
		ResetPlanCache();
}

static void
assign_role_setting(const char *value, void *extra)
{
	assign(&settings[0], value, extra);
}

static void
assign_user_setting(const char *value, void *extra)
{
	assign(&settings[1], value, extra);
}

static void
assign_application(const char *value, void *extra)
{
	bool		same = application_name != NULL && value != NULL && strcmp(application_name, value) == 0;

	/* connection pools set it to what it is */
	if (!same)
		assign(&settings[2], value, extra);
	else if (settings[2].previous)
		settings[2].previous(value, extra);
}

void
warden_masked_plans_install(void)
{
	int			count;
	struct config_generic **variables = WARDEN_SETTINGS(&count);

	for (int i = 0; i < count; i++)
		for (int s = 0; s < (int) lengthof(settings); s++)
			if (strcmp(variables[i]->name, settings[s].name) == 0 && variables[i]->vartype == PGC_STRING)
			{
				struct config_string *variable = (struct config_string *) variables[i];

				settings[s].previous = variable->assign_hook;
				variable->assign_hook = settings[s].assign;
			}
}
