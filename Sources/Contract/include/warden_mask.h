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
	WARDEN_TYPE_NUMERIC = 2,
	WARDEN_TYPE_BOOLEAN = 3,
	WARDEN_TYPE_DATE = 4,
	WARDEN_TYPE_TIME = 5,
	WARDEN_TYPE_INTERVAL = 6,
	WARDEN_TYPE_UUID = 7,
	WARDEN_TYPE_JSON = 8,		/* json, jsonb */
	WARDEN_TYPE_BYTEA = 9,
	WARDEN_TYPE_INET = 10,
	WARDEN_TYPE_ENUM = 11,
	WARDEN_TYPE_ARRAY = 12,
	WARDEN_TYPE_OTHER = 13,
	WARDEN_TYPE_FLOAT = 14,		/* real, double precision */
	WARDEN_TYPE_MONEY = 15,
	WARDEN_TYPE_TIMESTAMP = 16,
	WARDEN_TYPE_TIMESTAMPTZ = 17,
	WARDEN_TYPE_TIMETZ = 18,
	WARDEN_TYPE_CIDR = 19
} WardenTypeKind;

typedef struct WardenMaskDefinition
{
	WardenText	target;			/* as the user wrote it, for errors */
	WardenText	method;			/* NULL: chosen by type */
	/* options, as key and value texts side by side; of a list one pair for each of its values */
	const WardenText *WARDEN_NULLABLE keys;
	const WardenText *WARDEN_NULLABLE values;
	int64_t		option_count;
	WardenText	column;			/* quoted as needed */
	WardenText	type_name;		/* as format_type gives it, modifier included: character varying(20) */
	WardenText	base_name;		/* name alone of the type, or of the one that the domain is over: bpchar */
	WardenTypeKind type;
	WardenTypeKind element;		/* of an array what its elements are, domains as their base; else = type */
	/* of the type, or of the array's elements: */
	int32_t		max_characters; /* of char(n), varchar(n); -1 = no limit */
	int32_t		precision;		/* of numeric(p, s); 0 = no limit */
	int32_t		scale;
	int32_t		width;			/* of integers and floats, in bits */
	bool		folds_case;		/* citext: values that differ in case are equal */
	/* of the column: */
	bool		is_domain;		/* it, or the elements of its array */
	bool		domain_not_null;	/* the column's domain, or one that it is over, is NOT NULL */
	bool		not_null;
	bool		unique;			/* on its own, by a constraint or an index */
} WardenMaskDefinition;

/*
 * Writes the SQL expression that the masking view has in place of the column: of exactly the column's type, over
 * the column's name alone, every function schema-qualified. `method` gets the method chosen.
 * Returns false and the error to raise (22023) where method, options and type do not fit together. Where it returns
 * true the verdict may have a message and a hint, to be told as a notice.
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
