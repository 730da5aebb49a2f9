/*
 * Stamps: what the planner hook knows of a query tree and the executor has to know of the plan made of it. They are
 * kept on references to relations in the range table, in a field that the server uses for references to CTEs alone,
 * and so survive planning, the plan cache and copying. A stamp is a letter and a value without semicolon:
 *
 *     pg_warden:m101;vview 16385;
 */
#include "shim.h"

static const char prefix[] = "pg_warden:";

const char *
warden_stamp_find(const RangeTblEntry *rte, WardenStamp stamp, int *length)
{
	const char *at = rte->ctename;

	if (rte->rtekind == RTE_CTE || strncmp(at, prefix, sizeof(prefix) - 1) != 0)
		return NULL;
	for (at += sizeof(prefix) - 1; *at != '\0';)
	{
		const char *end = strchr(at, ';');

		if (end == NULL)
			return NULL;
		if (*at == (char) stamp)
		{
			*length = (int) (end - at) - 1;
			return at + 1;
		}
		at = end + 1;
	}
	return NULL;
}

void
warden_stamp_set(RangeTblEntry *rte, WardenStamp stamp, const char *value)
{
	static const WardenStamp all[] = {WARDEN_STAMP_MASK, WARDEN_STAMP_VIA, WARDEN_STAMP_REDACTED, WARDEN_STAMP_INFLOWS};
	StringInfoData text;

	/* the name of a CTE is what finds it */
	if (rte->rtekind == RTE_CTE)
		return;
	initStringInfo(&text);
	appendStringInfoString(&text, prefix);
	for (int i = 0; i < (int) lengthof(all); i++)
	{
		int			length;
		const char *old = warden_stamp(rte, all[i], &length);

		if (all[i] == stamp)
			appendStringInfo(&text, "%c%s;", (char) stamp, value);
		else if (old != NULL)
			appendStringInfo(&text, "%c%.*s;", (char) all[i], length, old);
	}
	rte->ctename = text.data;
}
