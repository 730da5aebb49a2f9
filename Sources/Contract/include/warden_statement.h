/*
 * A statement as facts: what it would do, to which objects, in which session.
 */
#ifndef WARDEN_STATEMENT_H
#define WARDEN_STATEMENT_H

#include "warden_text.h"

/* Statement classes: a bit each. The names that policies use for them are in Interceptor/StatementClass.swift. */
typedef uint64_t WardenClasses;

static const WardenClasses WARDEN_CLASS_READ = 1ull << 0;
static const WardenClasses WARDEN_CLASS_INSERT = 1ull << 1;
static const WardenClasses WARDEN_CLASS_UPDATE = 1ull << 2;
static const WardenClasses WARDEN_CLASS_DELETE = 1ull << 3;
static const WardenClasses WARDEN_CLASS_MERGE = 1ull << 4;
/* no condition keeps a row of the table out of the UPDATE, the DELETE */
static const WardenClasses WARDEN_CLASS_UPDATE_ALL = 1ull << 5;
static const WardenClasses WARDEN_CLASS_DELETE_ALL = 1ull << 6;
static const WardenClasses WARDEN_CLASS_TRUNCATE = 1ull << 7;
static const WardenClasses WARDEN_CLASS_DROP = 1ull << 8;
/* a column of a relation is dropped; comes together with ALTER */
static const WardenClasses WARDEN_CLASS_DROP_COLUMN = 1ull << 9;
static const WardenClasses WARDEN_CLASS_ALTER = 1ull << 10;
static const WardenClasses WARDEN_CLASS_CREATE = 1ull << 11;
/* DDL that neither creates, alters, drops nor truncates: COMMENT, SECURITY LABEL, REINDEX, REFRESH … */
static const WardenClasses WARDEN_CLASS_OTHER_DDL = 1ull << 12;
static const WardenClasses WARDEN_CLASS_GRANT = 1ull << 13;
static const WardenClasses WARDEN_CLASS_ROLE = 1ull << 14;
static const WardenClasses WARDEN_CLASS_COPY_IN = 1ull << 15;
static const WardenClasses WARDEN_CLASS_COPY_OUT = 1ull << 16;
static const WardenClasses WARDEN_CLASS_COPY_PROGRAM = 1ull << 17;
static const WardenClasses WARDEN_CLASS_SERVER_FILE = 1ull << 18;
static const WardenClasses WARDEN_CLASS_SYSTEM = 1ull << 19;
static const WardenClasses WARDEN_CLASS_SET = 1ull << 20;
static const WardenClasses WARDEN_CLASS_FUNCTION = 1ull << 21;
static const WardenClasses WARDEN_CLASS_CONNECT = 1ull << 22;
/* BEGIN, COMMIT, SAVEPOINT … : recorded, guarded only by `all` or by command tag */
static const WardenClasses WARDEN_CLASS_TRANSACTION = 1ull << 23;
/* everything else: EXPLAIN, VACUUM, LOCK, LISTEN … */
static const WardenClasses WARDEN_CLASS_MISC = 1ull << 24;

/* Facts about an object that decide for themselves. */
typedef uint32_t WardenObjectFlags;

static const WardenObjectFlags WARDEN_OBJECT_TEMPORARY = 1u << 0;
/* belongs to pg_warden: its schemas, everything in them, its roles, the extension */
static const WardenObjectFlags WARDEN_OBJECT_OWN = 1u << 1;
/* holds audit data; comes together with OWN */
static const WardenObjectFlags WARDEN_OBJECT_AUDIT = 1u << 2;
/* in pg_catalog or information_schema */
static const WardenObjectFlags WARDEN_OBJECT_CATALOG = 1u << 3;
/* holds raw values of other tables: pg_statistic, pg_statistic_ext_data, TOAST tables */
static const WardenObjectFlags WARDEN_OBJECT_STATISTICS = 1u << 4;
/* holds the secret of keyed masks, which nobody reads; comes together with OWN */
static const WardenObjectFlags WARDEN_OBJECT_SECRET = 1u << 5;

/* A column of a relation, and a label that it carries. */
typedef struct WardenColumnLabel
{
	int32_t		number;			/* of the label, as warden_policy_add_label gave it */
	int16_t		column;			/* attribute number */
	WardenText	label;
} WardenColumnLabel;

/*
 * An object of the database: a relation (catalog == pg_class) or anything else that can be named in pg_depend.
 * C keeps one per relation, so that a statement carries pointers only.
 */
typedef struct WardenObject
{
	uint32_t	catalog;		/* OID of the catalog the object is in */
	uint32_t	oid;
	uint32_t	schema;			/* OID of its schema, 0 where it has none */
	WardenObjectFlags flags;
	WardenText	kind;			/* "table", "view", "function" … */
	WardenText	name;			/* qualified and quoted as needed: public."Order" */
	/* inheritance parents and partitioned ancestors, all levels, in no order */
	const uint32_t *WARDEN_NULLABLE ancestors;
	int64_t		ancestor_count;
	/* columns by attribute number - 1, unquoted; a dropped column is an empty text */
	const WardenText *WARDEN_NULLABLE columns;
	int64_t		column_count;
	/* all this as records have it, as warden_object_encode made it; NULL: records are made from the above */
	WardenText	encoded;
	/* by number of the label, then by column, each pair once */
	const WardenColumnLabel *WARDEN_NULLABLE labels;
	int64_t		label_count;
	/* of name, and of the schema in it, as warden_object_hashes made them; 0: worked out where they are needed */
	uint64_t	name_hash;
	uint64_t	schema_hash;
	/* as warden_policy_unconcerned gave it, for the policy that is in force; 0: every rule is looked for */
	WardenClasses unconcerned;
} WardenObject;

