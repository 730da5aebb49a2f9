/*
 * warden.explain: what would be decided of statements, guard by guard. They are analysed, rewritten and planned as for an
 * execution, in a subtransaction that is taken back, locks and all; nothing of them runs. What would run a user's
 * function all the same stops the explanation (warden_explain_check).
 */
#include "sql.h"

#include "access/relation.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_proc.h"
#include "commands/defrem.h"
#include "commands/prepare.h"
#include "explain.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/planner.h"
#include "rewrite/rewriteHandler.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/resowner.h"

PG_FUNCTION_INFO_V1(warden_sql_explain);

typedef struct Row
{
	char	   *fields[4];
} Row;

/* A statement is being explained: nothing of a user's may run. */
bool		warden_explaining = false;

/* Something would have run. */
static bool stopped = false;

static void explain_query(WardenExplaining *explaining, Query *query);

void
warden_explain_check(Oid function)
{
	if (likely(!warden_explaining) || warden_function_is_native(function))
		return;
	stopped = true;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("the statement cannot be explained: planning it would run a function"),
			 WARDEN_MAY_SEE_SCHEMA(get_func_namespace(function), warden_session.role_oid) ?
			 errdetail("It is function %s.", format_procedure(function)) : 0,
			 errhint("warden.explain runs nothing. Explain the statements of the function one by one.")));
}

/* --- rows --- */

void
warden_explain_row(WardenExplaining *explaining, const char *guard, const char *action, const char *object, const char *reason)
{
	MemoryContext caller = MemoryContextSwitchTo(explaining->memory);
	Row		   *row = palloc0(sizeof(Row));

	row->fields[0] = guard ? pstrdup(guard) : NULL;
	row->fields[1] = action ? pstrdup(action) : NULL;
	row->fields[2] = object ? pstrdup(object) : NULL;
	row->fields[3] = explaining->number > 0 ? psprintf("statement %d: %s", explaining->number, reason) : pstrdup(reason);
	explaining->rows = lappend(explaining->rows, row);
	MemoryContextSwitchTo(caller);
}

/* A statement can be decided on more than once, by what it calls, by what it runs: the most severe decision is its result. */
void
warden_explain_result(WardenExplaining *explaining, const char *action, const char *reason)
{
	static const char *const severity[] = {"allow", "alert", "require_approval", "block"};
	int			now = -1;
	int			before = -1;

	for (int i = 0; i < (int) lengthof(severity); i++)
	{
		if (strcmp(severity[i], action) == 0)
			now = i;
		if (explaining->action != NULL && strcmp(severity[i], explaining->action) == 0)
			before = i;
	}
	if (now <= before)
		return;
	explaining->action = MemoryContextStrdup(explaining->memory, action);
	explaining->result = MemoryContextStrdup(explaining->memory, reason);
}

/* A field as Swift writes it; moves on to the next one. */
static const char *
next_field(const uint8_t **at)
{
	const char *field;

	if (*(*at)++ == 0)
		return NULL;
	field = (const char *) *at;
	*at += strlen(field) + 1;
	return field;
}

static void
explain_facts(WardenExplaining *explaining, const WardenFacts *facts)
{
	WardenBuffer rows = {NULL, 16384, 0};
	const uint8_t *at;
	bool		fits;

	(void) warden_facts_hide(facts);
	do
	{
		rows.capacity *= 2;
		rows.bytes = palloc(rows.capacity);
		SWIFT_GET(fits, warden_explain(&explaining->session, &facts->statement, &rows));
	} while (!fits);
	for (at = rows.bytes; at < rows.bytes + rows.length;)
	{
		const char *guard = next_field(&at);
		const char *action = next_field(&at);
		const char *object = next_field(&at);
		const char *reason = next_field(&at);

		if (guard != NULL)
			warden_explain_row(explaining, guard, action, object, reason);
		else
			warden_explain_result(explaining, action, reason);
	}
	warden_explain_masks(explaining, facts);
}

