/*
 * The spool: rings of audit records in a memory-mapped file, one ring per backend.
 *
 * Protocol. One producer (the backend that owns the ring) and one consumer (the writer of the ring's database).
 * `head` and `tail` count bytes ever written and ever drained; they only grow; data is at (count % capacity).
 * The producer: writing = 1; takes the next number from the database's counter; writes the record; publishes it by
 * storing head (release); writing = 0. A record never wraps: a pad record fills the rest where it would.
 * A published record changes in its state word and its completion only, by the producer:
 *   OPEN -> COMPLETE (rows, duration known) -> FINAL (outcome known).
 * The consumer sets TAKEN in the state word by compare-and-swap when it reads a record that is not FINAL. From then
 * on the producer reports the rest by a record of its own, an amendment. A producer that finds its ring empty may start
 * over at its first byte: it pads the rest of the lap, publishes the pad and moves tail behind it itself. Memory behind tail is not touched by the
 * consumer, and overwritten by the producer only.
 * Mapped pages outlive the process: after kill -9 the ring is an orphan, and the consumer finishes it.
 */
#ifndef WARDEN_SPOOL_H
#define WARDEN_SPOOL_H

#include "warden_policy.h"

typedef enum WardenRingState
{
	WARDEN_RING_FREE = 0,
	WARDEN_RING_OWNED = 1,
	/* its backend is gone; the writer drains the rest and sets it free */
	WARDEN_RING_ORPHANED = 2
} WardenRingState;

/* Header of a ring. Fields of the producer and of the consumer are on cache lines of their own. */
typedef struct WardenRing
{
	/* set by C when the ring is taken */
	uint64_t	capacity;		/* bytes of data, a multiple of 8, at least 64 kB */
	uint64_t	session;		/* start of the session in seconds since 1970 << 22 | process id */
	uint32_t	database;
	uint32_t	state;			/* WardenRingState */
	uint32_t	owner_pid;
	uint32_t	unused;
	/* a connect of the session is recorded, and its disconnect is not yet */
	uint64_t	session_open;
	uint64_t	lost;			/* amendments that found no room */
	uint64_t	reserved[2];
	/* the producer's */
	uint64_t	head;
	uint64_t	writing;
	uint64_t	transaction_first;	/* number of the first statement whose outcome is open, 0 = none */
	uint64_t	last_statement; /* number of the last statement */
	uint64_t	xid;			/* full transaction id, noted before commit, 0 = none */
	uint64_t	last_seq;		/* number of the last record */
	/* what the last record leaves out, in bits; 0: nothing */
	uint64_t	withheld;
	uint64_t	transaction_position;	/* where the records of transaction_first and later begin */
	/* the consumer's */
	uint64_t	tail;
	uint64_t	reserved3[7];
} WardenRing;

