/*
 * Labels of columns: loaded by policy.c, asked by objects.c, defined by label_sql.c.
 */
#ifndef WARDEN_LABELS_H
#define WARDEN_LABELS_H

#include "shim.h"

/* Columns of warden.label_policy. */
#define WARDEN_LABEL_RELATION 1
#define WARDEN_LABEL_ATTNUM 3

/* A row of it. */
typedef struct WardenLabelRow
{
	Oid			relation;
	Oid			made_for;		/* the OID that the relation had when the row was written */
	int16		attnum;			/* 0: every column of the relation, later ones too */
	const char *column_name;
	const char *label;
} WardenLabelRow;

/* Loading: begin, each row, commit. */
extern void warden_labels_begin(void);
extern void warden_labels_add(const WardenLabelRow *row);
extern void warden_labels_commit(void);

/*
 * The labels that the relation's columns carry, in the order of WardenObject; its names and ancestors have to be there.
 * In the current memory context, with texts that last until the next load.
 */
extern const WardenColumnLabel *warden_labels_of(const WardenRelation *relation, bool has_children, int *count);

#endif
