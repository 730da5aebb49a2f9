/*
 * Who may call the functions that masks are made of: masks alone. A subject that could have one applied to a value of its
 * choice would know which value a token stands for. The road does not matter (an operator, an aggregate, a default, an
 * argument of EXECUTE): the function itself looks at how it is called.
 */
#ifndef WARDEN_MASK_CALL_H
#define WARDEN_MASK_CALL_H

#include "shim.h"

#include "miscadmin.h"

/*
 * The input collation of calls that masking puts into a query that is about to be planned. No collation has this OID, so no
 * SQL makes such a call; the functions look at no collation else. It stays with the call in plans, in those of parallel
 * workers as well, and is never stored.
 */
#define WARDEN_MASK_CALL ((Oid) 1)

/* Raises 42501 for a call that masking has not made. */
extern void warden_refuse_mask_call(Oid function);

#define WARDEN_MASK_MADE_ONLY(fcinfo) \
	do { \
		if (unlikely((fcinfo)->fncollation != WARDEN_MASK_CALL)) \
			warden_refuse_mask_call((fcinfo)->flinfo->fn_oid); \
	} while (0)

/* The same; superusers see real values anyhow, and who defines a mask tries it. */
#define WARDEN_MASK_CALL_ONLY(fcinfo) \
	do { \
		if (unlikely((fcinfo)->fncollation != WARDEN_MASK_CALL) && !warden_mask_is_tried && \
			warden_internal_depth == 0 && !superuser()) \
			warden_refuse_mask_call((fcinfo)->flinfo->fn_oid); \
	} while (0)

/* The expression of a mask, to be put into a query: its calls as masking makes them, those that may fail caught. */
extern Node *warden_mask_calls(Node *expression);

#endif
