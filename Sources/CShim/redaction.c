/*
 * Which literals and parameters of a statement are values of sensitive columns (masked ones, and those that carry a
 * label): compared with one, part of an expression with one, or stored into one. Decided on the query tree when it is
 * planned, where literals still have their place in the text; noted in the plan, so that it holds for each execution.
 * Whoever reads the audit may not be exempt: it does not matter whether this session sees the column masked.
 *
 * Conditions are judged between AND, OR and NOT: what stands together with a sensitive column there is redacted whole. Where
 * a column comes from a subquery, a CTE, a join or VALUES, it is followed there.
 */
#include "shim.h"

#include "commands/prepare.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "parser/parse_type.h"
#include "rewrite/rewriteHandler.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/* A query that follows columns further than this is redacted whole. */
#define STEPS 20000

typedef struct Scope
{
	Query	   *query;
	struct Scope *outer;
} Scope;

typedef struct Walk
{
	Scope	   *scope;			/* whose range table Vars of level 0 refer to */
	WardenRedaction *found;
	List	   *ctes;			/* being followed: a recursive one leads to itself */
	int			steps;
} Walk;

typedef bool (*Visit) (Node *node, Walk *walk);

static bool touches(Node *node, Walk *walk);
static bool redact(Node *node, Walk *walk);
static void walk_query(Query *query, Walk *walk);

static bool
column_is_sensitive(Oid relid, AttrNumber attno)
{
	WardenRelation *relation = warden_relation(relid);

	if (relation == NULL)
		return false;
	for (int i = 0; i < relation->sensitive_count; i++)
		if (attno == 0 || relation->sensitive[i] == attno)
			return true;
	return false;
}

static bool
anything_sensitive(void)
{
	return warden_any_masks || warden_any_labels;
}

static bool
too_far(Walk *walk)
{
	check_stack_depth();
	if (++walk->steps > STEPS)
		walk->found->everything = true;
	return walk->found->everything;
}

/* --- what a column stands for --- */

static bool
visit_in(Scope *scope, Node *node, Visit visit, Walk *walk)
{
	Scope	   *caller = walk->scope;
	bool		result;

	walk->scope = scope;
	result = visit(node, walk);
	walk->scope = caller;
	return result;
}

/* The expressions of a result column of a query; 0: of all. */
static bool
visit_column(Query *query, Scope *outer, AttrNumber attno, Visit visit, Walk *walk)
{
	Scope		inner = {query, outer};
	ListCell   *cell;

	if (too_far(walk))
		return true;
	if (query->setOperations != NULL)
	{
		/* the parts of a UNION are its subqueries */
		foreach(cell, query->rtable)
		{
			RangeTblEntry *rte = lfirst(cell);

			if (rte->rtekind == RTE_SUBQUERY && visit_column(rte->subquery, &inner, attno, visit, walk))
				return true;
		}
		return false;
	}
	foreach(cell, query->commandType == CMD_SELECT ? query->targetList : query->returningList)
	{
		TargetEntry *entry = lfirst(cell);

		if ((attno == 0 || entry->resno == attno) && visit_in(&inner, (Node *) entry->expr, visit, walk))
			return true;
	}
	return false;
}

static bool
visit_cte(RangeTblEntry *rte, Scope *scope, AttrNumber attno, Visit visit, Walk *walk)
{
	ListCell   *cell;

	for (Index level = rte->ctelevelsup; level > 0 && scope != NULL; level--)
		scope = scope->outer;
	if (scope == NULL)
		return false;
	foreach(cell, scope->query->cteList)
	{
		CommonTableExpr *cte = lfirst(cell);
		bool		result;

		if (strcmp(cte->ctename, rte->ctename) != 0 || list_member_ptr(walk->ctes, cte))
			continue;
		walk->ctes = lappend(walk->ctes, cte);
		result = visit_column((Query *) cte->ctequery, scope, attno, visit, walk);
		walk->ctes = list_delete_last(walk->ctes);
		return result;
	}
	return false;
}

static bool
visit_items(List *items, Scope *scope, AttrNumber attno, Visit visit, Walk *walk)
{
	ListCell   *cell;

	foreach(cell, items)
		if ((attno <= 0 || foreach_current_index(cell) + 1 == attno) && visit_in(scope, lfirst(cell), visit, walk))
			return true;
	return false;
}

