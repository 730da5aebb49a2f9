/*
 * warden.label and warden.unlabel.
 */
#include "sql.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "target.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(warden_sql_label);
PG_FUNCTION_INFO_V1(warden_sql_unlabel);

typedef struct LabelWork
{
	WardenTarget target;
	text	   *label;			/* NULL, for unlabel: whichever there are */
	bool		found;
} LabelWork;

static bool
can_be_labelled(Oid relation)
{
	char		kind = get_rel_relkind(relation);

	return (kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE || kind == RELKIND_MATVIEW ||
			kind == RELKIND_FOREIGN_TABLE || kind == RELKIND_VIEW) &&
		get_rel_persistence(relation) != RELPERSISTENCE_TEMP && !warden_is_own_object(RelationRelationId, relation);
}

static WardenTarget
find_target(FunctionCallInfo fcinfo)
{
	WardenTarget target;

	warden_ready();
	warden_not_null(fcinfo, 0, "target");
	target = warden_target_relation(text_to_cstring(PG_GETARG_TEXT_PP(0)), true);
	if (!can_be_labelled(target.relation))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("target \"%s\" cannot be labelled", target.text),
				 errdetail("Labels are for columns of tables, partitioned tables, views, materialized views and foreign "
						   "tables; not for temporary ones, nor for pg_warden's own.")));
	warden_target_column(&target);
	return target;
}

/* Plans that read the columns, through whichever relation, know of the labels that they carry. */
static void
labels_changed(Oid relation)
{
	WardenRelation *facts = warden_relation(relation);
	ListCell   *cell;

	for (int64_t i = 0; facts != NULL && i < facts->object.ancestor_count; i++)
		CacheInvalidateRelcacheByRelid(facts->object.ancestors[i]);
	foreach(cell, find_all_inheritors(relation, NoLock, NULL))
		CacheInvalidateRelcacheByRelid(lfirst_oid(cell));
	warden_policy_changed(warden_catalog.label_policy);
	warden_masks_follow_labels(relation);
}

static void
store_label(void *arg)
{
	LabelWork  *work = arg;
	Oid			types[4] = {OIDOID, INT2OID, NAMEOID, TEXTOID};
	Datum		values[4];

	values[0] = ObjectIdGetDatum(work->target.relation);
	values[1] = Int16GetDatum(work->target.column);
	values[2] = DirectFunctionCall1(namein, CStringGetDatum(work->target.name ? work->target.name : ""));
	values[3] = PointerGetDatum(work->label);
	warden_internal_sql("INSERT INTO warden.label_policy (relation, made_for, attnum, column_name, label, source) "
						"VALUES ($1, $1, $2, $3, $4, 'declared') ON CONFLICT (relation, attnum, label) DO UPDATE SET "
						"made_for = excluded.made_for, column_name = excluded.column_name, source = excluded.source, "
						"made_by = excluded.made_by, made_at = excluded.made_at", 4, types, values, NULL);
}

static void
remove_labels(void *arg)
{
	LabelWork  *work = arg;
	Oid			types[3] = {OIDOID, INT2OID, TEXTOID};
	Datum		values[3] = {ObjectIdGetDatum(work->target.relation), Int16GetDatum(work->target.column),
	PointerGetDatum(work->label)};

	work->found = warden_internal_sql("DELETE FROM warden.label_policy WHERE relation = $1 AND attnum = $2 "
									  "AND ($3 IS NULL OR label = $3)", 3, types, values,
									  work->label == NULL ? "  n" : NULL) > 0;
}

/* Taken off the column, a label may still be there: the table's, a parent's or a child's. */
static void
tell_what_remains(const LabelWork *work)
{
	WardenRelation *relation = warden_governed() ? warden_relation(work->target.relation) : NULL;

	if (relation == NULL || work->target.column == 0)
		return;
	for (int64_t i = 0; i < relation->object.label_count; i++)
	{
		const WardenColumnLabel *label = &relation->object.labels[i];
		char	   *name = warden_cstring(label->label);

		if (label->column == work->target.column && (work->label == NULL || strcmp(name, text_to_cstring(work->label)) == 0))
			ereport(NOTICE,
					(errmsg("column \"%s\" still carries label \"%s\"", work->target.text, name),
					 errdetail("It was given to the whole table, or to a parent or child of it; warden.labels tells.")));
	}
}

Datum
warden_sql_label(PG_FUNCTION_ARGS)
{
	LabelWork	work = {0};
	WardenText	label;
	WardenVerdict verdict;
	bool		valid;

	warden_not_null(fcinfo, 1, "label");
	work.target = find_target(fcinfo);
	work.label = PG_GETARG_TEXT_PP(1);
	label = ARG_TEXT(1);
	SWIFT_GET(valid, warden_label_check(label, warden_texts(), &verdict));
	if (!valid)
		warden_raise(&verdict);
	warden_internal_run(store_label, &work);
	labels_changed(work.target.relation);
	warden_audit_event(WARDEN_EVENT_POLICY, psprintf("label %s: %s", work.target.text, text_to_cstring(work.label)));
	/* the labels as they are now */
	(void) warden_governed();
	warden_derive_dependents(work.target.relation);
	PG_RETURN_VOID();
}

Datum
warden_sql_unlabel(PG_FUNCTION_ARGS)
{
	LabelWork	work = {.target = find_target(fcinfo), .label = PG_ARGISNULL(1) ? NULL : PG_GETARG_TEXT_PP(1)};

	warden_internal_run(remove_labels, &work);
	labels_changed(work.target.relation);
	if (work.found)
		warden_audit_event(WARDEN_EVENT_POLICY,
						   psprintf("unlabel %s%s%s", work.target.text, work.label ? ": " : "",
									work.label ? text_to_cstring(work.label) : ""));
	tell_what_remains(&work);
	PG_RETURN_BOOL(work.found);
}
