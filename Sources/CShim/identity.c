/*
 * Whose chain it is. A base backup that was restored elsewhere, a standby that was promoted and an upgraded cluster go on
 * with a copy of the chain; the original may go on as well. Where the writer finds itself on another cluster or timeline
 * than the chain was last written on, it records that, as an event `gap`: from here on the chain is another's.
 */
#include "writer_rows.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

static void
record_change(uint64 system, int32 timeline)
{
	WardenRecord record = {0};

	warden_session_refresh();
	record.event = WARDEN_EVENT_GAP;
	record.outcome = WARDEN_OUTCOME_COMMITTED;
	record.at = GetCurrentTimestamp();
	record.session = warden_session_number;
	record.context = warden_session_context;
	record.text = warden_text(psprintf(
		"the chain continues on another cluster or timeline: system identifier " UINT64_FORMAT ", timeline %u; before: system "
		"identifier " UINT64_FORMAT ", timeline %d", GetSystemIdentifier(), GetWALInsertionTimeLine(), system, timeline));
	record.text_limit = 1024;
	record.completion.rows = record.completion.bytes = record.completion.duration = -1;
	if (!warden_audit_append_own(&record))
		elog(ERROR, "pg_warden: no room to record that the chain continues elsewhere");
}

static void
check(void *arg)
{
	Oid			types[2] = {INT8OID, INT4OID};
	Datum		values[2] = {Int64GetDatum((int64) GetSystemIdentifier()), Int32GetDatum((int32) GetWALInsertionTimeLine())};
	uint64		system;
	int32		timeline;
	bool		isnull;

	(void) arg;
	if (warden_internal_sql("SELECT system_identifier, timeline FROM warden.audit_chain", 0, NULL, NULL, NULL) != 1)
		elog(ERROR, "pg_warden: warden.audit_chain is empty");
	system = (uint64) DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	timeline = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull));
	if (system == GetSystemIdentifier() && timeline == (int32) GetWALInsertionTimeLine())
		return;
	/* a new chain has nobody's yet */
	if (system != 0)
		record_change(system, timeline);
	warden_internal_sql("UPDATE warden.audit_chain SET system_identifier = $1, timeline = $2", 2, types, values, NULL);
}

void
warden_identity_check(int slot)
{
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (OidIsValid(get_extension_oid("pg_warden", true)))
	{
		warden_governed_refresh();
		if (warden_spool_database(slot)->extension == warden_catalog.extension)
			warden_internal_run(check, NULL);
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
}
