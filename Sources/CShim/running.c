/*
 * Which functions are running: those in procedural languages, those that act as their owner, and SQL functions that
 * run statements of their own, and those that a guard is about. The server tells of the begin and the end of each call, whichever way it ends; what a
 * call costs for that is paid by such functions alone, and in governed databases alone.
 */
#include "shim.h"

#include "access/transam.h"
#include "utils/memutils.h"

static needs_fmgr_hook_type previous_needs = NULL;
static fmgr_hook_type previous_hook = NULL;

static Oid *running = NULL;
static int	depth = 0;
static int	room = 0;

WardenFunction *
warden_running_function(void)
{
	return depth > 0 ? warden_function(running[depth - 1]) : NULL;
}

static void
push(Oid function)
{
	if (depth == room)
	{
		int			larger = Max(16, room * 2);

		running = running ? repalloc(running, sizeof(Oid) * larger) :
			MemoryContextAlloc(TopMemoryContext, sizeof(Oid) * larger);
		room = larger;
	}
	running[depth++] = function;
}

static void
warden_fmgr(FmgrHookEventType event, FmgrInfo *function, Datum *private)
{
	if (event == FHET_START)
	{
		/* what can fail comes first: nothing undoes a begin that failed */
		warden_explain_check(function->fn_oid);
		warden_reached_function(function->fn_oid);
		warden_function_begins(function->fn_oid);
		if (previous_hook)
			(*previous_hook) (event, function, private);
		push(function->fn_oid);
		return;
	}
	if (depth > 0)
		depth--;
	if (previous_hook)
		(*previous_hook) (event, function, private);
}

/*
 * SQL functions that return sets are inlined by the planner after the planner hook has run. Where something is masked
 * that is stopped; their bodies are then planned on their own, and pass the hook.
 */
static bool
warden_needs_fmgr(Oid function)
{
	WardenFunction *facts;

	if (previous_needs && previous_needs(function))
		return true;
	if (!warden_governed_known())
		return false;
	if (unlikely(warden_function_guarded(function)))
		return true;
	if (function < FirstNormalObjectId)
		return false;
	facts = warden_function(function);
	return facts != NULL && (facts->runs_statements || (warden_any_masks && facts->returns_set_in_sql));
}

void
warden_running_install(void)
{
	previous_needs = needs_fmgr_hook;
	needs_fmgr_hook = warden_needs_fmgr;
	previous_hook = fmgr_hook;
	fmgr_hook = warden_fmgr;
}
