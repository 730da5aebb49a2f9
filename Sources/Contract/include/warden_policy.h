/*
 * Policies as rows, the index Swift compiles from them, and the verdict.
 */
#ifndef WARDEN_POLICY_H
#define WARDEN_POLICY_H

#include "warden_statement.h"

/* An entry of objects => '{…}': the text, and what it names now (0 where it names nothing that exists). */
typedef struct WardenObjectPattern
{
	WardenText	text;
	uint32_t	object;			/* schema.name: the relation; function:…: the function */
	uint32_t	schema;			/* schema.*: the schema */
	int16_t		column;			/* schema.name.column: its attribute number, else 0 */
	WardenText	column_name;	/* what that column is called now; NULL where there is none */
	bool		bound;			/* it named that when the rule was made; false: it has the name now */
} WardenObjectPattern;

/*
 * An entry of subjects => '{…}'; role is set for role:NAME where the role exists. Of an entry that joins several by ' & ',
 * parts are they, and none of them has parts.
 */
typedef struct WardenSubjectPattern
{
	WardenText	text;
	uint32_t	role;
	const struct WardenSubjectPattern *WARDEN_NULLABLE parts;
	int64_t		part_count;
} WardenSubjectPattern;

typedef struct WardenGuard
{
	WardenText	name;
	WardenText	action;
	const WardenText *WARDEN_NULLABLE statements;
	int64_t		statement_count;
	const WardenObjectPattern *WARDEN_NULLABLE objects;
	int64_t		object_count;
	const WardenSubjectPattern *WARDEN_NULLABLE subjects;
	int64_t		subject_count;
	const WardenText *WARDEN_NULLABLE environments;
	int64_t		environment_count;
	WardenText	message;
	int32_t		priority;
	/* NULL: wherever the client is; an entry that is SQL NULL has prefix -1 */
	const WardenNetwork *WARDEN_NULLABLE networks;
	int64_t		network_count;
	WardenText	hours;			/* HH:MM-HH:MM, perhaps with a time zone's name behind it; NULL: at any time */
	int32_t		hours_zone;		/* that zone, as an index of WardenSession.minutes; -1: the server knows none of the name */
	int64_t		max_rows;		/* the guard acts on more rows than that only; -1: whatever their number */
	const WardenSubjectPattern *WARDEN_NULLABLE reviewers;	/* NULL: none given */
	int64_t		reviewer_count;
	int32_t		approvals;		/* how many reviewers have to agree */
} WardenGuard;

typedef struct WardenExemption
{
	int64_t		id;
	const WardenSubjectPattern *WARDEN_NULLABLE subjects;
	int64_t		subject_count;
	const WardenObjectPattern *WARDEN_NULLABLE targets;
	int64_t		target_count;
	int64_t		until;			/* microseconds since 2000-01-01 UTC; INT64_MAX = for good */
} WardenExemption;

typedef enum WardenAction
{
	WARDEN_ACTION_ALLOW = 0,
	WARDEN_ACTION_ALERT = 1,
	WARDEN_ACTION_REQUIRE_APPROVAL = 2,
	WARDEN_ACTION_BLOCK = 3
} WardenAction;

/* What the audit says of a statement; the words are in Interceptor/Labels.swift. */
typedef enum WardenDecision
{
	WARDEN_DECISION_ALLOWED = 0,
	WARDEN_DECISION_MASKED = 1,
	WARDEN_DECISION_BLOCKED = 2,
	WARDEN_DECISION_APPROVAL_REQUIRED = 3,
	WARDEN_DECISION_APPROVED = 4,
	WARDEN_DECISION_WOULD_BLOCK = 5,
	WARDEN_DECISION_WOULD_REQUIRE_APPROVAL = 6
} WardenDecision;

/*
 * What C is to do. `action` BLOCK or REQUIRE_APPROVAL: raise an error of these texts; anything else: go on.
 * guard, message, detail and hint point into the buffer that was passed in, in English; NULL where there is none.
 * sqlstate is five characters and a NUL.
 */
typedef struct WardenVerdict
{
	WardenAction action;
	WardenDecision decision;
	char		sqlstate[8];
	WardenText	guard;
	WardenText	message;
	WardenText	detail;
	WardenText	hint;
	/*
	 * The same texts to be translated: a template in English with places %1$s to %9$s (%% is a percent sign), then what goes
	 * into them, a zero byte after each. NULL: the text is told as it is.
	 */
	WardenText	message_parts;
	WardenText	detail_parts;
	WardenText	hint_parts;
	WardenText	chain;			/* as in WardenAccess, of what is refused: the last line of DETAIL; NULL where there is none */
	/*
	 * After so many more rows, returned or changed by the statement or by what runs below it, the verdict may be another:
	 * it is to be asked for again, with the rows counted by then. 0: no number of rows changes it.
	 */
	int64_t		rows_left;
	/* which of the statement's objects the guard decided about: C's own; NULL where it was none of them */
	const WardenObject *WARDEN_NULLABLE object;
} WardenVerdict;

/*
 * Decides. Pure: depends on its arguments and the policy in force only.
 * Where no policy is in force, or the facts contradict themselves, the verdict is BLOCK (SQLSTATE XX000).
 * Texts are cut where they do not fit into `texts`.
 */
void		warden_decide(const WardenSession *WARDEN_NONNULL session,
						  const WardenStatement *WARDEN_NONNULL statement,
						  WardenBuffer *WARDEN_NONNULL texts,
						  WardenVerdict *WARDEN_NONNULL verdict);

