/*
 * Lineage: what of a column's values is in what is made of them, and which mask a copy gets.
 */
#ifndef WARDEN_LINEAGE_H
#define WARDEN_LINEAGE_H

#include "warden_text.h"

/* What of a value arrives at the place where it is stored. */
typedef enum WardenFlow
{
	WARDEN_FLOW_NONE = 0,
	WARDEN_FLOW_TESTED = 1,		/* the answer to a question about it, yes or no */
	WARDEN_FLOW_CHANGED = 2,	/* something computed of it, or it as a part of something */
	WARDEN_FLOW_WHOLE = 3		/* the value itself */
} WardenFlow;

/* What a step of an expression does with what goes into it. */
typedef enum WardenPassage
{
	WARDEN_PASSAGE_VALUE = 0,	/* hands it on: a cast, a choice among values, one element of many, many in an array */
	WARDEN_PASSAGE_WORK = 1,	/* computes with it, or puts it together with others */
	WARDEN_PASSAGE_TEST = 2,	/* answers a question about it */
	WARDEN_PASSAGE_COUNT = 3	/* only looks whether it is there */
} WardenPassage;

/*
 * What arrives behind a step, given what arrives of the step's result: the way is followed from the place where the value is
 * stored back to the column.
 */
WardenFlow	warden_flow_through(WardenFlow flow, WardenPassage passage);

/* What arrives of a column at the far end of the way. `boolean`: its values are yes and no themselves. */
WardenFlow	warden_flow_from(WardenFlow flow, bool boolean);

/* A masked column whose values arrive in a copy. */
typedef struct WardenDerivedSource
{
	WardenFlow	flow;
	WardenText	method;			/* of its mask, with its options as text */
	WardenText	options;
} WardenDerivedSource;

/* Results of warden_derived_mask that are no index. */
#define WARDEN_DERIVED_REDACT (-1)
#define WARDEN_DERIVED_NOTHING (-2)

/*
 * Which mask the copy gets: that of the source of the index returned, method and options; WARDEN_DERIVED_REDACT: the one
 * that its type gets by default, which shows nothing; WARDEN_DERIVED_NOTHING: none.
 */
int64_t		warden_derived_mask(const WardenDerivedSource *WARDEN_NULLABLE sources, int64_t count);

#endif
