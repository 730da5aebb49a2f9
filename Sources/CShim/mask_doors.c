/*
 * One door of warden.check_masks, tried. The subject's statements run as the subject, as if after SET ROLE, and are
 * governed; in a security-restricted operation, so that code of users that they run cannot become anybody else. All is
 * taken back with the subtransaction.
 */
#include "mask_doors.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#define SCRATCH "warden_check_masks"
#define LIMITED " LIMIT " WARDEN_DOOR_ROWS
#define ROWS "SELECT {c}::text FROM {t}" LIMITED

/* Shorter texts are found in others by chance. */
#define LEAST_TEXT 6

/* {s}.f() that gives the rows */
#define FUNCTION(options, body) \
	"CREATE FUNCTION {s}.f() RETURNS SETOF text LANGUAGE " options " AS $warden$" body "$warden$"

const WardenDoor warden_mask_doors[] = {
	{"column", WARDEN_DOOR_VALUES, NULL, NULL, ROWS, false},
	{"star", WARDEN_DOOR_VALUES, NULL, NULL,
	"SELECT s.{c}::text FROM (SELECT * FROM {t} OFFSET 0) s" LIMITED, false},
	{"whole row", WARDEN_DOOR_VALUES, NULL, NULL,
	"SELECT (r).{c}::text FROM (SELECT x AS r FROM {t} x OFFSET 0) s" LIMITED, false},
	{"row as text", WARDEN_DOOR_VALUES, NULL, NULL,
	"SELECT (x::text::{t}).{c}::text FROM {t} x" LIMITED, false},
	{"json", WARDEN_DOOR_VALUES, NULL, NULL,
	"SELECT (jsonb_populate_record(NULL::{t}, to_jsonb(x))).{c}::text FROM {t} x" LIMITED, false},
	{"aggregate", WARDEN_DOOR_VALUES, NULL, NULL,
	"SELECT unnest(array_agg({c}::text)) FROM (SELECT {c} FROM {t}" LIMITED ") s", false},
	{"order and window", WARDEN_DOOR_VALUES, NULL, NULL,
	"SELECT lag({c}::text) OVER (ORDER BY {c}::text) FROM {t}" LIMITED, false},
	{"condition", WARDEN_DOOR_ORACLE, NULL, NULL, "SELECT FROM {t} WHERE {c}::text = $1 LIMIT 1", false},
	{"join", WARDEN_DOOR_ORACLE, NULL, NULL,
	"SELECT FROM {t} x JOIN (VALUES ($1)) v (v) ON v.v = x.{c}::text LIMIT 1", false},
	{"cursor", WARDEN_DOOR_VALUES, NULL,
	"DECLARE " SCRATCH " NO SCROLL CURSOR FOR " ROWS, "FETCH ALL FROM " SCRATCH, false},
	{"CREATE TABLE AS", WARDEN_DOOR_VALUES, NULL, "CREATE TABLE {s}.t (v) AS " ROWS, "SELECT v FROM {s}.t", false},
	{"materialized view", WARDEN_DOOR_VALUES, NULL,
	"CREATE MATERIALIZED VIEW {s}.m (v) AS " ROWS, "SELECT v FROM {s}.m", false},
	{"view of one's own", WARDEN_DOOR_VALUES, NULL, "CREATE VIEW {s}.v (v) AS " ROWS, "SELECT v FROM {s}.v", false},
	{"function of one's own", WARDEN_DOOR_VALUES, NULL,
	FUNCTION("sql SECURITY DEFINER", ROWS), "SELECT {s}.f()", false},
	{"cached plan", WARDEN_DOOR_VALUES, NULL,
	FUNCTION("plpgsql", "BEGIN RETURN QUERY " ROWS "; END"), "SELECT {s}.f() UNION ALL SELECT {s}.f()", false},
	{"the owner's view", WARDEN_DOOR_VALUES, "CREATE VIEW {s}.v (v) AS " ROWS, NULL, "SELECT v FROM {s}.v", false},
	{"the owner's function", WARDEN_DOOR_VALUES,
	FUNCTION("sql SECURITY DEFINER", ROWS), NULL, "SELECT {s}.f()", false},
	{"query_to_xml", WARDEN_DOOR_TEXT, NULL, NULL,
	"SELECT query_to_xml($warden$" ROWS "$warden$, true, false, '')::text", false},
	{"cast error", WARDEN_DOOR_TEXT, NULL, NULL, "SELECT ('[' || {c}::text)::int FROM {t}", false},
	{"EXPLAIN", WARDEN_DOOR_TEXT, NULL, NULL, "EXPLAIN (VERBOSE) SELECT {c} FROM {t}", false},
	{"statistics", WARDEN_DOOR_TEXT, NULL, NULL,
	"SELECT s::text FROM pg_stats s WHERE format('%I.%I', schemaname, tablename) = $2 AND quote_ident(attname) = $3",
	false},
	{"RETURNING", WARDEN_DOOR_VALUES, NULL, NULL,
	"UPDATE {t} SET {w} = {w} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {t} LIMIT 20)) RETURNING {c}::text", true},
	{"condition of a write", WARDEN_DOOR_ORACLE, NULL, NULL,
	"UPDATE {t} SET {w} = {w} WHERE {c}::text = $1", true},
};
const int	warden_mask_door_count = lengthof(warden_mask_doors);

