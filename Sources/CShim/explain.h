/*
 * What warden.explain (explain_sql.c) and the taming of functions (explain_tame.c) know of each other.
 */
#ifndef WARDEN_EXPLAIN_H
#define WARDEN_EXPLAIN_H

#include "shim.h"

#include "nodes/parsenodes.h"

/*
 * A rewritten query that the planner can plan without calling a function of a user. `completely`: functions in SQL as
 * well, which the planner would put in the place of their calls.
 */
extern Query *warden_tame(Query *query, bool completely);
/* The functions that a query calls, those in what it holds included. */
extern List *warden_called_functions(Query *query);

/* --- explain_sql.c --- */

typedef struct WardenExplaining
{
	const char *text;
	WardenSession session;		/* the subject's */
	int			number;			/* of the statement; 0: there is only one */
	bool		completely;		/* as in warden_tame */
	List	   *rows;
	const char *action;			/* the result of the statement, as far as it has been explained; NULL: nothing matches yet */
	const char *result;
	MemoryContext memory;		/* theirs, which outlives the subtransaction */
} WardenExplaining;

extern void warden_explain_row(WardenExplaining *explaining, const char *guard, const char *action, const char *object,
							   const char *reason);
/* Of a statement's results the most severe is told, at its end. */
extern void warden_explain_result(WardenExplaining *explaining, const char *action, const char *reason);

/* --- explain_masks.c --- */

/* A row for each masked column that is read: how the subject would see it, and why. */
extern void warden_explain_masks(WardenExplaining *explaining, const WardenFacts *facts);
/* That the query would be refused, since it reads masked columns of the table that it changes. */
extern void warden_explain_masked_writes(WardenExplaining *explaining, Query *query);

#endif
