/*
 * What the files of the shim know of each other. Each block names the file that defines it.
 */
#ifndef WARDEN_SHIM_H
#define WARDEN_SHIM_H

#include "compat.h"

#include "catalog/objectaccess.h"
#include "catalog/objectaddress.h"
#include "executor/execdesc.h"
#include "fmgr.h"
#include "nodes/pg_list.h"
#include "tcop/cmdtag.h"
#include "tcop/dest.h"
#include "tcop/utility.h"
#include "utils/rel.h"

#include "warden_mask.h"
#include "warden_mask_value.h"
#include "warden_policy.h"
#include "warden_spool.h"
#include "warden_statement.h"
#include "warden_text.h"

/* --- the wall (wall.c) --- */

/*
 * Every call into Swift goes through SWIFT(…). The counter is the proof that no error is ever raised with a Swift
 * frame live: Swift never calls the server, so it is 0 whenever server code runs. Builds with WARDEN_DEBUG check
 * that at every callback; all builds report it in warden.status().
 */
extern int	warden_swift_depth;

#define SWIFT(call) (warden_swift_depth++, (call), warden_swift_depth--)
#define SWIFT_GET(result, call) (warden_swift_depth++, (result) = (call), warden_swift_depth--)

#ifdef WARDEN_DEBUG
extern void warden_check_wall(const char *where);
#else
#define warden_check_wall(where) ((void) 0)
#endif

/* Texts of a verdict go here; one per backend, used between a decision and its error. */
extern WardenBuffer *warden_texts(void);

/* A C string as a text (NULL gives NULL), and a text as a C string in the current memory context. */
static inline WardenText
warden_text(const char *string)
{
	WardenText	text = {(const uint8_t *) string, string ? (int64_t) strlen(string) : 0};

	return text;
}

extern char *warden_cstring(WardenText text);

/* Raises the error of a verdict that refuses; returns for any other. */
extern void warden_raise(const WardenVerdict *verdict);
/* The same, and the session ends. */
extern void warden_raise_fatal(const WardenVerdict *verdict);

/* --- translate.c --- */
extern void warden_translations_bind(void);
/* A text of Swift's in the session's language, in the current memory context; NULL for NULL. */
extern char *warden_translated(WardenText english, WardenText parts);
/* Of the message of an error: the English of one of Swift's, or the message as it is. Lasts until the next translation. */
extern const char *warden_untranslated(const char *message);

/* --- settings.c --- */
extern int	warden_mode;
extern char *warden_environment;
extern WardenClasses warden_audit_classes;
extern bool warden_audit_nested;
extern int	warden_audit_statement_limit;	/* kB */
extern int	warden_audit_overflow;
extern int	warden_audit_parameters;	/* WardenParameterMode */
extern int	warden_audit_durability;	/* WardenDurability */
extern int	warden_flush_interval;	/* ms */
extern int	warden_spool_size;	/* kB per ring */
extern char *warden_intent;
extern char *warden_ticket;
extern char *warden_agent;
extern char *warden_run;

typedef enum WardenOverflow
{
	WARDEN_OVERFLOW_WAIT,
	WARDEN_OVERFLOW_REFUSE
} WardenOverflow;

typedef enum WardenDurability
{
	/* the mapped file: outlives every process, not the machine */
	WARDEN_DURABILITY_CRASH,
	/* flushed to disk before a commit or a result is acknowledged */
	WARDEN_DURABILITY_POWER
} WardenDurability;

extern void warden_settings_define(void);

/* --- mode.c --- */
/* warden.mode may be another one than the audit was told of. */
extern bool warden_mode_to_tell;
/* Records a change of mode in this session's ring. */
extern void warden_mode_tell(void);
/* For the launcher: in every governed database. */
extern void warden_mode_tell_everywhere(void);

/* --- governed.c --- */

/* OIDs of what belongs to the extension in this database; valid while it is governed. */
typedef struct WardenCatalog
{
	Oid			extension;
	Oid			schema;			/* warden */
	Oid			views;			/* warden_views */
	Oid			guard_policy;
	Oid			mask_policy;
	Oid			exemption_policy;
	Oid			label_policy;
	Oid			secret_policy;
	Oid			audit_chain;
	Oid			audit_context;
	Oid			audit_shape;
	Oid			audit_record;
} WardenCatalog;

extern WardenCatalog warden_catalog;

/* The extension's own work runs inside these; its statements are neither governed nor recorded. */
extern int	warden_internal_depth;

/*
 * True where this statement is to be governed: the database has the extension, and it is not our own work. Loads the policy anew where it has changed. Needs a transaction that is not aborted.
 */
extern bool warden_governed(void);
/* The same from what is known already; needs no catalog access. */
extern bool warden_governed_known(void);
extern void warden_governed_init(void);
/* For the writer, whose work is all internal: looks up what belongs to the extension. */
extern void warden_governed_refresh(void);
extern bool warden_is_own_object(Oid class_id, Oid object_id);

/* --- objects.c --- */

/* Facts of a relation, cached; NULL where it does not exist. Valid until the next statement starts. */
typedef struct WardenRelation
{
	Oid			oid;			/* key */
	bool		valid;
	bool		maskable;		/* it or an ancestor has masks */
	bool		row_security;
	char		relkind;
	Oid			owner;
	WardenObject object;
	char	   *chunk;			/* holds all that object points to */
	int16_t    *masked;			/* its masked columns, ascending */
	int			masked_count;
	/* those whose values are not to be in the audit, masked or labelled; ascending */
	int16_t    *sensitive;
	int			sensitive_count;
	char	   *label_chunk;	/* holds object.labels and sensitive, where there are labels */
} WardenRelation;

extern WardenRelation *warden_relation(Oid relid);
extern void warden_objects_invalidate(Oid relid);
/* NULL for a column that is dropped or not there. */
extern char *warden_column_name(Oid relid, AttrNumber attno);
/* Parents of the relation and theirs, each once; `but`: a parent that it is about to leave. Snapshot NULL: as catalogs are read. */
extern List *warden_ancestors(Oid relid, Oid but, Snapshot snapshot);
/* A parent that has none itself; InvalidOid for a relation without parents. */
extern Oid warden_topmost(Oid relid);
extern bool warden_is_ancestor(Oid ancestor, Oid relid);
/* Facts of any other object, in the statement's memory. */
extern WardenObject *warden_other_object(Oid class_id, Oid object_id);
/* The same; NULL where the object is not there, or not to be seen yet. */
extern WardenObject *warden_existing_object(Oid class_id, Oid object_id);

/* --- function.c --- */