/* One object and what the statement does to it. */
typedef struct WardenAccess
{
	const WardenObject *WARDEN_NONNULL object;
	WardenClasses classes;
	/* attribute numbers, ascending; 0 = the whole row, negative = system columns */
	const int16_t *WARDEN_NULLABLE read_columns;
	int64_t		read_count;
	const int16_t *WARDEN_NULLABLE written_columns;
	int64_t		written_count;
	/* those of read_columns that the session sees masked */
	const int16_t *WARDEN_NULLABLE masked_columns;
	int64_t		masked_count;
	/* what the statement reached the object through where it does not name it: a view, a function; else NULL */
	WardenText	via;
	/* who is told of a refusal may not see the object: its name is not told */
	bool		hidden;
	/*
	 * Of an object that would fall with what the statement names: the name of that, and the way from it to the object,
	 * "schema crm -> type crm.money -> column billing.invoices.total"; else NULL.
	 */
	WardenText	root;
	WardenText	chain;
	bool		chain_hidden;	/* as `hidden`, for something on the way */
	/*
	 * Which of written_columns rows are inserted with, and which are updated: an INSERT … ON CONFLICT DO UPDATE, a MERGE
	 * can do both. Ascending; where both are empty, written_columns stand for either.
	 */
	const int16_t *WARDEN_NULLABLE inserted_columns;
	int64_t		inserted_count;
	const int16_t *WARDEN_NULLABLE updated_columns;
	int64_t		updated_count;
	/*
	 * The object as it would be after the statement, where its name, its columns' names, its schema or its ancestors
	 * change; else NULL. A guard that would not hold for it then decides about the statement.
	 */
	const WardenObject *WARDEN_NULLABLE after;
} WardenAccess;

/* The value of one parameter of a statement, as its type's output function writes it. NULL is NULL. */
typedef struct WardenParameter
{
	WardenText	value;
	int64_t		full_length;	/* bytes of the whole value, where `value` is its beginning only */
	bool		sensitive;		/* compared with or stored into a masked or labelled column */
} WardenParameter;

/* What warden.audit_parameters says. */
typedef enum WardenParameterMode
{
	WARDEN_PARAMETERS_NONE = 0,
	WARDEN_PARAMETERS_REDACTED = 1,
	WARDEN_PARAMETERS_FULL = 2
} WardenParameterMode;

/*
 * Rows that were changed within the client's statement by statements of these classes, and by what ran below them
 * (cascades, triggers, functions): rows of one object, of a schema (catalog == pg_namespace), or all (catalog and oid 0).
 * A row counts once for each object that such a statement names, once for its own table and that table's parents.
 */
typedef struct WardenTally
{
	uint32_t	catalog;
	uint32_t	oid;
	WardenClasses classes;		/* all that the statements around the change have in common with the object */
	int64_t		rows;
} WardenTally;

/* Rows counted so far, for guards with max_rows. */
typedef struct WardenRows
{
	int64_t		returned;		/* by the statement to whom it runs for */
	int64_t		changed;		/* by the statement and all that runs below it, temporary tables left out */
	int64_t		changed_itself; /* by the statement alone, rows of temporary tables and views too */
	const WardenTally *WARDEN_NULLABLE tallies;
	int64_t		tally_count;
} WardenRows;

typedef struct WardenStatement
{
	WardenClasses classes;		/* of the statement as a whole and of every access, together */
	WardenText	command;		/* PostgreSQL's command tag */
	const WardenAccess *WARDEN_NULLABLE accesses;
	int64_t		access_count;
	/* DROP EXTENSION pg_warden and what it takes along */
	bool		drops_extension;
	/* NULL: the statement has not begun, and nothing is counted yet */
	const WardenRows *WARDEN_NULLABLE rows;
} WardenStatement;

typedef enum WardenMode
{
	WARDEN_MODE_OFF = 0,
	WARDEN_MODE_MONITOR = 1,
	WARDEN_MODE_ENFORCE = 2
} WardenMode;

/*
 * A network, or an address, as the bits of an IPv6 address; one of IPv4 is what IPv6 maps it to, ::ffff:a.b.c.d.
 * `prefix` is how many bits count: those of an address are 128, of anything else that is none -1.
 */
typedef struct WardenNetwork
{
	uint64_t	high;
	uint64_t	low;
	int32_t		prefix;
} WardenNetwork;

/* Who acts. The subject is the role after SET ROLE; SECURITY DEFINER does not change it. */
typedef struct WardenSession
{
	uint32_t	session_user_oid;
	uint32_t	role_oid;
	bool		superuser;		/* of the role */
	bool		break_glass;
	WardenMode	mode;
	/* roles that the role is a member of, itself included; superuser does not count as membership */
	const uint32_t *WARDEN_NULLABLE role_memberships;
	int64_t		role_membership_count;
	/* the same for the session's user */
	const uint32_t *WARDEN_NULLABLE user_memberships;
	int64_t		user_membership_count;
	WardenText	database;
	WardenText	session_user;
	WardenText	role;
	WardenText	identity;		/* verified; NULL when none */
	WardenText	agent;			/* claimed */
	WardenText	application;
	WardenText	client_address; /* NULL on a Unix socket */
	WardenText	environment;
	WardenText	intent;
	WardenText	ticket;
	WardenText	run;
	/* client_address as bits; prefix other than 128 where there is none */
	WardenNetwork client_network;
	/*
	 * The time of day in minutes, in each of the zones that guards name (WardenGuard.hours_zone is the index); below 0
	 * where it cannot be told. NULL where no guard in force has hours.
	 */
	const int16_t *WARDEN_NULLABLE minutes;
	int64_t		minute_count;
} WardenSession;

#endif