/* Visits the expressions that a column of something other than a table stands for. */
static bool
visit_behind(RangeTblEntry *rte, Scope *scope, AttrNumber attno, Visit visit, Walk *walk)
{
	ListCell   *cell;

	switch (rte->rtekind)
	{
		case RTE_JOIN:
			return visit_items(rte->joinaliasvars, scope, attno, visit, walk);
		case RTE_SUBQUERY:
			return rte->subquery != NULL && visit_column(rte->subquery, scope, attno, visit, walk);
		case RTE_CTE:
			return visit_cte(rte, scope, attno, visit, walk);
		case RTE_VALUES:
			foreach(cell, rte->values_lists)
				if (visit_items(lfirst(cell), scope, attno, visit, walk))
					return true;
			return false;
		case RTE_FUNCTION:
			return visit_in(scope, (Node *) rte->functions, visit, walk);
		case RTE_TABLEFUNC:
			return visit_in(scope, (Node *) rte->tablefunc, visit, walk);
		default:
			return visit_items(WARDEN_GROUP_EXPRESSIONS(rte), scope, attno, visit, walk);
	}
}

static RangeTblEntry *
entry_of(const Var *var, Walk *walk, Scope **scope)
{
	*scope = walk->scope;
	for (Index level = var->varlevelsup; level > 0 && *scope != NULL; level--)
		*scope = (*scope)->outer;
	if (*scope == NULL || var->varno < 1 || var->varno > list_length((*scope)->query->rtable))
		return NULL;
	return rt_fetch(var->varno, (*scope)->query->rtable);
}

/* --- does an expression read a sensitive column? --- */

static bool
touches_var(const Var *var, Walk *walk)
{
	Scope	   *scope;
	RangeTblEntry *rte = entry_of(var, walk, &scope);

	if (rte == NULL || too_far(walk))
		return walk->found->everything;
	if (rte->rtekind == RTE_RELATION)
		return column_is_sensitive(rte->relid, var->varattno);
	return visit_behind(rte, scope, var->varattno, touches, walk);
}

static bool
touches(Node *node, Walk *walk)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return touches_var((Var *) node, walk);
	if (IsA(node, SubLink))
		return touches(((SubLink *) node)->testexpr, walk) ||
			visit_column((Query *) ((SubLink *) node)->subselect, walk->scope, 0, touches, walk);
	return expression_tree_walker(node, touches, walk);
}

/* --- the values in an expression --- */

static bool
redact_var(const Var *var, Walk *walk)
{
	Scope	   *scope;
	RangeTblEntry *rte = entry_of(var, walk, &scope);

	if (rte != NULL && rte->rtekind != RTE_RELATION && !too_far(walk))
		(void) visit_behind(rte, scope, var->varattno, redact, walk);
	return false;
}

static bool
redact(Node *node, Walk *walk)
{
	if (node == NULL)
		return false;
	if (IsA(node, Const))
	{
		if (((Const *) node)->location >= 0)
			walk->found->locations = list_append_unique_int(walk->found->locations, ((Const *) node)->location);
		return false;
	}
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXTERN)
	{
		walk->found->parameters = bms_add_member(walk->found->parameters, ((Param *) node)->paramid);
		return false;
	}
	if (IsA(node, Var))
		return redact_var((Var *) node, walk);
	if (IsA(node, SubLink))
	{
		(void) redact(((SubLink *) node)->testexpr, walk);
		(void) visit_column((Query *) ((SubLink *) node)->subselect, walk->scope, 0, redact, walk);
		return false;
	}
	return expression_tree_walker(node, redact, walk);
}

/* --- judging --- */

static bool
inner_queries(Node *node, Walk *walk)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubLink))
		walk_query((Query *) ((SubLink *) node)->subselect, walk);
	return expression_tree_walker(node, inner_queries, walk);
}

/* Takes an expression apart down to what is judged as one. */
static bool
judge(Node *node, Walk *walk)
{
	if (node == NULL || too_far(walk))
		return false;
	switch (nodeTag(node))
	{
		case T_Query:
			return false;
		case T_List:
		case T_TargetEntry:
		case T_BoolExpr:
		case T_FromExpr:
		case T_JoinExpr:
		case T_RangeTblRef:
		case T_MergeAction:
		case T_OnConflictExpr:
		case T_WindowClause:
			return expression_tree_walker(node, judge, walk);
		default:
			if (touches(node, walk))
				(void) redact(node, walk);
			return inner_queries(node, walk);
	}
}

