/*
 * The wall between C and Swift: the depth counter, texts across it, and the raising of verdicts, which happens
 * here, in C, after Swift has returned.
 */
#include "shim.h"

#include "utils/memutils.h"

int			warden_swift_depth = 0;

#ifdef WARDEN_DEBUG
void
warden_check_wall(const char *where)
{
	if (warden_swift_depth != 0)
		elog(PANIC, "pg_warden: an error crossed %d Swift frames, seen in %s", warden_swift_depth, where);
}
#endif

WardenBuffer *
warden_texts(void)
{
	static uint8_t bytes[16384];
	static WardenBuffer buffer = {bytes, sizeof(bytes), 0};

	buffer.length = 0;
	return &buffer;
}

char *
warden_cstring(WardenText text)
{
	char	   *string;

	if (text.bytes == NULL)
		return NULL;
	string = palloc(text.length + 1);
	memcpy(string, text.bytes, text.length);
	string[text.length] = '\0';
	return string;
}

static void
raise_as(int level, const WardenVerdict *verdict)
{
	char	   *message;
	char	   *detail;
	char	   *hint;

	if (verdict->action != WARDEN_ACTION_BLOCK && verdict->action != WARDEN_ACTION_REQUIRE_APPROVAL)
		return;
	detail = warden_translated(verdict->detail, verdict->detail_parts);
	if (detail != NULL && verdict->chain.bytes != NULL)
		detail = psprintf("%s\n%s", detail, psprintf(_("chain: %s"), warden_cstring(verdict->chain)));
	hint = warden_translated(verdict->hint, verdict->hint_parts);
	/* last: the audit may want its English back */
	message = warden_translated(verdict->message, verdict->message_parts);
	ereport(level,
			(errcode(MAKE_SQLSTATE(verdict->sqlstate[0], verdict->sqlstate[1], verdict->sqlstate[2],
								   verdict->sqlstate[3], verdict->sqlstate[4])),
			 message ? errmsg_internal("%s", message) : errmsg("refused by pg_warden"),
			 detail ? errdetail_internal("%s", detail) : 0,
			 hint ? errhint("%s", hint) : 0));
}

void
warden_raise(const WardenVerdict *verdict)
{
	raise_as(ERROR, verdict);
}

void
warden_raise_fatal(const WardenVerdict *verdict)
{
	raise_as(FATAL, verdict);
}
