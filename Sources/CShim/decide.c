/*
 * The one way to ask Swift for a decision on a statement, and to refuse it. Builds with WARDEN_MEASURE=1, which bench/guards.py makes,
 * tell in the server's log what decisions take.
 */
#include "shim.h"

#include "catalog/pg_namespace.h"
#include "utils/acl.h"
#include "utils/syscache.h"

#ifdef WARDEN_MEASURE

#include "portability/instr_time.h"

#define MEASURED_AT_ONCE 10000

static void
measured(uint64 nanoseconds, int64 objects)
{
	static uint64 sum = 0;
	static int	count = 0;

	sum += nanoseconds;
	if (++count < MEASURED_AT_ONCE)
		return;
	elog(LOG, "pg_warden decisions: " UINT64_FORMAT " ns each, the last one on " INT64_FORMAT " objects",
		 sum / MEASURED_AT_ONCE, objects);
	sum = 0;
	count = 0;
}

void
warden_decide_facts(const WardenFacts *facts, WardenVerdict *verdict)
{
	instr_time	start;
	instr_time	end;

	warden_session_refresh();
	INSTR_TIME_SET_CURRENT(start);
	SWIFT(warden_decide(&warden_session, &facts->statement, warden_texts(), verdict));
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	measured((uint64) (INSTR_TIME_GET_DOUBLE(end) * 1e9), facts->statement.access_count);
}

#else

void
warden_decide_facts(const WardenFacts *facts, WardenVerdict *verdict)
{
	warden_session_refresh();
	SWIFT(warden_decide(&warden_session, &facts->statement, warden_texts(), verdict));
}

#endif

/*
 * Views, functions, cascades and rules reach objects that the session could not name: for that it would need USAGE on their
 * schema. A schema itself is named by its own name.
 */
bool
warden_object_hidden(const WardenObject *object)
{
	if (!OidIsValid(object->schema) || object->catalog == NamespaceRelationId)
		return false;
	/* it may be on its way out */
	return !SearchSysCacheExists1(NAMESPACEOID, ObjectIdGetDatum(object->schema)) ||
		!WARDEN_MAY_SEE_SCHEMA(object->schema, warden_session.role_oid);
}

bool
warden_facts_hide(const WardenFacts *facts)
{
	bool		any = false;

	for (int i = 0; i < facts->count; i++)
	{
		facts->accesses[i].hidden = warden_object_hidden(facts->accesses[i].object);
		any |= facts->accesses[i].hidden;
	}
	return any;
}

void
warden_refuse(const WardenFacts *facts, const WardenVerdict *verdict)
{
	WardenVerdict told = *verdict;

	if (verdict->action != WARDEN_ACTION_BLOCK && verdict->action != WARDEN_ACTION_REQUIRE_APPROVAL)
		return;
	if (warden_facts_hide(facts))
	{
		SWIFT(warden_decide(&warden_session, &facts->statement, warden_texts(), &told));
		/* what has been refused stays so */
		told.action = verdict->action;
	}
	warden_raise(&told);
}
