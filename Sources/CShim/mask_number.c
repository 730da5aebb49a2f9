/*
 * What the views of methods noise and round call for numbers, and noise for dates.
 */
#include "mask_each.h"
#include "mask_call.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/cash.h"
#include "utils/date.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(warden_sql_mask_noise_integer);
PG_FUNCTION_INFO_V1(warden_sql_mask_noise_numeric);
PG_FUNCTION_INFO_V1(warden_sql_mask_noise_float);
PG_FUNCTION_INFO_V1(warden_sql_mask_noise_money);
PG_FUNCTION_INFO_V1(warden_sql_mask_noise_date);
PG_FUNCTION_INFO_V1(warden_sql_mask_noise_timestamp);
PG_FUNCTION_INFO_V1(warden_sql_mask_round_integer);
PG_FUNCTION_INFO_V1(warden_sql_mask_round_numeric);
PG_FUNCTION_INFO_V1(warden_sql_mask_round_float);
PG_FUNCTION_INFO_V1(warden_sql_mask_round_money);

static int64
least_of(int32 width)
{
	return width == 16 ? PG_INT16_MIN : width == 32 ? PG_INT32_MIN : PG_INT64_MIN;
}

static int64
most_of(int32 width)
{
	return width == 16 ? PG_INT16_MAX : width == 32 ? PG_INT32_MAX : PG_INT64_MAX;
}

/* --- noise --- */

Datum
warden_sql_mask_noise_integer(PG_FUNCTION_ARGS)
{
	WARDEN_MASK_CALL_ONLY(fcinfo);
	WardenText	key = warden_mask_key("noise");
	int32		width = PG_GETARG_INT32(2);
	int64		result;

	SWIFT_GET(result, warden_mask_noise(key, PG_GETARG_INT64(0), PG_GETARG_INT32(1), least_of(width), most_of(width)));
	PG_RETURN_INT64(result);
}

Datum
warden_sql_mask_noise_numeric(PG_FUNCTION_ARGS)
{
	WARDEN_MASK_CALL_ONLY(fcinfo);
	WardenText	value = warden_text(DatumGetCString(DirectFunctionCall1(numeric_out, PG_GETARG_DATUM(0))));
	WardenText	key = warden_mask_key("noise");
	int64		room = 2 * value.length + 24;
	WardenBuffer out = {palloc(room + 1), room, 0};

	SWIFT(warden_mask_noise_decimal(key, value, PG_GETARG_INT32(1), PG_GETARG_INT32(2), &out));
	out.bytes[out.length] = '\0';
	PG_RETURN_DATUM(DirectFunctionCall3(numeric_in, CStringGetDatum((char *) out.bytes), ObjectIdGetDatum(InvalidOid),
										Int32GetDatum(-1)));
}

Datum
warden_sql_mask_noise_float(PG_FUNCTION_ARGS)
{
	WARDEN_MASK_CALL_ONLY(fcinfo);
	WardenText	key = warden_mask_key("noise");
	double		result;

	SWIFT_GET(result, warden_mask_noise_float(key, PG_GETARG_FLOAT8(0), PG_GETARG_INT32(1), PG_GETARG_INT32(2)));
	PG_RETURN_FLOAT8(result);
}

Datum
warden_sql_mask_noise_money(PG_FUNCTION_ARGS)
{
	WARDEN_MASK_CALL_ONLY(fcinfo);
	WardenText	key = warden_mask_key("noise");
	int64		result;

	SWIFT_GET(result, warden_mask_noise(key, PG_GETARG_CASH(0), PG_GETARG_INT32(1), PG_INT64_MIN, PG_INT64_MAX));
	PG_RETURN_CASH(result);
}

Datum
warden_sql_mask_noise_date(PG_FUNCTION_ARGS)
{
	WARDEN_MASK_CALL_ONLY(fcinfo);
	DateADT		value = PG_GETARG_DATEADT(0);
	WardenText	key = warden_mask_key("noise");
	int64		result;

	if (DATE_NOT_FINITE(value))
		PG_RETURN_DATEADT(value);
	SWIFT_GET(result, warden_mask_shift(key, value, PG_GETARG_INT32(1), DATETIME_MIN_JULIAN - POSTGRES_EPOCH_JDATE,
										DATE_END_JULIAN - POSTGRES_EPOCH_JDATE - 1));
	PG_RETURN_DATEADT((DateADT) result);
}

/* With and without time zone. */
Datum
warden_sql_mask_noise_timestamp(PG_FUNCTION_ARGS)
{
	WARDEN_MASK_CALL_ONLY(fcinfo);
	Timestamp	value = PG_GETARG_TIMESTAMP(0);
	WardenText	key = warden_mask_key("noise");
	int64		result;

	if (TIMESTAMP_NOT_FINITE(value))
		PG_RETURN_TIMESTAMP(value);
	SWIFT_GET(result, warden_mask_shift(key, value, PG_GETARG_INT32(1) * USECS_PER_DAY, MIN_TIMESTAMP,
										END_TIMESTAMP - 1));
	PG_RETURN_TIMESTAMP(result);
}

