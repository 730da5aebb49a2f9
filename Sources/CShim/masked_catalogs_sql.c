/*
 * warden.mask_column_statistics, mask_extended_statistics, mask_statement_text, mask_backend_activity: what a session
 * that sees masks is shown of statistics and of others' statements. The planner hook puts the calls into queries on
 * catalogs and monitoring functions (masked_catalogs.c); nobody calls them by name.
 */
#include "sql.h"

#include "miscadmin.h"
#include "utils/fmgrprotos.h"

PG_FUNCTION_INFO_V1(warden_sql_mask_column_statistics);
PG_FUNCTION_INFO_V1(warden_sql_mask_extended_statistics);
PG_FUNCTION_INFO_V1(warden_sql_mask_statement_text);
PG_FUNCTION_INFO_V1(warden_sql_mask_backend_activity);

#define NOT_SHOWN "<not shown to sessions that see masks>"

Datum
warden_sql_mask_column_statistics(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(!warden_column_statistics_hidden(PG_GETARG_OID(0), PG_GETARG_INT16(1)));
}

Datum
warden_sql_mask_extended_statistics(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(!warden_extended_statistics_hidden(PG_GETARG_OID(0)));
}

/* One's own: of this session, and of sessions that log in as what this one is now. */
static bool
is_shown(int32 process, Oid role)
{
	if (process == MyProcPid || !warden_governed() || !warden_anything_masked())
		return true;
	warden_session_refresh();
	return OidIsValid(role) && role == warden_session.role_oid;
}

Datum
warden_sql_mask_statement_text(PG_FUNCTION_ARGS)
{
	int32		process = PG_ARGISNULL(0) ? 0 : PG_GETARG_INT32(0);
	Oid			role = PG_ARGISNULL(1) ? InvalidOid : PG_GETARG_OID(1);

	if (PG_ARGISNULL(2))
		PG_RETURN_NULL();
	if (VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(2)) == 0 || is_shown(process, role))
		PG_RETURN_DATUM(PG_GETARG_DATUM(2));
	PG_RETURN_TEXT_P(cstring_to_text(NOT_SHOWN));
}

/* 0 where the function gives NULL: there is no such backend. */
static uint32
fact_of_backend(PGFunction function, Datum backend)
{
	LOCAL_FCINFO(call, 1);
	Datum		fact;

	InitFunctionCallInfoData(*call, NULL, 1, InvalidOid, NULL, NULL);
	call->args[0].value = backend;
	call->args[0].isnull = false;
	fact = function(call);
	return call->isnull ? 0 : DatumGetUInt32(fact);
}

Datum
warden_sql_mask_backend_activity(PG_FUNCTION_ARGS)
{
	Datum		backend = PG_GETARG_DATUM(0);
	int32		process = (int32) fact_of_backend(pg_stat_get_backend_pid, backend);
	Oid			role = fact_of_backend(pg_stat_get_backend_userid, backend);

	if (!is_shown(process, role))
		PG_RETURN_TEXT_P(cstring_to_text(NOT_SHOWN));
	PG_RETURN_DATUM(DirectFunctionCall1(pg_stat_get_backend_activity, backend));
}
