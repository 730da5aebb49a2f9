/*
 * Masking. After analysis and rewriting, when views, rules and row security are in the query tree and nothing has
 * executed yet, every read of a masked relation becomes a read of a subquery: the relation's masking view, applied
 * as the server applies a view (its rewriter's ApplyRetrieveRule), with the permissions of the original reference.
 */
#include "lineage.h"
#include "masking.h"
#include "mask_call.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/value.h"
#include "optimizer/optimizer.h"
#include "optimizer/planner.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "tcop/tcopprot.h"
#include "rewrite/rewriteManip.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

static planner_hook_type previous_planner = NULL;

/* Set on the inner reference of a redirected relation. */
static bool
is_redirected(RangeTblEntry *rte)
{
	int			length;

	return warden_stamp(rte, WARDEN_STAMP_MASK, &length) != NULL;
}

/* A digit per masked column of the relation: 1 where the session sees it masked. */
static char *
redirection_mark(const WardenRelation *relation, const bool *masked)
{
	char	   *mark = palloc(relation->masked_count + 1);

	for (int i = 0; i < relation->masked_count; i++)
		mark[i] = masked[i] ? '1' : '0';
	mark[relation->masked_count] = '\0';
	return mark;
}

bool
warden_rte_fits(RangeTblEntry *rte, WardenRelation *relation)
{
	bool		masked[MaxHeapAttributeNumber];
	int			length;
	const char *digits = warden_stamp(rte, WARDEN_STAMP_MASK, &length);

	/* the body of a masking view masks every masked column for whoever reads it */
	if (digits != NULL && length == (int) strlen(WARDEN_STAMP_MASKING_VIEW) &&
		strncmp(digits, WARDEN_STAMP_MASKING_VIEW, length) == 0)
		return true;
	if (!warden_columns_masked(relation, masked))
		return digits == NULL;
	if (digits == NULL || length != relation->masked_count)
		return false;
	for (int i = 0; i < relation->masked_count; i++)
		if ((digits[i] == '1') != masked[i])
			return false;
	return true;
}

/* Adds what the current user sees masked; how many were added. */
static int64
masked_for_current_user(WardenRelation *relation, TimestampTz at, bool *masked)
{
	WardenSession session = warden_session;
	bool		mine[MaxHeapAttributeNumber];
	int64		added = 0;
	int64_t		count;

	session.role_oid = GetUserId();
	session.superuser = superuser_arg(session.role_oid);
	session.role_memberships = warden_memberships(session.role_oid, &session.role_membership_count);
	SWIFT_GET(count, warden_masked_columns(&session, &relation->object,
										   has_privs_of_role(session.role_oid, relation->owner), at,
										   relation->masked, relation->masked_count, mine));
	for (int i = 0; count > 0 && i < relation->masked_count; i++)
		if (mine[i] && !masked[i])
		{
			masked[i] = true;
			added++;
		}
	return added;
}

static bool
masked_for_session(WardenRelation *relation, TimestampTz at, bool *masked)
{
	int64_t		count;
	bool		owner;

	if (relation->masked_count == 0)
		return false;
	warden_session_refresh();
	owner = has_privs_of_role(warden_session.role_oid, relation->owner);
	SWIFT_GET(count, warden_masked_columns(&warden_session, &relation->object, owner, at,
										   relation->masked, relation->masked_count, masked));
	/*
	 * REFRESH, ANALYZE and CREATE INDEX run code of the table's owner, as the owner, for whoever calls them: it sees
	 * no more than the owner does.
	 */
	if (InSecurityRestrictedOperation() && GetUserId() != warden_session.role_oid)
		count += masked_for_current_user(relation, at, masked);
	return count > 0;
}

/* Which of relation->masked does the session see masked? False where it sees all of them real. */
bool
warden_columns_masked(WardenRelation *relation, bool *masked)
{
	/* foreign-key checks compare real values, whoever causes them */
	return !InNoForceRLSOperation() && masked_for_session(relation, GetCurrentTimestamp(), masked);
}

/* Will the session see more of the relation masked when every exemption that ends has ended? */
static bool
is_shown_for_a_while(WardenRelation *relation, const bool *masked)
{
	bool		later[MaxHeapAttributeNumber];

	if (warden_last_expiry == 0 || InNoForceRLSOperation() ||
		!masked_for_session(relation, warden_last_expiry + 1, later))
		return false;
	for (int i = 0; i < relation->masked_count; i++)
		if (later[i] != masked[i])
			return true;
	return false;
}

