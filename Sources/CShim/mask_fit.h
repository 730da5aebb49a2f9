/*
 * Masks that have to fit whatever the column is: where a method does not, a method that always fits takes its place.
 */
#ifndef WARDEN_MASK_FIT_H
#define WARDEN_MASK_FIT_H

#include "shim.h"

#include "utils/jsonb.h"

typedef struct WardenFittedMask
{
	const char *method;
	Jsonb	   *options;
	char	   *expression;
	char	   *problem;			/* why it is not the method that was asked for; NULL where it is */
} WardenFittedMask;

extern Jsonb *warden_no_options(void);

/*
 * Raises where the table cannot take the expression's result: a domain's constraint, an enum without labels. Inside
 * warden_internal_run only, as all below.
 */
extern void warden_try_mask(const char *expression, Oid relid);

/*
 * The method with its options; where it does not fit the column, the default of the column's type. `tried`: fits only
 * where warden_try_mask says so.
 */
extern WardenFittedMask warden_fit_mask(Oid relid, AttrNumber attnum, const char *method, Jsonb *options, bool tried);

/* The first method for what the labels say, in the order of preference, that fits; else by the column's type. */
extern WardenFittedMask warden_fit_labels(Oid relid, AttrNumber attnum, const WardenText *labels, int count);

/* Raises where method and options fit no type that a labelled column may have. */
extern void warden_check_label_method(const char *method, Jsonb *options);

#endif
