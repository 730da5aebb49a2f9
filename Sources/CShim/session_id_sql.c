/*
 * warden.session_number: a session id as the audit's tables have it.
 */
#include "sql.h"

PG_FUNCTION_INFO_V1(warden_sql_session_number);

static void
no_session_id(const char *text)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("argument \"session\" is not a session id: \"%s\"", text),
			 errhint("It is two hexadecimal numbers, the start of the session and its process, such as 6920a1b2.4f3c: "
					 "session_id in warden.sessions and warden.audit_log, %%c in log_line_prefix.")));
}

/* A hexadecimal number of at most `bits` bits at *at; moves past it. */
static bool
take_hex(const char **at, int bits, uint64 *number)
{
	Size		digits = strspn(*at, "0123456789abcdefABCDEF");
	char	   *end;

	if (digits == 0 || digits > 16)
		return false;
	*number = strtoull(*at, &end, 16);
	*at = end;
	return *number < (UINT64CONST(1) << bits);
}

Datum
warden_sql_session_number(PG_FUNCTION_ARGS)
{
	const char *id;
	const char *at;
	uint64		start = 0;
	uint64		process = 0;

	warden_not_null(fcinfo, 0, "session");
	at = id = text_to_cstring(PG_GETARG_TEXT_PP(0));
	if (!take_hex(&at, 41, &start) || *at++ != '.' || !take_hex(&at, 22, &process) || *at != '\0')
		no_session_id(id);
	PG_RETURN_INT64((int64) (start << 22 | process));
}
