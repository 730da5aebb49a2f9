/*
 * Audit records as rows of the audit table: partitions, contexts, the hash chain.
 */
#ifndef WARDEN_WRITER_ROWS_H
#define WARDEN_WRITER_ROWS_H

#include "shim.h"

#include "common/sha2.h"
#include "utils/rel.h"

/* The columns of warden.audit_record. */
enum
{
	COLUMN_SEQ, COLUMN_AT, COLUMN_SESSION, COLUMN_STATEMENT_NO, COLUMN_LAST_STATEMENT_NO, COLUMN_PARENT_NO,
	COLUMN_ROWS, COLUMN_BYTES, COLUMN_DURATION, COLUMN_REQUEST_ID, COLUMN_STATEMENT_HASH, COLUMN_CONTEXT, COLUMN_SHAPE,
	COLUMN_TRANSACTION, COLUMN_EVENT, COLUMN_OUTCOME, COLUMN_SQLSTATE, COLUMN_ERROR, COLUMN_STATEMENT, COLUMN_ACCESS,
	COLUMN_PARAMETERS, COLUMN_HASH, WARDEN_AUDIT_COLUMNS
};

/* The state of the chain: warden.audit_chain. */
typedef struct WardenChain
{
	uint64		last_seq;
	uint64		records;
	uint8		head[PG_SHA256_DIGEST_LENGTH];
} WardenChain;

extern void warden_chain_read(WardenChain *chain);
extern void warden_chain_store(const WardenChain *chain);
/* Writes records[0 ..< count], numbered from chain->last_seq + 1 on, and moves the chain forward. */
extern void warden_write_records(WardenChain *chain, const uint8_t **records, int64 count);
/* Writes an event `gap` in place of the number that was given and never arrived. */
extern void warden_write_gap(WardenChain *chain);
/* Makes the partition for records of that time, where there is none. */
extern void warden_partition_ensure(int64 at);
/* The transaction was rolled back, and with it what was noted of it. */
extern void warden_rows_forget(void);

/* --- guard_alert.c: NOTIFY of the alerts that guards raised, in the transaction that writes their records --- */
extern void warden_guard_alerts_begin(void);
extern void warden_guard_alert(const WardenAuditRow *row);
extern void warden_guard_alerts_end(void);

/* --- layout.c --- */
/* Raises where `rel` has other columns than `table`, one of the audit's tables, is made with; a partition is held against its parent. */
extern void warden_check_layout(Relation rel, Oid table);
extern bool warden_layout_fits(Relation rel, Oid table);

/* --- writer_failure.c --- */
/* In a PG_CATCH block of the writer: ends the transaction, tells the log, once. */
extern void warden_writer_failed(int slot);
extern void warden_writer_succeeded(int slot);
/* Waits until it is time to try again; returns at once where nothing failed. */
extern void warden_writer_pause(void);


/* --- identity.c --- */
/* Notes whose the chain is; for the writer, when it starts. */
extern void warden_identity_check(int slot);

/* --- chain.c --- */
/* Around the hashing of one batch of rows, within one transaction. */
extern void warden_chain_begin(void);
extern void warden_chain_end(void);
/* Moves the chain over a row: head = SHA-256(head || canonical bytes of the row). */
extern void warden_chain_link(uint8 *head, const WardenAuditRow *row);
/* SHA-256 of the canonical bytes of what records refer to. */
extern void warden_context_digest(const WardenAuditContext *context, uint8 *digest);
extern void warden_shape_digest(const WardenAuditShape *shape, uint8 *digest);

#endif