static bool
is_multiple_assignment(Node *node, void *unused)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_MULTIEXPR)
		return true;
	return expression_tree_walker(node, is_multiple_assignment, unused);
}

/* What is stored into sensitive columns. */
static void
judge_assignments(List *targets, Oid relid, Walk *walk)
{
	bool		multiple = false;
	ListCell   *cell;

	foreach(cell, targets)
	{
		TargetEntry *entry = lfirst(cell);

		if (entry->resjunk || !column_is_sensitive(relid, entry->resno))
			continue;
		(void) redact((Node *) entry->expr, walk);
		multiple |= is_multiple_assignment((Node *) entry->expr, NULL);
	}
	if (!multiple)
		return;
	/* SET (a, b) = (SELECT …): the subquery is an entry of its own */
	foreach(cell, targets)
		if (lfirst_node(TargetEntry, cell)->resjunk)
			(void) redact((Node *) lfirst_node(TargetEntry, cell)->expr, walk);
}

static void
judge_changes(Query *query, Walk *walk)
{
	RangeTblEntry *target;
	ListCell   *cell;

	if (query->resultRelation < 1 || query->resultRelation > list_length(query->rtable))
		return;
	target = rt_fetch(query->resultRelation, query->rtable);
	if (query->commandType == CMD_INSERT || query->commandType == CMD_UPDATE)
		judge_assignments(query->targetList, target->relid, walk);
	if (query->onConflict != NULL)
		judge_assignments(query->onConflict->onConflictSet, target->relid, walk);
	foreach(cell, query->mergeActionList)
		judge_assignments(lfirst_node(MergeAction, cell)->targetList, target->relid, walk);
}

static void
walk_entry(RangeTblEntry *rte, Walk *walk)
{
	ListCell   *cell;

	switch (rte->rtekind)
	{
		case RTE_SUBQUERY:
			if (rte->subquery != NULL)
				walk_query(rte->subquery, walk);
			break;
		case RTE_FUNCTION:
			foreach(cell, rte->functions)
				(void) judge(lfirst_node(RangeTblFunction, cell)->funcexpr, walk);
			break;
		case RTE_TABLEFUNC:
			(void) judge((Node *) rte->tablefunc, walk);
			break;
		case RTE_VALUES:
			(void) judge((Node *) rte->values_lists, walk);
			break;
		default:
			break;
	}
	(void) judge((Node *) rte->securityQuals, walk);
}

/* The columns of UNION, INTERSECT and EXCEPT: the parts are compared with each other. */
static void
judge_set_operation(Query *query, Walk *walk)
{
	ListCell   *cell;

	foreach(cell, query->targetList)
	{
		AttrNumber	column = lfirst_node(TargetEntry, cell)->resno;

		if (visit_column(query, walk->scope, column, touches, walk))
			(void) visit_column(query, walk->scope, column, redact, walk);
	}
}

static void
walk_query(Query *query, Walk *walk)
{
	Scope		here = {query, walk->scope};
	ListCell   *cell;

	if (too_far(walk))
		return;
	if (query->setOperations != NULL)
		judge_set_operation(query, walk);
	walk->scope = &here;
	judge_changes(query, walk);
	(void) judge((Node *) query->targetList, walk);
	(void) judge((Node *) query->returningList, walk);
	(void) judge((Node *) query->jointree, walk);
	(void) judge(query->havingQual, walk);
	(void) judge(query->limitOffset, walk);
	(void) judge(query->limitCount, walk);
	(void) judge((Node *) query->windowClause, walk);
	(void) judge((Node *) query->onConflict, walk);
	(void) judge((Node *) query->mergeActionList, walk);
	(void) judge(WARDEN_MERGE_CONDITION(query), walk);
	foreach(cell, query->rtable)
		walk_entry(lfirst(cell), walk);
	foreach(cell, query->cteList)
		walk_query((Query *) lfirst_node(CommonTableExpr, cell)->ctequery, walk);
	walk->scope = here.outer;
}

static bool
has_sensitive_relation(Node *node, void *unused)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
		return ((RangeTblEntry *) node)->rtekind == RTE_RELATION && column_is_sensitive(((RangeTblEntry *) node)->relid, 0);
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, has_sensitive_relation, unused, QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, has_sensitive_relation, unused);
}

void
warden_redaction_find(WardenRedaction *redaction, Query *query)
{
	Walk		walk = {.found = redaction};

	if (anything_sensitive() && has_sensitive_relation((Node *) query, NULL))
		walk_query(query, &walk);
}

