/*
 * Statements that fail, each recorded once, whoever sees the error or swallows it.
 *
 * A statement that runs, or is planned, has a frame. Its frame is told of every error where it is raised, by the
 * server's error context stack: before anybody can swallow it. What the frames do not see failed before it could run, and is
 * recorded where the session's own error handling begins: by a last entry of the error context stack, and by the hook
 * of the server log for the few errors that come while that entry is away (PostgresMain empties the stack).
 *
 * Inside an error nothing here raises, waits, or looks into the catalogs.
 */
#include "shim.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "tcop/cmdtag.h"
#include "tcop/tcopprot.h"
#include "utils/elog.h"
#include "utils/memutils.h"

/* What a record has room for; see docs/audit-format.md. */
#define ERROR_TEXT 148

static WardenFrame *innermost = NULL;
static emit_log_hook_type previous_log = NULL;

/* When the message started whose error has been recorded: an error that reaches the top is recorded once. */
static TimestampTz told_at = 0;

/* --- the error at hand --- */

static bool
is_error_code(int sqlstate)
{
	int			category = ERRCODE_TO_CATEGORY(sqlstate);

	return category != ERRCODE_SUCCESSFUL_COMPLETION && category != ERRCODE_WARNING;
}

static MemoryContext
error_memory(void)
{
	static MemoryContext memory = NULL;

	if (memory == NULL)
		memory = AllocSetContextCreate(TopMemoryContext, "pg_warden error", ALLOCSET_SMALL_SIZES);
	return memory;
}

/* A copy that lasts until the next one; NULL where there is no memory for it. */
ErrorData *
warden_error_at_hand(void)
{
	MemoryContext caller;
	ErrorData  *error;

	if (geterrcode() == ERRCODE_OUT_OF_MEMORY)
		return NULL;
	caller = MemoryContextSwitchTo(error_memory());
	MemoryContextReset(CurrentMemoryContext);
	error = CopyErrorData();
	MemoryContextSwitchTo(caller);
	return error;
}

/*
 * When the message started in which a table with masks was last read, by whomever: an error may repeat one of its
 * values (invalid input syntax … "ann@example.com"), in whatever statement it surfaces.
 */
static TimestampTz masked_read_at = 0;

void
warden_masked_read(void)
{
	masked_read_at = GetCurrentStatementStartTimestamp();
}

static void
complete_with(WardenCompletion *completion, int sqlstate, const char *message)
{
	strlcpy(completion->sqlstate, unpack_sql_state(sqlstate), sizeof(completion->sqlstate));
	completion->masked_read = masked_read_at != 0 && masked_read_at == GetCurrentStatementStartTimestamp();
	if (message == NULL)
		return;
	message = warden_untranslated(message);
	completion->error.bytes = (const uint8_t *) message;
	completion->error.length = pg_mbcliplen(message, (int) strlen(message), ERROR_TEXT);
}

void
warden_failure_completion(WardenCompletion *completion)
{
	ErrorData  *error = warden_error_at_hand();

	complete_with(completion, geterrcode(), error ? error->message : NULL);
}

/* --- frames --- */

static void
record_inner_text(const ErrorData *error)
{
	WardenCompletion completion = {.rows = -1, .bytes = -1, .duration = 0};
	WardenSource source;

	if (!warden_audit_nested || !warden_governed_known())
		return;
	warden_source(&source, error->internalquery, 0, 0, 0);
	complete_with(&completion, error->sqlerrcode, error->message);
	warden_audit_failure(&source, NULL, 0, &completion);
}

static void
frame_sees_error(void *arg)
{
	WardenFrame *frame = arg;
	ErrorData  *error;

	if (frame->recorded == NULL || !is_error_code(geterrcode()))
		return;
	error = warden_error_at_hand();
	if (error == NULL)
		return;
	/* nobody catches it: this is the statement's end */
	if (error->elevel == FATAL)
		warden_audit_error(frame->recorded);
	/* a text that a function of the statement wanted to run, and that does not parse: it has no frame of its own */
	else if (error->elevel == ERROR && frame == innermost && error->internalquery != NULL)
		record_inner_text(error);
}

