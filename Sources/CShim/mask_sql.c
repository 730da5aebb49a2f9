/*
 * warden.mask, warden.unmask and the mask functions that masking views call.
 */
#include "sql.h"
#include "mask_call.h"
#include "mask_text.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "label_masks.h"
#include "mask_definition.h"
#include "mask_each.h"
#include "mask_fit.h"
#include "mask_rows.h"
#include "miscadmin.h"
#include "target.h"
#include "utils/inval.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "warden_label_mask.h"

PG_FUNCTION_INFO_V1(warden_sql_mask);
PG_FUNCTION_INFO_V1(warden_sql_unmask);
PG_FUNCTION_INFO_V1(warden_sql_mask_partial);
PG_FUNCTION_INFO_V1(warden_sql_mask_email);
PG_FUNCTION_INFO_V1(warden_sql_mask_last4);

/* --- targets --- */

static bool
is_table(Oid relation)
{
	char		kind = get_rel_relkind(relation);

	return kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE || kind == RELKIND_MATVIEW ||
		kind == RELKIND_FOREIGN_TABLE;
}

/* The pattern of a target that is a label; NULL of another one. */
static const char *
label_of(const char *target)
{
	bool		valid;

	if (strncmp(target, "label:", 6) != 0)
		return NULL;
	SWIFT_GET(valid, warden_label_mask_pattern(warden_text(target + 6)));
	if (!valid)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid label in target \"%s\"", target),
				 errhint("Accepted: label:pii.email, label:pii.*, label:*; dotted lower-case words.")));
	return target + 6;
}

static WardenTarget
find_target(const char *text)
{
	WardenTarget target = warden_target_relation(text, false);

	if (!is_table(target.relation) || warden_is_own_object(RelationRelationId, target.relation) ||
		get_rel_namespace(target.relation) == PG_CATALOG_NAMESPACE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("target \"%s\" cannot be masked", text),
				 errdetail("Masks are for columns of tables, partitioned tables, materialized views and foreign tables."),
				 errhint("Mask the table that a view reads: it is masked through the view as well.")));
	return target;
}

static void
refuse_child(const WardenTarget *target)
{
	Oid			topmost = warden_topmost(target->relation);

	if (OidIsValid(topmost))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("target \"%s\" is a column of a child table", target->text),
				 errdetail("It would be read real through the parent."),
				 errhint("Mask the column of \"%s\": the mask holds for all children.", get_rel_name(topmost))));
}

static void
masks_changed(Oid relation)
{
	CacheInvalidateRelcacheByRelid(relation);
	warden_masks_changed();
	warden_policy_changed(warden_catalog.mask_policy);
}

/* --- mask --- */

typedef struct MaskWork
{
	WardenTarget target;
	const char *method;			/* NULL: by label, then by type */
	Jsonb	   *options;
	WardenText *labels;			/* of the column */
	int			label_count;
	char	   *chosen;
} MaskWork;

static void
find_labels(MaskWork *work)
{
	WardenRelation *relation = warden_relation(work->target.relation);

	work->labels = palloc0(sizeof(WardenText) * (relation->object.label_count + 1));
	for (int64_t i = 0; i < relation->object.label_count; i++)
		if (relation->object.labels[i].column == work->target.column)
			work->labels[work->label_count++] = warden_text(warden_cstring(relation->object.labels[i].label));
}

/* What cannot be shown is refused now, not when it is read. */
static WardenFittedMask
define(MaskWork *work)
{
	WardenFittedMask mask = {.options = work->options};
	char	   *chosen;

	if (work->method == NULL && work->label_count > 0 && JB_ROOT_COUNT(work->options) == 0)
		return warden_fit_labels(work->target.relation, work->target.column, work->labels, work->label_count);
	mask.expression = warden_define_mask(work->target.relation, work->target.column, work->method, work->options, &chosen);
	mask.method = chosen;
	if (strcmp(chosen, "expression") == 0)
		mask.options = warden_mask_sql_options(mask.options, work->target.name);
	warden_try_mask(mask.expression, work->target.relation);
	return mask;
}

