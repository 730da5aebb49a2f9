/*
 * The utility hook: statements that are not planned. The same road as for planned ones: facts, decision, record,
 * execution, completion.
 */
#include "shim.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/inval.h"
#include "utils/plancache.h"
#include "utils/syscache.h"

static ProcessUtility_hook_type previous_utility = NULL;

Node	   *warden_utility_now = NULL;

typedef struct UtilityCall
{
	PlannedStmt *pstmt;
	const char *queryString;
	bool		readOnlyTree;
	ProcessUtilityContext context;
	ParamListInfo params;
	QueryEnvironment *queryEnv;
	DestReceiver *dest;
	QueryCompletion *qc;
} UtilityCall;

static void
pass_on(const UtilityCall *call)
{
	if (previous_utility)
		previous_utility(call->pstmt, call->queryString, call->readOnlyTree, call->context, call->params,
						 call->queryEnv, call->dest, call->qc);
	else
		standard_ProcessUtility(call->pstmt, call->queryString, call->readOnlyTree, call->context, call->params,
								call->queryEnv, call->dest, call->qc);
}

static Node *
column_reference(const char *name)
{
	ColumnRef  *reference = makeNode(ColumnRef);
	ResTarget  *target = makeNode(ResTarget);

	reference->fields = list_make1(makeString(pstrdup(name)));
	reference->location = -1;
	target->val = (Node *) reference;
	target->location = -1;
	return (Node *) target;
}

/* The columns that COPY table TO would write: all but dropped and generated ones. */
static List *
copied_columns(Oid relid, int natts)
{
	List	   *columns = NIL;

	for (int attno = 1; attno <= natts; attno++)
	{
		HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relid), Int16GetDatum(attno));
		Form_pg_attribute attribute;

		if (!HeapTupleIsValid(tuple))
			continue;
		attribute = (Form_pg_attribute) GETSTRUCT(tuple);
		if (!attribute->attisdropped && attribute->attgenerated == '\0')
			columns = lappend(columns, column_reference(NameStr(attribute->attname)));
		ReleaseSysCache(tuple);
	}
	return columns;
}

/*
 * COPY table TO of a masked table becomes COPY (SELECT … FROM table) TO, which is planned, and so masked; and of one
 * whose rows are `counted`, since the executor counts them.
 */
static PlannedStmt *
copy_through_query(PlannedStmt *pstmt, bool counted)
{
	CopyStmt   *stmt = (CopyStmt *) pstmt->utilityStmt;
	bool		masked[MaxHeapAttributeNumber];
	Oid			relid;
	WardenRelation *relation;
	SelectStmt *select;
	RangeVar   *name;
	ListCell   *cell;

	if ((!warden_any_masks && !counted) || stmt->is_from || stmt->relation == NULL)
		return pstmt;
	relid = RangeVarGetRelid(stmt->relation, NoLock, true);
	relation = OidIsValid(relid) ? warden_relation(relid) : NULL;
	if (relation != NULL)
		warden_refuse_statistics(relation);
	if (relation == NULL || relation->relkind != RELKIND_RELATION)
		return pstmt;
	if (!counted && (!relation->maskable || !warden_columns_masked(relation, masked)))
		return pstmt;
	pstmt = copyObject(pstmt);
	stmt = (CopyStmt *) pstmt->utilityStmt;
	select = makeNode(SelectStmt);
	foreach(cell, stmt->attlist)
		select->targetList = lappend(select->targetList, column_reference(strVal(lfirst(cell))));
	if (stmt->attlist == NIL)
		select->targetList = copied_columns(relid, (int) relation->object.column_count);
	name = makeRangeVar(get_namespace_name(relation->object.schema), get_rel_name(relid), -1);
	name->inh = false;
	select->fromClause = list_make1(name);
	stmt->relation = NULL;
	stmt->attlist = NIL;
	stmt->query = (Node *) select;
	return pstmt;
}

static void
run(const UtilityCall *call, WardenLimited *limited)
{
	CopyStmt   *copy = IsA(call->pstmt->utilityStmt, CopyStmt) ? (CopyStmt *) call->pstmt->utilityStmt : NULL;
	List	   *before = copy ? warden_copy_routing_before(copy) : NIL;

	pass_on(call);
	if (copy)
		warden_copy_routing_after(copy, before);
	if (limited == NULL)
		return;
	if (copy && copy->is_from)
		warden_limited_copied(limited, (int64) call->qc->nprocessed);
	warden_limited_end(limited);
}

