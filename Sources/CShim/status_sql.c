/*
 * warden.status: what an operator looks at. healthy is false where somebody should do something, or know.
 */
#include "sql.h"

#include "access/xlog.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(warden_sql_status);

static void
status_row(ReturnSetInfo *rsinfo, const char *name, const char *value, bool healthy)
{
	Datum		values[3] = {CStringGetTextDatum(name), CStringGetTextDatum(value), BoolGetDatum(healthy)};
	bool		nulls[3] = {false, false, false};

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static void
number_row(ReturnSetInfo *rsinfo, const char *name, uint64 number, bool healthy)
{
	status_row(rsinfo, name, psprintf(UINT64_FORMAT, number), healthy);
}

/* --- the writer --- */

static void
writer_row(ReturnSetInfo *rsinfo, const WardenSharedDatabase *shared, uint64 backlog)
{
	if (shared->writer_pid > 0)
		status_row(rsinfo, "audit writer", psprintf("process %d", shared->writer_pid), true);
	else if (shared->no_worker_since != 0)
		status_row(rsinfo, "audit writer",
				   psprintf("cannot start since %s: all of max_worker_processes are in use",
							timestamptz_to_str(shared->no_worker_since)), false);
	else if (shared->away_until > GetCurrentTimestamp())
		status_row(rsinfo, "audit writer", "away: a command needs the database alone", true);
	else
		/* this very statement is one record */
		status_row(rsinfo, "audit writer", backlog > 1 ? "not running" : "at rest", backlog <= 1);
}

static void
backlog_rows(ReturnSetInfo *rsinfo, int slot, uint64 waiting)
{
	WardenBacklog backlog;
	bool		behind;
	double		age;

	warden_backlog(slot, &backlog);
	behind = warden_backlog_behind(&backlog) || warden_shared_database(slot)->behind;
	age = warden_backlog_age(&backlog) / (double) USECS_PER_SEC;
	number_row(rsinfo, "backlog", waiting, !behind);
	number_row(rsinfo, "backlog bytes", backlog.bytes, !behind);
	status_row(rsinfo, "oldest unwritten record",
			   backlog.oldest_seq == 0 ? "none" : psprintf("seq " UINT64_FORMAT ", %.3f s old", backlog.oldest_seq, age),
			   !behind);
	status_row(rsinfo, "fullest ring", psprintf(UINT64_FORMAT "%%", backlog.fullest), backlog.fullest < 90);
	status_row(rsinfo, "rings", psprintf("%d of %d in use by this database", backlog.rings, warden_ring_total()), true);
	number_row(rsinfo, "outcomes lost", backlog.lost, backlog.lost == 0);
	status_row(rsinfo, "writer rate", psprintf(UINT64_FORMAT " records/s while writing", warden_drain_rate(slot)), true);
}

static void
audit_rows(ReturnSetInfo *rsinfo, int slot)
{
	WardenSharedDatabase *shared = warden_shared_database(slot);
	/* in this order: the counter is read last, so that it is never behind what is written */
	uint64		written = warden_load_acquire(&shared->written);
	uint64		given = warden_load_acquire(&warden_spool_database(slot)->counter) - 1;
	uint64		waiting = given > written ? given - written : 0;

	writer_row(rsinfo, shared, waiting);
	number_row(rsinfo, "last record", given, true);
	number_row(rsinfo, "last record written", written, true);
	backlog_rows(rsinfo, slot, waiting);
	number_row(rsinfo, "damaged records", shared->damaged, shared->damaged == 0);
}

/* --- what is in the tables --- */

static char *
first_value(const char *sql)
{
	if (warden_internal_sql(sql, 0, NULL, NULL, NULL) != 1)
		return NULL;
	return SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
}

static void
table_rows(void *arg)
{
	ReturnSetInfo *rsinfo = arg;
	char	   *gaps = first_value("SELECT pg_catalog.count(*) || COALESCE(', the last ' || pg_catalog.max(seq), '') "
								   "FROM warden.audit_record WHERE event = 'g' AND outcome = 'i'");
	char	   *partitions = first_value(
		"SELECT pg_catalog.count(*) || ', ' || pg_catalog.count(*) FILTER (WHERE c.relname > 'audit_record_' || "
		"pg_catalog.to_char(pg_catalog.now() AT TIME ZONE 'UTC', 'YYYYMMDD')) || ' ahead' "
		"FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid "
		"WHERE i.inhparent = 'warden.audit_record'::pg_catalog.regclass");
	MemoryContext caller;

	/* the result outlives SPI */
	caller = MemoryContextSwitchTo(rsinfo->econtext->ecxt_per_query_memory);
	status_row(rsinfo, "gaps", gaps, strcmp(gaps, "0") == 0);
	status_row(rsinfo, "partitions", partitions, true);
	MemoryContextSwitchTo(caller);
}

static void
setting_rows(ReturnSetInfo *rsinfo, const char *mode)
{
	bool		healthy;
	char	   *durability;

	status_row(rsinfo, "mode", mode, strcmp(mode, "enforce") == 0);
	status_row(rsinfo, "audit", GetConfigOption("warden.audit", true, false),
			   warden_audit_classes == ~(WardenClasses) 0);
	durability = warden_durability_tell(&healthy);
	status_row(rsinfo, "durability", durability, healthy);
	status_row(rsinfo, "overflow", GetConfigOption("warden.audit_overflow", true, false), true);
	status_row(rsinfo, "policy", warden_policy_stale ? "changed, not loaded yet" : "loaded", true);
	number_row(rsinfo, "policy generation", warden_policy_generation, warden_policy_generation > 0);
	status_row(rsinfo, "break-glass in this session", warden_break_glass_active() ? "in force" : "not in force",
			   !warden_break_glass_active());
	status_row(rsinfo, "swift depth", psprintf("%d", warden_swift_depth), warden_swift_depth == 0);
}

Datum
warden_sql_status(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	const char *mode = GetConfigOption("warden.mode", true, false);
	int			slot;

	InitMaterializedSRF(fcinfo, 0);
	status_row(rsinfo, "preloaded", mode ? "yes" : "no", mode != NULL);
	if (mode == NULL)
		return (Datum) 0;
	setting_rows(rsinfo, mode);
	if (RecoveryInProgress())
		status_row(rsinfo, "audit writer", "none: this is a standby, nothing is recorded here", false);
	else if ((slot = warden_database_slot(MyDatabaseId, false)) >= 0)
		audit_rows(rsinfo, slot);
	if (OidIsValid(warden_catalog.audit_record))
		warden_internal_run(table_rows, rsinfo);
	return (Datum) 0;
}
