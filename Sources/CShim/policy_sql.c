/*
 * warden.guard, unguard, exempt, revoke_exemption: arguments are checked by the rules of Swift, the same that loading
 * uses, and stored; sessions learn of it when the transaction commits.
 */
#include "sql.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "policy_rows.h"
#include "utils/array.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(warden_sql_require_preload);
PG_FUNCTION_INFO_V1(warden_sql_guard);
PG_FUNCTION_INFO_V1(warden_sql_unguard);
PG_FUNCTION_INFO_V1(warden_sql_exempt);
PG_FUNCTION_INFO_V1(warden_sql_revoke_exemption);

static void
require_preload(void)
{
	/* the settings exist only where _PG_init ran in the postmaster */
	if (GetConfigOption("warden.mode", true, false) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("pg_warden must be loaded via shared_preload_libraries"),
				 errhint("Add pg_warden to shared_preload_libraries in postgresql.conf and restart the server.")));
}

Datum
warden_sql_require_preload(PG_FUNCTION_ARGS)
{
	(void) fcinfo;
	require_preload();
	PG_RETURN_VOID();
}

void
warden_ready(void)
{
	require_preload();
	/* what is pg_warden's own is asked for where the database is governed only */
	if (warden_internal_depth > 0)
		return;
	/* known is enough: to load the policy after each of ten thousand guards made by one statement is not */
	if (!warden_governed_known() && !warden_governed())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("pg_warden does not govern this database yet"),
				 errhint("CREATE EXTENSION pg_warden takes effect when its transaction has committed.")));
}

void
warden_not_null(FunctionCallInfo fcinfo, int arg, const char *name)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("argument \"%s\" must not be NULL", name),
				 errhint("Leave it out where it has a default, or give a value.")));
}

void
warden_policy_changed(Oid table)
{
	CacheInvalidateRelcacheByRelid(table);
	CommandCounterIncrement();
}

/* Who sees what has changed: plans over masked tables are to be made anew everywhere. */
void
warden_masks_changed(void)
{
	/* the masks as they are now */
	(void) warden_governed();
	for (int i = 0; i < warden_mask_count; i++)
		CacheInvalidateRelcacheByRelid(warden_masks[i].relation);
}

/* Columns that no argument has: what the objects' patterns name now, in arrays beside the texts. Rules follow renames. */
typedef enum Bound
{
	RELATIONS = -1,
	SCHEMAS = -2,
	FUNCTIONS = -3,
	COLUMNS = -4
} Bound;

static Datum
bound_datum(const WardenObjectPattern *pattern, Bound what)
{
	const char *text = (const char *) pattern->text.bytes;
	bool		function = text != NULL && strncmp(text, "function:", 9) == 0;

	switch (what)
	{
		case SCHEMAS:
			return ObjectIdGetDatum(pattern->schema);
		case COLUMNS:
			return Int16GetDatum(pattern->column);
		default:
			return ObjectIdGetDatum(function == (what == FUNCTIONS) ? pattern->object : InvalidOid);
	}
}

static Datum
bound_to(const WardenObjectPattern *patterns, int64_t count, Bound what)
{
	Datum	   *elements = palloc(sizeof(Datum) * (count + 1));
	Oid			type = what == SCHEMAS ? REGNAMESPACEOID : what == FUNCTIONS ? REGPROCEDUREOID : REGCLASSOID;

	for (int64_t i = 0; i < count; i++)
		elements[i] = bound_datum(&patterns[i], what);
	if (what == COLUMNS)
		return PointerGetDatum(construct_array(elements, (int) count, INT2OID, 2, true, TYPALIGN_SHORT));
	return PointerGetDatum(construct_array(elements, (int) count, type, 4, true, TYPALIGN_INT));
}

/* --- guards --- */

typedef struct Statement
{
	const char *sql;
	int			nargs;
	Oid		   *types;
	Datum	   *values;
	const char *nulls;
	int			rows;
	int64		returned;
} Statement;

static void
execute(void *arg)
{
	Statement  *statement = arg;

	statement->rows = warden_internal_sql(statement->sql, statement->nargs, statement->types, statement->values,
										  statement->nulls);
	if (statement->rows > 0 && SPI_tuptable != NULL)
	{
		bool		isnull;

		statement->returned = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	}
}

