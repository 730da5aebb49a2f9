/*
 * The rows of warden.mask_policy, and the columns that they are of. A row follows its column through renames. One whose
 * column was dropped is kept: a migration that drops a column and adds it again does not show it.
 */
#include "shim.h"

#include "catalog/pg_type.h"
#include "mask_rows.h"

/* Rows that came by a restore, where columns may have other numbers: the name tells. */
static const char *const restored =
"UPDATE warden.mask_policy p SET made_for = $1, attnum = COALESCE((SELECT a.attnum FROM pg_attribute a "
"WHERE a.attrelid = $1 AND a.attname = p.column_name AND a.attnum > 0 AND NOT a.attisdropped), 0) "
"WHERE p.relation = $1 AND p.made_for IS DISTINCT FROM $1";

/* A label goes with its column; the mask that it gave stays, as one of the column's own. */
static const char *const dropped =
"UPDATE warden.mask_policy p SET attnum = 0, source = CASE source WHEN 'label' THEN 'declared' ELSE source END, "
"label = NULL WHERE p.relation = $1 AND p.attnum <> 0 AND NOT EXISTS (SELECT FROM pg_attribute a "
"WHERE a.attrelid = $1 AND a.attnum = p.attnum AND NOT a.attisdropped)";

/* What is kept for a name gives way to the mask of a column that was renamed to it. */
static const char *const taken =
"DELETE FROM warden.mask_policy p WHERE p.relation = $1 AND p.attnum = 0 AND EXISTS (SELECT FROM warden.mask_policy o "
"JOIN pg_attribute a ON a.attrelid = $1 AND a.attnum = o.attnum AND a.attname = p.column_name "
"WHERE o.relation = $1 AND o.attnum <> 0)";

static const char *const renamed =
"UPDATE warden.mask_policy p SET column_name = a.attname FROM pg_attribute a WHERE p.relation = $1 AND p.attnum <> 0 "
"AND a.attrelid = $1 AND a.attnum = p.attnum AND a.attname <> p.column_name";

static const char *const added =
"UPDATE warden.mask_policy p SET attnum = a.attnum FROM pg_attribute a WHERE p.relation = $1 AND p.attnum = 0 "
"AND a.attrelid = $1 AND a.attname = p.column_name AND a.attnum > 0 AND NOT a.attisdropped";

void
warden_mask_rows_bind(Oid relid)
{
	static const char *const *const steps[] = {&restored, &dropped, &taken, &renamed, &added};
	Oid			types[1] = {OIDOID};
	Datum		values[1] = {ObjectIdGetDatum(relid)};

	for (int i = 0; i < (int) lengthof(steps); i++)
		warden_internal_sql(*steps[i], 1, types, values, NULL);
}
