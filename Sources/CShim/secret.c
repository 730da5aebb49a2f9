/*
 * The secret behind keyed masks: 32 random bytes in the only row of warden.secret_policy, made when CREATE EXTENSION
 * commits, replaced by warden.rotate_secret(). No statement reads the table (SelfProtection.swift); backends read it
 * here, outside of the executor. It never reaches a log, a dump, a subscriber of logical replication, or Swift.
 */
#include "sql.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "common/hmac.h"
#include "common/sha2.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(warden_sql_make_secret);
PG_FUNCTION_INFO_V1(warden_sql_rotate_secret);

#define SECRET_LENGTH 32
#define MOST_PURPOSES 8

static uint8 secret[SECRET_LENGTH];
static bool loaded = false;
/* the table has changed since */
static bool stale = false;
/* the client's message in which it was loaded, and the last one in which this session replaced it */
static TimestampTz loaded_in = 0;
static TimestampTz rotated_in = 0;

/* Keys by purpose, made from the secret. */
static struct
{
	const char *purpose;
	uint8		key[PG_SHA256_DIGEST_LENGTH];
}			keys[MOST_PURPOSES];
static int	key_count = 0;

void
warden_secret_stale(void)
{
	stale = true;
}

/* --- the row --- */

static bool
read_row(Relation rel, uint8 *into)
{
	/* of its own: the table has no syscache, so the snapshot is a fresh one */
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple = systable_getnext(scan);
	bool		found = false;

	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;
		Datum		value = heap_getattr(tuple, 1, RelationGetDescr(rel), &isnull);

		if (!isnull && VARSIZE_ANY_EXHDR(DatumGetPointer(value)) == SECRET_LENGTH)
		{
			memcpy(into, VARDATA_ANY(DatumGetPointer(value)), SECRET_LENGTH);
			found = true;
		}
	}
	systable_endscan(scan);
	return found;
}

static void
remove_rows(Relation rel)
{
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;

	/* the table's replica identity is nothing: what is deleted is not in the log that is decoded */
	while ((tuple = systable_getnext(scan)) != NULL)
		simple_heap_delete(rel, &tuple->t_self);
	systable_endscan(scan);
}

static void
insert_row(Relation rel)
{
	bytea	   *value = palloc(VARHDRSZ + SECRET_LENGTH);
	Datum		values[2];
	bool		nulls[2] = {false, false};
	HeapTuple	tuple;

	SET_VARSIZE(value, VARHDRSZ + SECRET_LENGTH);
	if (!pg_strong_random(VARDATA(value), SECRET_LENGTH))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values for the secret of masks")));
	values[0] = PointerGetDatum(value);
	values[1] = TimestampTzGetDatum(GetCurrentTimestamp());
	tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);
	/* not by simple_heap_insert: logical decoding leaves this row out */
	heap_insert(rel, tuple, GetCurrentCommandId(true), HEAP_INSERT_NO_LOGICAL, NULL);
	explicit_bzero(VARDATA(value), SECRET_LENGTH);
	explicit_bzero(tuple->t_data, tuple->t_len);
	heap_freetuple(tuple);
	CacheInvalidateRelcache(rel);
	CommandCounterIncrement();
}

/* --- making it --- */

/* CREATE EXTENSION is under way in this transaction. */
static bool wanted = false;

/*
 * Until its transaction has committed, the extension does not govern, and who creates it could read the table. So the
 * row comes last, when no statement can follow.
 */
static void
before_commit(XactEvent event, void *arg)
{
	Oid			schema;
	Oid			table;
	Relation	rel;
	uint8		present[SECRET_LENGTH];

	(void) arg;
	if (event != XACT_EVENT_PRE_COMMIT && event != XACT_EVENT_PRE_PREPARE)
	{
		if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
			wanted = false;
		return;
	}
	if (!wanted)
		return;
	wanted = false;
	schema = get_namespace_oid("warden", true);
	table = OidIsValid(schema) ? get_relname_relid("secret_policy", schema) : InvalidOid;
	/* CREATE EXTENSION was rolled back, to a savepoint */
	if (!OidIsValid(table))
		return;
	rel = table_open(table, RowExclusiveLock);
	PushActiveSnapshot(GetTransactionSnapshot());
	if (!read_row(rel, present))
		insert_row(rel);
	explicit_bzero(present, sizeof(present));
	PopActiveSnapshot();
	table_close(rel, NoLock);
}

