/*
 * warden.retain: drops partitions of the audit that are old enough, and keeps what the rest is verified by.
 *
 * Order matters. What is kept is put together first, with a digest over all that was ever kept. The event that tells
 * of it, digest included, is written to the audit before anything is dropped: whoever sees what was kept finds the event in the
 * chain too, and a row of warden.audit_retained that was altered has none.
 */
#include "sql.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/timestamp.h"
#include "verification.h"

PG_FUNCTION_INFO_V1(warden_sql_retain);

/* Around midnight the records of two days take turns; more of them than this is a clock that was set back. */
#define MOST_LOOSE 10000

typedef struct Retain
{
	Datum		keep;			/* interval */
	MemoryContext memory;
	char	  **partitions;		/* oldest first */
	int			count;
	char	   *told;			/* what the event says */
} Retain;

static char *
cell(int row, int column)
{
	return SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column);
}

static char *
one_value(const char *sql)
{
	return warden_internal_sql(sql, 0, NULL, NULL, NULL) > 0 ? cell(0, 1) : NULL;
}

static void
check_keep(Datum keep)
{
	Oid			type = INTERVALOID;
	bool		isnull;

	if (warden_internal_sql("SELECT pg_catalog.now() - $1 > pg_catalog.now() - interval '1 day'", 1, &type, &keep, NULL) == 1 &&
		DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"keep\" must be at least a day"),
				 errhint("For example: SELECT warden.retain('90 days');")));
}

/* Partitions whose day was over before that. */
static void
find_partitions(Retain *work)
{
	Oid			type = INTERVALOID;
	MemoryContext caller;

	work->count = warden_internal_sql(
		"SELECT c.relname FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid "
		"WHERE i.inhparent = 'warden.audit_record'::pg_catalog.regclass AND c.relname ~ '^audit_record_[0-9]{8}$' "
		"AND (pg_catalog.to_date(pg_catalog.substr(c.relname::text, 14), 'YYYYMMDD') + 1)::timestamp AT TIME ZONE 'UTC' "
		"<= pg_catalog.now() - $1 ORDER BY c.relname", 1, &type, &work->keep, NULL);
	caller = MemoryContextSwitchTo(work->memory);
	work->partitions = palloc(sizeof(char *) * (work->count + 1));
	for (int i = 0; i < work->count; i++)
		work->partitions[i] = pstrdup(cell(i, 1));
	MemoryContextSwitchTo(caller);
}

/* --- what is kept --- */

/* The hash of the record before a number, from wherever it still is. */
#define HASH_BEFORE(seq) \
	"CASE WHEN " seq " = 1 THEN pg_catalog.decode(pg_catalog.repeat('00', 32), 'hex') ELSE COALESCE(" \
	"(SELECT p.hash FROM warden.audit_record p WHERE p.seq = " seq " - 1), " \
	"(SELECT k.head_after FROM warden.audit_retained k WHERE k.last_seq = " seq " - 1), " \
	"(SELECT l.hash_before FROM warden.audit_loose l WHERE l.seq = " seq ")) END"

static void
keep_partition(const char *name)
{
	warden_internal_sql(psprintf(
		"INSERT INTO warden.audit_retained (partition, first_seq, last_seq, records, first_at, last_at, head_before, head_after) "
		"SELECT '%s', t.first_seq, t.last_seq, t.records, t.first_at, t.last_at, " HASH_BEFORE("t.first_seq") ", "
		"(SELECT r.hash FROM warden.%s r WHERE r.seq = t.last_seq) "
		"FROM (SELECT pg_catalog.min(seq) AS first_seq, pg_catalog.max(seq) AS last_seq, pg_catalog.count(*) AS records, "
		"pg_catalog.min(at) AS first_at, pg_catalog.max(at) AS last_at FROM warden.%s) t", name, name, name),
						0, NULL, NULL, NULL);
}

