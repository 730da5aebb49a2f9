/*
 * The masks that look at what a value says: fake, scrub and json. Swift makes the result; what does not work out shows
 * the redacted constant and never the value.
 */
#include "shim.h"
#include "mask_call.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "mask_each.h"
#include "mask_text.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "warden_content.h"

PG_FUNCTION_INFO_V1(warden_sql_mask_fake);
PG_FUNCTION_INFO_V1(warden_sql_mask_scrub);
PG_FUNCTION_INFO_V1(warden_sql_mask_json);

static const char *const redacted = "[redacted]";

Datum
warden_sql_mask_fake(PG_FUNCTION_ARGS)
{
	WARDEN_MASK_CALL_ONLY(fcinfo);
	WardenText	value = warden_text_bytes(PG_GETARG_TEXT_PP(0));
	WardenText	kind = warden_text_bytes(PG_GETARG_TEXT_PP(1));
	text	   *result = palloc(VARHDRSZ + WARDEN_FAKE_CAPACITY);
	WardenBuffer out = {(uint8_t *) VARDATA(result), WARDEN_FAKE_CAPACITY, 0};
	uint8		digest[32];
	bool		made;

	warden_keyed_digest("fake", value.bytes, value.length, digest);
	SWIFT_GET(made, warden_mask_fake(kind, (WardenText) {digest, sizeof(digest)}, value, PG_GETARG_INT32(2), &out));
	if (!made)
		elog(ERROR, "pg_warden: no fake of this kind and length can be made");
	PG_RETURN_TEXT_P(warden_text_finish(result, &out));
}

Datum
warden_sql_mask_scrub(PG_FUNCTION_ARGS)
{
	WARDEN_MASK_CALL_ONLY(fcinfo);
	WardenText	value = warden_text_bytes(PG_GETARG_TEXT_PP(0));
	int64		room = value.length * 2 + 16;
	text	   *result;
	WardenBuffer work = {(uint8_t *) palloc(value.length + 1), value.length, 0};
	WardenBuffer out;
	bool		whole;

	if (room > (int64) (MaxAllocSize - VARHDRSZ))
		PG_RETURN_TEXT_P(cstring_to_text(redacted));
	result = palloc(VARHDRSZ + room);
	out = (WardenBuffer) {(uint8_t *) VARDATA(result), room, 0};
	SWIFT_GET(whole, warden_mask_scrub(value, warden_text_encoding(), &work, &out));
	pfree(work.bytes);
	if (!whole)
		PG_RETURN_TEXT_P(cstring_to_text(redacted));
	PG_RETURN_TEXT_P(warden_text_finish(result, &out));
}

/* The constant that redacts json. */
static text *
redacted_json(void)
{
	return cstring_to_text("\"[redacted]\"");
}

Datum
warden_sql_mask_json(PG_FUNCTION_ARGS)
{
	WARDEN_MASK_CALL_ONLY(fcinfo);
	WardenText	value = warden_text_bytes(PG_GETARG_TEXT_PP(0));
	WardenText	plan = warden_text_bytes(PG_GETARG_TEXT_PP(1));
	int64		room = value.length * 2 + 256;
	int64		space = value.length * 4 + 64;
	WardenJSONResult outcome = WARDEN_JSON_NO_ROOM;
	WardenBuffer work;
	text	   *result = NULL;

	if (space > (int64) MaxAllocSize)
		PG_RETURN_TEXT_P(redacted_json());
	work = (WardenBuffer) {(uint8_t *) palloc(space), space, 0};
	/* markers are longer than what is short: [""] is all it takes */
	for (; outcome == WARDEN_JSON_NO_ROOM && room <= (int64) (MaxAllocSize - VARHDRSZ); room *= 2)
	{
		WardenBuffer out;

		CHECK_FOR_INTERRUPTS();
		result = result ? repalloc(result, VARHDRSZ + room) : palloc(VARHDRSZ + room);
		out = (WardenBuffer) {(uint8_t *) VARDATA(result), room, 0};
		SWIFT_GET(outcome, warden_mask_json(value, plan, warden_text_encoding(), &work, &out));
		if (outcome == WARDEN_JSON_MASKED)
			(void) warden_text_finish(result, &out);
	}
	pfree(work.bytes);
	PG_RETURN_TEXT_P(outcome == WARDEN_JSON_MASKED ? result : redacted_json());
}

WARDEN_MASK_EACH(warden_sql_mask_fake, TEXTOID)
WARDEN_MASK_EACH(warden_sql_mask_scrub, TEXTOID)
WARDEN_MASK_EACH(warden_sql_mask_json, TEXTOID)