/* --- what is planned --- */

/* What a function runs is decided on when it runs. */
static void
note_opaque(WardenExplaining *explaining, WardenFunction *function)
{
	WardenAccess access = {.object = &function->object};
	WardenFacts facts = {.accesses = &access, .count = 1};

	warden_explain_row(explaining, NULL, NULL, warden_facts_hide(&facts) ? NULL : (const char *) function->object.name.bytes,
			"what the function runs is decided when it runs");
}

static void
explain_function(WardenExplaining *explaining, Oid oid)
{
	WardenClasses host = warden_host_function(oid);
	WardenFunction *function = oid >= FirstNormalObjectId ? warden_function(oid) : NULL;
	WardenFacts facts;

	if (host != 0 || (warden_guarded_classes & WARDEN_CLASS_FUNCTION))
	{
		warden_facts_begin(&facts, "FUNCTION");
		(void) warden_facts_access(&facts, warden_other_object(ProcedureRelationId, oid), WARDEN_CLASS_FUNCTION | host);
		explain_facts(explaining, &facts);
	}
	if (function != NULL && !warden_function_is_native(oid))
		note_opaque(explaining, function);
}

static void
explain_planned(WardenExplaining *explaining, Query *query)
{
	List	   *functions = warden_called_functions(query);
	PlannedStmt *plan = standard_planner(warden_tame(query, explaining->completely), explaining->text,
										 CURSOR_OPT_PARALLEL_OK, NULL);
	WardenFacts facts;
	ListCell   *cell;

	warden_explain_masked_writes(explaining, query);
	warden_facts_begin(&facts, GetCommandTagName(CreateCommandTag((Node *) plan)));
	warden_plan_facts(&facts, plan, plan->commandType, NULL);
	if (facts.count == 0 && warden_is_way_out(plan))
		return;
	explain_facts(explaining, &facts);
	foreach(cell, functions)
		explain_function(explaining, lfirst_oid(cell));
}

/* --- what is not --- */

static void
explain_all(WardenExplaining *explaining, List *queries)
{
	ListCell   *cell;

	foreach(cell, queries)
		explain_query(explaining, lfirst_node(Query, cell));
}

/* The query of EXPLAIN ANALYZE, CREATE TABLE AS, DECLARE: analysed, and not rewritten. */
static void
explain_held(WardenExplaining *explaining, Node *held)
{
	Query	   *query = castNode(Query, copyObject(held));

	explain_all(explaining, query->commandType == CMD_UTILITY ? list_make1(query) : QueryRewrite(query));
}

static bool
is_analyzed(ExplainStmt *stmt)
{
	ListCell   *cell;
	bool		analyze = false;

	foreach(cell, stmt->options)
		if (strcmp(((DefElem *) lfirst(cell))->defname, "analyze") == 0)
			analyze = defGetBoolean(lfirst(cell));
	return analyze;
}

static void
explain_copied(WardenExplaining *explaining, CopyStmt *stmt)
{
	RawStmt    *raw = makeNode(RawStmt);

	raw->stmt = copyObject(stmt->query);
	explain_all(explaining, pg_analyze_and_rewrite_fixedparams(raw, explaining->text, NULL, 0, NULL));
}

static void
explain_prepared(WardenExplaining *explaining, ExecuteStmt *stmt)
{
	CachedPlanSource *source = FetchPreparedStatement(stmt->name, true)->plansource;

	if (source->raw_parse_tree != NULL)
		explain_all(explaining, pg_analyze_and_rewrite_fixedparams(copyObject(source->raw_parse_tree),
																   source->query_string, source->param_types,
																   source->num_params, NULL));
}

