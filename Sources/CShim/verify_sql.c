/*
 * warden.verify_audit and audit_digest.
 */
#include "sql.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "writer_rows.h"

PG_FUNCTION_INFO_V1(warden_sql_verify_audit);
PG_FUNCTION_INFO_V1(warden_sql_audit_digest);

typedef struct Verification
{
	uint64		records;
	uint64		bad_seq;
	char	   *problem;
	uint8		head[PG_SHA256_DIGEST_LENGTH];
	uint64		last_seq;
	/* of the digest that was kept outside; expected_seq 0 = none */
	uint64		expected_seq;
	uint64		expected_records;
	uint8		expected_head[PG_SHA256_DIGEST_LENGTH];
	MemoryContext memory;
} Verification;

/* A row of each of the three tables, joined. */
typedef struct Joined
{
	WardenAuditRow row;
	WardenAuditShape shape;
	WardenAuditContext context;
	bool		has_shape;
	bool		has_context;
	const uint8 *hash;			/* NULL: it is none */
} Joined;

/* In the order of the columns of the query below. */
static void
joined_from_tuple(Joined *joined, HeapTuple tuple, TupleDesc desc)
{
	WardenAuditRow *row = &joined->row;
	WardenAuditShape *shape = &joined->shape;
	uint64	   *numbers[] = {&row->seq, (uint64 *) &row->at, &row->session, &row->statement_no, &row->last_statement_no,
		&row->parent_no, &row->transaction, (uint64 *) &row->request_id, &row->statement_hash, &shape->statement_hash};
	int64	   *counts[] = {&row->rows, &row->bytes, &row->duration};
	WardenText *context = (WardenText *) &joined->context;
	WardenText *texts[] = {&row->sqlstate, &row->error, &row->statement, &row->access, &row->parameters,
		&shape->statement_class, &shape->command, &shape->decision, &shape->guard, &shape->access, &shape->statement};
	int			column = 1;
	bool		isnull;
	Datum		datum;

	memset(joined, 0, sizeof(*joined));
	for (size_t i = 0; i < lengthof(numbers); i++)
	{
		datum = SPI_getbinval(tuple, desc, column++, &isnull);
		*numbers[i] = isnull ? 0 : (uint64) DatumGetInt64(datum);
	}
	for (size_t i = 0; i < lengthof(counts); i++)
	{
		datum = SPI_getbinval(tuple, desc, column++, &isnull);
		*counts[i] = isnull ? -1 : DatumGetInt64(datum);
	}
	for (size_t i = 0; i < lengthof(texts) + sizeof(joined->context) / sizeof(*context); i++)
	{
		datum = SPI_getbinval(tuple, desc, column++, &isnull);
		*(i < lengthof(texts) ? texts[i] : context++) = warden_text(isnull ? NULL : TextDatumGetCString(datum));
	}
	datum = SPI_getbinval(tuple, desc, column++, &isnull);
	row->event = isnull ? 0 : (uint8) DatumGetChar(datum);
	datum = SPI_getbinval(tuple, desc, column++, &isnull);
	row->outcome = isnull ? 0 : (uint8) DatumGetChar(datum);
	joined->has_context = DatumGetBool(SPI_getbinval(tuple, desc, column++, &isnull));
	joined->has_shape = DatumGetBool(SPI_getbinval(tuple, desc, column++, &isnull));
	datum = SPI_getbinval(tuple, desc, column, &isnull);
	joined->hash = isnull || VARSIZE_ANY_EXHDR(DatumGetByteaPP(datum)) != PG_SHA256_DIGEST_LENGTH ? NULL :
		(const uint8 *) VARDATA_ANY(DatumGetByteaPP(datum));
}

static void
found_problem(Verification *verification, uint64 seq, const char *problem)
{
	if (verification->problem != NULL)
		return;
	verification->bad_seq = seq;
	verification->problem = MemoryContextStrdup(verification->memory, problem);
}

static void
check_expected(Verification *verification, uint64 seq)
{
	if (seq != verification->expected_seq || seq == 0)
		return;
	if (memcmp(verification->head, verification->expected_head, PG_SHA256_DIGEST_LENGTH) != 0)
		found_problem(verification, seq, "the chain up to here is not the one that the digest was taken of");
}

static void
verify_row(Verification *verification, HeapTuple tuple, TupleDesc desc)
{
	Joined		joined;
	uint8		context[PG_SHA256_DIGEST_LENGTH];
	uint8		shape[PG_SHA256_DIGEST_LENGTH];
	WardenAuditRow row;

	joined_from_tuple(&joined, tuple, desc);
	row = joined.row;
	if (joined.has_context)
	{
		warden_context_digest(&joined.context, context);
		row.context_digest = (WardenText) {context, sizeof(context)};
	}
	if (joined.has_shape)
	{
		warden_shape_digest(&joined.shape, shape);
		row.shape_digest = (WardenText) {shape, sizeof(shape)};
	}
	if (row.seq != verification->last_seq + 1)
		found_problem(verification, verification->last_seq + 1,
					  row.seq <= verification->last_seq ? "a record is there twice" : "a record is missing");
	warden_chain_link(verification->head, &row);
	if (joined.hash == NULL || memcmp(joined.hash, verification->head, PG_SHA256_DIGEST_LENGTH) != 0)
		found_problem(verification, row.seq, "the record was altered, or one before it replaced");
	verification->last_seq = row.seq;
	verification->records++;
	check_expected(verification, row.seq);
}