bool
warden_sees_masks_of(WardenRelation *relation)
{
	bool		masked[MaxHeapAttributeNumber];

	return masked_for_session(relation, GetCurrentTimestamp(), masked);
}

/* --- the masking expression of a column --- */

static Relation
open_mask_view(Oid relid)
{
	char	   *name = pstrdup(warden_mask_view_name(relid));
	/* looks again after waiting for DDL that makes the view anew */
	Oid			view = RangeVarGetRelid(makeRangeVar(pstrdup("warden_views"), name, -1), AccessShareLock, true);

	if (!OidIsValid(view))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("masked table \"%s\" cannot be read: its masking view is missing", get_rel_name(relid)),
				 errdetail("Masked columns are read through it alone."),
				 errhint("A member of warden_admin can make it anew: call warden.mask() for one of its columns.")));
	return table_open(view, NoLock);
}

typedef struct Renumber
{
	AttrNumber	attno;
} Renumber;

static Node *
to_column(Node *node, Renumber *renumber)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		Var		   *var = copyObject((Var *) node);

		/* a mask is an expression over its own column alone */
		var->varno = 1;
		var->varattno = renumber->attno;
		var->varnosyn = 1;
		var->varattnosyn = renumber->attno;
		return (Node *) var;
	}
	return expression_tree_mutator(node, to_column, renumber);
}

/* The view's expression for a column of that name, over column `attno` of the relation to be read. */
static Node *
mask_expression(Oid source, const char *column, AttrNumber attno)
{
	Relation	view = open_mask_view(source);
	Query	   *query = warden_mask_view_query(view, source);
	Renumber	renumber = {attno};
	Node	   *expression = NULL;
	ListCell   *cell;

	foreach(cell, query->targetList)
	{
		TargetEntry *entry = lfirst(cell);

		if (!entry->resjunk && strcmp(entry->resname, column) == 0)
			expression = to_column((Node *) entry->expr, &renumber);
	}
	table_close(view, AccessShareLock);
	/* a bare column would be the real value */
	if (expression == NULL || IsA(expression, Var))
		elog(ERROR, "pg_warden: the masking view of relation %u does not mask column \"%s\"", source, column);
	return warden_mask_calls(expression);
}

/* Whose mask holds for the column: the relation's own, else an ancestor's. */
static Oid
mask_source(const WardenRelation *relation, AttrNumber attno, const char *column)
{
	for (int i = 0; i < warden_mask_count; i++)
		if (warden_masks[i].relation == relation->oid && warden_masks[i].column == attno)
			return relation->oid;
	for (int i = 0; i < warden_mask_count; i++)
		for (int64_t a = 0; a < relation->object.ancestor_count; a++)
			if (warden_masks[i].relation == relation->object.ancestors[a] &&
				warden_masks[i].column == get_attnum(warden_masks[i].relation, column))
				return warden_masks[i].relation;
	return InvalidOid;
}

WardenMaskEntry
warden_mask_of_column(Oid relid, AttrNumber attno)
{
	WardenRelation *relation = warden_relation(relid);
	char	   *column = warden_column_name(relid, attno);
	Oid			source = relation != NULL && column != NULL ? mask_source(relation, attno, column) : InvalidOid;

	return (WardenMaskEntry) {.relation = source, .column = OidIsValid(source) ? get_attnum(source, column) : 0};
}

bool
warden_column_is_masked(const WardenRelation *relation, const bool *masked, AttrNumber attno)
{
	for (int i = 0; i < relation->masked_count; i++)
		if (relation->masked[i] == attno)
			return masked[i];
	return false;
}

Node *
warden_masked_column(const WardenRelation *relation, const bool *masked, Form_pg_attribute attribute)
{
	Oid			source;

	/* a dropped column keeps its place, so that attribute numbers stay what they are */
	if (attribute->attisdropped)
		return (Node *) makeNullConst(INT4OID, -1, InvalidOid);
	if (!warden_column_is_masked(relation, masked, attribute->attnum))
		return (Node *) makeVar(1, attribute->attnum, attribute->atttypid, attribute->atttypmod,
								attribute->attcollation, 0);
	source = mask_source(relation, attribute->attnum, NameStr(attribute->attname));
	if (!OidIsValid(source))
		elog(ERROR, "pg_warden: column \"%s\" is masked by no policy", NameStr(attribute->attname));
	return mask_expression(source, NameStr(attribute->attname), attribute->attnum);
}