/* What is refused by the rules of Swift is raised; what it wants to say besides, said. */
static void
checked(bool valid, const WardenVerdict *verdict)
{
	if (!valid)
		warden_raise(verdict);
	else if (verdict->message.bytes != NULL)
		ereport(WARNING,
				(errmsg_internal("%s", warden_translated(verdict->message, verdict->message_parts)),
				 errhint("%s", warden_translated(verdict->hint, verdict->hint_parts))));
}

/* The arguments that may be NULL: where and when the guard holds, on how many rows, who may approve. */
static void
limits_of_guard(FunctionCallInfo fcinfo, WardenGuard *guard)
{
	if (!PG_ARGISNULL(6))
		guard->networks = warden_networks(PG_GETARG_DATUM(6), &guard->network_count);
	guard->hours = ARG_TEXT(7);
	guard->hours_zone = warden_hours_zone(guard->hours, true);
	guard->max_rows = PG_ARGISNULL(8) ? -1 : PG_GETARG_INT64(8);
	/* -1 is how the contract says that there is none */
	if (!PG_ARGISNULL(8) && guard->max_rows < 0)
		guard->max_rows = PG_INT64_MIN;
	if (!PG_ARGISNULL(9))
		guard->reviewers = warden_subject_patterns(PG_GETARG_DATUM(9), &guard->reviewer_count);
	guard->approvals = PG_GETARG_INT32(10);
	guard->message = ARG_TEXT(11);
	guard->priority = PG_GETARG_INT32(12);
}

static void
check_guard(FunctionCallInfo fcinfo, WardenGuard *guard)
{
	static const char *const names[] = {"name", "action", "statements", "objects", "subjects", "environments"};
	WardenVerdict verdict;
	bool		valid;

	for (int i = 0; i < (int) lengthof(names); i++)
		warden_not_null(fcinfo, i, names[i]);
	warden_not_null(fcinfo, 10, "approvals");
	warden_not_null(fcinfo, 12, "priority");
	guard->name = ARG_TEXT(0);
	guard->action = ARG_TEXT(1);
	guard->statements = warden_array_texts(PG_GETARG_DATUM(2), &guard->statement_count);
	guard->objects = warden_object_patterns(PG_GETARG_DATUM(3), &guard->object_count);
	guard->subjects = warden_subject_patterns(PG_GETARG_DATUM(4), &guard->subject_count);
	guard->environments = warden_array_texts(PG_GETARG_DATUM(5), &guard->environment_count);
	limits_of_guard(fcinfo, guard);
	SWIFT_GET(valid, warden_guard_check(guard, warden_texts(), &verdict));
	checked(valid, &verdict);
}

Datum
warden_sql_guard(PG_FUNCTION_ARGS)
{
	/* which argument each column takes */
	static const int arguments[] = {0, 1, 2, 3, RELATIONS, 4, 5, 11, 12, 6, 7, 8, 9, 10, SCHEMAS, FUNCTIONS,
	COLUMNS};
	WardenGuard guard = {0};
	Oid			types[] = {TEXTOID, TEXTOID, TEXTARRAYOID, TEXTARRAYOID, REGCLASSARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
	TEXTOID, INT4OID, CIDRARRAYOID, TEXTOID, INT8OID, TEXTARRAYOID, INT4OID, REGNAMESPACEARRAYOID, REGPROCEDUREARRAYOID,
	INT2ARRAYOID};
	Datum		values[lengthof(arguments)];
	char		nulls[lengthof(arguments) + 1] = "";
	Statement	statement = {"INSERT INTO warden.guard_policy (name, action, statements, objects, relations, subjects, "
		"environments, message, priority, networks, hours, max_rows, reviewers, approvals, schemas, "
		"functions, columns) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) "
		"ON CONFLICT (name) DO UPDATE SET action = excluded.action, statements = excluded.statements, "
		"objects = excluded.objects, relations = excluded.relations, subjects = excluded.subjects, "
		"environments = excluded.environments, message = excluded.message, priority = excluded.priority, "
		"networks = excluded.networks, hours = excluded.hours, max_rows = excluded.max_rows, "
		"reviewers = excluded.reviewers, approvals = excluded.approvals, schemas = excluded.schemas, "
		"functions = excluded.functions, columns = excluded.columns, builtin = false",
		lengthof(arguments), types, values, nulls, 0, 0};

	warden_ready();
	check_guard(fcinfo, &guard);
	for (int i = 0; i < (int) lengthof(arguments); i++)
	{
		bool		is_null = arguments[i] >= 0 && PG_ARGISNULL(arguments[i]);

		nulls[i] = is_null ? 'n' : ' ';
		values[i] = is_null ? (Datum) 0 : arguments[i] >= 0 ? PG_GETARG_DATUM(arguments[i]) :
			bound_to(guard.objects, guard.object_count, (Bound) arguments[i]);
	}
	warden_internal_run(execute, &statement);
	warden_policy_changed(warden_catalog.guard_policy);
	warden_audit_event(WARDEN_EVENT_POLICY, psprintf("guard %s: %s", warden_cstring(guard.name), warden_cstring(guard.action)));
	PG_RETURN_VOID();
}