/* Records with a number of a dropped partition's range that lie in another: what their hash follows on is kept. */
static void
keep_loose(Retain *work)
{
	const char *last = one_value("SELECT pg_catalog.max(last_seq) FROM warden.audit_retained");
	const char *day = work->partitions[work->count - 1] + strlen("audit_record_");
	int			loose;

	if (last == NULL)
		return;
	loose = warden_internal_sql(psprintf(
		"SELECT r.seq FROM warden.audit_record r WHERE r.seq < %s AND r.at >= (pg_catalog.to_date('%s', 'YYYYMMDD') + 1)"
		"::timestamp AT TIME ZONE 'UTC' LIMIT %d", last, day, MOST_LOOSE + 1), 0, NULL, NULL, NULL);
	if (loose > MOST_LOOSE)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("partition \"%s\" shares its range of numbers with more than %d records of later days",
						work->partitions[work->count - 1], MOST_LOOSE),
				 errhint("The clock was set back at that time: keep a day more, or some days less.")));
	for (int i = 0; i < loose; i++)
	{
		SPITupleTable *found = SPI_tuptable;
		const char *seq = cell(i, 1);

		warden_internal_sql(psprintf("INSERT INTO warden.audit_loose SELECT s.seq, " HASH_BEFORE("s.seq")
									 " FROM (SELECT %s::bigint AS seq) s "
									 "ON CONFLICT DO NOTHING", seq), 0, NULL, NULL, NULL);
		SPI_tuptable = found;
	}
}

/* The number of what was dropped, and the digest of all that is kept. */
static void
put_together(void *arg)
{
	Retain	   *work = arg;
	const char *digest;

	check_keep(work->keep);
	warden_internal_sql("LOCK TABLE warden.audit_retained IN EXCLUSIVE MODE", 0, NULL, NULL, NULL);
	find_partitions(work);
	if (work->count == 0)
		return;
	for (int i = 0; i < work->count; i++)
		keep_partition(work->partitions[i]);
	keep_loose(work);
	/* of the partitions that go now, nothing is loose any more */
	warden_internal_sql(psprintf("DELETE FROM warden.audit_loose l USING warden.audit_record r WHERE r.seq = l.seq AND r.at < "
								 "(pg_catalog.to_date('%s', 'YYYYMMDD') + 1)::timestamp AT TIME ZONE 'UTC'",
								 work->partitions[work->count - 1] + strlen("audit_record_")), 0, NULL, NULL, NULL);
	digest = one_value("SELECT " WARDEN_RETAINED_DIGEST);
	work->told = MemoryContextStrdup(work->memory,
									 psprintf("retain: drops %d partitions, %s to %s; digest of what is kept: %s", work->count,
											  work->partitions[0], work->partitions[work->count - 1], digest));
}

static void
drop_partitions(void *arg)
{
	Retain	   *work = arg;

	for (int i = 0; i < work->count; i++)
	{
		warden_internal_sql(psprintf("ALTER EXTENSION pg_warden DROP TABLE warden.%s", work->partitions[i]),
							0, NULL, NULL, NULL);
		warden_internal_sql(psprintf("DROP TABLE warden.%s", work->partitions[i]), 0, NULL, NULL, NULL);
	}
}

static void
wait_for_writer(void)
{
	Interval	timeout = {.time = 30 * USECS_PER_SEC};

	DirectFunctionCall1(warden_sql_flush, IntervalPGetDatum(&timeout));
}

Datum
warden_sql_retain(PG_FUNCTION_ARGS)
{
	Retain		work = {.memory = CurrentMemoryContext};

	warden_ready();
	warden_not_null(fcinfo, 0, "keep");
	work.keep = PG_GETARG_DATUM(0);
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("warden.retain runs in READ COMMITTED only"),
				 errhint("An older snapshot does not see all of the audit.")));
	/* nothing that is still to be written belongs to what goes */
	wait_for_writer();
	warden_internal_run(put_together, &work);
	if (work.count == 0)
		PG_RETURN_INT64(0);
	warden_audit_event(WARDEN_EVENT_POLICY, work.told);
	wait_for_writer();
	warden_internal_run(drop_partitions, &work);
	PG_RETURN_INT64(work.count);
}