/* Facts of a user's function, cached. Texts stay valid as long as the backend. */
typedef struct WardenFunction
{
	Oid			oid;			/* key */
	bool		valid;
	bool		runs_statements;	/* and is not put in the place of its call by the planner */
	bool		returns_set_in_sql;
	bool		is_mask;		/* one of pg_warden's masks */
	bool		has_parsed_body;	/* BEGIN ATOMIC … END, RETURN … */
	bool		body_is_known;
	bool		guarded;		/* some guard on functions could be about it, by the policy of that number */
	uint64		policy;
	bool		tells_statements;	/* those of other sessions */
	bool		shows_pages;
	bool		of_library;		/* its code may be a client of another server, or of this one */
	WardenClasses host;			/* what calling it is besides, where it reaches the host */
	WardenObject object;
	WardenText	via;			/* "function shop.f(integer)" */
	WardenText	body;
} WardenFunction;

/* NULL for a function that does not exist. */
extern WardenFunction *warden_function(Oid function);
/* The text of a body that was stored parsed; NULL for others. */
extern WardenText warden_function_body(WardenFunction *function);
extern void warden_function_init(void);

/* --- function_calls.c --- */
extern bool warden_function_guarded(Oid function);
/* Decides on a call that the object access hook tells of, and records it. */
extern void warden_function_called(Oid function);
/* The same for the function manager's hook. */
extern void warden_function_begins(Oid function);

/* --- host.c: what reaches the host; 0 where it does not --- */
extern WardenClasses warden_host_function(Oid function);
extern WardenClasses warden_host_function_row(Oid function, HeapTuple tuple);
/* Of a foreign table that reads files or the output of programs. */
extern WardenClasses warden_host_relation(Oid relid);
/* Of a utility statement, beside what it does as a statement of its kind. */
extern WardenClasses warden_host_utility(Node *stmt);
/* Of a function in C: its library tells the statements of other sessions; shows pages of tables, or of the log. */
extern bool warden_row_tells_statements(HeapTuple tuple);
extern bool warden_row_shows_pages(HeapTuple tuple);
extern bool warden_language_is_trusted(Oid language);
extern bool warden_client_preloads(void);

/* --- running.c --- */
/* The innermost user's function that is running; NULL where none is. */
extern WardenFunction *warden_running_function(void);
extern void warden_running_install(void);

/* --- session.c --- */
extern WardenSession warden_session;
extern WardenText warden_session_context;
extern uint64 warden_session_number;
extern void warden_session_refresh(void);
/* A client's session in a database; one that asked for replication runs SQL, too. */
extern bool warden_is_client(void);
/* Gives the session its number, where it has none yet. */
extern void warden_session_identify(void);
/* In the current memory context; NULL on a Unix socket. */
extern WardenText warden_client_address(void);
extern void warden_session_dirty(void);
/* The roles that policies name and the role is a member of, itself first; in the current memory context. */
extern const uint32_t *warden_memberships(Oid role, int64_t *count);
/* The roles that policies name; memberships are told for these only. */
extern void warden_session_roles(const Oid *roles, int count);
extern bool warden_break_glass_active(void);
/* At PREPARE TRANSACTION: an error where break-glass was in force at any time of the transaction. */
extern void warden_break_glass_refuse_prepare(void);
extern void warden_break_glass_transaction_over(void);
extern void warden_break_glass_end(const char *how);

/* --- client_network.c --- */
/* Where the client of this session is, that of a parallel worker's leader included. */
extern WardenNetwork warden_client_network(void);

/* --- clock.c --- */
/* Some guard in force has hours. */
extern bool warden_hours_in_force;
/* The zone of a guard's hours, as WardenGuard has it. `at_definition`: it must be one that the server lists. */
extern int32 warden_hours_zone(WardenText hours, bool at_definition);
extern void warden_clock_tell(WardenSession *session);

/* --- policy.c --- */
extern bool warden_policy_stale;
/* How often this session has loaded the policy: another number, another policy. */
extern uint64 warden_policy_generation;
extern void warden_policy_load(void);
/* Some rule knows an object by its name alone. */
extern bool warden_unbound_patterns;
extern bool warden_any_masks;
/* TimestampTz: when the last exemption that expires will have expired; 0 where there is none */
extern int64 warden_last_expiry;
/* classes that a guard in force asks for */
extern WardenClasses warden_guarded_classes;
/* classes for which a guard in force has max_rows; 0: no row need be counted */
extern WardenClasses warden_limited_classes;
/* masks of a relation itself, from the policy */
typedef struct WardenMaskEntry
{
	Oid			relation;
	int16		column;			/* its number; WARDEN_MASK_OF_NO_COLUMN where it was dropped */
	bool		by_label;
	char		method[24];
} WardenMaskEntry;

extern WardenMaskEntry *warden_masks;
extern int	warden_mask_count;

/* --- labels.c --- */
extern bool warden_any_labels;
/* A relation, or one of its columns (else 0), is being dropped: its labels go with it. */
extern void warden_labels_forget(Oid relation, AttrNumber column);
/* A utility statement has been executed: where it renamed a column, the labels' rows learn its name. */
extern void warden_labels_follow(Node *utility);
/* A child that has left its parent keeps the labels it had through it. Inside warden_internal_run only. */
extern void warden_labels_keep(Oid child, Oid parent);

/* --- statement.c: facts in the making --- */
typedef struct WardenFacts
{
	WardenStatement statement;
	WardenAccess *accesses;
	int			count;
	int			room;
	int			falls;			/* accesses to what would fall with what is named */
	WardenClasses falling;		/* their classes */
	WardenClasses named;		/* of what is named; told when the facts are complete */
} WardenFacts;

extern MemoryContext warden_statement_memory(void);
/* The class of what is planned, by its command alone; 0 where it is none of these. */
extern WardenClasses warden_command_class(CmdType command);
extern void warden_facts_begin(WardenFacts *facts, const char *command);
/* The same for facts that are used up at once, beside those of a statement that is about to be recorded. */
extern void warden_facts_beside(WardenFacts *facts, const char *command);
extern WardenAccess *warden_facts_access(WardenFacts *facts, const WardenObject *object, WardenClasses classes);
/* The same for an object that was reached through something; another way to it is an access of its own. */
extern WardenAccess *warden_facts_access_via(WardenFacts *facts, const WardenObject *object, WardenClasses classes,
											 WardenText via);