static void
verify_rows(void *arg)
{
	Verification *verification = arg;
	SPIPlanPtr	plan = SPI_prepare_cursor(
		"SELECT r.seq, (extract(epoch FROM r.at - timestamptz '2000-01-01 00:00:00+00') * 1000000)::bigint, r.session, "
		"r.statement_no, r.last_statement_no, r.parent_no, r.transaction::bigint & 4294967295, r.request_id, "
		"r.statement_hash, s.statement_hash, r.rows, r.bytes, r.duration, "
		"r.sqlstate, r.error, r.statement, r.access, r.parameters, "
		"s.class, s.command, s.decision, s.guard, s.access, s.statement, "
		"c.database_name, c.session_user_name, c.role_name, c.identity, c.agent, c.application_name, c.client_addr, "
		"c.environment, c.intent, c.ticket, c.run, r.event, r.outcome, c.id IS NOT NULL, s.id IS NOT NULL, r.hash "
		"FROM warden.audit_record r LEFT JOIN warden.audit_context c ON c.id = r.context "
		"LEFT JOIN warden.audit_shape s ON s.id = r.shape ORDER BY r.seq",
		0, NULL, CURSOR_OPT_NO_SCROLL);
	Portal		portal = SPI_cursor_open(NULL, plan, NULL, NULL, true);
	MemoryContext memory = AllocSetContextCreate(CurrentMemoryContext, "pg_warden verify", ALLOCSET_DEFAULT_SIZES);

	for (;;)
	{
		MemoryContext caller;

		SPI_cursor_fetch(portal, true, 1000);
		if (SPI_processed == 0)
			break;
		caller = MemoryContextSwitchTo(memory);
		for (uint64 i = 0; i < SPI_processed; i++)
		{
			CHECK_FOR_INTERRUPTS();
			verify_row(verification, SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
			MemoryContextReset(memory);
		}
		MemoryContextSwitchTo(caller);
		SPI_freetuptable(SPI_tuptable);
	}
	SPI_cursor_close(portal);
}

static void
check_head(Verification *verification)
{
	WardenChain chain;

	warden_chain_read(&chain);
	/* the writer may have gone on meanwhile; what it added was not looked at */
	if (chain.last_seq < verification->last_seq)
		found_problem(verification, chain.last_seq + 1, "the table holds records that the chain does not know");
	else if (chain.last_seq == verification->last_seq &&
			 memcmp(chain.head, verification->head, PG_SHA256_DIGEST_LENGTH) != 0)
		found_problem(verification, chain.last_seq, "the head of the chain does not fit the last record");
	if (verification->expected_seq > verification->last_seq)
		found_problem(verification, verification->last_seq + 1,
					  "records that the digest was taken of are gone from the end");
}

static void
check_truncation(Verification *verification, const WardenChain *before)
{
	if (verification->last_seq < before->last_seq)
		found_problem(verification, verification->last_seq + 1, "records are missing at the end");
}

static void
parse_digest(Verification *verification, const char *digest)
{
	unsigned long long records;
	unsigned long long seq;
	char		hex[65];

	if (sscanf(digest, "%llu:%llu:%64[0-9a-f]", &records, &seq, hex) != 3 || strlen(hex) != 64 ||
		hex_decode(hex, 64, (char *) verification->expected_head) != PG_SHA256_DIGEST_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"expected_digest\" is not a digest of warden.audit_digest()"),
				 errhint("It has the form records:last_seq:hash.")));
	verification->expected_records = records;
	verification->expected_seq = seq;
}

Datum
warden_sql_verify_audit(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Verification verification = {.memory = CurrentMemoryContext};
	WardenChain before;
	Datum		values[4];
	bool		nulls[4] = {false, false, true, true};

	warden_ready();
	if (!PG_ARGISNULL(0))
		parse_digest(&verification, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	InitMaterializedSRF(fcinfo, 0);
	warden_chain_read(&before);
	warden_chain_begin();
	warden_internal_run(verify_rows, &verification);
	warden_chain_end();
	check_truncation(&verification, &before);
	check_head(&verification);
	values[0] = BoolGetDatum(verification.problem == NULL);
	values[1] = Int64GetDatum((int64) verification.records);
	values[2] = Int64GetDatum((int64) verification.bad_seq);
	values[3] = (Datum) 0;
	if (verification.problem != NULL)
	{
		nulls[2] = nulls[3] = false;
		values[3] = CStringGetTextDatum(verification.problem);
	}
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	return (Datum) 0;
}

Datum
warden_sql_audit_digest(PG_FUNCTION_ARGS)
{
	WardenChain chain;
	char		hex[2 * PG_SHA256_DIGEST_LENGTH + 1];

	(void) fcinfo;
	warden_ready();
	warden_chain_read(&chain);
	hex_encode((const char *) chain.head, PG_SHA256_DIGEST_LENGTH, hex);
	hex[2 * PG_SHA256_DIGEST_LENGTH] = '\0';
	PG_RETURN_TEXT_P(cstring_to_text(psprintf(UINT64_FORMAT ":" UINT64_FORMAT ":%s", chain.records, chain.last_seq, hex)));
}
