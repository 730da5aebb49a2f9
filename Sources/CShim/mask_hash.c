/*
 * What the views of method hash call. Texts, UUIDs and bytea get their tokens from HMAC-SHA-256, numbers from Swift.
 */
#include "mask_each.h"
#include "mask_call.h"

#include "access/htup_details.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_type.h"
#include "common/sha2.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/numeric.h"
#include "utils/syscache.h"
#include "utils/uuid.h"

PG_FUNCTION_INFO_V1(warden_sql_mask_hash_text);
PG_FUNCTION_INFO_V1(warden_sql_mask_hash_integer);
PG_FUNCTION_INFO_V1(warden_sql_mask_hash_numeric);
PG_FUNCTION_INFO_V1(warden_sql_mask_hash_uuid);
PG_FUNCTION_INFO_V1(warden_sql_mask_hash_bytea);
PG_FUNCTION_INFO_V1(warden_sql_mask_hash_enum);

Datum
warden_sql_mask_hash_text(PG_FUNCTION_ARGS)
{
	WARDEN_MASK_CALL_ONLY(fcinfo);
	text	   *value = PG_GETARG_TEXT_PP(0);
	int32		length = Max(0, Min(PG_GETARG_INT32(1), 52));
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	text	   *result = palloc(VARHDRSZ + length);
	WardenBuffer out = {(uint8_t *) VARDATA(result), length, 0};

	warden_keyed_digest("hash text", (const uint8 *) VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value), digest);
	SWIFT(warden_mask_token((WardenText) {digest, sizeof(digest)}, length, &out));
	SET_VARSIZE(result, VARHDRSZ + out.length);
	PG_RETURN_TEXT_P(result);
}

Datum
warden_sql_mask_hash_integer(PG_FUNCTION_ARGS)
{
	WARDEN_MASK_CALL_ONLY(fcinfo);
	WardenText	key = warden_mask_key("hash number");
	int64		token;

	SWIFT_GET(token, warden_mask_integer(key, PG_GETARG_INT64(0), PG_GETARG_INT32(1)));
	PG_RETURN_INT64(token);
}

Datum
warden_sql_mask_hash_numeric(PG_FUNCTION_ARGS)
{
	WARDEN_MASK_CALL_ONLY(fcinfo);
	WardenText	value = warden_text(DatumGetCString(DirectFunctionCall1(numeric_out, PG_GETARG_DATUM(0))));
	WardenText	key = warden_mask_key("hash number");
	int64		token;

	SWIFT_GET(token, warden_mask_numeric(key, value, PG_GETARG_INT32(1)));
	PG_RETURN_NUMERIC(int64_to_numeric(token));
}

Datum
warden_sql_mask_hash_uuid(PG_FUNCTION_ARGS)
{
	WARDEN_MASK_CALL_ONLY(fcinfo);
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	pg_uuid_t  *result = palloc0(sizeof(pg_uuid_t));
	WardenBuffer out = {result->data, UUID_LEN, 0};

	warden_keyed_digest("hash uuid", PG_GETARG_UUID_P(0)->data, UUID_LEN, digest);
	SWIFT(warden_mask_uuid((WardenText) {digest, sizeof(digest)}, &out));
	PG_RETURN_UUID_P(result);
}

Datum
warden_sql_mask_hash_bytea(PG_FUNCTION_ARGS)
{
	WARDEN_MASK_CALL_ONLY(fcinfo);
	bytea	   *value = PG_GETARG_BYTEA_PP(0);
	bytea	   *result = palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);

	warden_keyed_digest("hash bytea", (const uint8 *) VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value),
						(uint8 *) VARDATA(result));
	SET_VARSIZE(result, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	PG_RETURN_BYTEA_P(result);
}

/* --- enums --- */

typedef struct Labels
{
	Oid			type;
	int			count;
	struct
	{
		Oid			oid;
		char		name[NAMEDATALEN];
	}			labels[FLEXIBLE_ARRAY_MEMBER];
} Labels;

static int
by_oid(const void *a, const void *b)
{
	Oid			one = *(const Oid *) a;
	Oid			other = *(const Oid *) b;

	return one < other ? -1 : one > other;
}

/* Those of the type, in the order of their OIDs: no label that is renamed or moved gives others new tokens. */
static Labels *
labels_of(Oid type, MemoryContext memory)
{
	CatCList   *list = SearchSysCacheList1(ENUMTYPOIDNAME, ObjectIdGetDatum(type));
	Labels	   *labels = MemoryContextAlloc(memory, offsetof(Labels, labels) + list->n_members * sizeof(labels->labels[0]));

	labels->type = type;
	labels->count = list->n_members;
	for (int i = 0; i < list->n_members; i++)
	{
		Form_pg_enum form = (Form_pg_enum) GETSTRUCT(&list->members[i]->tuple);

		labels->labels[i].oid = form->oid;
		strlcpy(labels->labels[i].name, NameStr(form->enumlabel), NAMEDATALEN);
	}
	ReleaseCatCacheList(list);
	qsort(labels->labels, labels->count, sizeof(labels->labels[0]), by_oid);
	return labels;
}

Datum
warden_sql_mask_hash_enum(PG_FUNCTION_ARGS)
{
	WARDEN_MASK_CALL_ONLY(fcinfo);
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, 0);
	Oid			value = PG_GETARG_OID(0);
	Labels	   *labels = fcinfo->flinfo->fn_extra;
	WardenText	key;
	int32		choice;

	if (!OidIsValid(type))
		elog(ERROR, "pg_warden: the type of an enum is not known");
	/* for the length of a statement */
	if (labels == NULL || labels->type != type)
		fcinfo->flinfo->fn_extra = labels = labels_of(type, fcinfo->flinfo->fn_mcxt);
	if (labels->count == 0)
		elog(ERROR, "pg_warden: enum %u has no labels", type);
	key = warden_mask_key("hash enum");
	SWIFT_GET(choice, warden_mask_choice(key, (WardenText) {(const uint8_t *) &value, sizeof(value)}, labels->count));
	PG_RETURN_OID(labels->labels[Min(Max(choice, 0), labels->count - 1)].oid);
}

WARDEN_MASK_EACH(warden_sql_mask_hash_text, TEXTOID)
WARDEN_MASK_EACH(warden_sql_mask_hash_integer, INT8OID)
WARDEN_MASK_EACH(warden_sql_mask_hash_numeric, NUMERICOID)
WARDEN_MASK_EACH(warden_sql_mask_hash_uuid, UUIDOID)
WARDEN_MASK_EACH(warden_sql_mask_hash_bytea, BYTEAOID)