extern void warden_facts_relation(WardenFacts *facts, Oid relid, WardenClasses classes);
/* An access of its own to an object, for this column alone; 0: for the whole of it. */
extern void warden_facts_column(WardenFacts *facts, const WardenObject *object, WardenClasses classes, int column);
extern void warden_access_write(WardenAccess *access, int column);
/* What would fall with what the statement names. It is decided on; the record of what is allowed names it when it falls. */
extern WardenAccess *warden_facts_fall(WardenFacts *facts, const WardenObject *object, WardenClasses classes);
extern void warden_facts_complete(WardenFacts *facts);
extern void warden_facts_keep_named(WardenFacts *facts);

/* --- dependencies.c: what a DROP, a TRUNCATE would take along --- */
typedef struct WardenClosure WardenClosure;

/* In the statement's memory. Without CASCADE: what falls all the same. */
extern WardenClosure *warden_closure(bool cascade);
extern void warden_closure_cascades(WardenClosure *closure);
/* What the statement names; an OID of 0 is passed over. */
extern void warden_closure_root(WardenClosure *closure, Oid class_id, Oid object_id, int sub_id);
extern void warden_closure_owned(WardenClosure *closure, Oid role);
/* OIDs of the relations that a role owns in this database. */
extern List *warden_owned_relations(Oid role);
extern void warden_closure_grow(WardenClosure *closure);
/* Each object of it, and the way that leads to it. */
extern void warden_closure_facts(WardenFacts *facts, WardenClosure *closure);
extern void warden_closure_truncated(WardenClosure *closure, Oid relid, bool with_children);
extern void warden_closure_truncate_facts(WardenFacts *facts, WardenClosure *closure);
extern void warden_reassign_facts(WardenFacts *facts, Oid role);
/* access.c: what the fall of an object is to guards; 0: nothing, or it is a part of a relation. */
extern WardenClasses warden_drop_classes(const ObjectAddress *object, bool named);
/* Compares attribute numbers, for qsort. */
extern int	warden_ascending(const void *a, const void *b);
/* What is done to the relation is done to these of its columns, and to no others. */
extern void warden_facts_columns(WardenFacts *facts, Oid relid, List *columns);

/* --- decide.c --- */

/* What is to become of the statement, decided for the session as it is now. Its texts are in warden_texts(). */
extern void warden_decide_facts(const WardenFacts *facts, WardenVerdict *verdict);
/* The session may not see the object, as it was when the session was last refreshed. */
extern bool warden_object_hidden(const WardenObject *object);
/* Notes which objects the session may not see; true where there are any. */
extern bool warden_facts_hide(const WardenFacts *facts);
/*
 * Raises the error of a verdict that refuses, when it has been recorded; returns for any other. The client is not told
 * the name of an object that the session may not see.
 */
extern void warden_refuse(const WardenFacts *facts, const WardenVerdict *verdict);

/* --- moves.c: names, schemas and parents that change --- */
/* Each notes in the facts what the object is now, and what it will be. */
extern void warden_rename_facts(WardenFacts *facts, RenameStmt *stmt);
extern void warden_set_schema_facts(WardenFacts *facts, AlterObjectSchemaStmt *stmt);
extern void warden_leave_facts(WardenFacts *facts, Oid child, Oid parent);
extern void warden_join_facts(WardenFacts *facts, Oid child, Oid parent);
/* The same for what has been changed by the command that runs, on OIDs; false where nothing moved. */
extern bool warden_moved_facts(WardenFacts *facts, Oid class_id, Oid object_id);
extern bool warden_parents_changed_facts(WardenFacts *facts, Oid child);

/* --- plan_facts.c --- */
extern void warden_plan_facts(WardenFacts *facts, PlannedStmt *plan, CmdType operation, ParamListInfo params);

/* --- conditions.c --- */

/* A relation that a statement changes. */
typedef struct WardenChangedRelation
{
	Index		rti;
	List	   *rtable;
	List	   *subplans;
	ParamListInfo params;		/* what a plan for any parameters has to do with; may be NULL */
	bool		unmatched;		/* rows are changed that have no partner in the join */
} WardenChangedRelation;

/* True where some of the conditions, which are ANDed, may be true of one row of the target and not of another. */
extern bool warden_conditions_exclude(List *conditions, const WardenChangedRelation *target);

/* Called before a statement is planned: conditions that the planner makes of others can be told from its own then. */
extern void warden_mark_null_tests(Query *query);

/* --- partitions.c: partitions and children, reached through their parents --- */

/* The reference to an ancestor that the statement has; NULL where the one at rti is no child of one. */
extern RangeTblEntry *warden_named_parent(PlannedStmt *plan, Index rti);
/* Attribute numbers of a child, in order, for columns of its parent as permissions have them; 0, the whole row, and system columns as they are. */
extern const int16_t *warden_columns_of_child(Oid parent, Oid child, Bitmapset *columns, int64_t *count);
/* Those that guards name and that the execution, which is started, may read are accesses of the facts; true where there are any. */
extern bool warden_children_read(WardenFacts *facts, QueryDesc *query);
/* A guard names the partition, for rows that an UPDATE may move to it: where it changes rows too, nobody tells of them. */
extern bool warden_partition_receives(PlannedStmt *plan, Index rti);
/* Rows were routed to a partition: decides, where a guard names it. `columns` as above, of the parent. */
extern void warden_partition_written(Oid parent, Oid partition, Bitmapset *columns, WardenClasses classes);

/* Notes which of the columns read the session sees masked. */
extern void warden_facts_masked(WardenAccess *access, WardenRelation *relation);

/* --- utility_facts.c --- */
extern void warden_utility_facts(WardenFacts *facts, PlannedStmt *pstmt, const char *query, bool *has_secret);

/* --- ddl_facts.c --- */
/* DDL on what is there; true where the statement is such. */
extern bool warden_ddl_facts(WardenFacts *facts, Node *stmt);
/* What something is made on, or of: parents, models, tables of statistics and publications. */
extern void warden_made_of(WardenFacts *facts, Node *stmt);

/* --- utility_objects.c --- */
/*
 * Classes and objects of statements that change neither definitions nor rows; true where they are all that is to be
 * told of it.
 */
extern bool warden_utility_objects(WardenFacts *facts, Node *stmt);
/* What the grammar's name means, found without locks; an OID of 0 where there is no such object. */
extern ObjectAddress warden_object_named(ObjectType type, Node *name);

/* --- utility_columns.c --- */
/* The columns that a command of ALTER TABLE is about, one that it adds being behind the last; NIL: the table as a whole. */
extern List *warden_command_columns(const WardenRelation *relation, AlterTableCmd *command);
/* Notes, of a statement that is about some columns of a table, which; its access is there already. */
extern void warden_utility_columns(WardenFacts *facts, Node *stmt);
/*
 * The columns of the relation that a raw expression names; `whole_row` becomes true where it may name all of them. No
 * expression names none.
 */