static List *
target_list(const WardenRelation *relation, const bool *masked)
{
	Relation	rel = table_open(relation->oid, NoLock);
	TupleDesc	desc = RelationGetDescr(rel);
	List	   *list = NIL;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		Node	   *expression = warden_masked_column(relation, masked, attribute);

		list = lappend(list, makeTargetEntry((Expr *) expression, (AttrNumber) (i + 1),
											 pstrdup(NameStr(attribute->attname)), false));
	}
	table_close(rel, NoLock);
	return list;
}

/* --- system columns: further entries of the subquery, for those in use --- */

typedef struct SystemColumns
{
	Index		rti;
	int			level;
	Query	   *sub;
	RangeTblEntry *rte;			/* the reference that becomes the subquery */
	AttrNumber	entry[-FirstLowInvalidHeapAttributeNumber];
} SystemColumns;

static AttrNumber
system_entry(SystemColumns *columns, Var *var)
{
	int			index = -var->varattno;

	if (columns->entry[index] == 0)
	{
		Var		   *inner = makeVar(1, var->varattno, var->vartype, var->vartypmod, var->varcollid, 0);
		AttrNumber	resno = (AttrNumber) (list_length(columns->sub->targetList) + 1);

		/* junk, so that the whole row is the table's columns alone; named, so that the planner counts it */
		columns->sub->targetList = lappend(columns->sub->targetList,
										   makeTargetEntry((Expr *) inner, resno, psprintf("system_%d", index),
														   true));
		columns->rte->eref->colnames = lappend(columns->rte->eref->colnames,
											   makeString(psprintf("system_%d", index)));
		columns->entry[index] = resno;
	}
	return columns->entry[index];
}

static bool
redirect_system_columns(Node *node, SystemColumns *columns)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		if (var->varno == (int) columns->rti && (int) var->varlevelsup == columns->level && var->varattno < 0)
			var->varattno = system_entry(columns, var);
		return false;
	}
	if (IsA(node, Query))
	{
		bool		result;

		columns->level++;
		result = query_tree_walker((Query *) node, redirect_system_columns, columns, 0);
		columns->level--;
		return result;
	}
	return expression_tree_walker(node, redirect_system_columns, columns);
}

/* --- the substitution --- */

/* FOR UPDATE and the like lock the rows inside. */
static void
move_row_mark(Query *query, Index rti, Query *sub)
{
	ListCell   *cell;

	foreach(cell, query->rowMarks)
	{
		RowMarkClause *mark = lfirst(cell);
		RowMarkClause *inner;

		if (mark->rti != rti)
			continue;
		inner = copyObject(mark);
		inner->rti = 1;
		inner->pushedDown = true;
		sub->rowMarks = list_make1(inner);
		sub->hasForUpdate = true;
	}
}

static Query *
subquery_over(Query *query, Index rti, RangeTblEntry *rte, const WardenRelation *relation, const bool *masked)
{
	Query	   *sub = makeNode(Query);
	RangeTblEntry *inner = copyObject(rte);
	RangeTblRef *reference = makeNode(RangeTblRef);

	warden_stamp_set(inner, WARDEN_STAMP_MASK, redirection_mark(relation, masked));
	inner->inFromCl = true;
	inner->lateral = false;
	/* row security of the relation now refers to the subquery's only range table entry */
	ChangeVarNodes((Node *) inner->securityQuals, (int) rti, 1, 0);
	IncrementVarSublevelsUp((Node *) inner->tablesample, 1, 0);
	reference->rtindex = 1;
	sub->commandType = CMD_SELECT;
	sub->querySource = QSRC_ORIGINAL;
	sub->canSetTag = true;
	sub->rtable = list_make1(inner);
	sub->jointree = makeFromExpr(list_make1(reference), NULL);
	sub->hasRowSecurity = query->hasRowSecurity;
	sub->hasSubLinks = inner->securityQuals != NIL;
	sub->targetList = target_list(relation, masked);
	warden_move_permissions(query, rte, sub, inner);
	move_row_mark(query, rti, sub);
	return sub;
}

static void
redirect(Query *query, Index rti, RangeTblEntry *rte, const WardenRelation *relation, const bool *masked)
{
	Query	   *sub = subquery_over(query, rti, rte, relation, masked);
	SystemColumns columns = {.rti = rti, .level = 0, .sub = sub, .rte = rte};

	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = NULL;
	rte->security_barrier = false;
	/* relid stays: whole-row references to the table keep its row type */
	rte->relkind = 0;
	rte->rellockmode = 0;
	rte->lateral = rte->tablesample != NULL;
	rte->tablesample = NULL;
	rte->inh = false;
	rte->securityQuals = NIL;
	(void) query_tree_walker(query, redirect_system_columns, &columns, 0);
	rte->subquery = sub;
}