/* --- who asks --- */

typedef struct Who
{
	Oid			role;			/* InvalidOid: none was set */
	Oid			user;
	int			security;
	int			depth;
} Who;

static Who
who_asks(void)
{
	Who			who = {.role = GetCurrentRoleId(), .depth = warden_internal_depth};

	GetUserIdAndSecContext(&who.user, &who.security);
	return who;
}

static void
become(const Who *who)
{
	Oid			user;
	int			security;

	/* the role is not set within an operation that is restricted: what is asked here is who is asked for */
	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(user, 0);
	SetCurrentRoleId(who->role, OidIsValid(who->role) && superuser_arg(who->role));
	SetUserIdAndSecContext(who->user, who->security);
	warden_internal_depth = who->depth;
	warden_session_refresh();
}

/* --- text of statements --- */

static char *
filled(const WardenTrial *trial, const char *pattern, const char *object)
{
	StringInfoData text;

	initStringInfo(&text);
	for (const char *c = pattern; *c != '\0'; c++)
	{
		const char *value = NULL;

		if (c[0] == '{' && c[1] != '\0' && c[2] == '}')
			value = c[1] == 't' ? trial->table : c[1] == 'c' ? trial->column : c[1] == 's' ? SCRATCH :
				c[1] == 'w' ? trial->writable : c[1] == 'x' ? object : NULL;
		if (value == NULL)
		{
			appendStringInfoChar(&text, *c);
			continue;
		}
		appendStringInfoString(&text, value);
		c += 2;
	}
	return text.data;
}

/* --- real values --- */

static void
read_values(void *arg)
{
	WardenTrial *trial = arg;
	Oid			user;
	int			security;
	uint64		count;

	/* a cast to text may be code of users */
	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(trial->owner, security | SECURITY_RESTRICTED_OPERATION);
	count = (uint64) warden_internal_sql(filled(trial, "SELECT DISTINCT {c}::text FROM (SELECT {c} FROM {t} "
											   "WHERE {c} IS NOT NULL" LIMITED ") s", NULL), 0, NULL, NULL, NULL);
	for (uint64 i = 0; i < count; i++)
	{
		char	   *value = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);
		MemoryContext caller = MemoryContextSwitchTo(trial->memory);

		if (value != NULL)
			trial->real = lappend(trial->real, pstrdup(value));
		MemoryContextSwitchTo(caller);
	}
	SetUserIdAndSecContext(user, security);
}

static bool
is_among(const List *texts, const char *text)
{
	ListCell   *cell;

	foreach(cell, texts)
		if (strcmp(lfirst(cell), text) == 0)
			return true;
	return false;
}

/* --- one door --- */

typedef struct Attempt
{
	WardenTrial *trial;
	const WardenDoor *door;
	const char *object;
	List	   *seen;			/* texts, distinct */
	uint64		found;			/* rows */
	bool		is_ready;		/* what the door needs is there: an error from now on is the door's */
	ErrorData  *error;
} Attempt;

static void
make_scratch(void *arg)
{
	Attempt    *attempt = arg;
	const char *role = quote_identifier(GetUserNameFromId(attempt->trial->role, false));
	const char *owner = quote_identifier(GetUserNameFromId(attempt->trial->owner, false));
	bool		is_view = attempt->door->owners && strncmp(attempt->door->owners, "CREATE VIEW", 11) == 0;

	warden_internal_sql("CREATE SCHEMA " SCRATCH, 0, NULL, NULL, NULL);
	warden_internal_sql(psprintf("GRANT ALL ON SCHEMA " SCRATCH " TO %s, %s", role, owner), 0, NULL, NULL, NULL);
	if (attempt->door->owners == NULL)
		return;
	warden_internal_sql(filled(attempt->trial, attempt->door->owners, NULL), 0, NULL, NULL, NULL);
	warden_internal_sql(psprintf("ALTER %s OWNER TO %s", is_view ? "VIEW " SCRATCH ".v" : "FUNCTION " SCRATCH ".f()",
								 owner), 0, NULL, NULL, NULL);
	if (is_view)
		warden_internal_sql(psprintf("GRANT SELECT ON " SCRATCH ".v TO %s", role), 0, NULL, NULL, NULL);
}

static void
say(const Attempt *attempt, const char *pattern)
{
	WardenTrial *trial = attempt->trial;
	Oid			types[3] = {TEXTOID, TEXTOID, TEXTOID};
	Datum		values[3];
	int			count = strstr(pattern, "$2") != NULL ? 3 : strstr(pattern, "$1") != NULL ? 1 : 0;

	values[0] = CStringGetTextDatum(trial->probe ? trial->probe : "");
	values[1] = CStringGetTextDatum(trial->table);
	values[2] = CStringGetTextDatum(trial->column);
	(void) warden_internal_sql(filled(trial, pattern, attempt->object), count, types, values, NULL);
}