/* What a utility statement plans and runs in its turn. */
static void
explain_inner(WardenExplaining *explaining, Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_ExplainStmt:
			if (is_analyzed((ExplainStmt *) stmt))
				explain_held(explaining, ((ExplainStmt *) stmt)->query);
			break;
		case T_CreateTableAsStmt:
			if (!((CreateTableAsStmt *) stmt)->into->skipData)
				explain_held(explaining, ((CreateTableAsStmt *) stmt)->query);
			break;
		case T_DeclareCursorStmt:
			explain_held(explaining, ((DeclareCursorStmt *) stmt)->query);
			break;
		case T_CopyStmt:
			if (((CopyStmt *) stmt)->query != NULL)
				explain_copied(explaining, (CopyStmt *) stmt);
			break;
		case T_ExecuteStmt:
			explain_prepared(explaining, (ExecuteStmt *) stmt);
			break;
		case T_DoStmt:
			warden_explain_row(explaining, NULL, NULL, NULL, "what the DO block runs is decided when it runs");
			break;
		case T_CallStmt:
			warden_explain_row(explaining, NULL, NULL, NULL, "what the procedure runs is decided when it runs");
			break;
		default:
			break;
	}
}

static void
check_relation(const RangeVar *name, bool missing_ok)
{
	if (name != NULL)
		(void) RangeVarGetRelid(name, NoLock, missing_ok);
}

static bool
is_named_as_relation(ObjectType type)
{
	return type == OBJECT_TABLE || type == OBJECT_VIEW || type == OBJECT_INDEX || type == OBJECT_SEQUENCE ||
		type == OBJECT_MATVIEW || type == OBJECT_FOREIGN_TABLE;
}

static void
check_dropped(DropStmt *stmt)
{
	ListCell   *cell;

	foreach(cell, stmt->objects)
	{
		Relation	relation = NULL;

		if (stmt->missing_ok)
			return;
		if (is_named_as_relation(stmt->removeType))
			check_relation(makeRangeVarFromNameList(lfirst_node(List, cell)), false);
		else
			(void) get_object_address(stmt->removeType, lfirst(cell), &relation, AccessShareLock, false);
		if (relation != NULL)
			relation_close(relation, NoLock);
	}
}

/* What is not there has the server's own error: facts pass it over, and leave it to the execution to complain. */
static void
check_names(Node *stmt)
{
	ListCell   *cell;

	switch (nodeTag(stmt))
	{
		case T_DropStmt:
			check_dropped((DropStmt *) stmt);
			break;
		case T_TruncateStmt:
			foreach(cell, ((TruncateStmt *) stmt)->relations)
				check_relation(lfirst(cell), false);
			break;
		case T_AlterTableStmt:
			check_relation(((AlterTableStmt *) stmt)->relation, ((AlterTableStmt *) stmt)->missing_ok);
			break;
		case T_CopyStmt:
			check_relation(((CopyStmt *) stmt)->relation, false);
			break;
		case T_IndexStmt:
			check_relation(((IndexStmt *) stmt)->relation, false);
			break;
		default:
			break;
	}
}

static void
explain_utility(WardenExplaining *explaining, Query *query)
{
	Node	   *stmt = query->utilityStmt;
	PlannedStmt *wrapper = makeNode(PlannedStmt);
	WardenFacts facts;
	bool		has_secret;

	/* never refused */
	if (IsA(stmt, TransactionStmt))
		return;
	check_names(stmt);
	wrapper->commandType = CMD_UTILITY;
	wrapper->utilityStmt = stmt;
	wrapper->stmt_location = query->stmt_location;
	wrapper->stmt_len = query->stmt_len;
	warden_utility_facts(&facts, wrapper, explaining->text, &has_secret);
	explain_facts(explaining, &facts);
	explain_inner(explaining, stmt);
}

static void
explain_query(WardenExplaining *explaining, Query *query)
{
	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	if (query->commandType == CMD_UTILITY)
		explain_utility(explaining, query);
	else
		explain_planned(explaining, query);
}

/* --- the whole --- */