/* The query being planned tries an expression that is to become a mask. */
static bool planning_mask_trial = false;

bool		warden_mask_trial = false;

/* --- the walk --- */

/* The body of one of our own masking views, read by its own name. */
static bool
is_mask_view_body(RangeTblEntry *rte)
{
	Oid			view = WARDEN_VIEW_OF(rte);

	return OidIsValid(view) && get_rel_namespace(view) == warden_catalog.views;
}

static bool redirect_query(Node *node, bool *maskable);

static void
mark_mask_view_body(Query *body, bool *maskable)
{
	ListCell   *cell;

	*maskable = true;
	body->targetList = (List *) warden_mask_calls((Node *) body->targetList);
	/* row security of the table may read others */
	(void) range_table_walker(body->rtable, redirect_query, maskable, QTW_IGNORE_RT_SUBQUERIES);
	foreach(cell, body->rtable)
	{
		RangeTblEntry *rte = lfirst(cell);

		if (rte->rtekind == RTE_RELATION && rte->relkind != RELKIND_VIEW)
			warden_stamp_set(rte, WARDEN_STAMP_MASK, WARDEN_STAMP_MASKING_VIEW);
	}
}

static bool redirect_query(Node *node, bool *maskable);

static bool
is_excluded_row(Query *query, Index rti)
{
	return query->onConflict != NULL && query->onConflict->exclRelIndex == (int) rti;
}

/* Does the session see any column of any table masked? */
bool
warden_anything_masked(void)
{
	bool		masked[MaxHeapAttributeNumber];

	for (int i = 0; i < warden_mask_count; i++)
	{
		WardenRelation *source = warden_relation(warden_masks[i].relation);

		if (source != NULL && warden_columns_masked(source, masked))
			return true;
	}
	return false;
}

void
warden_refuse_statistics(const WardenRelation *relation)
{
	if ((relation->object.flags & WARDEN_OBJECT_STATISTICS) && warden_anything_masked())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("\"%s\" is not shown to sessions that see masked values", get_rel_name(relation->oid)),
				 errdetail("It holds real values of masked columns."),
				 errhint("A member of warden_admin can exempt you with warden.exempt().")));
}

/* What the query being planned reads is seen real by an exemption that ends. */
static bool ends_by_itself = false;

static void
redirect_relation(Query *query, Index rti, RangeTblEntry *rte, bool *maskable)
{
	bool		masked[MaxHeapAttributeNumber];
	WardenRelation *relation;

	if (rte->relkind == RELKIND_VIEW || rte->relkind == RELKIND_COMPOSITE_TYPE || is_excluded_row(query, rti) ||
		is_redirected(rte))
		return;
	relation = warden_relation(rte->relid);
	if (relation == NULL)
		return;
	if ((relation->object.flags & WARDEN_OBJECT_STATISTICS) && !warden_statistics_filter(query, rti, rte))
		warden_refuse_statistics(relation);
	if (!relation->maskable)
		return;
	*maskable = true;
	if (!warden_columns_masked(relation, masked))
		memset(masked, 0, sizeof(bool) * relation->masked_count);
	ends_by_itself |= is_shown_for_a_while(relation, masked);
	/* one that is changed is for warden_masked_writes */
	if (query->resultRelation != (int) rti && memchr(masked, true, relation->masked_count) != NULL)
		redirect(query, rti, rte, relation, masked);
}

static void
redirect_range_table(Query *query, bool *maskable)
{
	/* the list does not grow: subqueries have range tables of their own */
	int			count = list_length(query->rtable);

	for (int rti = 1; rti <= count; rti++)
	{
		RangeTblEntry *rte = rt_fetch(rti, query->rtable);

		if (rte->rtekind == RTE_RELATION)
			redirect_relation(query, (Index) rti, rte, maskable);
		else if (rte->rtekind == RTE_FUNCTION)
			warden_statements_hide(rte);
		else if (rte->rtekind == RTE_SUBQUERY && is_mask_view_body(rte))
			mark_mask_view_body(rte->subquery, maskable);
		else if (rte->rtekind == RTE_SUBQUERY)
			(void) redirect_query((Node *) rte->subquery, maskable);
	}
}

