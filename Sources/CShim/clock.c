/*
 * The time of day in the zones that guards name, for Swift to compare with their hours.
 *
 * A guard without a zone goes by log_timezone: TimeZone is what every session sets for itself. Zones have a number each
 * in this backend, for as long as it lives; that of log_timezone is 0.
 */
#include "shim.h"

#include "pgtime.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

bool		warden_hours_in_force = false;

static pg_tz **zones = NULL;
static int16_t *minutes = NULL;
static int	zone_count = 0;

/* What `minutes` say is so from one whole minute to the next. */
static TimestampTz minute_start = 0;
static pg_tz *told_log_timezone = NULL;

static int
add_zone(pg_tz *zone)
{
	if (zones == NULL)
	{
		zones = MemoryContextAlloc(TopMemoryContext, sizeof(pg_tz *));
		minutes = MemoryContextAlloc(TopMemoryContext, sizeof(int16_t));
	}
	else
	{
		zones = repalloc(zones, sizeof(pg_tz *) * (zone_count + 1));
		minutes = repalloc(minutes, sizeof(int16_t) * (zone_count + 1));
	}
	zones[zone_count] = zone;
	minute_start = 0;
	return zone_count++;
}

static int
known_zone(const char *name)
{
	for (int i = 1; i < zone_count; i++)
		if (pg_strcasecmp(pg_get_timezone_name(zones[i]), name) == 0)
			return i;
	return -1;
}

/* The server takes nearly every word with a digit for a zone's rule ("Oslo1"): only what it lists is meant as a name. */
static bool
is_listed(const char *name)
{
	pg_tzenum  *list = pg_tzenumerate_start();
	pg_tz	   *zone;
	bool		found = false;

	while (!found && (zone = pg_tzenumerate_next(list)) != NULL)
		found = pg_strcasecmp(pg_get_timezone_name(zone), name) == 0;
	pg_tzenumerate_end(list);
	return found;
}

int32
warden_hours_zone(WardenText hours, bool at_definition)
{
	const char *name = hours.bytes ? strchr((const char *) hours.bytes, ' ') : NULL;
	pg_tz	   *zone;
	int			known;

	if (zone_count == 0)
		(void) add_zone(NULL);
	if (name == NULL)
		return 0;
	known = known_zone(++name);
	if (known >= 0)
		return known;
	zone = strlen(name) <= TZ_STRLEN_MAX ? pg_tzset(name) : NULL;
	if (zone == NULL || (at_definition && !is_listed(name)))
		return -1;
	return add_zone(zone);
}

static int16_t
minute_of_day(pg_time_t now, pg_tz *zone)
{
	struct pg_tm *local = pg_localtime(&now, zone);

	return local == NULL ? -1 : (int16_t) (local->tm_hour * MINS_PER_HOUR + local->tm_min);
}

void
warden_clock_tell(WardenSession *session)
{
	TimestampTz now = GetCurrentTimestamp();

	if (now < minute_start || now >= minute_start + USECS_PER_MINUTE || told_log_timezone != log_timezone)
	{
		pg_time_t	seconds = timestamptz_to_time_t(now);

		for (int i = 0; i < zone_count; i++)
			minutes[i] = minute_of_day(seconds, i == 0 ? log_timezone : zones[i]);
		minute_start = now - now % USECS_PER_MINUTE;
		told_log_timezone = log_timezone;
	}
	session->minutes = minutes;
	session->minute_count = zone_count;
}
