/*
 * Masks of arrays: the mask of one element, for each of them.
 */
#ifndef WARDEN_MASK_EACH_H
#define WARDEN_MASK_EACH_H

#include "shim.h"

/*
 * The function `mask`, with the further arguments of this call, on each element of the array that is its first one. The
 * mask must be strict, take and give values of type `element`, and look at nothing of the call but its arguments: NULLs
 * stay NULL, dimensions what they are.
 */
extern Datum warden_mask_each(FunctionCallInfo fcinfo, PGFunction mask, Oid element);

/* Makes the SQL-callable function <mask>_each. */
#define WARDEN_MASK_EACH(mask, element) \
	PG_FUNCTION_INFO_V1(mask##_each); \
	Datum \
	mask##_each(PG_FUNCTION_ARGS) \
	{ \
		return warden_mask_each(fcinfo, mask, element); \
	}

#endif
