/*
 * warden.statement_tags(): what an application told in a comment of its statement, for the view of the audit.
 */
#include "sql.h"

#include "mb/pg_wchar.h"
#include "utils/jsonb.h"

PG_FUNCTION_INFO_V1(warden_sql_statement_tags);

/* In another encoding than UTF-8 what is not ASCII may be anything: the view of the audit must not fail for it. */
static void
keep_ascii(char *json)
{
	if (GetDatabaseEncoding() == PG_UTF8)
		return;
	for (; *json != '\0'; json++)
		if (IS_HIGHBIT_SET(*json))
			*json = '?';
}

Datum
warden_sql_statement_tags(PG_FUNCTION_ARGS)
{
	text	   *statement = PG_GETARG_TEXT_PP(0);
	WardenText	source = {(const uint8_t *) VARDATA_ANY(statement), VARSIZE_ANY_EXHDR(statement)};
	char		json[WARDEN_TAGS_CAPACITY + 1];
	WardenBuffer out = {(uint8_t *) json, WARDEN_TAGS_CAPACITY, 0};

	SWIFT(warden_statement_tags(source, &out));
	if (out.length == 0)
		PG_RETURN_NULL();
	json[out.length] = '\0';
	keep_ascii(json);
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json));
}