extern List *warden_expression_columns(Oid relation, Node *expression, bool *whole_row);

/* --- ddl_reads.c --- */
/* Tells as a read what DDL computes from the rows that a table has. */
extern void warden_ddl_reads(WardenFacts *facts, Node *stmt);

/* --- executor.c, utility.c, access.c, masking.c: the hooks --- */
extern void warden_executor_install(void);
extern void warden_utility_install(void);
extern void warden_access_install(void);
/*
 * executor.c: a statement that was decided on is recorded when it is known which functions it calls, before it does
 * anything. Whatever makes facts of its own has it recorded first.
 */
extern void warden_pending_record(void);
/* executor.c: how many plans are running, one inside the other */
extern int	warden_execution_depth;
/* True where the function is one of a statement that is about to be recorded. */
extern bool warden_pending_function(Oid function);
/* access.c: decides on what a statement reaches; a refusal is recorded and raised */
extern void warden_decide_reached(const WardenFacts *facts, WardenVerdict *verdict);
/* access.c: the utility statement under way drops our extension */
extern bool warden_dropping_extension;
/* cluster.c: in every database, what would take governance away from another */
extern void warden_cluster_check(Node *utility);
/* What it would refuse, in its own words; NULL: nothing. */
extern const char *warden_cluster_refusal(Node *utility);
/* utility.c: the utility statement under way, NULL outside of one */
extern Node *warden_utility_now;
extern void warden_masking_install(void);

/* executor.c: SELECT warden.break_glass(…) and the like, which no guard refuses */
extern bool warden_is_way_out(PlannedStmt *plan);

/* --- explain_sql.c, explain_tame.c --- */
extern bool warden_explaining;
/* A function is about to be called: raises where a statement is being explained, unless it is the server's own, or in C. */
extern void warden_explain_check(Oid function);
extern bool warden_function_is_native(Oid function);

/* --- stamp.c --- */
typedef enum WardenStamp
{
	/* how the reference was masked: a digit per masked column of the relation, or WARDEN_STAMP_MASKING_VIEW */
	WARDEN_STAMP_MASK = 'm',
	/* what the statement reached the relation through: kind and OID */
	WARDEN_STAMP_VIA = 'v',
	/* values of the statement that are not to be stored */
	WARDEN_STAMP_REDACTED = 'r',
	/* what a plan's changes store of masked and labelled columns */
	WARDEN_STAMP_INFLOWS = 'f'
} WardenStamp;

#define WARDEN_STAMP_MASKING_VIEW "view"

/* The value of a stamp, which is not terminated; NULL where the reference has none. */
extern const char *warden_stamp_find(const RangeTblEntry *rte, WardenStamp stamp, int *length);

static inline const char *
warden_stamp(const RangeTblEntry *rte, WardenStamp stamp, int *length)
{
	return likely(rte->ctename == NULL) ? NULL : warden_stamp_find(rte, stamp, length);
}

/* Stamps a reference, or changes its stamp; in the current memory context. The value has no semicolon. */
extern void warden_stamp_set(RangeTblEntry *rte, WardenStamp stamp, const char *value);

/* --- via.c --- */
/* Stamps the relations of a rewritten query that views and rules stand before. */
extern void warden_via_stamp(Query *query);
/* "view shop.v", "function shop.f()", or both; of no reference (NULL): the function alone. NULL where nothing is. */
extern WardenText warden_via(const RangeTblEntry *rte);

/* --- masking.c --- */
/* The next query to be planned tries an expression that is to become a mask: it may call the functions of masks. */
extern bool warden_mask_trial;
/* A mask that is being defined is tried. */
extern bool warden_mask_is_tried;
extern bool warden_columns_masked(WardenRelation *relation, bool *masked);
/* Does the session see masks of some column, foreign-key checks and all else that compares real values aside? */
extern bool warden_sees_masks_of(WardenRelation *relation);
/* Whose mask holds for the column: its own relation's, or an ancestor's; relation InvalidOid where it has none. */
extern WardenMaskEntry warden_mask_of_column(Oid relid, AttrNumber attno);
extern bool warden_anything_masked(void);
/* Raises where the relation holds raw values of masked columns and the session sees masks. */
extern void warden_refuse_statistics(const WardenRelation *relation);
/* Was the reference planned for what the session sees now? */
extern bool warden_rte_fits(RangeTblEntry *rte, WardenRelation *relation);

/* --- masked_plans.c --- */
extern void warden_masked_plans_install(void);

/* --- mask_caught.c --- */
/* The expression, or list, with the calls of mask_caught made such that errors in them give the constant. */
extern Node *warden_mask_lazily(Node *expression);
/* Set by warden_mask_lazily where a call runs in a subtransaction: its statement must not run in parallel. */
extern bool warden_mask_needs_subtransaction;

/* --- source.c: the text of a statement --- */
typedef struct WardenSource
{
	const char *text;			/* the statement's slice of the message, without white space before it */
	int			length;
	int			offset;			/* of text within the message */
	uint64		query_id;
	bool		of_transaction; /* its outcome is the transaction's, whatever becomes of the subtransaction it runs in */
	bool		has_secret;		/* as in WardenRecord, and so the rest */
	const int32_t *redacted;
	int64_t		redacted_count;
	const WardenParameter *parameters;
	int64_t		parameter_count;
} WardenSource;

/* `text` NULL: there is none. A location below 0, a length of 0: all of it. */
extern void warden_source(WardenSource *source, const char *text, int location, int length, uint64 query_id);
/* The message of the client as a whole, where the statement within it is not known. */
extern void warden_source_message(WardenSource *source);
/* What of the client's message has not been seen as a statement yet. */
extern void warden_source_rest(WardenSource *source);
/* In a static buffer, until the next call. */
extern WardenText warden_source_digest(const WardenSource *source, int64 limit);

/* --- redaction.c --- */

/* What of a query's text and parameters is a value of a masked or labelled column. */
typedef struct WardenRedaction
{
	List	   *locations;		/* bytes of the source text where such literals begin */
	Bitmapset  *parameters;		/* by number */
	bool		everything;		/* it cannot be told */
} WardenRedaction;

