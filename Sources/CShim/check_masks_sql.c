/*
 * warden.check_masks: tries, as a role, the known doors to each masked column, and says which leak. What the doors are
 * is in mask_doors.c.
 */
#include "sql.h"

#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "mask_doors.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(warden_sql_check_masks);

typedef struct Check
{
	ReturnSetInfo *result;
	WardenTrial trial;
	AttrNumber	column;
	char	   *target;
	List	   *objects;		/* Oid: what else may hold the column's values */
} Check;

static void
add_row(const Check *check, const char *door, WardenTried tried)
{
	Datum		values[4];
	bool		nulls[4] = {false};

	values[0] = CStringGetTextDatum(check->target);
	values[1] = CStringGetTextDatum(door);
	values[2] = BoolGetDatum(tried.leaks);
	values[3] = CStringGetTextDatum(tried.detail);
	tuplestore_putvalues(check->result->setResult, check->result->setDesc, values, nulls);
}

static char *
qualified(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), get_rel_name(relid));
}

/* --- what the column's doors are --- */

/* Views and materialized views over the column, our own aside; and a column to write to, where that has no effect. */
static void
look_around(void *arg)
{
	Check	   *check = arg;
	Oid			types[3] = {OIDOID, INT2OID, OIDOID};
	Datum		values[3];
	MemoryContext caller;
	uint64		count;

	values[0] = ObjectIdGetDatum(check->trial.relation);
	values[1] = Int16GetDatum(check->column);
	values[2] = ObjectIdGetDatum(warden_catalog.views);
	count = (uint64) warden_internal_sql("SELECT DISTINCT c.oid FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid "
										 "JOIN pg_class c ON c.oid = r.ev_class WHERE d.classid = 'pg_rewrite'::regclass "
										 "AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND d.refobjsubid = $2 "
										 "AND c.relnamespace <> $3 AND c.relkind IN ('v', 'm')", 3, types, values, NULL);
	caller = MemoryContextSwitchTo(check->trial.memory);
	for (uint64 i = 0; i < count; i++)
	{
		bool		isnull;
		Datum		oid = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull);

		check->objects = lappend_oid(check->objects, DatumGetObjectId(oid));
	}
	MemoryContextSwitchTo(caller);
	count = (uint64) warden_internal_sql("SELECT quote_ident(attname) FROM pg_attribute a JOIN pg_class c "
										 "ON c.oid = attrelid WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped AND attgenerated = '' "
										 "AND attidentity = '' AND c.relkind = 'r' AND NOT c.relhasrules AND NOT EXISTS ("
										 "SELECT FROM pg_trigger WHERE tgrelid = $1 AND NOT tgisinternal) AND NOT EXISTS ("
										 "SELECT FROM warden.masks m WHERE m.relation = $1 AND m.column_name = attname) "
										 "ORDER BY attnum DESC LIMIT 1", 1, types, values, NULL);
	if (count == 1)
		check->trial.writable = MemoryContextStrdup(check->trial.memory,
													SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1));
}

/* --- who needs no door --- */

/* What the role is, where it sees the column's real values; else NULL. */
static const char *
sees_real_values(const Check *check)
{
	WardenRelation *relation = warden_relation(check->trial.relation);
	WardenSession session;
	bool		masked[MaxHeapAttributeNumber];
	int64_t		count;
	Oid			role = check->trial.role;
	bool		owner = has_privs_of_role(role, check->trial.owner);

	warden_session_refresh();
	session = warden_session;
	session.role_oid = role;
	session.superuser = superuser_arg(role);
	session.role = warden_text(GetUserNameFromId(role, false));
	session.role_memberships = warden_memberships(role, &session.role_membership_count);
	SWIFT_GET(count, warden_masked_columns(&session, &relation->object, owner, GetCurrentTimestamp(), relation->masked,
										   relation->masked_count, masked));
	for (int i = 0; count > 0 && i < relation->masked_count; i++)
		if (relation->masked[i] == check->column && masked[i])
			return NULL;
	return session.superuser ? "a superuser" : owner ? "the table's owner, or a member of it" : "exempt";
}

