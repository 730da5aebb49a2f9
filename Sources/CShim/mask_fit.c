/*
 * Masks that have to fit whatever the column is. A label is given to a column by people who know nothing of masks, a
 * column changes its type in a migration: neither is refused for a method that does not fit, and neither leaves the column
 * unmasked. What is tried is tried in a subtransaction.
 */
#include "mask_fit.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "mask_definition.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "warden_label_mask.h"

Jsonb *
warden_no_options(void)
{
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum("{}")));
}

bool		warden_mask_is_tried = false;

/* Constraints are code of users: it runs as the table's owner, restricted as in ANALYZE, and is governed. */
void
warden_try_mask(const char *expression, Oid relid)
{
	int			depth = warden_internal_depth;
	Oid			user;
	int			security;

	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(warden_relation(relid)->owner, security | SECURITY_RESTRICTED_OPERATION);
	warden_internal_depth = 0;
	warden_mask_trial = warden_mask_is_tried = true;
	PG_TRY();
	{
		warden_internal_sql(psprintf("SELECT %s FROM (SELECT) AS nothing LEFT JOIN %s ON false", expression,
								 quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
															get_rel_name(relid))), 0, NULL, NULL, NULL);
	}
	PG_FINALLY();
	{
		warden_internal_depth = depth;
		warden_mask_trial = warden_mask_is_tried = false;
		SetUserIdAndSecContext(user, security);
	}
	PG_END_TRY();
}

/* What is no matter of the mask: cancelled, out of resources, broken. */
static bool
is_serious(int sqlstate)
{
	switch (ERRCODE_TO_CATEGORY(sqlstate))
	{
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_PROGRAM_LIMIT_EXCEEDED:
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_SYSTEM_ERROR:
		case ERRCODE_INTERNAL_ERROR:
			return true;
		default:
			return false;
	}
}

/* NULL where it fits; else the error. */
static ErrorData *
attempt(Oid relid, AttrNumber attnum, const char *method, Jsonb *options, bool tried, WardenFittedMask *fitted)
{
	MemoryContext memory = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(memory);
	PG_TRY();
	{
		char	   *chosen;

		fitted->expression = warden_define_mask(relid, attnum, method, options, &chosen);
		fitted->method = chosen;
		fitted->options = options;
		if (tried)
			warden_try_mask(fitted->expression, relid);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(memory);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(memory);
	CurrentResourceOwner = owner;
	if (error != NULL && is_serious(error->sqlerrcode))
		ReThrowError(error);
	return error;
}

/* By the column's type; null where its constant is refused. Where that is refused as well, its reads are. */
static void
fit_type(Oid relid, AttrNumber attnum, bool tried, WardenFittedMask *fitted)
{
	if (attempt(relid, attnum, NULL, warden_no_options(), tried, fitted) == NULL)
		return;
	fitted->options = warden_no_options();
	fitted->expression = warden_define_mask(relid, attnum, "null", fitted->options, (char **) &fitted->method);
}

WardenFittedMask
warden_fit_mask(Oid relid, AttrNumber attnum, const char *method, Jsonb *options, bool tried)
{
	WardenFittedMask fitted = {0};
	ErrorData  *error = attempt(relid, attnum, method, options, tried, &fitted);

	if (error == NULL)
		return fitted;
	fit_type(relid, attnum, tried, &fitted);
	fitted.problem = error->message;
	return fitted;
}

WardenFittedMask
warden_fit_labels(Oid relid, AttrNumber attnum, const WardenText *labels, int count)
{
	WardenFittedMask fitted = {0};

	for (int rank = 0; count > 0; rank++)
	{
		WardenBuffer method = {palloc0(64), 63, 0};
		WardenBuffer options = {palloc0(256), 255, 0};
		bool		found;

		SWIFT_GET(found, warden_label_mask_default(labels, count, rank, &method, &options));
		if (!found)
			break;
		if (attempt(relid, attnum, (char *) method.bytes,
					DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum((char *) options.bytes))),
					true, &fitted) == NULL)
			return fitted;
	}
	fit_type(relid, attnum, true, &fitted);
	return fitted;
}

void
warden_check_label_method(const char *method, Jsonb *options)
{
	Oid			types = get_relname_relid("masked_types", warden_catalog.schema);
	ErrorData  *first = NULL;
	WardenFittedMask fitted;

	if (!OidIsValid(types))
		elog(ERROR, "pg_warden: type warden.masked_types is missing");
	if (method != NULL && strcmp(method, "expression") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("method expression is not for labels"),
				 errdetail("An expression names its column, and the columns of a label have names of their own."),
				 errhint("Mask the columns one by one: 'schema.table.column'.")));
	for (AttrNumber attnum = 1; warden_column_name(types, attnum) != NULL; attnum++)
	{
		ErrorData  *error = attempt(types, attnum, method, options, false, &fitted);

		if (error == NULL)
			return;
		first = first == NULL ? error : first;
	}
	if (first != NULL)
		ReThrowError(first);
}