static void
complete(UtilityCall *call, WardenRecorded *recorded, WardenReached *reached, WardenLimited *limited)
{
	uint64		parent = warden_current_statement;
	WardenReached *outer = warden_reached_now;
	WardenLimited *around = warden_limited_now;
	QueryCompletion completion = {0};
	QueryCompletion *given = call->qc;
	WardenFrame frame;

	if (call->qc == NULL)
	{
		InitializeQueryCompletion(&completion);
		call->qc = &completion;
	}
	if (recorded->position >= 0)
	{
		warden_current_statement = recorded->statement_no;
		warden_reached_now = reached;
	}
	if (limited != NULL)
		warden_limited_enter(limited);
	warden_frame_enter(&frame, recorded, call->queryString);
	PG_TRY();
	{
		run(call, limited);
		warden_reached_tell(reached, false);
	}
	PG_CATCH();
	{
		warden_current_statement = parent;
		warden_reached_now = outer;
		warden_limited_now = around;
		warden_reached_tell(reached, true);
		warden_frame_failed(&frame);
		warden_masked_error_rethrow();
		PG_RE_THROW();
	}
	PG_END_TRY();
	warden_frame_leave(&frame);
	warden_current_statement = parent;
	warden_reached_now = outer;
	warden_limited_now = around;
	warden_reached_end(reached);
	warden_audit_end(recorded, command_tag_display_rowcount(call->qc->commandTag) ? (int64) call->qc->nprocessed : -1);
	call->qc = given;
}

static void
source_of(WardenSource *source, const UtilityCall *call)
{
	const PlannedStmt *pstmt = call->pstmt;

	warden_source(source, call->queryString, pstmt->stmt_location, pstmt->stmt_len, pstmt->queryId);
}

/* COMMIT and ROLLBACK must always be possible: transaction control is recorded, never refused. */
static void
transaction_control(UtilityCall *call)
{
	WardenRecorded recorded = {.position = -1};
	WardenReached reached;
	WardenFacts facts;
	WardenSource source;
	TransactionStmtKind kind = ((TransactionStmt *) call->pstmt->utilityStmt)->kind;

	source_of(&source, call);
	/* it takes effect, and ends the subtransaction that it runs in */
	source.of_transaction = kind == TRANS_STMT_ROLLBACK_TO;
	warden_utility_facts(&facts, call->pstmt, call->queryString, &source.has_secret);
	warden_record_allowed(&recorded, &facts, &source);
	warden_reached_begin(&reached, &recorded, &facts, 0, CurrentMemoryContext);
	complete(call, &recorded, &reached, NULL);
	if (kind == TRANS_STMT_COMMIT_PREPARED || kind == TRANS_STMT_ROLLBACK_PREPARED)
		warden_prepared_finish(MyDatabaseId);
}

/* It locks the audit's tables in another order than what drops them. */
static void
send_writer_away(void)
{
	int			slot = warden_database_slot(MyDatabaseId, false);

	if (slot >= 0)
		warden_writer_leave(slot);
}

/* Its rows count for guards with max_rows; NULL where there is none to count for. */
static WardenLimited *
limit(WardenRecorded *recorded, const WardenFacts *facts, const WardenVerdict *verdict)
{
	WardenLimited *limited = warden_limited_begin(facts, verdict);

	if (limited == NULL)
		return NULL;
	limited->recorded = recorded;
	limited->is_utility = true;
	return limited;
}

