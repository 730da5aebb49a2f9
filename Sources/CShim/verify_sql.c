/*
 * warden.verify_audit and audit_digest.
 */
#include "sql.h"

#include "verification.h"

PG_FUNCTION_INFO_V1(warden_sql_verify_audit);
PG_FUNCTION_INFO_V1(warden_sql_audit_digest);

typedef struct Verify
{
	const WardenDigest *expected;	/* NULL: none */
	MemoryContext memory;
	WardenVerified verified;
} Verify;

static void
verify(void *arg)
{
	Verify	   *work = arg;

	warden_verify(work->expected, work->memory, &work->verified);
}

Datum
warden_sql_verify_audit(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Verify		work = {.memory = CurrentMemoryContext};
	WardenDigest expected;
	Datum		values[4] = {0};
	bool		nulls[4] = {false, false, true, true};

	warden_ready();
	if (!PG_ARGISNULL(0))
	{
		warden_digest_parse(text_to_cstring(PG_GETARG_TEXT_PP(0)), &expected);
		work.expected = &expected;
	}
	InitMaterializedSRF(fcinfo, 0);
	warden_internal_run(verify, &work);
	values[0] = BoolGetDatum(work.verified.problem == NULL);
	values[1] = Int64GetDatum((int64) work.verified.records);
	if (work.verified.problem != NULL)
	{
		values[2] = Int64GetDatum((int64) work.verified.bad_seq);
		/* a digest of something else is wrong with no record in particular */
		nulls[2] = work.verified.bad_seq == 0;
		values[3] = CStringGetTextDatum(work.verified.problem);
		nulls[3] = false;
	}
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	return (Datum) 0;
}

static void
take(void *arg)
{
	warden_digest_take(arg);
}

Datum
warden_sql_audit_digest(PG_FUNCTION_ARGS)
{
	WardenDigest digest;

	(void) fcinfo;
	warden_ready();
	warden_internal_run(take, &digest);
	PG_RETURN_TEXT_P(cstring_to_text(warden_digest_text(&digest)));
}