/* A position in the text is none in the statement that calls warden.explain. */
static void
locate_error(void *arg)
{
	int			position = geterrposition();

	(void) arg;
	if (position <= 0)
		return;
	errposition(0);
	errcontext("character %d of the statement that warden.explain was given", position);
}

static void
explain_statement(WardenExplaining *explaining, RawStmt *statement)
{
	Oid		   *types = NULL;
	int			count = 0;

	explaining->action = NULL;
	explain_all(explaining, pg_analyze_and_rewrite_varparams(statement, explaining->text, &types, &count, NULL));
	if (explaining->action != NULL)
		warden_explain_row(explaining, NULL, explaining->action, NULL, explaining->result);
}

static void
explain_text(WardenExplaining *explaining)
{
	ErrorContextCallback callback = {error_context_stack, locate_error, NULL};
	List	   *statements;
	ListCell   *cell;

	error_context_stack = &callback;
	statements = pg_parse_query(explaining->text);
	foreach(cell, statements)
	{
		explaining->number = list_length(statements) > 1 ? foreach_current_index(cell) + 1 : 0;
		explain_statement(explaining, lfirst_node(RawStmt, cell));
	}
	error_context_stack = callback.previous;
}

/* Takes back what the subtransaction has done; raises its error, where there is one. */
static void
take_back(MemoryContext memory, ResourceOwner owner, ErrorData *error)
{
	warden_explaining = false;
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(memory);
	CurrentResourceOwner = owner;
	if (error != NULL)
		ReThrowError(error);
}

/* False where it was stopped because planning would have run a function. */
static bool
try_to_explain(WardenExplaining *explaining)
{
	MemoryContext memory = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	explaining->rows = NIL;
	stopped = false;
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(memory);
	warden_explaining = true;
	PG_TRY();
	{
		explain_text(explaining);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(memory);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	take_back(memory, owner, stopped && !explaining->completely ? NULL : error);
	return error == NULL;
}

/* Of another role: as if it had logged in with what the session has otherwise. */
static void
subject_session(WardenSession *session, Name subject)
{
	Oid			role = get_role_oid(NameStr(*subject), false);
	Oid			admin = get_role_oid("warden_admin", true);

	warden_session_refresh();
	*session = warden_session;
	if (role == warden_session.role_oid)
		return;
	if (!superuser() && !(OidIsValid(admin) && is_member_of_role(GetUserId(), admin)) &&
		!is_member_of_role(GetUserId(), role))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to explain statements of role \"%s\"", NameStr(*subject)),
				 errdetail("That is for superusers, members of warden_admin, and members of the role."),
				 errhint("Leave the argument subject out for what would be decided of your own statements.")));
	session->role_oid = session->session_user_oid = role;
	session->superuser = superuser_arg(role);
	session->break_glass = false;
	session->identity = warden_text(NULL);
	session->role = session->session_user = warden_text(NameStr(*subject));
	session->role_memberships = warden_memberships(role, &session->role_membership_count);
	session->user_memberships = session->role_memberships;
	session->user_membership_count = session->role_membership_count;
}

Datum
warden_sql_explain(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	WardenExplaining explaining = {.memory = CurrentMemoryContext};
	ListCell   *cell;

	warden_ready();
	warden_not_null(fcinfo, 0, "statement");
	warden_not_null(fcinfo, 1, "subject");
	explaining.text = text_to_cstring(PG_GETARG_TEXT_PP(0));
	subject_session(&explaining.session, PG_GETARG_NAME(1));
	InitMaterializedSRF(fcinfo, 0);
	if (!try_to_explain(&explaining))
	{
		explaining.completely = true;
		(void) try_to_explain(&explaining);
	}
	foreach(cell, explaining.rows)
	{
		Row		   *row = lfirst(cell);
		Datum		values[4] = {0};
		bool		nulls[4];

		for (int i = 0; i < 4; i++)
		{
			nulls[i] = row->fields[i] == NULL;
			if (!nulls[i])
				values[i] = CStringGetTextDatum(row->fields[i]);
		}
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