/* --- round --- */

Datum
warden_sql_mask_round_integer(PG_FUNCTION_ARGS)
{
	WARDEN_MASK_CALL_ONLY(fcinfo);
	int32		width = PG_GETARG_INT32(2);
	int64		result;

	SWIFT_GET(result, warden_mask_round(PG_GETARG_INT64(0), PG_GETARG_INT64(1), least_of(width), most_of(width)));
	PG_RETURN_INT64(result);
}

/* Has it more than so many digits before the point? */
static bool
is_longer(Numeric value, int32 digits)
{
	char	   *limit;

	if (digits <= 0)
		return false;
	limit = psprintf("1e%d", digits);
	return DatumGetBool(DirectFunctionCall2(numeric_ge, DirectFunctionCall1(numeric_abs, NumericGetDatum(value)),
											DirectFunctionCall3(numeric_in, CStringGetDatum(limit),
																ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1))));
}

Datum
warden_sql_mask_round_numeric(PG_FUNCTION_ARGS)
{
	WARDEN_MASK_CALL_ONLY(fcinfo);
	Numeric		value = PG_GETARG_NUMERIC(0);
	Datum		step = PG_GETARG_DATUM(1);
	Datum		result;

	/* neither NaN nor an infinity is near to a multiple of anything */
	if (numeric_is_nan(value) || numeric_is_inf(value))
		PG_RETURN_NUMERIC(value);
	result = DirectFunctionCall2(numeric_round, DirectFunctionCall2(numeric_div, NumericGetDatum(value), step),
								 Int32GetDatum(0));
	result = DirectFunctionCall2(numeric_mul, result, step);
	/* it does not fit the column: the multiple on the other side does */
	if (is_longer(DatumGetNumeric(result), PG_GETARG_INT32(2)))
		result = DirectFunctionCall2(numeric_mul, DirectFunctionCall2(numeric_div_trunc, NumericGetDatum(value), step),
									 step);
	PG_RETURN_DATUM(result);
}

Datum
warden_sql_mask_round_float(PG_FUNCTION_ARGS)
{
	WARDEN_MASK_CALL_ONLY(fcinfo);
	double		result;

	SWIFT_GET(result, warden_mask_round_float(PG_GETARG_FLOAT8(0), PG_GETARG_FLOAT8(1), PG_GETARG_INT32(2)));
	PG_RETURN_FLOAT8(result);
}

Datum
warden_sql_mask_round_money(PG_FUNCTION_ARGS)
{
	WARDEN_MASK_CALL_ONLY(fcinfo);
	int64		result;

	SWIFT_GET(result, warden_mask_round(PG_GETARG_CASH(0), PG_GETARG_CASH(1), PG_INT64_MIN, PG_INT64_MAX));
	PG_RETURN_CASH(result);
}

WARDEN_MASK_EACH(warden_sql_mask_noise_integer, INT8OID)
WARDEN_MASK_EACH(warden_sql_mask_noise_numeric, NUMERICOID)
WARDEN_MASK_EACH(warden_sql_mask_noise_float, FLOAT8OID)
WARDEN_MASK_EACH(warden_sql_mask_noise_money, MONEYOID)
WARDEN_MASK_EACH(warden_sql_mask_noise_date, DATEOID)
WARDEN_MASK_EACH(warden_sql_mask_round_integer, INT8OID)
WARDEN_MASK_EACH(warden_sql_mask_round_numeric, NUMERICOID)
WARDEN_MASK_EACH(warden_sql_mask_round_float, FLOAT8OID)
WARDEN_MASK_EACH(warden_sql_mask_round_money, MONEYOID)

/* One function for two types of elements. */
PG_FUNCTION_INFO_V1(warden_sql_mask_noise_timestamp_each);
PG_FUNCTION_INFO_V1(warden_sql_mask_noise_timestamptz_each);

Datum
warden_sql_mask_noise_timestamp_each(PG_FUNCTION_ARGS)
{
	WARDEN_MASK_CALL_ONLY(fcinfo);
	return warden_mask_each(fcinfo, warden_sql_mask_noise_timestamp, TIMESTAMPOID);
}

Datum
warden_sql_mask_noise_timestamptz_each(PG_FUNCTION_ARGS)
{
	WARDEN_MASK_CALL_ONLY(fcinfo);
	return warden_mask_each(fcinfo, warden_sql_mask_noise_timestamp, TIMESTAMPTZOID);
}