Datum
warden_sql_unguard(PG_FUNCTION_ARGS)
{
	Oid			types[1] = {TEXTOID};
	Datum		values[1] = {PG_GETARG_DATUM(0)};
	Statement	statement = {"DELETE FROM warden.guard_policy WHERE name = $1", 1, types, values, NULL, 0, 0};

	warden_ready();
	warden_internal_run(execute, &statement);
	warden_policy_changed(warden_catalog.guard_policy);
	if (statement.rows > 0)
		warden_audit_event(WARDEN_EVENT_POLICY,
						   psprintf("unguard %s", text_to_cstring(PG_GETARG_TEXT_PP(0))));
	PG_RETURN_BOOL(statement.rows > 0);
}

/* --- exemptions --- */

Datum
warden_sql_exempt(PG_FUNCTION_ARGS)
{
	WardenExemption exemption = {0};
	WardenVerdict verdict;
	bool		valid;
	Oid			types[5] = {TEXTARRAYOID, TEXTARRAYOID, REGCLASSARRAYOID, TIMESTAMPTZOID, TEXTOID};
	Datum		values[5];
	char		nulls[6] = "     ";
	Statement	statement = {"INSERT INTO warden.exemption_policy (subjects, targets, relations, until, reason) "
		"VALUES ($1, $2, $3, $4, $5) RETURNING id", 5, types, values, nulls, 0, 0};

	warden_ready();
	warden_not_null(fcinfo, 0, "subjects");
	warden_not_null(fcinfo, 1, "targets");
	exemption.subjects = warden_subject_patterns(PG_GETARG_DATUM(0), &exemption.subject_count);
	exemption.targets = warden_object_patterns(PG_GETARG_DATUM(1), &exemption.target_count);
	exemption.until = PG_ARGISNULL(2) ? INT64_MAX : PG_GETARG_TIMESTAMPTZ(2);
	if (exemption.until <= GetCurrentTimestamp())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"until\" is in the past: %s", timestamptz_to_str(exemption.until)),
				 errhint("Give a time that is still to come, or NULL for an exemption that does not expire.")));
	SWIFT_GET(valid, warden_exemption_check(&exemption, warden_texts(), &verdict));
	checked(valid, &verdict);
	values[0] = PG_GETARG_DATUM(0);
	values[1] = PG_GETARG_DATUM(1);
	values[2] = bound_to(exemption.targets, exemption.target_count, RELATIONS);
	for (int i = 3; i < 5; i++)
	{
		nulls[i] = PG_ARGISNULL(i - 1) ? 'n' : ' ';
		values[i] = PG_ARGISNULL(i - 1) ? (Datum) 0 : PG_GETARG_DATUM(i - 1);
	}
	warden_internal_run(execute, &statement);
	warden_masks_changed();
	warden_policy_changed(warden_catalog.exemption_policy);
	warden_audit_event(WARDEN_EVENT_POLICY, psprintf("exempt " INT64_FORMAT, statement.returned));
	PG_RETURN_INT64(statement.returned);
}

Datum
warden_sql_revoke_exemption(PG_FUNCTION_ARGS)
{
	Oid			types[1] = {INT8OID};
	Datum		values[1] = {PG_GETARG_DATUM(0)};
	Statement	statement = {"DELETE FROM warden.exemption_policy WHERE id = $1", 1, types, values, NULL, 0, 0};

	warden_ready();
	warden_internal_run(execute, &statement);
	warden_masks_changed();
	warden_policy_changed(warden_catalog.exemption_policy);
	if (statement.rows > 0)
		warden_audit_event(WARDEN_EVENT_POLICY, psprintf("revoke exemption " INT64_FORMAT, PG_GETARG_INT64(0)));
	PG_RETURN_BOOL(statement.rows > 0);
}
