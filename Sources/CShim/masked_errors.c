/*
 * Errors of sessions that see masks. The server's own errors repeat real values: "Key (email)=(…) already exists",
 * "Failing row contains (…)", invalid input syntax … of an expression over a stored row. Their texts
 * are replaced where the error is raised, by the last entry of the error context stack (failures.c): before an
 * exception handler, the log or the client reads them. Code, message, and the names of table, column and constraint
 * stay.
 *
 * Inside an error no catalog is asked: that a session sees masks of what a statement changes, or reads past row
 * security, is noted when the statement starts, for the transaction. Deferred constraints speak at its end.
 */
#include "shim.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "parser/parsetree.h"
#include "utils/elog.h"
#include "utils/memutils.h"

/* The server computes with real values that the session is not to see, in this transaction. */
static bool real_values = false;

/* Of the error that was raised last, the message is hidden, and its context is to be. */
static bool context_hidden = false;

/* --- what is noted --- */

static bool
sees_masks(Oid relid)
{
	WardenRelation *relation = warden_relation(relid);

	return relation != NULL && relation->maskable && relation->relkind != RELKIND_VIEW &&
		warden_sees_masks_of(relation);
}

/* Policies of row security are asked about real rows, as the table's owner wrote them. */
static bool
computes_with_real_values(const PlannedStmt *plan, RangeTblEntry *rte, int rti)
{
	WardenRelation *relation;

	if (rte->rtekind != RTE_RELATION)
		return false;
	if (list_member_int(plan->resultRelations, rti))
		return sees_masks(rte->relid);
	relation = warden_relation(rte->relid);
	return relation != NULL && relation->row_security && sees_masks(rte->relid);
}

void
warden_masked_errors_plan(const PlannedStmt *plan)
{
	ListCell   *cell;

	if (likely(!warden_any_masks) || real_values)
		return;
	foreach(cell, plan->rtable)
		real_values = real_values ||
			computes_with_real_values(plan, lfirst(cell), foreach_current_index(cell) + 1);
}

/* These read whole tables, whoever calls them: a right to maintain, or a function of the owner, is enough. */
static bool
reads_tables(const Node *utility)
{
	switch (nodeTag(utility))
	{
		case T_AlterTableStmt:
		case T_ClusterStmt:
		case T_ConstraintsSetStmt:
		case T_IndexStmt:
		case T_RefreshMatViewStmt:
		case T_ReindexStmt:
		case T_VacuumStmt:
			return true;
		default:
			return false;
	}
}

static bool
copies_into_masked(const CopyStmt *stmt)
{
	Oid			relid = stmt->is_from && stmt->relation ? RangeVarGetRelid(stmt->relation, NoLock, true) : InvalidOid;

	return OidIsValid(relid) && sees_masks(relid);
}

void
warden_masked_errors_utility(const Node *utility)
{
	if (likely(!warden_any_masks) || real_values)
		return;
	real_values = IsA(utility, CopyStmt) ? copies_into_masked((const CopyStmt *) utility) :
		reads_tables(utility) && warden_anything_masked();
}

static void
transaction_event(XactEvent event, void *arg)
{
	(void) arg;
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		real_values = false;
}

void
warden_masked_errors_install(void)
{
	RegisterXactCallback(transaction_event, NULL);
}

/* --- the error at hand --- */

/*
 * Templates of messages of class 22 whose places hold no value. A message that is all place is a text that somebody
 * wrote for people: RAISE of a trigger, a message of ours.
 */
static const char *const harmless[] = {
	"%s",
	"invalid input syntax for type %s",
	"value too long for type character varying(%d)",
	"value too long for type character(%d)",
};

static bool
may_hold_values(const char *template)
{
	if (template == NULL)
		return true;
	for (int i = 0; i < (int) lengthof(harmless); i++)
		if (strcmp(template, harmless[i]) == 0)
			return false;
	return strchr(template, '%') != NULL;
}

/* It points into the statement that the client has sent: what it repeats is from there. */
static bool
is_about_own_text(void)
{
	return geterrposition() > 0 && getinternalerrposition() == 0;
}

static void
hide_details(const ErrorData *error)
{
	if (error == NULL || error->detail != NULL)
		errdetail_internal("%s", dgettext(TEXTDOMAIN, gettext_noop("Values are not shown to sessions that see masks.")));
	if (error == NULL || error->detail_log != NULL)
		errdetail_log("%s", "pg_warden: values are not shown");
}

static void
hide_message(const ErrorData *error)
{
	if (error == NULL || may_hold_values(error->message_id))
		errmsg_internal("%s", dgettext(TEXTDOMAIN,
									   gettext_noop("a value does not fit the expression that is computed with it")));
	internalerrquery(NULL);
	internalerrposition(0);
}

/*
 * Errors of class 22 are about values. So are those, of a plan that runs, that look for something by a name: casts to
 * regclass and the like, parsers of search expressions.
 */
static bool
is_about_a_value(int sqlstate)
{
	switch (sqlstate)
	{
		case ERRCODE_SYNTAX_ERROR:
		case ERRCODE_INVALID_NAME:
		case ERRCODE_INVALID_SCHEMA_NAME:
		case ERRCODE_UNDEFINED_COLUMN:
		case ERRCODE_UNDEFINED_FUNCTION:
		case ERRCODE_UNDEFINED_OBJECT:
		case ERRCODE_UNDEFINED_TABLE:
			return warden_execution_depth > 0;
		default:
			return ERRCODE_TO_CATEGORY(sqlstate) == ERRCODE_DATA_EXCEPTION;
	}
}

void
warden_masked_error_hide(void)
{
	int			category;

	context_hidden = false;
	if (likely(!real_values))
		return;
	category = ERRCODE_TO_CATEGORY(geterrcode());
	if (category == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION || category == ERRCODE_WITH_CHECK_OPTION_VIOLATION)
		hide_details(warden_error_at_hand());
	else if (is_about_a_value(geterrcode()) && !is_about_own_text())
	{
		const ErrorData *error = warden_error_at_hand();

		hide_details(error);
		hide_message(error);
		context_hidden = true;
	}
}

/*
 * The context of an error can be added to where it is raised, not taken away. That of json names the values around the
 * bad one, that of a statement made of values the statement.
 */
void
warden_masked_error_rethrow(void)
{
	MemoryContext caller;
	ErrorData  *error;

	if (likely(!context_hidden))
		return;
	context_hidden = false;
	caller = MemoryContextSwitchTo(TopTransactionContext);
	error = CopyErrorData();
	MemoryContextSwitchTo(caller);
	FlushErrorState();
	error->context = NULL;
	ReThrowError(error);
}

/* Its leader raises and logs the same error, and knows who is not to see its values. */
static bool
is_told_by_leader(const ErrorData *error)
{
	return IsParallelWorker() && error->elevel == ERROR && is_about_a_value(error->sqlerrcode) &&
		warden_database_slot(MyDatabaseId, false) >= 0;
}

void
warden_masked_error_log(ErrorData *error)
{
	if (unlikely(is_told_by_leader(error)))
		error->output_to_server = false;
	if (unlikely(context_hidden) && error->elevel >= ERROR)
		error->context = NULL;
}
