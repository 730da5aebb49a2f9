/*
 * The executor hooks. ExecutorStart is the authoritative check: it runs for every execution of every plan, cached or
 * not, from whatever language. A statement's record is started there, and completed at its end.
 *
 * Portals interleave (cursors, suspended portals), so executions are kept in a list found by QueryDesc, never on a
 * stack. An entry lives in its query's memory and leaves the list with it, whatever the way out.
 */
#include "shim.h"

#include "access/htup_details.h"
#include "access/parallel.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "parser/parsetree.h"
#include "tcop/pquery.h"
#include "utils/memutils.h"
#include "utils/plancache.h"

typedef struct Execution
{
	QueryDesc  *query;
	WardenRecorded recorded;
	WardenReached reached;
	int64		rows;
	WardenLimited *limited;		/* NULL: its rows count for no guard */
	struct Execution *next;
	MemoryContextCallback leave;
} Execution;

static Execution *executions = NULL;

int			warden_execution_depth = 0;

static ExecutorStart_hook_type previous_start = NULL;
static ExecutorRun_hook_type previous_run = NULL;
static ExecutorFinish_hook_type previous_finish = NULL;
static ExecutorEnd_hook_type previous_end = NULL;

static void
leave(void *arg)
{
	Execution **link = &executions;

	while (*link != NULL && *link != (Execution *) arg)
		link = &(*link)->next;
	if (*link != NULL)
		*link = (*link)->next;
}

/* not inlined: the compiler would take its loop variable for one that PG_TRY clobbers */
static pg_noinline Execution *
execution_of(QueryDesc *query)
{
	Execution  *execution = executions;

	while (execution != NULL && execution->query != query)
		execution = execution->next;
	return execution;
}

static void
limit(Execution *execution, WardenLimited *limited, QueryDesc *query)
{
	execution->limited = limited;
	if (limited == NULL)
		return;
	MemoryContextSetParent(limited->memory, query->estate->es_query_cxt);
	limited->recorded = &execution->recorded;
	if (limited->left > 0 || warden_limited_any(warden_limited_now))
		warden_changes_watch(limited, query);
}

static void
enter(QueryDesc *query, const WardenRecorded *recorded, const WardenFacts *facts, int relations, WardenLimited *limited)
{
	MemoryContext memory = query->estate->es_query_cxt;
	Execution  *execution = MemoryContextAlloc(memory, sizeof(Execution));

	execution->query = query;
	execution->recorded = *recorded;
	warden_reached_begin(&execution->reached, &execution->recorded, facts, relations, memory);
	execution->rows = 0;
	limit(execution, limited, query);
	execution->next = executions;
	execution->leave.func = leave;
	execution->leave.arg = execution;
	MemoryContextRegisterResetCallback(memory, &execution->leave);
	executions = execution;
}

/*
 * A plan that reads a masked relation raw while its session is to see masks, or the other way round, was made for
 * another subject: the cache is emptied and the statement fails as the server itself fails when a cached plan no
 * longer fits; drivers know to prepare again. Every ordinary change of subject is caught earlier (utility.c).
 */
static bool
fits_subject(PlannedStmt *plan, RangeTblEntry *rte, int rti)
{
	WardenPermissions *permissions;
	WardenRelation *relation;

	/* EXCLUDED is the row that the statement itself brings */
	if (rte->relkind == RELKIND_COMPOSITE_TYPE)
		return true;
	if (rte->rtekind != RTE_RELATION || list_member_int(plan->resultRelations, rti))
		return true;			/* changes were checked by the planner hook: nothing masked is read there */
	permissions = warden_plan_permissions(plan, rte);
	if (permissions == NULL || (permissions->requiredPerms & ACL_SELECT) == 0)
		return true;
	relation = warden_relation(rte->relid);
	return relation == NULL || !relation->maskable || relation->relkind == RELKIND_VIEW ||
		warden_rte_fits(rte, relation);
}

static void
check_plan_subject(PlannedStmt *plan)
{
	ListCell   *cell;

	if (!warden_any_masks)
		return;
	foreach(cell, plan->rtable)
	{
		if (fits_subject(plan, lfirst(cell), foreach_current_index(cell) + 1))
			continue;
		ResetPlanCache();
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cached plan was made for a subject that sees other masks"),
				 errdetail("It would show what this session is not to see, or hide what it may see."),
				 errhint("Run the statement again: it is planned anew.")));
	}
}

