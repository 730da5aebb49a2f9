/*
 * What the SQL-callable functions share.
 */
#ifndef WARDEN_SQL_H
#define WARDEN_SQL_H

#include "shim.h"

#include "funcapi.h"
#include "utils/builtins.h"

/* An argument, or its absence, as text. */
#define ARG_TEXT(n) (PG_ARGISNULL(n) ? warden_text(NULL) : warden_text(text_to_cstring(PG_GETARG_TEXT_PP(n))))

/* Raises unless this database is governed by a preloaded library. */
extern void warden_ready(void);
/* Raises 22023 naming the argument where it is NULL. */
extern void warden_not_null(FunctionCallInfo fcinfo, int arg, const char *name);
/* Policies have changed: every session loads them anew at its next statement after commit, this one at once. */
extern void warden_policy_changed(Oid table);
extern void warden_masks_changed(void);

/* flush_sql.c */
extern Datum warden_sql_flush(PG_FUNCTION_ARGS);

#endif
