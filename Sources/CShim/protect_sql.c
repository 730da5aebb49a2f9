/*
 * The trigger on policy and audit tables. The hooks see statements; rows that logical replication brings, or an index
 * or a partition reached by some other way, are seen here.
 */
#include "sql.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "utils/guc.h"
#include "utils/inval.h"

PG_FUNCTION_INFO_V1(warden_sql_protect_rows);

static Datum
column(const TriggerData *trigger, int number)
{
	HeapTuple	row = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple;
	bool		isnull;

	return heap_getattr(row, number, RelationGetDescr(trigger->tg_relation), &isnull);
}

/* A built-in guard that the database has had from CREATE EXTENSION makes room for what a dump says of its name. */
static void
replace_builtin(void *name)
{
	Oid			types[1] = {TEXTOID};

	(void) warden_internal_sql("DELETE FROM warden.guard_policy WHERE name = $1 AND builtin", 1, types, (Datum *) name, NULL);
}

/* A row that came under break-glass, as a restore brings it: what was loaded and planned by the old ones is stale. */
static void
changed_by_hand(const TriggerData *trigger)
{
	Oid			table = RelationGetRelid(trigger->tg_relation);
	Datum		name;

	CacheInvalidateRelcacheByRelid(table);
	if (!TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		return;
	if (table == warden_catalog.mask_policy || table == warden_catalog.label_policy)
		CacheInvalidateRelcacheByRelid(DatumGetObjectId(column(trigger, 1)));
	else if (table == warden_catalog.guard_policy && TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
	{
		name = column(trigger, 1);
		warden_internal_run(replace_builtin, &name);
	}
}

Datum
warden_sql_protect_rows(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	WardenRelation *relation;
	bool		audit;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("warden.protect_rows() is called by triggers only")));
	/* a server that runs without pg_warden is its owner's; what is done there the hash chain tells */
	if (GetConfigOption("warden.mode", true, false) == NULL)
		return PointerGetDatum(TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple);
	relation = warden_relation(RelationGetRelid(trigger->tg_relation));
	audit = relation != NULL && (relation->object.flags & (WARDEN_OBJECT_AUDIT | WARDEN_OBJECT_SECRET));
	if (warden_internal_depth == 0 && (audit || !warden_break_glass_active()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("rows of \"%s\" are written by pg_warden alone", RelationGetRelationName(trigger->tg_relation)),
				 errdetail("Guard \"self-protection\": pg_warden protects its own objects."),
				 errhint("Use the functions of schema warden.")));
	if (warden_internal_depth == 0)
		changed_by_hand(trigger);
	return PointerGetDatum(TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple);
}