/*
 * The server marks the time of a foreign key's own query, and leaves the mark on while triggers run inside it: code of
 * users, which is no foreign-key check. A foreign key's query in there sets the mark again.
 */
typedef struct ForeignKeyMark
{
	Oid			user;
	int			context;
} ForeignKeyMark;

static void
lift_mark(ForeignKeyMark *mark)
{
	GetUserIdAndSecContext(&mark->user, &mark->context);
	if (mark->context & SECURITY_NOFORCE_RLS)
		SetUserIdAndSecContext(mark->user, mark->context & ~SECURITY_NOFORCE_RLS);
}

static void
put_mark_back(const ForeignKeyMark *mark)
{
	if (mark->context & SECURITY_NOFORCE_RLS)
		SetUserIdAndSecContext(mark->user, mark->context);
}

/* A worker's share of its leader's plan, which the leader has decided on and records. */
static bool
is_leaders_plan(QueryDesc *query)
{
	return IsParallelWorker() && query->dest != NULL && query->dest->mydest == DestTupleQueue;
}

static bool
is_foreign_key_check(QueryDesc *query)
{
	return query->operation == CMD_SELECT && InNoForceRLSOperation();
}

/*
 * SELECT warden.break_glass(…) and nothing else: recorded, but decided by the function's own privileges alone, so that
 * no guard, however wide, locks the way out.
 */
bool
warden_is_way_out(PlannedStmt *plan)
{
	TargetEntry *entry;
	Oid			function;

	if (plan->rtable != NIL && (list_length(plan->rtable) > 1 ||
								linitial_node(RangeTblEntry, plan->rtable)->rtekind != RTE_RESULT))
		return false;
	if (!IsA(plan->planTree, Result) || list_length(plan->planTree->targetlist) != 1 || plan->planTree->qual != NIL)
		return false;
	entry = linitial_node(TargetEntry, plan->planTree->targetlist);
	if (!IsA(entry->expr, FuncExpr))
		return false;
	function = ((FuncExpr *) entry->expr)->funcid;
	return function >= FirstNormalObjectId && get_func_namespace(function) == warden_catalog.schema;
}

/* What is known of the statement's values: its parameters, and what of them and of the text is not to be stored. */
static void
values_of(WardenSource *source, QueryDesc *query)
{
	MemoryContext caller = MemoryContextSwitchTo(warden_statement_memory());
	WardenRedaction redaction;

	warden_redaction_of_plan(&redaction, query->plannedstmt);
	warden_redaction_apply(source, &redaction);
	warden_parameters(source, query->params, &redaction);
	MemoryContextSwitchTo(caller);
}

/* --- the record waits for the functions, which the start of the executor finds --- */

typedef struct Pending
{
	WardenRecorded recorded;
	WardenFacts facts;
	int			relations;		/* accesses that are known from the plan */
	WardenSource source;
	WardenVerdict verdict;
} Pending;

static Pending *pending = NULL;

void
warden_pending_record(void)
{
	Pending    *now = pending;

	if (likely(now == NULL))
		return;
	pending = NULL;
	warden_audit_start(&now->recorded, &now->facts, &now->verdict, &now->source);
	/* what runs before the start is over is its child; the facts are not there any longer */
	if (now->recorded.position >= 0)
		warden_current_statement = now->recorded.statement_no;
	now->facts.count = now->relations = 0;
}

bool
warden_pending_function(Oid function)
{
	WardenFunction *facts;

	if (pending == NULL)
		return false;
	facts = warden_function(function);
	if (facts != NULL && !facts->is_mask)
		(void) warden_facts_access(&pending->facts, &facts->object, WARDEN_CLASS_FUNCTION);
	return true;
}

static void
keep(WardenText *text)
{
	uint8	   *bytes;

	if (text->length <= 0)
		return;
	bytes = MemoryContextAlloc(warden_statement_memory(), text->length);
	memcpy(bytes, text->bytes, text->length);
	text->bytes = bytes;
}