static inline uint64_t
warden_load_acquire(const uint64_t *WARDEN_NONNULL word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline void
warden_store_release(uint64_t *WARDEN_NONNULL word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/* Full barrier: also keeps `writing` ahead of the number taken. */
static inline uint64_t
warden_fetch_add(uint64_t *WARDEN_NONNULL word, uint64_t value)
{
	return __atomic_fetch_add(word, value, __ATOMIC_SEQ_CST);
}

/* True where *word was `expected` and now is `desired`. */
static inline bool
warden_compare_exchange(uint32_t *WARDEN_NONNULL word, uint32_t expected, uint32_t desired)
{
	return __atomic_compare_exchange_n(word, &expected, desired, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static inline uint32_t
warden_load_acquire32(const uint32_t *WARDEN_NONNULL word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

typedef enum WardenEvent
{
	WARDEN_EVENT_STATEMENT = 0,
	WARDEN_EVENT_CONNECT = 1,
	WARDEN_EVENT_DISCONNECT = 2,
	WARDEN_EVENT_AUTH_FAILED = 3,
	/* an amendment: the end of a statement, or the outcome of a range of statements */
	WARDEN_EVENT_TRANSACTION = 4,
	WARDEN_EVENT_POLICY = 5,
	WARDEN_EVENT_REQUEST = 6,
	WARDEN_EVENT_DECISION = 7,
	WARDEN_EVENT_ALERT = 8,
	WARDEN_EVENT_BREAK_GLASS = 9,
	WARDEN_EVENT_GAP = 10
} WardenEvent;

typedef enum WardenOutcome
{
	WARDEN_OUTCOME_OPEN = 0,
	WARDEN_OUTCOME_COMMITTED = 1,
	WARDEN_OUTCOME_ROLLED_BACK = 2,
	WARDEN_OUTCOME_FAILED = 3,
	WARDEN_OUTCOME_BLOCKED = 4,
	WARDEN_OUTCOME_INTERRUPTED = 5
} WardenOutcome;

/* What is known at the end of a statement. Numbers below 0 mean: not known. */
typedef struct WardenCompletion
{
	int64_t		rows;
	int64_t		bytes;
	int64_t		duration;		/* microseconds */
	char		sqlstate[8];	/* empty: no error */
	WardenText	error;			/* cut to what the record has room for (about 150 bytes) */
	/* a table with masks was read: messages that repeat values are withheld */
	bool		masked_read;
} WardenCompletion;

/* What is known when a record is made. */
typedef struct WardenRecord
{
	WardenEvent event;
	WardenDecision decision;
	WardenOutcome outcome;		/* OPEN, or final at once: the record is then written as FINAL */
	int64_t		at;				/* microseconds since 2000-01-01 UTC */
	uint64_t	session;		/* as in WardenRing; of the session that the record is about */
	uint64_t	statement_no;
	uint64_t	last_statement_no;	/* amendments of a range: its end; else 0 */
	uint64_t	parent_no;
	uint64_t	transaction;	/* number of the transaction within the session, 0 = none */
	uint64_t	statement_hash; /* 0 = none */
	int64_t		request_id;		/* 0 = none */
	uint32_t	subtransaction; /* PostgreSQL's SubTransactionId */
	WardenText	context;		/* as warden_context_encode made it */
	WardenText	guard;
	WardenText	text;			/* the statement; cut to text_limit, secrets removed */
	int64_t		text_limit;		/* bytes */
	/* the statement came with a secret as a literal (CREATE ROLE … PASSWORD): all its literals are removed */
	bool		has_secret;
	/* SHA-256 of the whole text, 32 bytes, where it is longer than text_limit; else NULL */
	WardenText	text_digest;
	/* bytes of `text` at which literals begin that are not to be stored: values of masked or labelled columns; ascending */
	const int32_t *WARDEN_NULLABLE redacted;
	int64_t		redacted_count;
	const WardenParameter *WARDEN_NULLABLE parameters;
	int64_t		parameter_count;
	WardenParameterMode parameter_mode;
	/* NULL where the record is of no statement */
	const WardenStatement *WARDEN_NULLABLE statement;
	WardenCompletion completion;	/* for records that are final at once, and for amendments */
	/* amendments that tell an error: what WardenRing.withheld was when the statement's record was appended */
	uint64_t	withheld;
} WardenRecord;

/*
 * Encodes what the audit says of the session itself, once per change of it; records carry a copy.
 * Cut to capacity by cutting long fields; 4 kB is room enough for all fields of 255 bytes.
 */
void		warden_context_encode(const WardenSession *WARDEN_NONNULL session, WardenBuffer *WARDEN_NONNULL out);

/*
 * Encodes what records say of an object, once per change of it, for WardenObject.encoded. 1 kB and 160 bytes per column are
 * always room enough; length 0 where it does not fit.
 */
void		warden_object_encode(const WardenObject *WARDEN_NONNULL object, WardenBuffer *WARDEN_NONNULL out);

/* Results of warden_ring_append; others are the position of the record (for complete), 0 or more. */
static const int64_t WARDEN_RING_FULL = -1;
/* The ring's header contradicts itself: it was overwritten from outside. Nothing was changed. */
static const int64_t WARDEN_RING_DAMAGED = -2;

/*
 * Appends a record. `counter` is the database's shared counter: the next number to give. Amendments (event TRANSACTION) and DISCONNECT may use
 * the last 4 kB of room, all else leaves it free, so that an outcome always finds room.
 * A record's text is cut so that no record takes more than a quarter of the ring.
 */
int64_t		warden_ring_append(WardenRing *WARDEN_NONNULL ring, uint8_t *WARDEN_NONNULL data,
							   uint64_t *WARDEN_NONNULL counter, const WardenRecord *WARDEN_NONNULL record);

/*
 * Notes the end of the statement at `position`: OPEN -> COMPLETE; with an sqlstate: -> FINAL, failed (or `outcome` where
 * that is not OPEN). Returns true when done; false when the record has been taken: append an amendment then.
 */
bool		warden_ring_complete(WardenRing *WARDEN_NONNULL ring, uint8_t *WARDEN_NONNULL data, int64_t position,
								 const WardenCompletion *WARDEN_NONNULL completion, WardenOutcome outcome);

/* Statements whose records were taken before their outcome was known. */
typedef struct WardenUnresolved
{
	uint64_t	first;			/* statement numbers; first == 0: none */
	uint64_t	last;
} WardenUnresolved;

/*
 * A transaction or subtransaction has ended. Records from `position` on of subtransaction `subtransaction` or
 * later that are not FINAL become FINAL: COMPLETE ones get `outcome`; OPEN ones FAILED where `outcome` is
 * ROLLED_BACK, else `outcome`. `first` is the number of the first statement concerned: those already taken
 * are returned in `unresolved`, for an amendment over that range. `goes_on`: it was ended by a statement that is still
 * running (a procedure's COMMIT); OPEN records, and those numbered below `first`, are left as they are.
 */
void		warden_ring_resolve(WardenRing *WARDEN_NONNULL ring, uint8_t *WARDEN_NONNULL data, int64_t position,
								uint64_t first, uint32_t subtransaction, WardenOutcome outcome, bool goes_on,
								WardenUnresolved *WARDEN_NONNULL unresolved);

/* --- the writer's side --- */

typedef struct WardenRingRef
{
	WardenRing *WARDEN_NONNULL ring;
	uint8_t    *WARDEN_NONNULL data;
} WardenRingRef;

typedef struct WardenCollected
{
	int64_t		ready;			/* records[0 ..< ready] are there, numbered first_seq on, without hole */
	/* a later number is there, and this one is not: it is being written now, or lost */
	bool		hole;
	/* rings with bytes that make no sense; what follows them is found again where it does */
	int64_t		damaged;
	/* the highest number seen, handed out or not; 0 = none. Complete where first_seq is higher than all */
	uint64_t	highest;
} WardenCollected;

/*
 * Finds the records numbered first_seq ..< first_seq + capacity in the rings, in order of number, and marks those not FINAL as taken.
 * Records with lower numbers are passed over (they are in the table already). Orphaned rings: C resolves their
 * open records first (warden_ring_resolve with INTERRUPTED or COMMITTED).
 */
void		warden_drain_collect(const WardenRingRef *WARDEN_NONNULL rings, int64_t ring_count, uint64_t first_seq,
								 const uint8_t *WARDEN_NULLABLE *WARDEN_NONNULL records, int64_t capacity,
								 WardenCollected *WARDEN_NONNULL collected);

/* Frees the room of all records numbered up to last_seq: they are in the table, committed. */
void		warden_drain_release(const WardenRingRef *WARDEN_NONNULL rings, int64_t ring_count, uint64_t last_seq);

/* A record that waits in a ring. */
typedef struct WardenWaiting
{
	uint64_t	seq;
	int64_t		at;				/* as in WardenRecord */
} WardenWaiting;

/*
 * The first record of a ring numbered above last_seq: the oldest that is not in the table. Changes nothing; any process may
 * ask while producer and consumer work. False where there is none, or the ring moved on meanwhile.
 */
bool		warden_ring_waiting(WardenRing *WARDEN_NONNULL ring, uint8_t *WARDEN_NONNULL data, uint64_t last_seq,
								WardenWaiting *WARDEN_NONNULL waiting);

/*
 * What many records say alike is stored once. Who acted, in a table of its own: warden.audit_context.
 */
typedef struct WardenAuditContext
{
	WardenText	database;
	WardenText	session_user;
	WardenText	role;
	WardenText	identity;
	WardenText	agent;
	WardenText	application;
	WardenText	client_address;
	WardenText	environment;
	WardenText	intent;
	WardenText	ticket;
	WardenText	run;
} WardenAuditContext;

/* The kind of statement: warden.audit_shape. What it leaves NULL (hash: 0) is in the record itself. */
typedef struct WardenAuditShape
{
	uint64_t	statement_hash;
	WardenText	statement_class;
	WardenText	command;
	WardenText	decision;
	WardenText	guard;
	WardenText	access;			/* JSON array, see docs/audit-format.md; NULL where no object was touched */
	WardenText	statement;
} WardenAuditShape;

/*
 * A row of the audit table, from a record or from the table. Numbers 0 (or below 0 for rows, bytes, duration): NULL.
 * A record has all that it says in its row. In the table, the shape and the context have a part of it, and the row has
 * their digests; the row's own statement_hash, statement and access are then NULL where the shape has them.
 */
typedef struct WardenAuditRow
{
	uint64_t	seq;
	int64_t		at;
	uint64_t	session;
	uint64_t	statement_no;
	uint64_t	last_statement_no;
	uint64_t	parent_no;
	uint64_t	transaction;	/* 32 bits of it are kept */
	uint64_t	statement_hash;
	int64_t		request_id;
	int64_t		rows;
	int64_t		bytes;
	int64_t		duration;
	uint8_t		event;			/* the letters of docs/audit-format.md */
	uint8_t		outcome;		/* 0: NULL */
	WardenText	sqlstate;
	WardenText	error;
	WardenText	statement;
	WardenText	parameters;		/* a literal of PostgreSQL's text[]; NULL where none were recorded */
	WardenText	access;			/* JSON */
	/* in the table: SHA-256 of the canonical bytes of context and shape; NULL: it has none */
	WardenText	context_digest;
	WardenText	shape_digest;
	/* from a record only: what context and shape are made of */
	WardenText	context;		/* encoded */
	WardenText	access_list;	/* encoded */
	WardenText	statement_class;
	WardenText	command;
	WardenText	decision;
	WardenText	guard;
} WardenAuditRow;

/*
 * Decodes the record at `record` (of at most `length` bytes). JSON goes to `scratch` (64 kB is always enough: the list is
 * cut there, and says so); with a scratch of no capacity the JSON is left out, for who has it already.
 * False where it is torn or no record.
 */
bool		warden_record_decode(const uint8_t *WARDEN_NONNULL record, int64_t length, WardenBuffer *WARDEN_NONNULL scratch,
								 WardenAuditRow *WARDEN_NONNULL row);

/* Decodes what warden_context_encode made. False, and all fields NULL, where it is no context. */
bool		warden_context_decode(WardenText encoded, WardenAuditContext *WARDEN_NONNULL context);

/* The JSON of an access list, in `out` (as scratch above). Writes nothing where there is no room. */
void		warden_access_json(WardenText access_list, WardenBuffer *WARDEN_NONNULL out);

/*
 * What NOTIFY tells of an alert that a guard raised, from its record: an object of JSON. 6 kB is always room enough; false,
 * and length 0, where it does not fit.
 */
bool		warden_alert_json(const WardenAuditRow *WARDEN_NONNULL row, WardenBuffer *WARDEN_NONNULL out);

/*
 * The bytes that are hashed: docs/audit-format.md. They return false where `out` is too small (the texts together plus
 * 256 bytes are always enough).
 */
bool		warden_row_canonical(const WardenAuditRow *WARDEN_NONNULL row, WardenBuffer *WARDEN_NONNULL out);
bool		warden_context_canonical(const WardenAuditContext *WARDEN_NONNULL context, WardenBuffer *WARDEN_NONNULL out);
bool		warden_shape_canonical(const WardenAuditShape *WARDEN_NONNULL shape, WardenBuffer *WARDEN_NONNULL out);

#endif
