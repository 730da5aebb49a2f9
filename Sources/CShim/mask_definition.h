/*
 * A mask as it is defined: facts of the column for Swift, the expression back.
 */
#ifndef WARDEN_MASK_DEFINITION_H
#define WARDEN_MASK_DEFINITION_H

#include "shim.h"

#include "utils/jsonb.h"

/*
 * The SQL expression that masks the column; raises where method, options and type do not fit. `method` NULL: by type;
 * *chosen gets the method. In the current memory context.
 */
extern char *warden_define_mask(Oid relid, AttrNumber attnum, const char *method, Jsonb *options, char **chosen);

/* --- mask_expression_sql.c --- */

/* Method expression: puts the SQL that option sql gives, bound and qualified, in its place; raises where it is refused. */
extern void warden_mask_sql_bind(WardenMaskDefinition *definition, Oid relid, AttrNumber attnum);
/* The options with the name that the SQL has for the column, which may be renamed later. */
extern Jsonb *warden_mask_sql_options(Jsonb *options, const char *column);

#endif