/* The guard that let it through is told in a buffer that other decisions use; so is what an alert says. */
static void
keep_guard(WardenVerdict *verdict)
{
	keep(&verdict->guard);
	if (verdict->action == WARDEN_ACTION_ALERT)
		keep(&verdict->message);
}

/* Of two guards the statement's own is told. */
static void
tell_with_statement(Pending *statement, const WardenVerdict *verdict)
{
	if (statement->verdict.guard.length > 0)
		return;
	statement->verdict = *verdict;
	keep_guard(&statement->verdict);
}

/* A body that was stored parsed has no text: the server writes it anew. */
static void
source_of(WardenSource *source, QueryDesc *query)
{
	const PlannedStmt *plan = query->plannedstmt;
	WardenFunction *function;

	warden_source(source, query->sourceText, plan->stmt_location, plan->stmt_len, plan->queryId);
	if (source->length == 0 && (function = warden_running_function()) != NULL)
		warden_source(source, (const char *) warden_function_body(function).bytes, 0, 0, plan->queryId);
}

static void
decide(QueryDesc *query, Pending *statement)
{
	PlannedStmt *plan = query->plannedstmt;
	WardenFacts *facts = &statement->facts;

	warden_pending_record();
	check_plan_subject(plan);
	warden_masked_errors_plan(plan);
	/* before facts are gathered, which it may change; after the check, since it may mask what the plan reads */
	warden_copies_start(query);
	warden_facts_begin(facts, GetCommandTagName(CreateCommandTag((Node *) plan)));
	/* first: it looks into the catalogs, which may change what facts point to */
	source_of(&statement->source, query);
	warden_plan_facts(facts, plan, query->operation, query->params);
	values_of(&statement->source, query);
	facts->statement.rows = warden_rows_before();
	statement->verdict = (WardenVerdict) {.action = WARDEN_ACTION_ALLOW, .decision = WARDEN_DECISION_ALLOWED};
	if (facts->count > 0 || !warden_is_way_out(plan))
		warden_decide_statement(&statement->verdict, &statement->recorded, facts, &statement->source);
	else
		warden_session_refresh();
	keep_guard(&statement->verdict);
	statement->relations = facts->count;
	if (warden_reached_now == NULL)
		warden_reached_in_planner(facts);
	pending = statement;
}

static void
pass_on_start(QueryDesc *query, int eflags)
{
	if (previous_start)
		previous_start(query, eflags);
	else
		standard_ExecutorStart(query, eflags);
}

/* What plain EXPLAIN starts calls no function. */
static void
start_without_execution(QueryDesc *query, int eflags)
{
	WardenReached *outer = warden_reached_now;

	warden_pending_record();
	warden_reached_now = NULL;
	PG_TRY();
	{
		pass_on_start(query, eflags);
	}
	PG_FINALLY();
	{
		warden_reached_now = outer;
	}
	PG_END_TRY();
}

/* Children that guards name and that pruning has left; the statement has not done anything yet. */
static void
decide_children(QueryDesc *query, Pending *statement)
{
	WardenVerdict verdict;

	if (likely(!warden_children_read(&statement->facts, query)))
		return;
	warden_decide_facts(&statement->facts, &verdict);
	if (verdict.action == WARDEN_ACTION_BLOCK || verdict.action == WARDEN_ACTION_REQUIRE_APPROVAL)
	{
		pending = NULL;
		warden_audit_start(&statement->recorded, &statement->facts, &verdict, &statement->source);
		warden_refuse(&statement->facts, &verdict);
	}
	else
		tell_with_statement(statement, &verdict);
}

/* It was recorded before its start was over. */
static void
decide_children_late(QueryDesc *query)
{
	WardenVerdict verdict;
	WardenFacts facts;

	warden_facts_beside(&facts, "SELECT");
	if (warden_children_read(&facts, query))
		warden_decide_reached(&facts, &verdict);
}

