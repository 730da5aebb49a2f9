/*
 * The trigger on policy and audit tables. The hooks see statements; rows that logical replication brings, or an index
 * or a partition reached by some other way, are seen here.
 */
#include "sql.h"

#include "commands/trigger.h"
#include "utils/guc.h"

PG_FUNCTION_INFO_V1(warden_sql_protect_rows);

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
	audit = relation != NULL && (relation->object.flags & WARDEN_OBJECT_AUDIT);
	if (warden_internal_depth == 0 && (audit || !warden_break_glass_active()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("rows of \"%s\" are written by pg_warden alone", RelationGetRelationName(trigger->tg_relation)),
				 errdetail("Guard \"self-protection\": pg_warden protects its own objects."),
				 errhint("Use the functions of schema warden.")));
	return PointerGetDatum(TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple);
}
