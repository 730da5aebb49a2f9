/*
 * warden.mask, warden.unmask and the mask functions that masking views call.
 */
#include "sql.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "mask_definition.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "target.h"
#include "utils/inval.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(warden_sql_mask);
PG_FUNCTION_INFO_V1(warden_sql_unmask);
PG_FUNCTION_INFO_V1(warden_sql_mask_partial);
PG_FUNCTION_INFO_V1(warden_sql_mask_email);

/* --- targets --- */

static bool
is_table(Oid relation)
{
	char		kind = get_rel_relkind(relation);

	return kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE || kind == RELKIND_MATVIEW ||
		kind == RELKIND_FOREIGN_TABLE;
}

static WardenTarget
find_target(const char *text)
{
	WardenTarget target;

	if (strncmp(text, "label:", 6) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("masks by label are not available in this version"), errhint("Write 'schema.table.column'.")));
	target = warden_target_relation(text, false);
	if (OidIsValid(warden_topmost(target.relation)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("target \"%s\" is a column of a child table", text),
				 errdetail("It would be read real through the parent."),
				 errhint("Mask the column of \"%s\": the mask holds for all children.",
						 get_rel_name(warden_topmost(target.relation)))));
	if (!is_table(target.relation) || warden_is_own_object(RelationRelationId, target.relation) ||
		get_rel_namespace(target.relation) == PG_CATALOG_NAMESPACE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("target \"%s\" cannot be masked", text),
				 errdetail("Masks are for columns of tables, partitioned tables, materialized views and foreign tables."),
				 errhint("Mask the table that a view reads: it is masked through the view as well.")));
	warden_target_column(&target);
	return target;
}

/* --- mask and unmask --- */

typedef struct MaskWork
{
	WardenTarget target;
	char	   *method;
	Jsonb	   *options;
	char	   *expression;
	bool		found;
} MaskWork;

/*
 * A domain's constraints, an enum without labels: what cannot be shown is refused now, not when it is read. Constraints
 * are code of users: it runs as the table's owner, restricted as in ANALYZE, and is governed.
 */
static void
try_expression(const char *expression, Oid relation)
{
	int			depth = warden_internal_depth;
	Oid			user;
	int			security;

	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(warden_relation(relation)->owner, security | SECURITY_RESTRICTED_OPERATION);
	warden_internal_depth = 0;
	PG_TRY();
	{
		warden_internal_sql(psprintf("SELECT %s FROM (SELECT) AS nothing LEFT JOIN %s ON false", expression,
								 quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)),
															get_rel_name(relation))), 0, NULL, NULL, NULL);
	}
	PG_FINALLY();
	{
		warden_internal_depth = depth;
		SetUserIdAndSecContext(user, security);
	}
	PG_END_TRY();
}

static void
store_mask(void *arg)
{
	MaskWork   *work = arg;
	Oid			types[6] = {OIDOID, INT2OID, NAMEOID, TEXTOID, JSONBOID, TEXTOID};
	Datum		values[6];

	try_expression(work->expression, work->target.relation);
	values[0] = ObjectIdGetDatum(work->target.relation);
	values[1] = Int16GetDatum(work->target.column);
	values[3] = CStringGetTextDatum(work->method);
	values[4] = JsonbPGetDatum(work->options);
	values[5] = CStringGetTextDatum(work->expression);
	values[2] = DirectFunctionCall1(namein, CStringGetDatum(work->target.name));
	warden_internal_sql("INSERT INTO warden.mask_policy VALUES ($1, $2, $3, $4, $5, $6) "
						"ON CONFLICT (relation, attnum) DO UPDATE SET column_name = excluded.column_name, "
						"method = excluded.method, options = excluded.options, expression = excluded.expression",
						6, types, values, NULL);
	warden_mask_view_build(work->target.relation);
}

static void
remove_mask(void *arg)
{
	MaskWork   *work = arg;
	Oid			types[2] = {OIDOID, INT2OID};
	Datum		values[2] = {ObjectIdGetDatum(work->target.relation), Int16GetDatum(work->target.column)};

	work->found = warden_internal_sql("DELETE FROM warden.mask_policy WHERE relation = $1 AND attnum = $2",
									  2, types, values, NULL) > 0;
	warden_mask_view_build(work->target.relation);
}

static void
masks_changed(Oid relation)
{
	CacheInvalidateRelcacheByRelid(relation);
	warden_masks_changed();
	warden_policy_changed(warden_catalog.mask_policy);
}

Datum
warden_sql_mask(PG_FUNCTION_ARGS)
{
	MaskWork	work = {0};
	char	   *written;

	warden_ready();
	warden_not_null(fcinfo, 0, "target");
	warden_not_null(fcinfo, 2, "options");
	written = text_to_cstring(PG_GETARG_TEXT_PP(0));
	work.target = find_target(written);
	work.options = PG_GETARG_JSONB_P(2);
	work.expression = warden_define_mask(work.target.relation, work.target.column,
										 PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1)),
										 work.options, &work.method);
	warden_internal_run(store_mask, &work);
	masks_changed(work.target.relation);
	warden_audit_event(WARDEN_EVENT_POLICY, psprintf("mask %s: %s", written, work.method));
	PG_RETURN_VOID();
}

Datum
warden_sql_unmask(PG_FUNCTION_ARGS)
{
	MaskWork	work = {0};
	char	   *written = text_to_cstring(PG_GETARG_TEXT_PP(0));

	warden_ready();
	work.target = find_target(written);
	warden_internal_run(remove_mask, &work);
	masks_changed(work.target.relation);
	if (work.found)
		warden_audit_event(WARDEN_EVENT_POLICY, psprintf("unmask %s", written));
	PG_RETURN_BOOL(work.found);
}

/* --- the masks --- */

static WardenEncoding
encoding(void)
{
	int			database = GetDatabaseEncoding();

	if (database == PG_UTF8)
		return WARDEN_ENCODING_UTF8;
	return pg_encoding_max_length(database) == 1 ? WARDEN_ENCODING_SINGLE_BYTE : WARDEN_ENCODING_OPAQUE;
}

static WardenText
datum_bytes(text *value)
{
	return (WardenText) {(const uint8_t *) VARDATA_ANY(value), (int64_t) VARSIZE_ANY_EXHDR(value)};
}

static text *
finish_text(text *result, const WardenBuffer *out)
{
	SET_VARSIZE(result, VARHDRSZ + out->length);
	return result;
}

Datum
warden_sql_mask_partial(PG_FUNCTION_ARGS)
{
	WardenText	value = datum_bytes(PG_GETARG_TEXT_PP(0));
	WardenText	fill = datum_bytes(PG_GETARG_TEXT_PP(3));
	text	   *result = palloc(VARHDRSZ + value.length + fill.length);
	WardenBuffer out = {(uint8_t *) VARDATA(result), value.length + fill.length, 0};

	SWIFT(warden_mask_partial(value, PG_GETARG_INT32(1), PG_GETARG_INT32(2), fill, encoding(), &out));
	PG_RETURN_TEXT_P(finish_text(result, &out));
}

Datum
warden_sql_mask_email(PG_FUNCTION_ARGS)
{
	WardenText	value = datum_bytes(PG_GETARG_TEXT_PP(0));
	text	   *result = palloc(VARHDRSZ + value.length + 16);
	WardenBuffer out = {(uint8_t *) VARDATA(result), value.length + 16, 0};

	SWIFT(warden_mask_email(value, encoding(), &out));
	PG_RETURN_TEXT_P(finish_text(result, &out));
}
