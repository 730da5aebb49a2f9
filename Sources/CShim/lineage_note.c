/*
 * What is known of a statement's lineage when it is planned, noted in the plan: each execution of it, from whatever
 * cache, gives the copies their labels and masks. In an entry of the plan's range table that nothing refers to, as
 *
 *     16400.2<16385.3.0.3<0.1.2.3,16400.3<…
 *
 * target and column, then each origin: relation (0: a parameter), column, field and what arrives of it.
 */
#include "lineage.h"

#include "nodes/makefuncs.h"

void
warden_inflows_note(PlannedStmt *plan, List *inflows)
{
	RangeTblEntry *carrier;
	StringInfoData text;
	ListCell   *cell;
	ListCell   *inner;

	if (likely(inflows == NIL))
		return;
	initStringInfo(&text);
	foreach(cell, inflows)
	{
		WardenInflow *inflow = lfirst(cell);

		appendStringInfo(&text, "%s%u.%d", text.len > 0 ? "," : "", inflow->target, inflow->column);
		foreach(inner, inflow->origins)
		{
			WardenOrigin *origin = lfirst(inner);

			appendStringInfo(&text, "<%u.%d.%d.%d", origin->relation, origin->column, origin->field,
							 (int) origin->flow);
		}
	}
	carrier = makeNode(RangeTblEntry);
	carrier->rtekind = RTE_RESULT;
	carrier->eref = makeAlias("*RESULT*", NIL);
	warden_stamp_set(carrier, WARDEN_STAMP_INFLOWS, text.data);
	plan->rtable = lappend(plan->rtable, carrier);
}

/* Entries that carry something stand at the end. */
static const char *
noted(const PlannedStmt *plan, int *length)
{
	for (int i = list_length(plan->rtable) - 1; i >= 0; i--)
	{
		RangeTblEntry *rte = list_nth(plan->rtable, i);
		const char *stamp = warden_stamp(rte, WARDEN_STAMP_INFLOWS, length);

		if (stamp != NULL || rte->rtekind != RTE_RESULT || rte->ctename == NULL)
			return stamp;
	}
	return NULL;
}

bool
warden_inflows_are_noted(const PlannedStmt *plan)
{
	int			length;

	return noted(plan, &length) != NULL;
}

/* A number, and past what ends it. */
static unsigned long
number(const char **at)
{
	char	   *end;
	unsigned long value = strtoul(*at, &end, 10);

	*at = *end == '.' ? end + 1 : end;
	return value;
}

List *
warden_inflows_of_plan(const PlannedStmt *plan)
{
	int			length = 0;
	const char *at = noted(plan, &length);
	const char *end = at + length;
	List	   *inflows = NIL;

	while (at != NULL && at < end)
	{
		WardenInflow *inflow = palloc0(sizeof(WardenInflow));

		inflow->target = (Oid) number(&at);
		inflow->column = (AttrNumber) number(&at);
		while (at < end && *at == '<')
		{
			WardenOrigin *origin = palloc(sizeof(WardenOrigin));

			at++;
			origin->relation = (Oid) number(&at);
			origin->column = (int) number(&at);
			origin->field = (int) number(&at);
			origin->flow = (WardenFlow) number(&at);
			inflow->origins = lappend(inflow->origins, origin);
		}
		inflows = lappend(inflows, inflow);
		/* past the comma; anything else cannot be */
		at++;
	}
	return inflows;
}
