/*
 * Break-glass: a session of a superuser or a member of warden_admin lifts the guards from itself, for a while and for
 * a reason. Recorded, as an event that stands whatever becomes of the transaction, before it takes effect.
 */
#include "sql.h"

#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(warden_sql_break_glass);
PG_FUNCTION_INFO_V1(warden_sql_break_glass_end);

/* 0 = not in force. Process-local: it ends with the session. */
static TimestampTz until = 0;

/* It was in force at some time of this transaction. */
static bool in_transaction = false;

bool
warden_break_glass_active(void)
{
	if (likely(until == 0))
		return false;
	if (GetCurrentTimestamp() < until)
		return in_transaction = true;
	until = 0;
	warden_audit_event(WARDEN_EVENT_BREAK_GLASS, "break-glass has ended by itself");
	return false;
}

/*
 * What a prepared transaction locks stays locked, whoever ends and whatever restarts. Locks on pg_warden's own tables, which
 * only break-glass gives, would keep every session of the database waiting, the one that is to end it among them.
 */
void
warden_break_glass_refuse_prepare(void)
{
	if (warden_break_glass_active() || in_transaction)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a transaction under break-glass cannot be prepared"),
				 errdetail("Its locks on pg_warden's own tables would keep every session waiting."),
				 errhint("COMMIT it, or end break-glass with warden.break_glass_end() before the transaction begins.")));
}

void
warden_break_glass_transaction_over(void)
{
	in_transaction = false;
}

static TimestampTz
end_of(Interval *duration)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz end = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(now),
															  IntervalPGetDatum(duration)));

	if (end <= now || end > now + USECS_PER_DAY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"duration\" must be more than nothing and at most a day"),
				 errhint("For example: '15 minutes'.")));
	return end;
}

Datum
warden_sql_break_glass(PG_FUNCTION_ARGS)
{
	char	   *reason;
	TimestampTz end;

	warden_not_null(fcinfo, 0, "reason");
	warden_not_null(fcinfo, 1, "duration");
	reason = text_to_cstring(PG_GETARG_TEXT_PP(0));
	if (strspn(reason, " \t\r\n") == strlen(reason))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("argument \"reason\" must say why"),
				 errhint("The reason is recorded: name the incident, or what has to be done.")));
	end = end_of(PG_GETARG_INTERVAL_P(1));
	warden_audit_event(WARDEN_EVENT_BREAK_GLASS,
					   psprintf("break-glass until %s: %s", timestamptz_to_str(end), reason));
	until = end;
	PG_RETURN_VOID();
}

void
warden_break_glass_end(const char *how)
{
	if (!warden_break_glass_active())
		return;
	until = 0;
	warden_audit_event(WARDEN_EVENT_BREAK_GLASS, psprintf("break-glass was ended%s", how));
}

Datum
warden_sql_break_glass_end(PG_FUNCTION_ARGS)
{
	(void) fcinfo;
	warden_break_glass_end("");
	PG_RETURN_VOID();
}
