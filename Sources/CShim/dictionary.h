/*
 * What many records say alike, stored once: warden.audit_context and warden.audit_shape.
 */
#ifndef WARDEN_DICTIONARY_H
#define WARDEN_DICTIONARY_H

#include "shim.h"

#include "common/sha2.h"

/* A row of one of the two tables: what records refer to it by, and what their hash covers of it. */
typedef struct WardenEntry
{
	int32		id;
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
} WardenEntry;

/*
 * The context and the shape of a row that was decoded from a record; NULL where it has none. The row's digests are set, and
 * what the shape says is taken out of the row. What is returned, and what the row then points to, is valid until
 * the next row. Inside warden_chain_begin and _end.
 */
extern const WardenEntry *warden_context_of(WardenAuditRow *row);
extern const WardenEntry *warden_shape_of(WardenAuditRow *row);

/* Forgets what it knows of the tables: another extension, or a transaction that was rolled back. */
extern void warden_dictionary_forget(void);

/* Text that a table can hold: what is not valid in the database's encoding becomes question marks. */
extern WardenText warden_valid_text(WardenText text);

#endif