static void
governed_utility(UtilityCall *call)
{
	WardenRecorded recorded = {.position = -1};
	WardenReached reached;
	WardenFacts facts;
	WardenSource source;
	WardenVerdict verdict;
	WardenLimited *limited;
	bool		withheld;
	bool		was_dropping = warden_dropping_extension;
	Node	   *outer = warden_utility_now;

	source_of(&source, call);
	warden_redaction_of_utility(&source, call->pstmt, call->queryString);
	withheld = source.has_secret;
	warden_utility_facts(&facts, call->pstmt, call->queryString, &source.has_secret);
	source.has_secret |= withheld;
	facts.statement.rows = warden_rows_before();
	warden_decide_statement(&verdict, &recorded, &facts, &source);
	/* what falls is told as it falls, all of it: a record has room for little */
	warden_facts_keep_named(&facts);
	warden_audit_start(&recorded, &facts, &verdict, &source);
	limited = limit(&recorded, &facts, &verdict);
	warden_reached_begin(&reached, &recorded, &facts, 0, CurrentMemoryContext);
	if (warden_any_masks)
		warden_refuse_masked_ddl(call->pstmt->utilityStmt);
	warden_masked_errors_utility(call->pstmt->utilityStmt);
	if (IsA(call->pstmt->utilityStmt, CopyStmt))
		call->pstmt = copy_through_query(call->pstmt, verdict.rows_left > 0);
	warden_utility_now = call->pstmt->utilityStmt;
	warden_dropping_extension |= facts.statement.drops_extension;
	if (facts.statement.drops_extension)
		send_writer_away();
	PG_TRY();
	{
		List	   *views = warden_mask_views_aside(call->pstmt->utilityStmt);
		List	   *leavers = warden_masks_leaving(call->pstmt->utilityStmt);
		WardenCopy	copy;

		warden_copy_begin(&copy, call->pstmt->utilityStmt);
		complete(call, &recorded, &reached, limited);
		warden_mask_views_restore(views);
		warden_masks_keep(leavers);
		warden_labels_follow(call->pstmt->utilityStmt);
		warden_masks_follow_utility(call->pstmt->utilityStmt);
		warden_copy_end(&copy);
	}
	PG_FINALLY();
	{
		warden_dropping_extension = was_dropping;
		warden_utility_now = outer;
	}
	PG_END_TRY();
	/* a pooler hands the session on: to who has not broken the glass */
	if (IsA(call->pstmt->utilityStmt, DiscardStmt) && ((DiscardStmt *) call->pstmt->utilityStmt)->target == DISCARD_ALL)
		warden_break_glass_end(" by DISCARD ALL");
	/* SET ROLE and the like: what fails next without being executed is the new role's */
	if (IsTransactionState())
		warden_session_refresh();
}

static void
govern(UtilityCall *call, bool governed)
{
	warden_cluster_check(call->pstmt->utilityStmt);
	if (governed)
		governed_utility(call);
	else
		pass_on(call);
}

static void
cluster_verdict(Node *utility, const WardenFacts *facts, bool governed, WardenVerdict *verdict)
{
	const char *refusal = governed ? NULL : warden_cluster_refusal(utility);

	if (governed)
		warden_decide_facts(facts, verdict);
	else
		warden_session_refresh();
	if (refusal == NULL)
		return;
	verdict->action = WARDEN_ACTION_BLOCK;
	verdict->decision = WARDEN_DECISION_BLOCKED;
	verdict->guard = warden_text("self-protection");
	verdict->message = warden_text(refusal);
	strlcpy(verdict->sqlstate, "42501", sizeof(verdict->sqlstate));
}

/* A command that concerns every database: told to all governed ones, wherever it runs. */
static void
cluster_utility(UtilityCall *call, bool governed)
{
	WardenVerdict verdict = {.action = WARDEN_ACTION_ALLOW, .decision = WARDEN_DECISION_ALLOWED};
	WardenElsewhere elsewhere;
	WardenFacts facts;
	WardenSource source;

	source_of(&source, call);
	warden_utility_facts(&facts, call->pstmt, call->queryString, &source.has_secret);
	cluster_verdict(call->pstmt->utilityStmt, &facts, governed, &verdict);
	elsewhere = warden_audit_elsewhere(&facts, &verdict, &source, governed);
	PG_TRY();
	{
		govern(call, governed);
	}
	PG_CATCH();
	{
		warden_elsewhere_failed(elsewhere);
		PG_RE_THROW();
	}
	PG_END_TRY();
	warden_elsewhere_end(elsewhere);
}

static void
utility(UtilityCall *call)
{
	if (warden_any_database() && warden_is_cluster_wide(call->pstmt->utilityStmt))
		cluster_utility(call, warden_governed());
	else
		govern(call, warden_governed());
}

static void
warden_ProcessUtility(PlannedStmt *pstmt, const char *queryString, bool readOnlyTree,
					  ProcessUtilityContext context, ParamListInfo params, QueryEnvironment *queryEnv,
					  DestReceiver *dest, QueryCompletion *qc)
{
	UtilityCall call = {pstmt, queryString, readOnlyTree, context, params, queryEnv, dest, qc};

	/* Event triggers are code of users: they do not fire for the extension's own work. */
	if (warden_internal_depth > 0)
		call.context = PROCESS_UTILITY_SUBCOMMAND;
	if (call.context == PROCESS_UTILITY_SUBCOMMAND)
		pass_on(&call);
	else if (IsA(pstmt->utilityStmt, TransactionStmt))
	{
		if (warden_governed_known())
			transaction_control(&call);
		else
			pass_on(&call);
	}
	else
	{
		/* what is planned learns of new policies when it locks its tables: here, too, a guard binds what begins after it */
		if (IsTransactionState())
			AcceptInvalidationMessages();
		utility(&call);
	}
}

void
warden_utility_install(void)
{
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = warden_ProcessUtility;
}
