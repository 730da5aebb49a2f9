/*
 * What the views of methods year and round call for dates and times, ip_prefix for addresses.
 */
#include "mask_each.h"
#include "mask_call.h"

#include <sys/socket.h>

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/inet.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(warden_sql_mask_round_date);
PG_FUNCTION_INFO_V1(warden_sql_mask_round_timestamp);
PG_FUNCTION_INFO_V1(warden_sql_mask_round_time);
PG_FUNCTION_INFO_V1(warden_sql_mask_ip_prefix);

static WardenText
unit_of(FunctionCallInfo fcinfo)
{
	text	   *unit = PG_GETARG_TEXT_PP(1);

	return (WardenText) {(const uint8_t *) VARDATA_ANY(unit), VARSIZE_ANY_EXHDR(unit)};
}

Datum
warden_sql_mask_round_date(PG_FUNCTION_ARGS)
{
	WARDEN_MASK_CALL_ONLY(fcinfo);
	DateADT		value = PG_GETARG_DATEADT(0);
	WardenText	unit = unit_of(fcinfo);
	int64		result;

	if (DATE_NOT_FINITE(value))
		PG_RETURN_DATEADT(value);
	SWIFT_GET(result, warden_mask_begin_day(value, unit, DATETIME_MIN_JULIAN - POSTGRES_EPOCH_JDATE));
	PG_RETURN_DATEADT((DateADT) result);
}

/* With time zone as well: in UTC. */
Datum
warden_sql_mask_round_timestamp(PG_FUNCTION_ARGS)
{
	WARDEN_MASK_CALL_ONLY(fcinfo);
	Timestamp	value = PG_GETARG_TIMESTAMP(0);
	WardenText	unit = unit_of(fcinfo);
	int64		result;

	if (TIMESTAMP_NOT_FINITE(value))
		PG_RETURN_TIMESTAMP(value);
	SWIFT_GET(result, warden_mask_begin_instant(value, unit, MIN_TIMESTAMP));
	PG_RETURN_TIMESTAMP(result);
}

Datum
warden_sql_mask_round_time(PG_FUNCTION_ARGS)
{
	WARDEN_MASK_CALL_ONLY(fcinfo);
	WardenText	unit = unit_of(fcinfo);
	int64		result;

	SWIFT_GET(result, warden_mask_begin_instant(PG_GETARG_TIMEADT(0), unit, 0));
	PG_RETURN_TIMEADT(result);
}

Datum
warden_sql_mask_ip_prefix(PG_FUNCTION_ARGS)
{
	WARDEN_MASK_CALL_ONLY(fcinfo);
	inet	   *value = PG_GETARG_INET_PP(0);
	inet	   *result = palloc0(sizeof(inet));
	WardenText	address = {ip_addr(value), ip_addrsize(value)};
	WardenBuffer out;
	int32		bits;

	ip_family(result) = ip_family(value);
	out = (WardenBuffer) {ip_addr(result), address.length, 0};
	SWIFT_GET(bits, warden_mask_network(address, ip_bits(value), PG_GETARG_INT32(ip_family(value) == PGSQL_AF_INET ? 1 : 2),
										&out));
	ip_bits(result) = (unsigned char) bits;
	SET_INET_VARSIZE(result);
	PG_RETURN_INET_P(result);
}

WARDEN_MASK_EACH(warden_sql_mask_round_date, DATEOID)
WARDEN_MASK_EACH(warden_sql_mask_round_time, TIMEOID)
WARDEN_MASK_EACH(warden_sql_mask_ip_prefix, INETOID)

/* One function for two types of elements. */
PG_FUNCTION_INFO_V1(warden_sql_mask_round_timestamp_each);
PG_FUNCTION_INFO_V1(warden_sql_mask_round_timestamptz_each);

Datum
warden_sql_mask_round_timestamp_each(PG_FUNCTION_ARGS)
{
	WARDEN_MASK_CALL_ONLY(fcinfo);
	return warden_mask_each(fcinfo, warden_sql_mask_round_timestamp, TIMESTAMPOID);
}

Datum
warden_sql_mask_round_timestamptz_each(PG_FUNCTION_ARGS)
{
	WARDEN_MASK_CALL_ONLY(fcinfo);
	return warden_mask_each(fcinfo, warden_sql_mask_round_timestamp, TIMESTAMPTZOID);
}