/* Adds what is found in a query that was rewritten and not planned yet; in the current memory context. */
extern void warden_redaction_find(WardenRedaction *redaction, Query *query);
extern void warden_redaction_note(PlannedStmt *plan, const WardenRedaction *redaction);
/* What was noted in the plan, in the statement's memory. */
extern void warden_redaction_of_plan(WardenRedaction *redaction, const PlannedStmt *plan);
/* In the current memory context. */
extern void warden_redaction_apply(WardenSource *source, const WardenRedaction *redaction);
/* The same for a utility statement, by the query that it holds. */
extern void warden_redaction_of_utility(WardenSource *source, const PlannedStmt *pstmt, const char *text);

/* --- prepared.c --- */
extern void warden_prepared_adopt(void);
/* Before a transaction is prepared: the range of its statements and its number. The entry, to forget where that fails. */
extern int	warden_prepared_note(uint64 first, uint64 last, uint64 xid);
extern void warden_prepared_forget(int entry);
extern void warden_prepared_forget_database(Oid database);
/* Is there one that is over and not told yet? */
extern bool warden_prepared_over(Oid database);
/* Records how those ended that are over, as far as there is room now. In a transaction. */
extern void warden_prepared_finish(Oid database);

/* --- wire.c --- */
/* Bytes of rows, copied data and notices that this session has sent to its client. */
extern uint64 warden_bytes_sent;
extern void warden_wire_install(void);

/* --- parameters.c --- */
/* The values of a statement's parameters, in the statement's memory. */
extern void warden_parameters(WardenSource *source, ParamListInfo params, const WardenRedaction *redaction);

/* --- elsewhere.c: commands that concern the whole cluster, told to the other governed databases --- */
typedef void *WardenElsewhere;

extern bool warden_is_cluster_wide(Node *utility);
/* Writes the record to every other governed database; may wait, or raise, as warden.audit_overflow says. */
extern WardenElsewhere warden_elsewhere_start(WardenRecord *record);
extern void warden_elsewhere_end(WardenElsewhere elsewhere);
/* In a PG_CATCH block. */
extern void warden_elsewhere_failed(WardenElsewhere elsewhere);
/* The running transaction has such records. */
extern bool warden_telling_elsewhere;
extern void warden_elsewhere_transaction(XactEvent event);
extern void warden_elsewhere_subtransaction_aborted(SubTransactionId id);

/* --- audit.c: the producer --- */
typedef struct WardenRecorded
{
	int64		position;		/* below 0: not recorded */
	uint64		seq;			/* of the record */
	uint64		statement_no;
	int64		started;		/* TimestampTz */
	int64		bytes;			/* sent to the client; below 0: a nested statement, whose result goes elsewhere */
	bool		done;
	uint64		withheld;		/* as in WardenRing */
} WardenRecorded;

extern uint64 warden_current_statement;
extern void warden_audit_install(void);
extern void warden_audit_start(WardenRecorded *recorded, const WardenFacts *facts, const WardenVerdict *verdict,
							   const WardenSource *source);
extern void warden_audit_end(WardenRecorded *recorded, int64 rows);
/* In a PG_CATCH block: notes the error being handled on the record. */
extern void warden_audit_error(WardenRecorded *recorded);
/* A statement that failed before it could run; `command` may be NULL. Neither waits nor raises. */
extern void warden_audit_failure(const WardenSource *source, const char *command, WardenClasses classes,
								 const WardenCompletion *completion);
/*
 * The error came when the last statement of the message was over: its end of the transaction failed. True where that
 * statement's record took the error. `at_end`: nothing of the message is left.
 */
extern bool warden_audit_last_failed(WardenCompletion *completion, bool at_end);
/* A portal of the client's was left off: what it gave until now stands if it is never taken up again. */
extern void warden_audit_so_far(const WardenRecorded *recorded, int64 rows);
/* A statement's last bytes are on their way to the client. */
extern void warden_audit_sent(void);
extern void warden_audit_event(WardenEvent event, const char *text);
/*
 * The record of an alert that a guard raised about a statement; `about` and `object` hold what it points to. The numbers of
 * statement and transaction are the caller's to set.
 */
extern void warden_alert_record(WardenRecord *alert, WardenStatement *about, WardenAccess *object,
								const WardenStatement *statement, const WardenVerdict *verdict);
/* The ring of this session, taken without waiting and without the catalogs; false where that cannot be. */
extern bool warden_audit_take_early(int slot);
/* A record of the session itself: never refused, never waited for. False where there is no ring, or no room in it. */
extern bool warden_audit_session_event(const WardenRecord *record);
/*
 * Tells a command that concerns the cluster to the other governed databases. In an ungoverned database it takes a
 * number of its own, in a governed one that of the record which the command is about to get here.
 */
extern WardenElsewhere warden_audit_elsewhere(const WardenFacts *facts, const WardenVerdict *verdict,
											  const WardenSource *source, bool governed);
/* Statements of this session that have a number. */
extern uint64 warden_audit_statements(void);
/* The number of the client's own statement that was recorded last. */
extern uint64 warden_audit_top_statement(void);
/* Appends to a ring that this process owns, as warden.audit_overflow says; the position, below 0 where it is not recorded. */
extern int64 warden_ring_write(int ring, int slot, const WardenRecord *record);
/* For the writer: a record in its own ring; false where there is no room. */
extern bool warden_audit_append_own(const WardenRecord *record);
/* Decides; where the verdict refuses, records and raises. */
extern void warden_decide_statement(WardenVerdict *verdict, WardenRecorded *recorded, const WardenFacts *facts,
									const WardenSource *source);
/* Decides; records; raises where the verdict refuses. */
extern void warden_decide_and_record(WardenRecorded *recorded, WardenFacts *facts, const WardenSource *source);
/* Records what is never refused. */
extern void warden_record_allowed(WardenRecorded *recorded, const WardenFacts *facts, const WardenSource *source);

/* Appends objects that a recorded statement reached while it ran. */
extern void warden_audit_reached(const WardenRecorded *recorded, const WardenStatement *reached, bool may_wait);

/*
 * The number of rows made another decision of one that was recorded already: its record is told. Where it is refused, it
 * ends here; `rows`: what it has come to.
 */
extern void warden_audit_decided(WardenRecorded *recorded, const WardenFacts *facts, const WardenVerdict *verdict,
								 int64 rows);

/* --- tally.c: rows changed within a statement of the client's, by object --- */
typedef struct WardenTallies
{
	MemoryContext memory;
	WardenTally *entries;
	int			count;
	int			room;
} WardenTallies;

/* The tallies that a row counts for, by index. */
typedef struct WardenTallied
{
	int		   *entries;
	int			count;
} WardenTallied;

typedef struct WardenLimited WardenLimited;

