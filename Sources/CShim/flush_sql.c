/*
 * warden.flush: waits until the writer has written what was recorded so far.
 */
#include "sql.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(warden_sql_flush);

static void
not_flushed(uint64 target, uint64 written)
{
	ereport(ERROR,
			(errcode(ERRCODE_QUERY_CANCELED),
			 errmsg("the audit was not written within the timeout"),
			 errdetail("Written up to %llu of %llu.", (unsigned long long) written, (unsigned long long) target),
			 errhint("See warden.status(); the server's log tells what stops the audit writer.")));
}

Datum
warden_sql_flush(PG_FUNCTION_ARGS)
{
	TimestampTz end = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
															  TimestampTzGetDatum(GetCurrentTimestamp()),
															  PG_GETARG_DATUM(0)));
	int			slot = warden_database_slot(MyDatabaseId, false);
	uint64		target;
	uint64		written;

	if (slot < 0 || RecoveryInProgress())
		PG_RETURN_INT64((int64) warden_chain_last_seq());
	if (!warden_shared_database(slot)->ready || warden_spool_database(slot)->extension != warden_catalog.extension)
		warden_counter_check(slot);
	target = warden_load_acquire(&warden_spool_database(slot)->counter) - 1;
	while ((written = warden_load_acquire(&warden_shared_database(slot)->written)) < target)
	{
		CHECK_FOR_INTERRUPTS();
		if (GetCurrentTimestamp() >= end)
			not_flushed(target, written);
		warden_wake_writer(slot);
		warden_wait_for_writer(slot, 20);
	}
	PG_RETURN_INT64((int64) target);
}