/*
 * What would be decided, guard by guard, for warden.explain. Rows of four fields: guard, action, object, reason; each is a
 * byte 0 for NULL, or a byte 1, the text, and a byte 0. No rows: nothing matches. False where they do not fit into `rows`:
 * they are to be asked for again with more room.
 */
bool		warden_explain(const WardenSession *WARDEN_NONNULL session,
						   const WardenStatement *WARDEN_NONNULL statement, WardenBuffer *WARDEN_NONNULL rows);

/*
 * The classes that any guard in force could stop. C may skip gathering what no guard asks for;
 * self-protection is not in it, it holds always.
 */
WardenClasses warden_policy_classes(void);

/* The classes for which a guard in force has max_rows; 0: rows need not be counted. */
WardenClasses warden_policy_limited(void);

/*
 * Could a guard in force decide about any of the classes on this object, whoever acts? False: none could, whatever the
 * subject, the time and the place.
 */
bool		warden_policy_concerns(const WardenObject *WARDEN_NONNULL object, WardenClasses classes);

/*
 * The classes that no rule of the policy in force is about for the object, whoever acts: worked out once for an object that is kept, so
 * that a statement which nothing is about costs no search. 0 where that cannot be told.
 */
WardenClasses warden_policy_unconcerned(const WardenObject *WARDEN_NONNULL object);
/* The same of guards that name the very object; `by_schema`: or its schema. Not those on its ancestors, or on everything. */
bool		warden_policy_names(const WardenObject *WARDEN_NONNULL object, WardenClasses classes, bool by_schema);

/* Works out the hashes of an object's name, once, so that decisions find the rules for it at once. */
void		warden_object_hashes(WardenObject *WARDEN_NONNULL object);

/* The classes that a name of the list in `statements` stands for (`write`: four of them); 0 where it names none. */
WardenClasses warden_class_named(WardenText name);

/*
 * Replaces the policy in force: begin, add every row, commit. Until commit the old policy is in force.
 * add returns false, and fills verdict with the error to raise, where a row is not valid; the new policy is
 * then to be abandoned with another begin. A guard's row is checked by the same rules at definition
 * (warden_guard_check) and at load.
 */
void		warden_policy_begin(void);
bool		warden_policy_add_guard(const WardenGuard *WARDEN_NONNULL guard,
									WardenBuffer *WARDEN_NONNULL texts, WardenVerdict *WARDEN_NONNULL verdict);
bool		warden_policy_add_exemption(const WardenExemption *WARDEN_NONNULL exemption,
										WardenBuffer *WARDEN_NONNULL texts, WardenVerdict *WARDEN_NONNULL verdict);
/*
 * A label that some column carries, each once. The number that stands for it in WardenColumnLabel as long as the policy
 * is in force: from 0 on, in the order of the calls.
 */
int32_t		warden_policy_add_label(WardenText label);
void		warden_policy_commit(void);
/* No policy is in force any more: every decision denies until the next commit. */
void		warden_policy_discard(void);

/*
 * Definition-time checks: true, or false and the error to raise (22023: bad argument, 42704: unknown object,
 * 0A000: known but not available in this version). True with a message in the verdict: a warning to give.
 */
bool		warden_guard_check(const WardenGuard *WARDEN_NONNULL guard,
							   WardenBuffer *WARDEN_NONNULL texts, WardenVerdict *WARDEN_NONNULL verdict);
bool		warden_exemption_check(const WardenExemption *WARDEN_NONNULL exemption,
								   WardenBuffer *WARDEN_NONNULL texts, WardenVerdict *WARDEN_NONNULL verdict);
/* A label to be given to a column: dotted lower-case words. */
bool		warden_label_check(WardenText label, WardenBuffer *WARDEN_NONNULL texts,
							   WardenVerdict *WARDEN_NONNULL verdict);

/*
 * Which columns of a masked relation does this session see masked? For each of the `count` masked columns
 * (attribute numbers), sets masked[i]. `owner` tells that the session's role owns the relation.
 * Superusers, owners and exempt subjects see real values. `now` is microseconds since 2000-01-01 UTC.
 * Returns how many are masked.
 */
int64_t		warden_masked_columns(const WardenSession *WARDEN_NONNULL session,
								  const WardenObject *WARDEN_NONNULL relation, bool owner, int64_t now,
								  const int16_t *WARDEN_NONNULL columns, int64_t count,
								  bool *WARDEN_NONNULL masked);

/* Why a change of a masked relation is refused. */
typedef enum WardenMaskedWrite
{
	WARDEN_MASKED_WRITE_READS = 0,	/* a condition or a new value reads a masked column */
	WARDEN_MASKED_WRITE_CONFLICT = 1,	/* ON CONFLICT asks whether a value of a masked column exists */
	WARDEN_MASKED_WRITE_STORES = 2	/* a masked column is set to a masked value */
} WardenMaskedWrite;

/*
 * The exemptions that let some subject see real values of the column now: their ids, as many as there is room for, in the
 * order in which they were loaded. How many there are.
 */
int64_t		warden_mask_exemptions(const WardenObject *WARDEN_NONNULL relation, int16_t column, int64_t now,
								   int64_t *WARDEN_NONNULL ids, int64_t room);

/*
 * The refusal for a statement that would read masked columns to change data, or store masked values (42501). Always
 * fills verdict with BLOCK. `column` 0: the whole row. `hidden` as in WardenAccess.
 */
void		warden_masked_write(const WardenObject *WARDEN_NONNULL relation, int16_t column, WardenMaskedWrite why,
								bool hidden, WardenBuffer *WARDEN_NONNULL texts, WardenVerdict *WARDEN_NONNULL verdict);

#endif
