/*
 * What a mask or a label is given to.
 */
#ifndef WARDEN_TARGET_H
#define WARDEN_TARGET_H

#include "shim.h"

typedef struct WardenTarget
{
	const char *text;			/* as it was written */
	Oid			relation;
	AttrNumber	column;			/* 0: the table as a whole */
	char	   *name;			/* of the column; NULL: the table as a whole */
} WardenTarget;

/*
 * Reads a target up to its relation, which it locks against changes of its columns; raises where it is none. `name` is
 * as written until warden_target_column, which looks the column up.
 */
extern WardenTarget warden_target_relation(const char *text, bool may_be_table);
extern void warden_target_column(WardenTarget *target);

#endif
