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

#endif