/* Those that rows of `table` count for which the running statement changes; in the statement's memory. */
extern void warden_tally_for(WardenTallied *tallied, const WardenLimited *limited, Oid table);
extern void warden_tally_rows(WardenTallies *tallies, const WardenTallied *tallied, int64 rows);

/* --- changed_rows.c --- */
typedef struct WardenChanging WardenChanging;

/* The statement's nodes that change rows are watched, or another one's around it; before it runs. */
extern void warden_changes_watch(WardenLimited *limited, QueryDesc *query);
/* A run begins; it is over. */
extern void warden_changes_run(WardenLimited *limited);
extern void warden_changes_look(WardenLimited *limited, QueryDesc *query);

/* --- limits.c: guards with max_rows --- */

/* A statement that may run into such a guard, or one around it, or the client's own that others run below. */
struct WardenLimited
{
	MemoryContext memory;		/* its own */
	WardenRecorded *recorded;
	WardenFacts facts;			/* kept where it can be decided on again */
	WardenRows	rows;
	int64		left;			/* as in WardenVerdict */
	bool		is_utility;
	bool		due;			/* it has come to that number */
	bool		refused;
	/* what was last decided */
	WardenAction action;
	WardenDecision decision;
	char		guard[NAMEDATALEN];
	int64		guard_length;
	WardenChanging *changing;
	/* while it runs */
	WardenLimited *outer;
	WardenTallies *tallies;		/* of the client's statement */
	WardenTallies own;
};

/* The innermost that runs. */
extern WardenLimited *warden_limited_now;

/* Counts for a statement that is about to begin; NULL: nothing is counted yet. Valid until the next call. */
extern const WardenRows *warden_rows_counted(void);

static inline const WardenRows *
warden_rows_before(void)
{
	return likely(warden_limited_classes == 0) ? NULL : warden_rows_counted();
}
/* The statement was decided on, and its facts are still there. NULL where its rows need not be counted. */
extern WardenLimited *warden_limited_begin(const WardenFacts *facts, const WardenVerdict *verdict);
/* It runs, below the one that runs now. Who calls puts warden_limited_now back. */
extern void warden_limited_enter(WardenLimited *limited);
/* It, or one around it, is to be decided on again after some more rows. */
extern bool warden_limited_any(const WardenLimited *limited);
/* Its run is over: raises where a refusal of it was swallowed below. */
extern void warden_limited_end(WardenLimited *limited);
/* It changed rows; exempt ones count for nobody, but as rows that were stored elsewhere. May raise. */
extern void warden_limited_changed(WardenLimited *limited, const WardenTallied *tallied, bool exempt, int64 rows);
/* The same for COPY FROM, which tells when it is over. */
extern void warden_limited_copied(WardenLimited *limited, int64 rows);

typedef struct WardenReceiver
{
	DestReceiver as_server_knows_it;
	DestReceiver *real;
	WardenLimited *limited;
	WardenLimited *utility;		/* that the rows are returned for, too */
} WardenReceiver;

/* Puts itself before the query's destination where rows are to be counted. */
extern void warden_limited_returns(WardenReceiver *receiver, WardenLimited *limited, QueryDesc *query);

/* --- reached.c --- */
typedef struct WardenKnown
{
	Oid			class_id;
	Oid			object_id;
	WardenClasses classes;
} WardenKnown;

/* What a running statement has reached that its record does not name. */
typedef struct WardenReached
{
	const WardenRecorded *recorded;
	WardenKnown *known;			/* what the record names */
	int			known_count;
	MemoryContext parent;		/* outlives the statement */
	MemoryContext memory;		/* NULL until something is reached */
	struct HTAB *index;
	List	   *objects;
} WardenReached;

/* Of the statement under way; NULL where none is recorded. */
extern WardenReached *warden_reached_now;
/* `first`: the accesses of the facts before it need not be remembered. */
extern void warden_reached_begin(WardenReached *reached, const WardenRecorded *recorded, const WardenFacts *facts,
								 int first, MemoryContext parent);
extern void warden_reached_end(WardenReached *reached);
/* The statement under way reaches an object; `column` where one of its columns is dropped, else 0. */
extern void warden_reached_object(Oid class_id, Oid object_id, int column, WardenClasses classes);
/* The relation that a constraint, trigger, rule, policy or default is a part of; `internal`: the server made it. */
extern Oid warden_whole_of(Oid class_id, Oid object_id, bool *internal);
extern void warden_reached_function(Oid function);
/* Planning begins: what an earlier one evaluated was for a statement that never began. */
extern void warden_reached_planning(void);
/* Functions that the planner evaluated for the statement that begins now, at top level; the list is emptied. */
extern void warden_reached_in_planner(WardenFacts *facts);
/* At the end of the statement, or of a part of it: records what was reached. */
extern void warden_reached_tell(WardenReached *reached, bool failed);

/* --- fast_path.c --- */
extern bool warden_in_function_call(void);
/* The function call under way that came by the protocol's fast path, and was recorded; NULL outside of one. */
extern WardenReached *warden_fast_path(void);
/* Decides on and records such a call, with its function; false where the function is called from elsewhere. */
extern bool warden_fast_path_call(Oid function, WardenClasses classes);
extern uint64 warden_fast_path_statement(void);

/* --- copy_routing.c --- */
/* The partitions that COPY FROM writes to: where their counters stand before it, NULL where it is of no such table. */
extern List *warden_copy_routing_before(CopyStmt *stmt);
extern void warden_copy_routing_after(CopyStmt *stmt, List *before);

/* --- failures.c --- */

/* The message under way reads a table with masks: what errors repeat of it is not recorded. */
extern void warden_masked_read(void);

/* What runs or is planned. On the C stack; every way out leaves it. */
typedef struct WardenFrame
{
	ErrorContextCallback callback;
	struct WardenFrame *outer;
	WardenRecorded *recorded;	/* NULL: a query being planned */
	uint64		sent;			/* warden_bytes_sent when it was entered */
	const char *text;			/* source text of what is planned, of a utility statement; else NULL */
	bool		told;
} WardenFrame;