/*
 * A mask that a masked subject could feed with values of its own choice would tell which value a masked one is. Masking
 * views hold the only calls; their bodies are not walked.
 */
static void
refuse_mask_call(FuncExpr *call)
{
	WardenFunction *function;

	if (call->funcid < FirstNormalObjectId || warden_session.superuser || planning_mask_trial)
		return;
	function = warden_function(call->funcid);
	if (function != NULL && function->is_mask)
		warden_refuse_mask_call(call->funcid);
}

static void
look_at_call(FuncExpr *call, bool *maskable)
{
	refuse_mask_call(call);
	warden_statement_of_backend(call);
	if (unlikely(warden_tells_statements(call->funcid)))
	{
		/* planned for a session that sees no masks, it is planned again for one that does */
		*maskable = true;
		warden_statements_refuse(call->funcid);
	}
}

static bool
redirect_query(Node *node, bool *maskable)
{
	if (node == NULL)
		return false;
	if (IsA(node, FuncExpr))
		look_at_call((FuncExpr *) node, maskable);
	/* in FROM, their texts are hidden below */
	if (IsA(node, RangeTblFunction) && warden_is_statements_call(((RangeTblFunction *) node)->funcexpr))
		return redirect_query((Node *) ((FuncExpr *) ((RangeTblFunction *) node)->funcexpr)->args, maskable);
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;
		bool		result;

		check_stack_depth();
		/* below first: a subquery made here is not walked again */
		result = query_tree_walker(query, redirect_query, maskable, QTW_IGNORE_RT_SUBQUERIES);
		redirect_range_table(query, maskable);
		return result;
	}
	return expression_tree_walker(node, redirect_query, maskable);
}

static PlannedStmt *
pass_to_planner(Query *parse, const char *query_string, int cursor_options, ParamListInfo params)
{
	if (previous_planner)
		return previous_planner(parse, query_string, cursor_options, params);
	return standard_planner(parse, query_string, cursor_options, params);
}

static PlannedStmt *
plan_masked(Query *parse, const char *query_string, int cursor_options, ParamListInfo params,
			const WardenRedaction *redaction)
{
	PlannedStmt *plan;
	List	   *inflows;
	bool		maskable = false;
	bool		ends_here;

	planning_mask_trial = warden_mask_trial;
	warden_mask_trial = false;
	warden_via_stamp(parse);
	/* before it is redirected: what a session sees masked cannot be told from a column afterwards */
	inflows = warden_inflows_planned(parse, params);
	warden_mask_needs_subtransaction = ends_by_itself = false;
	if (warden_any_masks)
	{
		warden_session_refresh();
		(void) redirect_query((Node *) parse, &maskable);
		if (maskable)
			warden_masked_writes(parse, &(WardenPlanning) {query_string, *redaction});
	}
	ends_here = ends_by_itself;
	/* parallel operations know no subtransactions */
	if (warden_mask_needs_subtransaction)
		cursor_options &= ~CURSOR_OPT_PARALLEL_OK;
	plan = pass_to_planner(parse, query_string, cursor_options, params);
	warden_inflows_note(plan, inflows);
	warden_redaction_note(plan, redaction);
	/* the plan cache plans again for another role */
	if (maskable)
		plan->dependsOnRole = true;
	/* a cached plan is taken before any hook could see that the exemption has ended: none is kept meanwhile */
	if (ends_here)
		ResetPlanCache();
	return plan;
}

static PlannedStmt *
warden_planner(Query *parse, const char *query_string, int cursor_options, ParamListInfo params)
{
	PlannedStmt *plan;
	WardenFrame frame;
	WardenRedaction redaction = {0};

	if (!warden_governed())
		return pass_to_planner(parse, query_string, cursor_options, params);
	warden_pending_record();
	warden_reached_planning();
	warden_frame_enter(&frame, NULL, query_string);
	PG_TRY();
	{
		warden_redaction_find(&redaction, parse);
		warden_mark_null_tests(parse);
		plan = plan_masked(parse, query_string, cursor_options, params, &redaction);
	}
	PG_CATCH();
	{
		warden_planning_failed(&frame, parse, &redaction);
		PG_RE_THROW();
	}
	PG_END_TRY();
	warden_frame_leave(&frame);
	return plan;
}

void
warden_masking_install(void)
{
	previous_planner = planner_hook;
	planner_hook = warden_planner;
}
