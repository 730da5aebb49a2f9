/*
 * Calls of functions. The object access hook tells of those that expressions, aggregates, window functions, CALL and the
 * fast path make, when they are prepared to run; the function manager's hook of every single call, of triggers too,
 * but only of functions that it was asked to watch (running.c). A SQL function that is watched is not put in the place
 * of its call by the planner, so that a guard on it meets the call by every road.
 */
#include "shim.h"

#include "catalog/pg_proc.h"
#include "utils/fmgroids.h"

/* Could a guard on functions be about this one, whoever calls it? Asked once per function and policy. */
bool
warden_function_guarded(Oid function)
{
	WardenFunction *facts;

	if (likely((warden_guarded_classes & WARDEN_CLASS_FUNCTION) == 0))
		return false;
	facts = warden_function(function);
	if (facts == NULL)
		return false;
	if (facts->policy != warden_policy_generation)
	{
		SWIFT_GET(facts->guarded, warden_policy_concerns(&facts->object, WARDEN_CLASS_FUNCTION));
		facts->policy = warden_policy_generation;
	}
	return facts->guarded;
}

/* On the stack: a trigger is decided on at every call. */
static void
decide(Oid function, WardenClasses classes)
{
	WardenFunction *called = warden_function(function);
	WardenAccess access = {0};
	WardenFacts facts;
	WardenVerdict verdict;

	if (called == NULL)
		return;
	warden_facts_beside(&facts, "FUNCTION");
	access.object = &called->object;
	access.classes = facts.statement.classes = classes;
	facts.statement.accesses = facts.accesses = &access;
	facts.statement.access_count = facts.count = 1;
	warden_decide_reached(&facts, &verdict);
}

static WardenClasses
classes_of(Oid function)
{
	WardenClasses classes = warden_function_guarded(function) ? WARDEN_CLASS_FUNCTION : 0;
	WardenFunction *facts;

	if (likely(function < FirstNormalObjectId))
		return classes | warden_host_function(function) | (function == F_SET_CONFIG ? WARDEN_CLASS_SET : 0);
	facts = warden_function(function);
	if (facts == NULL)
		return classes;
	if (facts->of_library)
		warden_may_be_client();
	return classes | facts->host;
}

/* Runs for every function of every plan: the built-in ones are let by without a look-up. */
void
warden_function_called(Oid function)
{
	WardenClasses classes;

	if (warden_any_masks)
		warden_masked_call(function);
	classes = classes_of(function);
	if (warden_fast_path_call(function, classes | WARDEN_CLASS_FUNCTION))
		return;
	if (function >= FirstNormalObjectId)
		warden_reached_function(function);
	if ((classes & warden_guarded_classes) != 0)
		decide(function, classes);
}

/* A function that is watched begins: a trigger's, or one that was told of before, when its call was prepared. */
void
warden_function_begins(Oid function)
{
	WardenClasses classes;

	if (!warden_governed_known())
		return;
	classes = classes_of(function);
	if ((classes & warden_guarded_classes) != 0)
		decide(function, classes);
}