extern void warden_frame_enter(WardenFrame *frame, WardenRecorded *recorded, const char *text);
extern void warden_frame_leave(WardenFrame *frame);
/* Of the statements running now, the recorded one that holds all others; NULL where none is. */
extern const WardenRecorded *warden_frame_outermost(void);
/* In a PG_CATCH block: leaves, and notes the error on the frame's record. */
extern void warden_frame_failed(WardenFrame *frame);
/* The same for a query that cannot be planned: makes its record. */
extern void warden_planning_failed(WardenFrame *frame, Query *query, const WardenRedaction *redaction);
/* A refusal is about to be raised that has a record: of a statement, of the query being planned. */
extern void warden_refusal_told(void);
extern void warden_failure_told(void);
/* The error being handled, as a record tells it; the text lasts until the next error. */
extern void warden_failure_completion(WardenCompletion *completion);
/* The error being raised: a copy that lasts until the next one; NULL where there is no memory for it. */
extern ErrorData *warden_error_at_hand(void);
/* Between transactions and subtransactions: sees to it that errors outside of every frame are seen. */
extern void warden_failures_watch(void);
extern void warden_failures_install(void);

/* --- masked_errors.c: real values in errors of sessions that see masks --- */
/* A plan, a utility statement, is about to run: notes whether the server computes with such values. */
extern void warden_masked_errors_plan(const PlannedStmt *plan);
extern void warden_masked_errors_utility(const Node *utility);
/* While an error is raised: takes the values out of it. */
extern void warden_masked_error_hide(void);
/* In a PG_CATCH block that ends by PG_RE_THROW: raises the error without its context, where that holds values. */
extern void warden_masked_error_rethrow(void);
/* The same on the way to the log and the client. */
extern void warden_masked_error_log(ErrorData *error);
extern void warden_masked_errors_install(void);

/* --- masked_statistics.c --- */
/* Statistics of a column, of a table or an index, of several columns: are they about what the session sees masked? */
extern bool warden_column_statistics_hidden(Oid relid, AttrNumber attno);
extern bool warden_extended_statistics_hidden(Oid statistics);
extern void warden_masked_statistics_install(void);

/* --- masked_catalogs.c: others' rows and statements in catalogs and monitoring --- */
/* A reference to statistics is given a condition by which those of masked columns are left out; false where it cannot be. */
extern bool warden_statistics_filter(Query *query, Index rti, RangeTblEntry *rte);
/* A function in FROM that tells statements becomes a subquery that hides those of others. */
extern void warden_statements_hide(RangeTblEntry *rte);
extern bool warden_tells_statements(Oid function);
extern bool warden_is_statements_call(const Node *call);
/* Raises where the session sees masks and the function tells statements. */
extern void warden_statements_refuse(Oid function);
/* A call of pg_stat_get_backend_activity becomes one of ours. */
extern void warden_statement_of_backend(FuncExpr *call);

/* --- masked_calls.c --- */
/* A function is about to be called: raises where it shows rows past every query and the session sees masks. */
extern void warden_masked_call(Oid function);
/* The same for a session that begins, for logical replication. */
extern void warden_masked_replication(void);

/* --- loopback.c --- */
extern void warden_loopback_install(void);
/* This process is about to run code of a library, which may connect to where it likes. */
extern void warden_may_be_client(void);
/* The client of the session that begins is a session of this server. */
extern bool warden_peer_is_backend(void);

/* --- connections.c: sessions that begin, end, or are refused --- */
extern void warden_connections_install(void);
/* The client is authenticated, and its session not yet established. */
extern bool warden_connecting;
/* The transaction that establishes the session is about to commit. */
extern void warden_connection_established(void);
/* The session has its ring: what is still to be said of its start. */
extern void warden_connection_recorded_late(void);
/* The process ends; its ring is still its own. */
extern void warden_connection_over(int code);

/* --- statement_hash.c --- */
extern void warden_statement_hash_install(void);

/* --- spool.c --- */
#define WARDEN_SPOOL_PATH "pg_warden/spool"
#define WARDEN_MAX_DATABASES 64

typedef struct WardenSpoolDatabase
{
	uint32		database;
	/* whose tables the records go to: dropped and made again, it is another one, and counts from 1 */
	uint32		extension;
	uint64		counter;		/* the next number to give */
} WardenSpoolDatabase;

/* What is shared between processes but need not survive them. */
typedef struct WardenSharedDatabase
{
	uint32		ready;			/* the counter was checked against the table since the server's start */
	uint32		wanted;			/* a writer should run */
	int			writer_pid;
	struct Latch *writer_latch;
	uint64		written;		/* atomic: the last number in the table, committed */
	uint64		damaged;
	uint64		gaps;
	int64		away_until;		/* TimestampTz: no writer is started before */
	int64		failing_since;	/* TimestampTz: the writer tries again and again to write; 0 = all is well */
	int64		no_worker_since;	/* TimestampTz: a writer was wanted and no process was free for it; 0 = none */
	/* what the last drains came to: their sum, halved now and then */
	uint64		drained;
	uint64		drain_time;		/* microseconds */
	/* the episode of falling behind (alert.c) */
	uint32		behind;
	int64		behind_seen;	/* TimestampTz: when it was last seen to be so */
	uint32		unannounced;	/* alerts not told yet: bits of WardenAlert */
	uint64		last_gap;		/* the last number found missing since the server's start */
	uint32		told_mode;		/* the mode that the audit was told of, plus one; 0 = none since the server's start */
} WardenSharedDatabase;

extern void warden_spool_install(void);
extern int	warden_ring_total(void);
/* Bytes of data in each ring. */
extern uint64 warden_ring_capacity(void);
extern WardenRing *warden_ring_at(int index);
extern uint8_t *warden_ring_bytes(int index);
extern WardenSpoolDatabase *warden_spool_database(int slot);
extern WardenSharedDatabase *warden_shared_database(int slot);
/* The slot of a database; -1 where it has none and create is false, or all are taken. */
extern int	warden_database_slot(Oid database, bool create);
extern void warden_database_forget(int slot);
/*
 * Takes a ring for this process, perhaps one with records of sessions that are over: its index, or -1 where all are in use,
 * but for those that only `reserved` takes.
 */
extern int	warden_ring_take(Oid database, uint64 session, bool reserved);
extern void warden_ring_leave(int index);
/* Of an orphan that nothing is left to be written of; leaves others as they are. */
extern void warden_ring_free(int index);
/* Its session went without saying how its transaction, or itself, ended. Stays so until the writer has told it. */
extern bool warden_ring_needs_end(int index);
/* The last number in the audit table, as committed. */
extern uint64 warden_chain_last_seq(void);
/* False where the row of warden.audit_chain cannot be read; for who must not fail. */
extern bool warden_chain_is_sound(void);
/* Sees to it that the counter goes on from the table's last number, whatever became of the file. */
extern void warden_counter_check(int slot);
extern void warden_wake_writer(int slot);
/* Asks the writer of a database to leave, and keeps it away for some seconds: a command needs the database alone. */
extern void warden_writer_leave(int slot);
extern bool warden_any_database(void);
extern void warden_wait_for_writer(int slot, long timeout_ms);
extern void warden_writer_progress(int slot, uint64 written);
extern void warden_set_launcher(int pid, struct Latch *latch);

