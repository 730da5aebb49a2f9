/*
 * The text of a statement as it was sent: its slice of the message, and what is known of it before it is recorded.
 */
#include "shim.h"

#include "access/xact.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "parser/scansup.h"
#include "tcop/tcopprot.h"
#include "utils/resowner.h"

/* The slice of a message that is one statement. */
static const char *
slice(const char *text, int location, int *length)
{
	if (location > 0)
		text += location;
	if (location < 0 || *length <= 0)
		*length = (int) strlen(text);
	while (*length > 0 && scanner_isspace(*text))
	{
		text++;
		(*length)--;
	}
	return text;
}

/* How far into the client's message statements have been told; `at` is when the message started. */
static struct
{
	const char *message;
	int			start;
	int			end;
	TimestampTz at;
} seen;

void
warden_source(WardenSource *source, const char *text, int location, int length, uint64 query_id)
{
	const char *whole = text ? text : "";

	memset(source, 0, sizeof(*source));
	source->text = slice(whole, location, &length);
	source->length = length;
	source->offset = (int) (source->text - whole);
	source->query_id = query_id;
	if (text != NULL && text == debug_query_string && location >= 0)
	{
		seen.message = text;
		seen.start = source->offset;
		seen.end = source->offset + source->length;
		seen.at = GetCurrentStatementStartTimestamp();
	}
}

/* Past white space, comments and the semicolons of empty statements. */
static const char *
skip_blank(const char *text)
{
	for (;;)
	{
		while (*text == ';' || scanner_isspace(*text))
			text++;
		if (text[0] == '-' && text[1] == '-')
			text += strcspn(text, "\r\n");
		else if (text[0] == '/' && text[1] == '*' && strstr(text + 2, "*/") != NULL)
			text = strstr(text + 2, "*/") + 2;
		else
			return text;
	}
}

void
warden_source_rest(WardenSource *source)
{
	const char *message = debug_query_string ? debug_query_string : "";

	memset(source, 0, sizeof(*source));
	source->text = message;
	if (message == seen.message && seen.at == GetCurrentStatementStartTimestamp())
		source->text = skip_blank(message + seen.end);
	source->length = (int) strlen(source->text);
	while (source->length > 0 && (source->text[source->length - 1] == ';' ||
								  scanner_isspace(source->text[source->length - 1])))
		source->length--;
	source->offset = (int) (source->text - message);
}

void
warden_source_message(WardenSource *source)
{
	if (debug_query_string != NULL && debug_query_string == seen.message && seen.at == GetCurrentStatementStartTimestamp())
		warden_source(source, debug_query_string, seen.start, seen.end - seen.start, 0);
	else
		warden_source(source, debug_query_string, 0, 0, 0);
}

/*
 * Of a text longer than is kept, the SHA-256 of the whole; else, and where the server has
 * no room for the work, NULL. Not of one with
 * values that must not be stored: who knows the rest of it could find them by trying.
 */
WardenText
warden_source_digest(const WardenSource *source, int64 limit)
{
	static uint8 digest[PG_SHA256_DIGEST_LENGTH];
	WardenText	text = {NULL, 0};
	pg_cryptohash_ctx *context;

	if (source->length <= limit || source->has_secret || source->redacted_count > 0 ||
		CurrentResourceOwner == NULL)
		return text;
	context = pg_cryptohash_create(PG_SHA256);
	if (context == NULL)
		return text;
	if (pg_cryptohash_init(context) >= 0 &&
		pg_cryptohash_update(context, (const uint8 *) source->text, (size_t) source->length) >= 0 &&
		pg_cryptohash_final(context, digest, sizeof(digest)) >= 0)
	{
		text.bytes = digest;
		text.length = sizeof(digest);
	}
	pg_cryptohash_free(context);
	return text;
}
