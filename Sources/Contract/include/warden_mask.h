/*
 * Masks: the expression that stands for a masked column, and the functions that it calls.
 */
#ifndef WARDEN_MASK_H
#define WARDEN_MASK_H

#include "warden_policy.h"

/* What a column's type is, as far as masks care; domains count as their base type. */
typedef enum WardenTypeKind
{
	WARDEN_TYPE_TEXT = 0,		/* text, varchar, char(n), citext, name */
	WARDEN_TYPE_INTEGER = 1,
	WARDEN_TYPE_NUMERIC = 2,	/* numeric, real, double precision, money */
	WARDEN_TYPE_BOOLEAN = 3,
	WARDEN_TYPE_DATE = 4,		/* date, timestamp, timestamptz */
	WARDEN_TYPE_TIME = 5,		/* time, timetz */
	WARDEN_TYPE_INTERVAL = 6,
	WARDEN_TYPE_UUID = 7,
	WARDEN_TYPE_JSON = 8,		/* json, jsonb */
	WARDEN_TYPE_BYTEA = 9,
	WARDEN_TYPE_NETWORK = 10,	/* inet, cidr */
	WARDEN_TYPE_ENUM = 11,
	WARDEN_TYPE_ARRAY = 12,
	WARDEN_TYPE_OTHER = 13
} WardenTypeKind;

typedef struct WardenMaskDefinition
{
	WardenText	target;			/* as the user wrote it, for errors */
	WardenText	method;			/* NULL: chosen by type */
	/* options, as key and value texts side by side */
	const WardenText *WARDEN_NULLABLE keys;
	const WardenText *WARDEN_NULLABLE values;
	int64_t		option_count;
	WardenText	column;			/* quoted as needed */
	WardenText	type_name;		/* as format_type gives it, modifier included: character varying(20) */
	WardenTypeKind type;
	int32_t		max_characters; /* of char(n), varchar(n); -1 = no limit */
	bool		is_domain;
} WardenMaskDefinition;

/*
 * Writes the SQL expression that the masking view has in place of the column: of exactly the column's type, over
 * the column's name alone, every function schema-qualified. `method` gets the method chosen.
 * Returns false and the error to raise (22023) where method, options and type do not fit together.
 */
bool		warden_mask_expression(const WardenMaskDefinition *WARDEN_NONNULL definition,
								   WardenBuffer *WARDEN_NONNULL expression, WardenBuffer *WARDEN_NONNULL method,
								   WardenBuffer *WARDEN_NONNULL texts, WardenVerdict *WARDEN_NONNULL verdict);

/*
 * The first `prefix` and the last `suffix` characters stay, all between becomes `fill` once. A text too short to
 * hide at least one character more than it shows becomes `fill` alone. Result length in `out`; cut to capacity.
 */
void		warden_mask_partial(WardenText value, int32_t prefix, int32_t suffix, WardenText fill,
								WardenEncoding encoding, WardenBuffer *WARDEN_NONNULL out);

/*
 * alice@example.com -> a***@***.com: the first character and the last label of the domain stay.
 * Whatever is not of that form becomes ***.
 */
void		warden_mask_email(WardenText value, WardenEncoding encoding, WardenBuffer *WARDEN_NONNULL out);

#endif
