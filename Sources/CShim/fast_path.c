/*
 * Functions called by the protocol's fast path (PQfn, and with it libpq's large objects): no statement, no plan, only
 * the object access hook. Each call is a record of its own. Its end is not told to anybody: the record is completed
 * with its transaction.
 */
#include "shim.h"

#include "access/xact.h"
#include "catalog/pg_proc.h"
#include "tcop/tcopprot.h"
#include "utils/backend_status.h"
#include "utils/memutils.h"

static WardenReached reached;
static WardenRecorded recorded = {.position = -1};
/* when the message of the call came */
static TimestampTz message = 0;

/* In a message that is a function call? The server shows it to pg_stat_activity, unless that is turned off. */
bool
warden_in_function_call(void)
{
	if (debug_query_string != NULL || MyBEEntry == NULL)
		return false;
	return MyBEEntry->st_state == STATE_FASTPATH || (MyBEEntry->st_state == STATE_DISABLED && !pgstat_track_activities);
}

static bool
is_under_way(void)
{
	return message != 0 && message == GetCurrentStatementStartTimestamp() && warden_in_function_call();
}

WardenReached *
warden_fast_path(void)
{
	return unlikely(message != 0) && recorded.position >= 0 && is_under_way() ? &reached : NULL;
}

uint64
warden_fast_path_statement(void)
{
	return warden_fast_path() != NULL ? recorded.statement_no : 0;
}

bool
warden_fast_path_call(Oid function, WardenClasses classes)
{
	WardenFacts facts;
	WardenSource source;

	if (warden_current_statement != 0 || warden_reached_now != NULL || warden_running_function() != NULL ||
		!warden_in_function_call() || is_under_way())
		return false;
	message = 0;
	warden_facts_begin(&facts, "FUNCTION CALL");
	(void) warden_facts_access(&facts, warden_other_object(ProcedureRelationId, function), classes);
	warden_source(&source, NULL, 0, 0, 0);
	warden_decide_and_record(&recorded, &facts, &source);
	warden_reached_begin(&reached, &recorded, &facts, 0, MessageContext);
	message = GetCurrentStatementStartTimestamp();
	return true;
}