static void
start(QueryDesc *query, int eflags)
{
	uint64		parent = warden_current_statement;
	Pending		statement = {.recorded = {.position = -1}};
	WardenLimited *limited;
	WardenFrame frame;

	decide(query, &statement);
	limited = warden_limited_begin(&statement.facts, &statement.verdict);
	warden_frame_enter(&frame, &statement.recorded, NULL);
	PG_TRY();
	{
		pass_on_start(query, eflags);
		/* the server counts the rows of the statement that the client gave; those of a rule count for its record */
		if (query->planstate != NULL && IsA(query->planstate, ModifyTableState))
			((ModifyTableState *) query->planstate)->canSetTag = true;
		if (pending != &statement)
			decide_children_late(query);
		else
		{
			decide_children(query, &statement);
			pending = NULL;
			warden_audit_start(&statement.recorded, &statement.facts, &statement.verdict, &statement.source);
		}
	}
	PG_CATCH();
	{
		/* the statement failed before it was recorded: permissions, most often */
		if (pending == &statement)
			warden_pending_record();
		warden_current_statement = parent;
		warden_frame_failed(&frame);
		warden_masked_error_rethrow();
		PG_RE_THROW();
	}
	PG_END_TRY();
	warden_frame_leave(&frame);
	warden_current_statement = parent;
	if (statement.recorded.position >= 0 || limited != NULL)
		enter(query, &statement.recorded, &statement.facts, statement.relations, limited);
}

static void
warden_ExecutorStart(QueryDesc *queryDesc, int eflags)
{
	if (is_leaders_plan(queryDesc) || !warden_governed() || is_foreign_key_check(queryDesc))
		pass_on_start(queryDesc, eflags);
	else if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		start_without_execution(queryDesc, eflags);
	else
		start(queryDesc, eflags);
}

/* --- the run --- */

/* The partitions that rows were routed to, which the plan does not name. */
static void
reach_partition(QueryDesc *query, const ResultRelInfo *partition)
{
	Oid			relid = RelationGetRelid(partition->ri_RelationDesc);
	const ResultRelInfo *root = partition->ri_RootResultRelInfo;
	WardenPermissions *permissions;

	warden_reached_object(RelationRelationId, relid, 0, WARDEN_CLASS_INSERT);
	if (root == NULL || root->ri_RangeTableIndex == 0)
		return;
	permissions = warden_plan_permissions(query->plannedstmt, rt_fetch(root->ri_RangeTableIndex, query->plannedstmt->rtable));
	warden_partition_written(RelationGetRelid(root->ri_RelationDesc), relid,
							 permissions ? bms_union(permissions->insertedCols, permissions->updatedCols) : NULL,
							 WARDEN_CLASS_INSERT);
}

static void
reach_partitions(QueryDesc *query)
{
	ListCell   *cell;

	foreach(cell, query->estate->es_tuple_routing_result_relations)
		reach_partition(query, lfirst(cell));
}

/* What holds while code of the execution runs. */
typedef struct ExecutionFrame
{
	WardenFrame frame;
	uint64		parent;
	WardenReached *outer;
	WardenLimited *limited;		/* the one around it */
	int			depth;
	ForeignKeyMark mark;
} ExecutionFrame;

static bool
is_recorded(const Execution *execution)
{
	return execution != NULL && execution->recorded.position >= 0;
}

static void
go_in(ExecutionFrame *here, Execution *execution, const QueryDesc *query)
{
	here->parent = warden_current_statement;
	here->outer = warden_reached_now;
	here->limited = warden_limited_now;
	here->depth = warden_execution_depth++;
	lift_mark(&here->mark);
	if (execution != NULL && execution->limited != NULL)
		warden_limited_enter(execution->limited);
	if (!is_recorded(execution))
		return;
	warden_current_statement = execution->recorded.statement_no;
	/* the table that CREATE TABLE AS makes is made while its query runs */
	if (warden_reached_now == NULL || query->dest == NULL || query->dest->mydest != DestIntoRel)
		warden_reached_now = &execution->reached;
	warden_frame_enter(&here->frame, &execution->recorded, NULL);
}

static void
come_out(const ExecutionFrame *here)
{
	put_mark_back(&here->mark);
	warden_current_statement = here->parent;
	warden_reached_now = here->outer;
	warden_limited_now = here->limited;
	warden_execution_depth = here->depth;
}

static void
leave_frame(ExecutionFrame *here, const Execution *execution)
{
	come_out(here);
	if (is_recorded(execution))
		warden_frame_leave(&here->frame);
}

static void
fail(ExecutionFrame *here, Execution *execution)
{
	come_out(here);
	if (!is_recorded(execution))
		return;
	warden_reached_tell(&execution->reached, true);
	warden_frame_failed(&here->frame);
}