static void
store_mask(void *arg)
{
	MaskWork   *work = arg;
	WardenFittedMask mask = define(work);
	Oid			types[6] = {OIDOID, INT2OID, NAMEOID, TEXTOID, JSONBOID, TEXTOID};
	Datum		values[6];

	strlcpy(work->chosen, mask.method, NAMEDATALEN);
	values[0] = ObjectIdGetDatum(work->target.relation);
	values[1] = Int16GetDatum(work->target.column);
	values[2] = DirectFunctionCall1(namein, CStringGetDatum(work->target.name));
	values[3] = CStringGetTextDatum(mask.method);
	values[4] = JsonbPGetDatum(mask.options);
	values[5] = CStringGetTextDatum(mask.expression);
	warden_mask_rows_bind(work->target.relation);
	warden_internal_sql("INSERT INTO warden.mask_policy (relation, attnum, column_name, method, options, expression, made_for) "
						"VALUES ($1, $2, $3, $4, $5, $6, $1) "
						"ON CONFLICT (relation, column_name) DO UPDATE SET attnum = excluded.attnum, "
						"method = excluded.method, options = excluded.options, expression = excluded.expression, "
						"source = excluded.source, label = NULL, made_for = excluded.made_for",
						6, types, values, NULL);
	warden_mask_view_build(work->target.relation);
}

typedef struct RuleWork
{
	const char *label;
	const char *method;
	Jsonb	   *options;
	bool		found;
} RuleWork;

static void
store_rule(void *arg)
{
	RuleWork   *work = arg;
	Oid			types[3] = {TEXTOID, TEXTOID, JSONBOID};
	Datum		values[3] = {CStringGetTextDatum(work->label),
		work->method ? CStringGetTextDatum(work->method) : (Datum) 0, JsonbPGetDatum(work->options)};

	warden_check_label_method(work->method, work->options);
	warden_internal_sql("INSERT INTO warden.label_mask_policy (label, method, options) VALUES ($1, $2, $3) "
						"ON CONFLICT (label) DO UPDATE SET method = excluded.method, options = excluded.options, "
						"made_by = excluded.made_by, made_at = excluded.made_at", 3, types, values,
						work->method ? NULL : " n ");
}

static const char *
mask_label(const char *label, const char *method, Jsonb *options)
{
	RuleWork	work = {label, method, options, false};

	warden_internal_run(store_rule, &work);
	warden_masks_follow_rules();
	return method != NULL ? method : "by label";
}

static const char *
mask_column(const char *target, const char *method, Jsonb *options)
{
	MaskWork	work = {.method = method, .options = options, .chosen = palloc0(NAMEDATALEN)};

	work.target = find_target(target);
	refuse_child(&work.target);
	warden_target_column(&work.target);
	find_labels(&work);
	warden_internal_run(store_mask, &work);
	masks_changed(work.target.relation);
	/* in force for what is derived from it */
	(void) warden_governed();
	warden_derive_dependents(work.target.relation);
	return work.chosen;
}

Datum
warden_sql_mask(PG_FUNCTION_ARGS)
{
	char	   *target;
	char	   *method;
	const char *chosen;

	warden_ready();
	warden_not_null(fcinfo, 0, "target");
	warden_not_null(fcinfo, 2, "options");
	target = text_to_cstring(PG_GETARG_TEXT_PP(0));
	method = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	if (label_of(target) != NULL)
		chosen = mask_label(label_of(target), method, PG_GETARG_JSONB_P(2));
	else
		chosen = mask_column(target, method, PG_GETARG_JSONB_P(2));
	warden_audit_event(WARDEN_EVENT_POLICY, psprintf("mask %s: %s", target, chosen));
	PG_RETURN_VOID();
}

/* --- unmask --- */

typedef struct UnmaskWork
{
	WardenTarget target;
	bool		found;
	bool		is_kept;		/* for a column that was dropped */
	char		label[NAMEDATALEN]; /* whose rule masks the column still; "" where none does */
} UnmaskWork;

static void
remove_mask(void *arg)
{
	UnmaskWork *work = arg;
	Oid			types[2] = {OIDOID, NAMEOID};
	Datum		values[2] = {ObjectIdGetDatum(work->target.relation),
	DirectFunctionCall1(namein, CStringGetDatum(work->target.name))};

	warden_mask_rows_bind(work->target.relation);
	work->is_kept = warden_internal_sql("SELECT FROM warden.mask_policy WHERE relation = $1 AND column_name = $2 "
										"AND attnum = 0", 2, types, values, NULL) > 0;
	work->found = warden_internal_sql("DELETE FROM warden.mask_policy WHERE relation = $1 AND column_name = $2 "
									  "AND source <> 'label'", 2, types, values, NULL) > 0;
	warden_mask_view_build(work->target.relation);
}