Datum
warden_sql_make_secret(PG_FUNCTION_ARGS)
{
	static bool registered = false;

	(void) fcinfo;
	if (!registered)
		RegisterXactCallback(before_commit, NULL);
	registered = true;
	wanted = true;
	PG_RETURN_VOID();
}

Datum
warden_sql_rotate_secret(PG_FUNCTION_ARGS)
{
	Relation	rel;

	(void) fcinfo;
	warden_ready();
	PreventCommandIfReadOnly("warden.rotate_secret()");
	PreventCommandIfParallelMode("warden.rotate_secret()");
	/* one at a time: two at once would leave two rows */
	rel = table_open(warden_catalog.secret_policy, ShareRowExclusiveLock);
	remove_rows(rel);
	insert_row(rel);
	table_close(rel, NoLock);
	rotated_in = GetCurrentStatementStartTimestamp();
	warden_audit_event(WARDEN_EVENT_POLICY, "rotate_secret");
	PG_RETURN_VOID();
}

/* --- using it --- */

static void
no_secret(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the secret of keyed masks is missing"),
			 errdetail("Masks that make tokens cannot be read without it."),
			 errhint("A member of warden_admin can make a new one: call warden.rotate_secret().")));
}

/* One statement sees one secret, whatever is committed meanwhile; but its own session's rotation it sees. */
static bool
is_current(void)
{
	TimestampTz now = GetCurrentStatementStartTimestamp();

	return loaded && (!stale || (loaded_in == now && rotated_in != now));
}

static void
load(void)
{
	Relation	rel;
	bool		snapshot = !ActiveSnapshotSet();

	warden_governed_refresh();
	loaded = false;
	stale = false;
	key_count = 0;
	if (!OidIsValid(warden_catalog.secret_policy))
		no_secret();
	rel = table_open(warden_catalog.secret_policy, AccessShareLock);
	if (snapshot)
		PushActiveSnapshot(GetCatalogSnapshot(warden_catalog.secret_policy));
	loaded = read_row(rel, secret);
	if (snapshot)
		PopActiveSnapshot();
	table_close(rel, AccessShareLock);
	if (!loaded)
		no_secret();
	loaded_in = GetCurrentStatementStartTimestamp();
}

static void
hmac(const uint8 *key, const uint8 *value, int64 length, uint8 *digest)
{
	pg_hmac_ctx *context = pg_hmac_create(PG_SHA256);

	if (context == NULL || pg_hmac_init(context, key, PG_SHA256_DIGEST_LENGTH) < 0 ||
		pg_hmac_update(context, value, (size_t) length) < 0 ||
		pg_hmac_final(context, digest, PG_SHA256_DIGEST_LENGTH) < 0)
	{
		pg_hmac_free(context);
		elog(ERROR, "pg_warden: HMAC-SHA-256 failed");
	}
	pg_hmac_free(context);
}

/* Tokens of one purpose tell nothing about those of another. */
static const uint8 *
key_for(const char *purpose)
{
	for (int i = 0; i < key_count; i++)
		if (keys[i].purpose == purpose || strcmp(keys[i].purpose, purpose) == 0)
			return keys[i].key;
	if (key_count == MOST_PURPOSES)
		elog(ERROR, "pg_warden: more purposes of keyed masks than there is room for");
	hmac(secret, (const uint8 *) purpose, (int64) strlen(purpose), keys[key_count].key);
	keys[key_count].purpose = purpose;
	return keys[key_count++].key;
}

void
warden_keyed_digest(const char *purpose, const uint8 *value, int64 length, uint8 digest[32])
{
	if (unlikely(!is_current()))
		load();
	hmac(key_for(purpose), value, length, digest);
}

WardenText
warden_mask_key(const char *purpose)
{
	if (unlikely(!is_current()))
		load();
	return (WardenText) {key_for(purpose), PG_SHA256_DIGEST_LENGTH};
}