/* --- in the plan --- */

static bool
is_empty(const WardenRedaction *redaction)
{
	return redaction->locations == NIL && redaction->parameters == NULL && !redaction->everything;
}

/* An entry at the end of the plan's range table that nothing refers to carries the stamp. */
void
warden_redaction_note(PlannedStmt *plan, const WardenRedaction *redaction)
{
	RangeTblEntry *carrier;
	StringInfoData text;
	ListCell   *cell;
	int			number = -1;

	if (is_empty(redaction))
		return;
	initStringInfo(&text);
	if (redaction->everything)
		appendStringInfoChar(&text, '*');
	foreach(cell, redaction->locations)
		appendStringInfo(&text, "@%d", lfirst_int(cell));
	while ((number = bms_next_member(redaction->parameters, number)) >= 0)
		appendStringInfo(&text, "$%d", number);
	carrier = makeNode(RangeTblEntry);
	carrier->rtekind = RTE_RESULT;
	carrier->eref = makeAlias("*RESULT*", NIL);
	warden_stamp_set(carrier, WARDEN_STAMP_REDACTED, text.data);
	plan->rtable = lappend(plan->rtable, carrier);
}

void
warden_redaction_of_plan(WardenRedaction *redaction, const PlannedStmt *plan)
{
	RangeTblEntry *carrier = plan->rtable != NIL ? llast(plan->rtable) : NULL;
	MemoryContext caller;
	const char *stamp;
	int			length = 0;

	memset(redaction, 0, sizeof(*redaction));
	if (carrier == NULL || carrier->rtekind != RTE_RESULT ||
		(stamp = warden_stamp(carrier, WARDEN_STAMP_REDACTED, &length)) == NULL)
		return;
	caller = MemoryContextSwitchTo(warden_statement_memory());
	for (int i = 0; i < length; i++)
	{
		if (stamp[i] == '*')
			redaction->everything = true;
		else if (stamp[i] == '@')
			redaction->locations = lappend_int(redaction->locations, atoi(stamp + i + 1));
		else if (stamp[i] == '$')
			redaction->parameters = bms_add_member(redaction->parameters, atoi(stamp + i + 1));
	}
	MemoryContextSwitchTo(caller);
}

static int
ascending(const void *a, const void *b)
{
	return *(const int32_t *) a < *(const int32_t *) b ? -1 : *(const int32_t *) a > *(const int32_t *) b;
}

void
warden_redaction_apply(WardenSource *source, const WardenRedaction *redaction)
{
	int32_t    *places;
	int			count = 0;
	ListCell   *cell;

	/* as if it had a secret: no literal of it is stored */
	source->has_secret |= redaction->everything;
	if (redaction->locations == NIL)
		return;
	places = palloc(sizeof(int32_t) * list_length(redaction->locations));
	foreach(cell, redaction->locations)
		if (lfirst_int(cell) >= source->offset && lfirst_int(cell) < source->offset + source->length)
			places[count++] = lfirst_int(cell) - source->offset;
	qsort(places, count, sizeof(int32_t), ascending);
	source->redacted = places;
	source->redacted_count = count;
}

/* --- utility statements that hold a query --- */

static bool
raw_literals(Node *node, WardenRedaction *redaction)
{
	if (node == NULL)
		return false;
	if (IsA(node, A_Const) && ((A_Const *) node)->location >= 0)
		redaction->locations = lappend_int(redaction->locations, ((A_Const *) node)->location);
	return raw_expression_tree_walker(node, raw_literals, redaction);
}

/* The arguments of EXECUTE for parameters that the prepared statement uses for sensitive columns. */
static void
find_in_execute(WardenRedaction *redaction, const ExecuteStmt *stmt)
{
	PreparedStatement *prepared = FetchPreparedStatement(stmt->name, false);
	WardenRedaction inner = {0};
	ListCell   *cell;

	if (prepared == NULL)
		return;
	foreach(cell, prepared->plansource->query_list)
		warden_redaction_find(&inner, lfirst(cell));
	foreach(cell, stmt->params)
		if (inner.everything || bms_is_member(foreach_current_index(cell) + 1, inner.parameters))
			(void) raw_literals(lfirst(cell), redaction);
}

