/*
 * Who acts: the facts of the session, gathered anew only when one of them has changed.
 */
#include "shim.h"

#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "postmaster/postmaster.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/inet.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/timestamp.h"

WardenSession warden_session;
WardenText	warden_session_context;
uint64		warden_session_number = 0;

static bool dirty = true;
static MemoryContext memory = NULL;
static char application_seen[NAMEDATALEN];
static Oid *policy_roles = NULL;
static int	policy_role_count = 0;

bool
warden_is_client(void)
{
	return MyBackendType == B_BACKEND || (MyBackendType == B_WAL_SENDER && OidIsValid(MyDatabaseId));
}

void
warden_session_dirty(void)
{
	dirty = true;
}

void
warden_session_roles(const Oid *roles, int count)
{
	if (policy_roles != NULL)
		pfree(policy_roles);
	policy_roles = MemoryContextAlloc(TopMemoryContext, sizeof(Oid) * Max(count, 1));
	if (count > 0)
		memcpy(policy_roles, roles, sizeof(Oid) * count);
	policy_role_count = count;
	dirty = true;
}

const uint32_t *
warden_memberships(Oid role, int64_t *count)
{
	uint32_t   *found = palloc(sizeof(uint32_t) * (policy_role_count + 1));

	*count = 0;
	found[(*count)++] = role;
	for (int i = 0; i < policy_role_count; i++)
		if (policy_roles[i] != role && is_member_of_role_nosuper(role, policy_roles[i]))
			found[(*count)++] = policy_roles[i];
	return found;
}

/* The server's own inet_client_addr: the port structure would pull in headers that need more packages. */
WardenText
warden_client_address(void)
{
	LOCAL_FCINFO(fcinfo, 0);
	Datum		address;

	InitFunctionCallInfoData(*fcinfo, NULL, 0, InvalidOid, NULL, NULL);
	if (MyBackendType == B_BG_WORKER)
		return warden_text(NULL);
	address = inet_client_addr(fcinfo);
	if (fcinfo->isnull)
		return warden_text(NULL);
	return warden_text(TextDatumGetCString(DirectFunctionCall1(network_host, address)));
}

static WardenText
claimed(const char *setting)
{
	return warden_text(setting != NULL && setting[0] != '\0' ? pstrdup(setting) : NULL);
}

static void
gather(void)
{
	WardenSession *s = &warden_session;

	memset(s, 0, sizeof(*s));
	s->session_user_oid = GetSessionUserId();
	s->role_oid = GetOuterUserId();
	s->superuser = superuser_arg(s->role_oid);
	s->mode = (WardenMode) warden_mode;
	s->role_memberships = warden_memberships(s->role_oid, &s->role_membership_count);
	s->user_memberships = warden_memberships(s->session_user_oid, &s->user_membership_count);
	s->database = warden_text(OidIsValid(MyDatabaseId) ? get_database_name(MyDatabaseId) : NULL);
	s->session_user = warden_text(GetUserNameFromId(s->session_user_oid, true));
	s->role = warden_text(GetUserNameFromId(s->role_oid, true));
	s->agent = claimed(warden_agent);
	s->application = claimed(application_name);
	s->client_address = warden_client_address();
	s->environment = claimed(warden_environment);
	s->intent = claimed(warden_intent);
	s->ticket = claimed(warden_ticket);
	s->run = claimed(warden_run);
	s->client_network = warden_client_network();
}

void
warden_session_identify(void)
{
	/* as in log_line_prefix's %c: start of the session and process id */
	if (warden_session_number == 0)
		warden_session_number =
			((uint64) timestamptz_to_time_t(MyStartTimestamp) << 22) | (uint64) (MyProcPid & 0x3fffff);
}

static void
rebuild(void)
{
	MemoryContext caller;
	WardenBuffer context;

	if (memory == NULL)
	{
		memory = AllocSetContextCreate(TopMemoryContext, "pg_warden session", ALLOCSET_SMALL_SIZES);
		warden_translations_bind();
	}
	MemoryContextReset(memory);
	caller = MemoryContextSwitchTo(memory);
	gather();
	warden_session.break_glass = warden_break_glass_active();
	strlcpy(application_seen, application_name ? application_name : "", sizeof(application_seen));
	context.bytes = palloc(4096);
	context.capacity = 4096;
	context.length = 0;
	SWIFT(warden_context_encode(&warden_session, &context));
	warden_session_context.bytes = context.bytes;
	warden_session_context.length = context.length;
	MemoryContextSwitchTo(caller);
	warden_session_identify();
	dirty = false;
}

void
warden_session_refresh(void)
{
	if (dirty || GetOuterUserId() != warden_session.role_oid ||
		GetSessionUserId() != warden_session.session_user_oid ||
		warden_session.break_glass != warden_break_glass_active() ||
		strncmp(application_seen, application_name ? application_name : "", NAMEDATALEN - 1) != 0)
	{
		/* plans made for the former role may show what this one must not see */
		if (warden_any_masks && GetOuterUserId() != warden_session.role_oid)
			ResetPlanCache();
		/* a failure half way leaves it dirty */
		dirty = true;
		rebuild();
	}
	if (unlikely(warden_hours_in_force))
		warden_clock_tell(&warden_session);
}
