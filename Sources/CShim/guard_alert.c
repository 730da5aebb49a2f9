/*
 * NOTIFY of the alerts that guards raised.
 *
 * The writer sends it in the transaction that puts the alert's record into the table: so it is sent once, whatever became of
 * the statement's own transaction, and who hears of it finds the record. A flood does not become one of notifications:
 * of one batch of records the first alerts are told one by one, the others in sum. Where listeners are so far behind that
 * the server's queue is half full nothing is sent: a full queue would stop the audit. The records are there all the same.
 */
#include "writer_rows.h"

#include "commands/async.h"
#include "commands/dbcommands.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"

/* Notifications of one batch. */
#define MOST 100
#define PAYLOAD 6144

static uint64 count = 0;
static uint64 untold = 0;
static uint64 first_untold = 0;
static uint64 last_untold = 0;

/* NOTIFY's own limit is 8000 bytes. */
StaticAssertDecl(PAYLOAD < 8000, "payloads fit");

void
warden_guard_alerts_begin(void)
{
	count = untold = first_untold = last_untold = 0;
}

static bool
queue_has_room(void)
{
	return DatumGetFloat8(DirectFunctionCall1(pg_notification_queue_usage, (Datum) 0)) < 0.5;
}

void
warden_guard_alert(const WardenAuditRow *row)
{
	static bool has_room = true;
	uint8_t		bytes[PAYLOAD + 1];
	WardenBuffer payload = {bytes, PAYLOAD, 0};
	bool		written = false;

	if (count++ == 0)
		has_room = queue_has_room();
	if (!has_room)
		return;
	if (count <= MOST)
		SWIFT_GET(written, warden_alert_json(row, &payload));
	if (written)
	{
		bytes[payload.length] = '\0';
		Async_Notify(WARDEN_CHANNEL, (char *) bytes);
		return;
	}
	untold++;
	first_untold = first_untold == 0 ? row->seq : first_untold;
	last_untold = row->seq;
}

void
warden_guard_alerts_end(void)
{
	StringInfoData payload;

	if (untold == 0)
		return;
	initStringInfo(&payload);
	appendStringInfoString(&payload, "{\"event\":\"alert\",\"kind\":\"alert\",\"alert\":\"guards\",\"database\":");
	escape_json(&payload, get_database_name(MyDatabaseId));
	appendStringInfo(&payload, ",\"first_seq\":" UINT64_FORMAT ",\"last_seq\":" UINT64_FORMAT ",\"count\":" UINT64_FORMAT "}",
					 first_untold, last_untold, untold);
	Async_Notify(WARDEN_CHANNEL, payload.data);
}
