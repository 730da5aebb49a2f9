/*
 * Targets of masks and labels: 'schema.table.column', or 'schema.table'.
 */
#include "target.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/varlena.h"

/* For an error that is being made. */
static int
hint(bool may_be_table)
{
	if (may_be_table)
		return errhint("Write 'schema.table.column' or 'schema.table'; names with capitals or dots in double quotes.");
	return errhint("Write 'schema.table.column'; names with capitals or dots in double quotes.");
}

static void
bad_target(const char *text, bool may_be_table)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 may_be_table ? errmsg("target \"%s\" is neither a column nor a table", text) :
			 errmsg("target \"%s\" is not a column", text), hint(may_be_table)));
}

WardenTarget
warden_target_relation(const char *text, bool may_be_table)
{
	WardenTarget target = {.text = text};
	List	   *parts;
	RangeVar   *name;

	if (!SplitIdentifierString(pstrdup(text), '.', &parts) ||
		(list_length(parts) != 3 && !(may_be_table && list_length(parts) == 2)))
		bad_target(text, may_be_table);
	name = makeRangeVar(linitial(parts), lsecond(parts), -1);
	target.relation = RangeVarGetRelid(name, ShareUpdateExclusiveLock, true);
	if (!OidIsValid(target.relation))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("table of target \"%s\" does not exist", text), hint(may_be_table)));
	if (list_length(parts) == 3)
		target.name = lthird(parts);
	return target;
}

void
warden_target_column(WardenTarget *target)
{
	if (target->name == NULL)
		return;
	target->column = get_attnum(target->relation, target->name);
	if (target->column <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("column of target \"%s\" does not exist", target->text),
				 hint(false)));
	target->name = get_attname(target->relation, target->column, false);
}
