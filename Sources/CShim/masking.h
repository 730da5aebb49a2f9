/*
 * What the parts of masking share: how a column is masked, and the statement being planned.
 */
#ifndef WARDEN_MASKING_H
#define WARDEN_MASKING_H

#include "shim.h"

/* The query being planned, as the client or a function wrote it. */
typedef struct WardenPlanning
{
	const char *text;
	WardenRedaction redaction;
} WardenPlanning;

/* Is the column one of those that `masked`, a flag per masked column of the relation, says are seen masked? */
extern bool warden_column_is_masked(const WardenRelation *relation, const bool *masked, AttrNumber attno);

/* What stands for the column: its mask where it is seen masked, itself otherwise, over a relation numbered 1. */
extern Node *warden_masked_column(const WardenRelation *relation, const bool *masked, Form_pg_attribute attribute);

/* --- masked_writes.c --- */

/*
 * A query whose reads have been redirected: relations that it changes cannot be. Refuses what would read masked columns
 * of theirs, or store masked values in them; masks what is returned.
 */
extern void warden_masked_writes(Query *query, const WardenPlanning *planning);

/*
 * Does the query read a column of the relation that it changes, one that `masked` tells (as warden_columns_masked), for
 * anything but what it returns? *column is that one; 0: the whole row.
 */
extern bool warden_write_reads_masked(Query *query, const WardenRelation *relation, const bool *masked, AttrNumber *column);

#endif