static void
note_seen(Attempt *attempt)
{
	SPITupleTable *rows = SPI_tuptable;

	attempt->found = SPI_processed;
	for (uint64 i = 0; rows != NULL && rows->tupdesc->natts > 0 && i < rows->numvals; i++)
	{
		char	   *value = SPI_getvalue(rows->vals[i], rows->tupdesc, 1);
		MemoryContext caller = MemoryContextSwitchTo(attempt->trial->memory);

		if (value != NULL && !is_among(attempt->seen, value))
			attempt->seen = lappend(attempt->seen, pstrdup(value));
		MemoryContextSwitchTo(caller);
	}
}

static void
ask(Attempt *attempt)
{
	Who			subject = {attempt->trial->role, attempt->trial->role, SECURITY_RESTRICTED_OPERATION, 0};

	warden_internal_run(make_scratch, attempt);
	CommandCounterIncrement();
	attempt->is_ready = true;
	become(&subject);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "pg_warden: SPI is not available");
	if (attempt->door->before != NULL)
		say(attempt, attempt->door->before);
	say(attempt, attempt->door->ask);
	note_seen(attempt);
	SPI_finish();
}

static void
attempt_in_subtransaction(Attempt *attempt)
{
	MemoryContext memory = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	Who			who = who_asks();

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(memory);
	PG_TRY();
	{
		ask(attempt);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(attempt->trial->memory);
		attempt->error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(memory);
	CurrentResourceOwner = owner;
	become(&who);
	/* neither the door's making nor the wish to stop is the door's */
	if (attempt->error != NULL && (!attempt->is_ready || attempt->error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
								   attempt->error->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN))
		ReThrowError(attempt->error);
}

/* --- what came of it --- */

static bool
tells_within(const Attempt *attempt, const char *text)
{
	ListCell   *cell;

	if (text == NULL)
		return false;
	foreach(cell, attempt->trial->real)
		if (strlen(lfirst(cell)) >= LEAST_TEXT && strstr(text, lfirst(cell)) != NULL)
			return true;
	return false;
}

/* Most of what was seen is real; one value alone may be what every row shows. */
static bool
shows_values(const Attempt *attempt)
{
	int			hits = 0;
	ListCell   *cell;

	foreach(cell, attempt->seen)
		if (is_among(attempt->trial->real, lfirst(cell)))
			hits++;
	return hits >= 2 && hits * 2 > list_length(attempt->seen);
}

static bool
leaks(const Attempt *attempt)
{
	ListCell   *cell;

	if (attempt->error != NULL)
		return tells_within(attempt, attempt->error->message) || tells_within(attempt, attempt->error->detail) ||
			tells_within(attempt, attempt->error->hint) || tells_within(attempt, attempt->error->context);
	if (attempt->door->kind == WARDEN_DOOR_ORACLE)
		return attempt->trial->probe != NULL && attempt->found > 0;
	if (attempt->door->kind == WARDEN_DOOR_VALUES)
		return shows_values(attempt);
	foreach(cell, attempt->seen)
		if (tells_within(attempt, lfirst(cell)))
			return true;
	return false;
}

static const char *
told(const Attempt *attempt, bool leak)
{
	if (leak)
		return attempt->error ? "an error tells real values" : attempt->door->kind == WARDEN_DOOR_ORACLE ?
			"a real value is found" : "real values are seen";
	if (attempt->error != NULL)
		return psprintf("refused (SQLSTATE %s)", unpack_sql_state(attempt->error->sqlerrcode));
	if (list_length(attempt->trial->real) < 2)
		return "too few real values to tell";
	if (attempt->door->kind == WARDEN_DOOR_ORACLE)
		return attempt->trial->probe ? "a real value is not found" : "every real value is also seen as a mask";
	return "no real value is seen";
}

WardenTried
warden_door_try(WardenTrial *trial, const WardenDoor *door, const char *object)
{
	Attempt		attempt = {.trial = trial, .door = door, .object = object};
	WardenTried tried = {false, "not tried: the table has triggers, or no column without a mask"};

	if (door->writes && trial->writable == NULL)
		return tried;
	attempt_in_subtransaction(&attempt);
	tried.leaks = leaks(&attempt);
	tried.detail = told(&attempt, tried.leaks);
	return tried;
}

void
warden_trial_begin(WardenTrial *trial)
{
	Attempt		column = {.trial = trial, .door = &warden_mask_doors[0]};
	ListCell   *cell;

	warden_internal_run(read_values, trial);
	attempt_in_subtransaction(&column);
	foreach(cell, trial->real)
		if (trial->probe == NULL && !is_among(column.seen, lfirst(cell)))
			trial->probe = lfirst(cell);
}