static void
find_in_rewritten(WardenRedaction *redaction, List *queries)
{
	ListCell   *cell;

	foreach(cell, queries)
		warden_redaction_find(redaction, lfirst(cell));
}

static RawStmt *
raw_statement(Node *raw, const PlannedStmt *pstmt)
{
	RawStmt    *statement = makeNode(RawStmt);

	statement->stmt = copyObject(raw);
	statement->stmt_location = pstmt->stmt_location;
	statement->stmt_len = pstmt->stmt_len;
	return statement;
}

static void
find_in_prepare(WardenRedaction *redaction, const PrepareStmt *stmt, const PlannedStmt *pstmt, const char *text)
{
	int			count = list_length(stmt->argtypes);
	Oid		   *types = palloc(sizeof(Oid) * Max(count, 1));
	ListCell   *cell;

	foreach(cell, stmt->argtypes)
		types[foreach_current_index(cell)] = typenameTypeId(NULL, lfirst(cell));
	find_in_rewritten(redaction, pg_analyze_and_rewrite_varparams(raw_statement(stmt->query, pstmt), text, &types, &count,
																  NULL));
}

static void
find_in_raw(WardenRedaction *redaction, Node *raw, const PlannedStmt *pstmt, const char *text)
{
	if (raw != NULL)
		find_in_rewritten(redaction, pg_analyze_and_rewrite_fixedparams(raw_statement(raw, pstmt), text, NULL, 0, NULL));
}

static void find_in_utility(WardenRedaction *redaction, Node *utility, const PlannedStmt *pstmt, const char *text);

static void
find_in_query(WardenRedaction *redaction, Node *node, const PlannedStmt *pstmt, const char *text)
{
	Query	   *query = (Query *) node;

	if (!IsA(node, Query))
		find_in_raw(redaction, node, pstmt, text);
	else if (query->commandType == CMD_UTILITY)
		find_in_utility(redaction, query->utilityStmt, pstmt, text);
	else
		find_in_rewritten(redaction, QueryRewrite(copyObject(query)));
}

static void
find_in_utility(WardenRedaction *redaction, Node *utility, const PlannedStmt *pstmt, const char *text)
{
	switch (nodeTag(utility))
	{
		case T_ExecuteStmt:
			find_in_execute(redaction, (ExecuteStmt *) utility);
			break;
		case T_PrepareStmt:
			find_in_prepare(redaction, (PrepareStmt *) utility, pstmt, text);
			break;
		case T_ExplainStmt:
			find_in_query(redaction, ((ExplainStmt *) utility)->query, pstmt, text);
			break;
		case T_DeclareCursorStmt:
			find_in_query(redaction, ((DeclareCursorStmt *) utility)->query, pstmt, text);
			break;
		case T_CreateTableAsStmt:
			find_in_query(redaction, ((CreateTableAsStmt *) utility)->query, pstmt, text);
			break;
		case T_CopyStmt:
			find_in_raw(redaction, ((CopyStmt *) utility)->query, pstmt, text);
			break;
		case T_ViewStmt:
			find_in_raw(redaction, ((ViewStmt *) utility)->query, pstmt, text);
			break;
		default:
			break;
	}
}

/* An error that the statement makes by what it says: nothing is left behind by the attempt. */
static bool
is_of_the_text(int sqlstate)
{
	return ERRCODE_TO_CATEGORY(sqlstate) == ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION ||
		ERRCODE_TO_CATEGORY(sqlstate) == ERRCODE_DATA_EXCEPTION;
}

/*
 * An error here is the statement's own, which it will raise when it runs, and is recorded then. Until then nothing is
 * known of its literals: none is stored.
 */
void
warden_redaction_of_utility(WardenSource *source, const PlannedStmt *pstmt, const char *text)
{
	MemoryContext caller = CurrentMemoryContext;
	WardenRedaction redaction = {0};
	WardenFrame frame;

	if (!anything_sensitive())
		return;
	warden_frame_enter(&frame, NULL, NULL);
	PG_TRY();
	{
		find_in_utility(&redaction, pstmt->utilityStmt, pstmt, text);
	}
	PG_CATCH();
	{
		if (!is_of_the_text(geterrcode()))
		{
			warden_frame_leave(&frame);
			PG_RE_THROW();
		}
		MemoryContextSwitchTo(caller);
		FlushErrorState();
		redaction.everything = true;
	}
	PG_END_TRY();
	warden_frame_leave(&frame);
	warden_redaction_apply(source, &redaction);
}