/* Of the flushes of the spool to disk; shared by all processes. */
typedef struct WardenFlushes
{
	struct LWLock *lock;
	uint64		wanted;			/* tickets given */
	uint64		done;			/* the highest ticket whose owner's records are on disk */
	uint64		count;
	uint64		failed;
} WardenFlushes;

extern WardenFlushes *warden_flushes(void);

/*
 * A transaction that was killed before its commit record was written leaves no trace, and its id is given again. So ids
 * from this one on say nothing about transactions of the time before the server's start. Noted by each process in its
 * first transaction, which is the server's own and has no id: before any is given.
 */
extern void warden_note_first_xid(void);
extern uint64 warden_first_xid(void);

/* --- durability.c: warden.audit_durability = power --- */

/*
 * Returns when all that this process has written to its ring is on disk, and raises where that fails; does nothing under `crash`, nor where no
 * record was added since the last time and nothing else has changed.
 */
extern void warden_durability_flush(WardenRing *ring, bool even_if_nothing_new);
/* For warden.status(), in the current memory context. */
extern char *warden_durability_tell(bool *healthy);

/* --- writer.c --- */
extern void warden_writer_register(void);

/* --- backlog.c: what waits in the rings of a database --- */
typedef struct WardenBacklog
{
	int			rings;			/* in use */
	uint64		bytes;
	uint64		fullest;		/* percent of a ring */
	uint64		lost;			/* outcomes that found no room */
	uint64		oldest_seq;		/* the first record that is not in the table; 0 = none */
	int64		oldest_at;		/* TimestampTz */
} WardenBacklog;

extern void warden_backlog(int slot, WardenBacklog *backlog);
/* Age of the oldest record in microseconds, 0 where none waits. */
extern int64 warden_backlog_age(const WardenBacklog *backlog);
/* The writer falls behind: a ring nearly full, or a record that waits much longer than it should. */
extern bool warden_backlog_behind(const WardenBacklog *backlog);
/* The writer has written so many records since `started` (TimestampTz). */
extern void warden_drain_noted(int slot, uint64 records, int64 started);
/* Records per second of writing, over the last drains; 0 = none yet. */
extern uint64 warden_drain_rate(int slot);

/* --- alert.c --- */
/* What NOTIFY carries of requests, decisions and alerts. */
#define WARDEN_CHANNEL "warden_events"

/* Looks, at most once a second, whether a writer falls behind; tells the server's log. Any process, any time. */
extern void warden_alert_look(int slot);
/* A number is missing. For the writer. */
extern void warden_alert_gap(int slot, uint64 seq);
/* Records the alerts that are not told yet, and notifies of them. For the writer, outside of a transaction. */
extern void warden_alert_announce(int slot);

/* --- internal.c: our own SQL --- */
/* Runs `work` with SPI connected, as the bootstrap superuser, on pg_catalog alone; ungoverned and unrecorded. */
extern void warden_internal_run(void (*work) (void *arg), void *arg);
/* One statement inside work; the number of rows. */
extern int	warden_internal_sql(const char *sql, int nargs, Oid *types, Datum *values, const char *nulls);
/* Until the end of work, new objects become members of the extension: they go when it goes. */
extern void warden_members_from_here(void);

/* --- secret.c --- */
/*
 * HMAC-SHA-256 of the value with a key that is made from the database's secret for this purpose alone; the purpose is a
 * string that lasts as long as the backend. The same value gives the same digest in every session, parallel workers
 * included, until warden.rotate_secret(). Raises where there is no secret. Not inside of PG_TRY without rethrowing.
 */
extern void warden_keyed_digest(const char *purpose, const uint8 *value, int64 length, uint8 digest[32]);
/* The 32 bytes of the key for the purpose; valid until the next call here. For what Swift makes of a value at once. */
extern WardenText warden_mask_key(const char *purpose);
/* The table of the secret has changed. */
extern void warden_secret_stale(void);

/* --- warm_up.c --- */
/* In the postmaster: uses the core once, so that the processes it makes find the Swift runtime ready. */
extern void warden_warm_up(void);

/* --- mask_views.c --- */
/*
 * Masking views must not stand in the way of DDL on their tables: those of the tables that the statement names are
 * dropped before it, and made anew after it where the table is still there.
 */
extern const char *warden_mask_view_name(Oid relid);
/* The query of an open masking view; raises where it is not one over that table. */
extern Query *warden_mask_view_query(Relation view, Oid relid);
/* masked_ddl.c: raises where a masked subject would reach real values by DDL: a trigger, a foreign key. */
extern void warden_refuse_masked_ddl(Node *utility);
/* Makes the view of a table from its policy rows; drops it where there are none left. Inside warden_internal_run only. */
extern void warden_mask_view_build(Oid relid);
extern List *warden_mask_views_aside(Node *utility);
extern void warden_mask_views_restore(List *relations);
/* A child that leaves its parent keeps the masks it had through it. */
extern List *warden_masks_leaving(Node *utility);
extern void warden_masks_keep(List *leavers);

/* --- label_masks.c --- */
/*
 * The labels of a table's columns have changed, or its columns, or its parents and children: the masks that rules by label
 * give to it and them are made or taken off. It is pg_warden's own work, whoever calls. After what was written to
 * warden.label_policy has been invalidated (CacheInvalidateRelcacheByRelid) and counted (CommandCounterIncrement).
 */
extern void warden_masks_follow_labels(Oid relid);
/* A utility statement has been executed that may have changed columns, or who inherits from whom. */
extern void warden_masks_follow_utility(Node *utility);

/* --- copies.c: what is made of masked and labelled columns gets their labels and masks --- */

/* The plan is about to be executed. */
extern void warden_copies_start(QueryDesc *query);

/* A utility statement that makes a table of a query, or columns of others; what is found before it is executed. */
typedef struct WardenCopy
{
	CreateTableAsStmt *created; /* NULL: it makes none */
	Oid			altered;		/* a table whose columns may be computed of others of its */
	List	   *inflows;
} WardenCopy;

extern void warden_copy_begin(WardenCopy *copy, Node *utility);
/* It has been executed. */
extern void warden_copy_end(WardenCopy *copy);

/* --- derived_dependents.c --- */
/* The labels or masks of the relation have changed: generated columns and materialized views made of it follow. */
extern void warden_derive_dependents(Oid relid);

#endif
