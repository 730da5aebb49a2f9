/*
 * The digest of the audit: what its chain comes to, in a line of text that is kept outside of the server.
 * docs/audit-format.md says what is in it.
 */
#include "verification.h"

#include "access/xlog.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#define FORM "pg_warden-audit-digest:1"

void
warden_digest_time(int64 at, char *text)
{
	struct pg_tm tm;
	fsec_t		fraction;

	if (timestamp2tm(at, NULL, &tm, &fraction, NULL, NULL) != 0)
		strlcpy(text, "-", 40);
	else
		snprintf(text, 40, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", tm.tm_year, tm.tm_mon, tm.tm_mday, tm.tm_hour,
				 tm.tm_min, tm.tm_sec, (int) fraction);
}

/* --- taking --- */

static Datum
column(int number, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, number, isnull);
}

static uint64
number_column(int number)
{
	bool		isnull;
	Datum		datum = column(number, &isnull);

	return isnull ? 0 : (uint64) DatumGetInt64(datum);
}

static void
time_column(int number, char *text)
{
	bool		isnull;
	Datum		datum = column(number, &isnull);

	if (isnull)
		strlcpy(text, "-", 40);
	else
		warden_digest_time(DatumGetTimestampTz(datum), text);
}

/* Raises where there is nothing to take one of. */
static void
check_chain(void)
{
	WardenChain chain;

	warden_chain_read(&chain);
}

void
warden_digest_take(WardenDigest *digest)
{
	bool		isnull;
	Datum		head;

	memset(digest, 0, sizeof(*digest));
	check_chain();
	if (SPI_execute("SELECT c.chain::text, c.system_identifier, c.timeline::bigint, c.records, c.last_seq, c.head, "
					"COALESCE((SELECT k.first_at FROM warden.audit_retained k WHERE k.first_seq = 1), "
					"(SELECT f.at FROM warden.audit_record f WHERE f.seq = 1)), "
					"(SELECT l.at FROM warden.audit_record l WHERE l.seq = c.last_seq) FROM warden.audit_chain c",
					true, 1) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "pg_warden: warden.audit_chain is empty");
	strlcpy(digest->chain, SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1), sizeof(digest->chain));
	digest->cluster = number_column(2);
	digest->timeline = number_column(3);
	/* not noted yet: the writer has not run */
	if (digest->cluster == 0)
	{
		digest->cluster = GetSystemIdentifier();
		digest->timeline = RecoveryInProgress() ? 0 : GetWALInsertionTimeLine();
	}
	digest->database = MyDatabaseId;
	digest->records = number_column(4);
	digest->last_seq = number_column(5);
	head = column(6, &isnull);
	if (VARSIZE_ANY_EXHDR(DatumGetByteaPP(head)) != PG_SHA256_DIGEST_LENGTH)
		elog(ERROR, "pg_warden: the head of the audit's chain is damaged");
	memcpy(digest->head, VARDATA_ANY(DatumGetByteaPP(head)), PG_SHA256_DIGEST_LENGTH);
	time_column(7, digest->first_at);
	time_column(8, digest->last_at);
	SPI_freetuptable(SPI_tuptable);
}

/* --- as text --- */

char *
warden_digest_text(const WardenDigest *digest)
{
	char		hex[2 * PG_SHA256_DIGEST_LENGTH + 1];

	hex_encode((const char *) digest->head, PG_SHA256_DIGEST_LENGTH, hex);
	hex[2 * PG_SHA256_DIGEST_LENGTH] = '\0';
	return psprintf(FORM " chain=%s cluster=" UINT64_FORMAT " timeline=" UINT64_FORMAT " database=" UINT64_FORMAT
					" records=" UINT64_FORMAT " from=%s to=%s last_seq=" UINT64_FORMAT " head=%s",
					digest->chain, digest->cluster, digest->timeline, digest->database, digest->records,
					digest->first_at, digest->last_at, digest->last_seq, hex);
}

static void
no_digest(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("argument \"expected_digest\" is not a digest of warden.audit_digest()"),
			 errhint("It is one line of the form: %s.", FORM " chain=… cluster=… timeline=… database=… records=… from=… to=… "
					 "last_seq=… head=…")));
}

/* The value behind ` name=` at *at; moves past it. */
static void
take_value(const char **at, const char *name, char *value, Size room)
{
	Size		length = strlen(name);
	Size		end;

	if (**at != ' ' || strncmp(*at + 1, name, length) != 0 || (*at)[1 + length] != '=')
		no_digest();
	*at += length + 2;
	end = strcspn(*at, " ");
	if (end == 0 || end >= room)
		no_digest();
	memcpy(value, *at, end);
	value[end] = '\0';
	*at += end;
}

static uint64
take_number(const char **at, const char *name)
{
	char		value[40];
	uint64		number;
	char	   *end;

	take_value(at, name, value, sizeof(value));
	errno = 0;
	number = strtoull(value, &end, 10);
	if (*end != '\0' || value[0] < '0' || value[0] > '9' || errno != 0)
		no_digest();
	return number;
}

static void
take_head(const char **at, uint8 *head)
{
	char		hex[2 * PG_SHA256_DIGEST_LENGTH + 1];

	take_value(at, "head", hex, sizeof(hex));
	if (strlen(hex) != 2 * PG_SHA256_DIGEST_LENGTH || strspn(hex, "0123456789abcdef") != strlen(hex))
		no_digest();
	hex_decode(hex, 2 * PG_SHA256_DIGEST_LENGTH, (char *) head);
}

void
warden_digest_parse(const char *text, WardenDigest *digest)
{
	const char *at = text + strspn(text, " \t\r\n");

	memset(digest, 0, sizeof(*digest));
	if (strncmp(at, FORM, strlen(FORM)) != 0)
		no_digest();
	at += strlen(FORM);
	take_value(&at, "chain", digest->chain, sizeof(digest->chain));
	digest->cluster = take_number(&at, "cluster");
	digest->timeline = take_number(&at, "timeline");
	digest->database = take_number(&at, "database");
	digest->records = take_number(&at, "records");
	take_value(&at, "from", digest->first_at, sizeof(digest->first_at));
	take_value(&at, "to", digest->last_at, sizeof(digest->last_at));
	digest->last_seq = take_number(&at, "last_seq");
	take_head(&at, digest->head);
	if (at[strspn(at, " \t\r\n")] != '\0')
		no_digest();
}