static bool
may_read(const Check *check)
{
	return pg_class_aclcheck(check->trial.relation, check->trial.role, ACL_SELECT) == ACLCHECK_OK ||
		pg_attribute_aclcheck(check->trial.relation, check->column, check->trial.role, ACL_SELECT) == ACLCHECK_OK;
}

/* --- trying --- */

static void
try_children(Check *check)
{
	static const WardenDoor child = {"child", WARDEN_DOOR_VALUES, NULL, NULL,
	"SELECT {c}::text FROM {x} LIMIT " WARDEN_DOOR_ROWS, false};
	ListCell   *cell;

	foreach(cell, find_all_inheritors(check->trial.relation, AccessShareLock, NULL))
		if (lfirst_oid(cell) != check->trial.relation)
			add_row(check, psprintf("child %s", qualified(lfirst_oid(cell))),
					warden_door_try(&check->trial, &child, qualified(lfirst_oid(cell))));
}

static void
try_objects(Check *check)
{
	static const WardenDoor object = {"object", WARDEN_DOOR_TEXT, NULL, NULL,
	"SELECT x::text FROM {x} x LIMIT " WARDEN_DOOR_ROWS, false};
	ListCell   *cell;

	foreach(cell, check->objects)
		add_row(check, psprintf("%s %s", get_rel_relkind(lfirst_oid(cell)) == RELKIND_VIEW ? "view" : "materialized view",
								qualified(lfirst_oid(cell))),
				warden_door_try(&check->trial, &object, qualified(lfirst_oid(cell))));
}

static void
check_column(Check *check)
{
	const char *sees;

	check->trial.owner = warden_relation(check->trial.relation)->owner;
	check->trial.table = qualified(check->trial.relation);
	check->trial.column = (char *) quote_identifier(get_attname(check->trial.relation, check->column, false));
	check->target = psprintf("%s.%s", check->trial.table, check->trial.column);
	sees = sees_real_values(check);
	if (sees != NULL)
	{
		add_row(check, "exempt", (WardenTried) {false, psprintf("sees real values: %s", sees)});
		return;
	}
	warden_internal_run(look_around, check);
	warden_trial_begin(&check->trial);
	if (may_read(check))
	{
		for (int i = 0; i < warden_mask_door_count; i++)
			add_row(check, warden_mask_doors[i].name, warden_door_try(&check->trial, &warden_mask_doors[i], NULL));
		try_children(check);
	}
	else
		add_row(check, "table", (WardenTried) {false, "no privilege"});
	try_objects(check);
}

static Oid
checked_role(Name name)
{
	Oid			role = get_role_oid(NameStr(*name), false);

	if (InSecurityRestrictedOperation())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("masks cannot be checked within security-restricted operation"),
				 errdetail("The check acts as another role."),
				 errhint("Call warden.check_masks() in a statement of its own.")));
	/* code of users runs as that role: it must be one that the session could become by itself */
	if (!is_member_of_role(GetSessionUserId(), role))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("masks cannot be checked as role \"%s\"", NameStr(*name)),
				 errdetail("The check acts as that role, and the session may not SET ROLE to it."),
				 errhint("Ask a superuser, or a member of that role and of warden_admin.")));
	return role;
}

Datum
warden_sql_check_masks(PG_FUNCTION_ARGS)
{
	Check		check = {0};
	Oid			role;
	int			count;
	WardenMaskEntry *masks;

	warden_ready();
	warden_not_null(fcinfo, 0, "role");
	role = checked_role(PG_GETARG_NAME(0));
	InitMaterializedSRF(fcinfo, 0);
	/* the doors make objects, after which the policy may be loaded anew */
	count = warden_mask_count;
	masks = palloc(sizeof(WardenMaskEntry) * Max(count, 1));
	memcpy(masks, warden_masks, sizeof(WardenMaskEntry) * count);
	for (int i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (masks[i].column <= 0 || warden_relation(masks[i].relation) == NULL)
			continue;
		check = (Check) {.result = (ReturnSetInfo *) fcinfo->resultinfo, .column = masks[i].column};
		check.trial.role = role;
		check.trial.relation = masks[i].relation;
		check.trial.memory = CurrentMemoryContext;
		check_column(&check);
	}
	return (Datum) 0;
}
