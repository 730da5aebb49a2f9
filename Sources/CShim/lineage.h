/*
 * Lineage: which columns' values are in what a query gives or stores. lineage.c finds them, derived.c gives the copies
 * their labels and masks.
 */
#ifndef WARDEN_LINEAGE_SHIM_H
#define WARDEN_LINEAGE_SHIM_H

#include "shim.h"

#include "warden_lineage.h"

/* A column of a relation, masked or labelled, or a parameter whose value arrives somewhere. */
typedef struct WardenOrigin
{
	Oid			relation;		/* InvalidOid: a parameter */
	int			column;			/* or the number of the parameter */
	int			field;			/* of a parameter that is a row: the one field that arrives; 0: all of it */
	WardenFlow	flow;
} WardenOrigin;

/* What arrives in a column that is written. */
typedef struct WardenInflow
{
	Oid			target;			/* InvalidOid: a relation that is not there yet */
	AttrNumber	column;
	List	   *origins;		/* of WardenOrigin, each column once */
} WardenInflow;

/*
 * What counts: by default the columns whose real values this session sees, since what it sees masked is masked in the
 * copy, too.
 */
typedef uint32 WardenLineageOptions;
#define WARDEN_LINEAGE_ANYBODY 1	/* whoever looked: real values may be there */
#define WARDEN_LINEAGE_PARAMETERS 2 /* and parameters: what they bring is known when the plan runs */

/* All in the current memory context, of a query that is analysed and rewritten and not planned yet. */

/* What arrives in the columns that the query writes, by its own command and by those in its WITH. */
extern List *warden_inflows_written(Query *query, WardenLineageOptions options);
/* What arrives in the columns of its result. */
extern List *warden_inflows_of_result(Query *query, WardenLineageOptions options);
/* What arrives in the result's column of that number. */
extern List *warden_origins_of_column(Query *query, AttrNumber column, WardenLineageOptions options);
/* What arrives in a column of the relation that is computed by an expression over its other ones. */
extern List *warden_origins_of_expression(Node *expression, Oid relation);
/* Adds an origin to the list, or weakens the one that is there to the less that arrives of both. */
extern List *warden_origin_add(List *origins, const WardenOrigin *added);
/* The same for a column, where it is masked or labelled and seen real. */
extern List *warden_origin_of_column(List *origins, Oid relation, AttrNumber column, WardenFlow flow, WardenLineageOptions options);

/* --- in the plan --- */

/* Notes the inflows in the plan, so that each execution of it knows them. */
extern void warden_inflows_note(PlannedStmt *plan, List *inflows);
/* What a query that is about to be planned will store. `params` as the planner gets them. */
extern List *warden_inflows_planned(Query *query, ParamListInfo params);
extern bool warden_inflows_are_noted(const PlannedStmt *plan);
/* What was noted, in the current memory context. */
extern List *warden_inflows_of_plan(const PlannedStmt *plan);

/* --- plpgsql_lineage.c --- */

/* Are these the variables of a running PL/pgSQL function? */
extern bool warden_params_of_plpgsql(ParamListInfo params);
/* Adds the columns whose values are in the variable that an origin is about. */
extern List *warden_origins_of_variable(List *origins, ParamListInfo params, const WardenOrigin *parameter);

/* --- derived.c --- */

/*
 * Gives the columns written the labels and masks of what arrives in them, where they have none: source "derived", in the
 * running transaction, recorded. Raises where no mask could hold. Facts of relations may be made anew.
 */
extern void warden_derive(List *inflows);

#endif