void
warden_frame_enter(WardenFrame *frame, WardenRecorded *recorded, const char *text)
{
	frame->outer = innermost;
	frame->recorded = recorded;
	frame->text = text;
	frame->sent = warden_bytes_sent;
	frame->told = false;
	frame->callback.callback = frame_sees_error;
	frame->callback.arg = frame;
	frame->callback.previous = error_context_stack;
	error_context_stack = &frame->callback;
	innermost = frame;
}

void
warden_frame_leave(WardenFrame *frame)
{
	error_context_stack = frame->callback.previous;
	innermost = frame->outer;
	if (frame->recorded != NULL && frame->recorded->bytes >= 0)
		frame->recorded->bytes += (int64) (warden_bytes_sent - frame->sent);
}

void
warden_frame_failed(WardenFrame *frame)
{
	warden_frame_leave(frame);
	if (frame->recorded != NULL)
		warden_audit_error(frame->recorded);
	if (frame->outer == NULL)
		told_at = GetCurrentStatementStartTimestamp();
}

const WardenRecorded *
warden_frame_outermost(void)
{
	const WardenRecorded *outermost = NULL;

	for (const WardenFrame *frame = innermost; frame != NULL; frame = frame->outer)
		if (frame->recorded != NULL && frame->recorded->position >= 0 && !frame->recorded->done)
			outermost = frame->recorded;
	return outermost;
}

/* --- refusals and planning --- */

void
warden_failure_told(void)
{
	if (innermost == NULL)
		told_at = GetCurrentStatementStartTimestamp();
	else if (innermost->recorded == NULL)
		innermost->told = true;
}

void
warden_refusal_told(void)
{
	if (innermost == NULL)
		told_at = GetCurrentStatementStartTimestamp();
}

void
warden_planning_failed(WardenFrame *frame, Query *query, const WardenRedaction *redaction)
{
	WardenCompletion completion = {.rows = -1, .bytes = -1, .duration = 0};
	const WardenFrame *outer = frame->outer;
	bool		told = frame->told;
	WardenSource source;

	warden_frame_failed(frame);
	/* the query of EXPLAIN, COPY and the like fails with them */
	if (told || (outer != NULL && outer->text != NULL && outer->text == frame->text))
		return;
	if (outer != NULL && !warden_audit_nested)
		return;
	warden_source(&source, frame->text, query->stmt_location, query->stmt_len, query->queryId);
	warden_redaction_apply(&source, redaction);
	/* the message may repeat a parameter, which is not told with it */
	source.has_secret |= redaction->parameters != NULL;
	warden_failure_completion(&completion);
	warden_audit_failure(&source, GetCommandTagName(CreateCommandTag((Node *) query)), warden_command_class(query->commandType),
						 &completion);
}

/* --- what fails before it runs --- */

static bool
is_for_the_top(void)
{
	return innermost == NULL && warden_is_client() && !IsParallelWorker() && warden_governed_known() &&
		told_at != GetCurrentStatementStartTimestamp();
}

static void
record_at_the_top(const ErrorData *error)
{
	WardenCompletion completion = {.rows = -1, .bytes = -1, .duration = -1};
	WardenSource source;

	/* a session that ends while it is idle is no failed statement */
	if (error->elevel != ERROR && !(error->elevel == FATAL && debug_query_string != NULL))
		return;
	told_at = GetCurrentStatementStartTimestamp();
	complete_with(&completion, error->sqlerrcode, error->message);
	warden_source_rest(&source);
	if (warden_audit_last_failed(&completion, source.length == 0))
		return;
	if (source.length == 0)
		warden_source_message(&source);
	completion.duration = 0;
	warden_audit_failure(&source, NULL, 0, &completion);
}

static void
top_sees_error(void *arg)
{
	ErrorData  *error;

	(void) arg;
	warden_masked_error_hide();
	if (!is_error_code(geterrcode()) || !is_for_the_top() || (error = warden_error_at_hand()) == NULL)
		return;
	record_at_the_top(error);
}

static void
log_sees_error(ErrorData *error)
{
	if (error->elevel >= ERROR && is_for_the_top())
		record_at_the_top(error);
	warden_masked_error_log(error);
	if (previous_log)
		previous_log(error);
}

void
warden_failures_watch(void)
{
	static ErrorContextCallback last = {NULL, top_sees_error, NULL};

	if (error_context_stack == NULL && warden_is_client())
		error_context_stack = &last;
}

void
warden_failures_install(void)
{
	previous_log = emit_log_hook;
	emit_log_hook = log_sees_error;
}