static void
find_rule(void *arg)
{
	UnmaskWork *work = arg;
	Oid			types[2] = {OIDOID, NAMEOID};
	Datum		values[2] = {ObjectIdGetDatum(work->target.relation),
	DirectFunctionCall1(namein, CStringGetDatum(work->target.name))};

	if (warden_internal_sql("SELECT label FROM warden.mask_policy WHERE relation = $1 AND column_name = $2 "
							"AND source = 'label'", 2, types, values, NULL) > 0)
		strlcpy(work->label, SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1), NAMEDATALEN);
}

static bool
unmask_column(const char *target)
{
	UnmaskWork	work = {.target = find_target(target)};

	warden_internal_run(remove_mask, &work);
	/* a mask that is kept has no column to be found */
	if (!work.is_kept)
		warden_target_column(&work.target);
	masks_changed(work.target.relation);
	warden_masks_follow_labels(work.target.relation);
	warden_internal_run(find_rule, &work);
	if (work.label[0] != '\0')
		ereport(NOTICE,
				(errmsg("column \"%s\" is still masked, by its label", target),
				 errhint("The mask is that of 'label:%s': take that off, or the label off the column.", work.label)));
	return work.found;
}

static void
remove_rule(void *arg)
{
	RuleWork   *work = arg;
	Oid			types[1] = {TEXTOID};
	Datum		values[1] = {CStringGetTextDatum(work->label)};

	work->found = warden_internal_sql("DELETE FROM warden.label_mask_policy WHERE label = $1", 1, types, values, NULL) > 0;
}

static bool
unmask_label(const char *label)
{
	RuleWork	work = {.label = label};

	warden_internal_run(remove_rule, &work);
	if (work.found)
		warden_masks_follow_rules();
	return work.found;
}

Datum
warden_sql_unmask(PG_FUNCTION_ARGS)
{
	char	   *target = text_to_cstring(PG_GETARG_TEXT_PP(0));
	bool		found;

	warden_ready();
	found = label_of(target) != NULL ? unmask_label(label_of(target)) : unmask_column(target);
	if (found)
		warden_audit_event(WARDEN_EVENT_POLICY, psprintf("unmask %s", target));
	PG_RETURN_BOOL(found);
}

/* --- the masks --- */

Datum
warden_sql_mask_partial(PG_FUNCTION_ARGS)
{
	WARDEN_MASK_CALL_ONLY(fcinfo);
	WardenText	value = warden_text_bytes(PG_GETARG_TEXT_PP(0));
	WardenText	fill = warden_text_bytes(PG_GETARG_TEXT_PP(3));
	text	   *result = palloc(VARHDRSZ + value.length + fill.length);
	WardenBuffer out = {(uint8_t *) VARDATA(result), value.length + fill.length, 0};

	SWIFT(warden_mask_partial(value, PG_GETARG_INT32(1), PG_GETARG_INT32(2), fill, warden_text_encoding(), &out));
	PG_RETURN_TEXT_P(warden_text_finish(result, &out));
}

Datum
warden_sql_mask_email(PG_FUNCTION_ARGS)
{
	WARDEN_MASK_CALL_ONLY(fcinfo);
	WardenText	value = warden_text_bytes(PG_GETARG_TEXT_PP(0));
	text	   *result = palloc(VARHDRSZ + value.length + 16);
	WardenBuffer out = {(uint8_t *) VARDATA(result), value.length + 16, 0};

	SWIFT(warden_mask_email(value, warden_text_encoding(), &out));
	PG_RETURN_TEXT_P(warden_text_finish(result, &out));
}

Datum
warden_sql_mask_last4(PG_FUNCTION_ARGS)
{
	WARDEN_MASK_CALL_ONLY(fcinfo);
	WardenText	value = warden_text_bytes(PG_GETARG_TEXT_PP(0));
	/* four characters of four bytes, and what stands for the rest */
	text	   *result = palloc(VARHDRSZ + 24);
	WardenBuffer out = {(uint8_t *) VARDATA(result), 24, 0};

	SWIFT(warden_mask_last4(value, warden_text_encoding(), &out));
	PG_RETURN_TEXT_P(warden_text_finish(result, &out));
}

WARDEN_MASK_EACH(warden_sql_mask_partial, TEXTOID)
WARDEN_MASK_EACH(warden_sql_mask_last4, TEXTOID)
WARDEN_MASK_EACH(warden_sql_mask_email, TEXTOID)