/*
 * Rows of a cursor are those fetched, by however many runs. A run without destination moves it only; at COMMIT the
 * server runs a cursor WITH HOLD to its end, for later: a scrollable one from its beginning again.
 */
static void
count_rows(Execution *execution, QueryDesc *query)
{
	Portal		portal = ActivePortal;
	int64		processed = (int64) query->estate->es_processed;

	if (portal == NULL || portal->queryDesc != query || query->operation != CMD_SELECT)
		execution->rows += processed;
	else if (portal->holdStore != NULL && (portal->cursorOptions & CURSOR_OPT_SCROLL))
		execution->rows = processed;
	else if (query->dest == NULL || query->dest->mydest != DestNone)
		execution->rows += processed;
}

/* Rows are counted on their way to where they go, and where they change. */
static void
count_run(Execution *execution, QueryDesc *query, WardenReceiver *receiver)
{
	warden_limited_returns(receiver, execution->limited, query);
	warden_changes_run(execution->limited);
}

static void
end_run(Execution *execution, QueryDesc *query, DestReceiver *dest)
{
	query->dest = dest;
	if (execution->limited == NULL)
		return;
	warden_changes_look(execution->limited, query);
	warden_limited_end(execution->limited);
}

static void
warden_ExecutorRun(WARDEN_RUN_ARGS)
{
	Execution  *execution = executions ? execution_of(queryDesc) : NULL;
	DestReceiver *dest = queryDesc->dest;
	WardenReceiver receiver;
	ExecutionFrame here;

	go_in(&here, execution, queryDesc);
	if (execution && execution->limited)
		count_run(execution, queryDesc, &receiver);
	PG_TRY();
	{
		if (previous_run)
			previous_run(WARDEN_RUN_PASS);
		else
			standard_ExecutorRun(WARDEN_RUN_PASS);
		if (execution)
			end_run(execution, queryDesc, dest);
		/* a cursor may never come to its end */
		if (execution && count != 0)
			warden_reached_tell(&execution->reached, false);
	}
	PG_CATCH();
	{
		queryDesc->dest = dest;
		fail(&here, execution);
		warden_masked_error_rethrow();
		PG_RE_THROW();
	}
	PG_END_TRY();
	leave_frame(&here, execution);
	if (execution == NULL)
		return;
	count_rows(execution, queryDesc);
	/* a portal that the client leaves open has no end: a rollback takes it away */
	if (count != 0)
		warden_audit_so_far(&execution->recorded, execution->rows);
}

static void
warden_ExecutorFinish(QueryDesc *queryDesc)
{
	Execution  *execution = executions ? execution_of(queryDesc) : NULL;
	ExecutionFrame here;

	go_in(&here, execution, queryDesc);
	PG_TRY();
	{
		/* before triggers that wait for the end see rows where none must be */
		if (execution)
			reach_partitions(queryDesc);
		if (previous_finish)
			previous_finish(queryDesc);
		else
			standard_ExecutorFinish(queryDesc);
		if (execution)
		{
			warden_reached_tell(&execution->reached, false);
			warden_limited_end(execution->limited);
		}
	}
	PG_CATCH();
	{
		fail(&here, execution);
		warden_masked_error_rethrow();
		PG_RE_THROW();
	}
	PG_END_TRY();
	leave_frame(&here, execution);
}

static void
warden_ExecutorEnd(QueryDesc *queryDesc)
{
	Execution  *execution = executions ? execution_of(queryDesc) : NULL;

	if (execution)
		warden_audit_end(&execution->recorded, execution->rows);
	if (previous_end)
		previous_end(queryDesc);
	else
		standard_ExecutorEnd(queryDesc);
}

void
warden_executor_install(void)
{
	previous_start = ExecutorStart_hook;
	ExecutorStart_hook = warden_ExecutorStart;
	previous_run = ExecutorRun_hook;
	ExecutorRun_hook = warden_ExecutorRun;
	previous_finish = ExecutorFinish_hook;
	ExecutorFinish_hook = warden_ExecutorFinish;
	previous_end = ExecutorEnd_hook;
	ExecutorEnd_hook = warden_ExecutorEnd;
}
