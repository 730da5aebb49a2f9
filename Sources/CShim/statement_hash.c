/*
 * statement_hash is the server's query identifier: equal for statements that differ in constants only. Where the
 * server does not compute it (compute_query_id = auto or off and nobody else asks), it is computed here, in governed
 * databases only, so that others pay nothing.
 */
#include "shim.h"

#include "parser/analyze.h"

static post_parse_analyze_hook_type previous_analyze = NULL;

static void
warden_post_parse_analyze(ParseState *pstate, Query *query, JumbleState *jstate)
{
	if (previous_analyze)
		previous_analyze(pstate, query, jstate);
	if (query->queryId == 0 && warden_audit_classes != 0 && warden_governed())
		(void) WARDEN_JUMBLE(query, pstate->p_sourcetext);
}

void
warden_statement_hash_install(void)
{
	previous_analyze = post_parse_analyze_hook;
	post_parse_analyze_hook = warden_post_parse_analyze;
}
