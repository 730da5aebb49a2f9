/*
 * Texts for people, in the language of the session (lc_messages). Swift gives them in English, and once more as a template
 * and what goes into its places; templates are looked up as the server's own messages are, in a catalogue named by
 * TEXTDOMAIN. What the audit keeps is English.
 */
#include "shim.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"

#define MAX_ARGUMENTS 9

/* The English of the text that was translated last: what the audit is to keep of it. */
static char last_translation[256];
static char last_english[256];

/*
 * For the encoding of the database; what the postmaster did was before there was any. The server's own directory of
 * catalogues is where ours are.
 */
void
warden_translations_bind(void)
{
	pg_bindtextdomain(TEXTDOMAIN);
}

/* Fills the places of a translated template; NULL where it asks for what there is not. */
static char *
filled(const char *template, const char *const *arguments, int count)
{
	StringInfoData text;

	initStringInfo(&text);
	for (const char *c = template; *c != '\0'; c++)
	{
		if (*c != '%')
			appendStringInfoChar(&text, *c);
		else if (c[1] == '%')
			appendStringInfoChar(&text, *++c);
		else if (c[1] >= '1' && c[1] <= '9' && c[1] - '0' <= count && c[2] == '$' && c[3] == 's')
		{
			appendStringInfoString(&text, arguments[c[1] - '1']);
			c += 3;
		}
		else
			return NULL;
	}
	return text.data;
}

static void
remember(const char *translation, WardenText english)
{
	strlcpy(last_translation, translation, sizeof(last_translation));
	strlcpy(last_english, warden_cstring(english), sizeof(last_english));
}

char *
warden_translated(WardenText english, WardenText parts)
{
	const char *arguments[MAX_ARGUMENTS];
	const char *end = (const char *) parts.bytes + parts.length;
	const char *template = (const char *) parts.bytes;
	const char *translation;
	char	   *text;
	int			count = 0;

	if (parts.bytes == NULL || parts.length < 2 || end[-1] != '\0' || template[0] == '\0')
		return warden_cstring(english);
	translation = dgettext(TEXTDOMAIN, template);
	/* gettext gives back what it was given where there is no translation */
	if (translation == template)
		return warden_cstring(english);
	for (const char *next = template + strlen(template) + 1; next < end && count < MAX_ARGUMENTS;
		 next += strlen(next) + 1)
		arguments[count++] = next;
	text = filled(translation, arguments, count);
	if (text == NULL)
		return warden_cstring(english);
	remember(text, english);
	return text;
}

const char *
warden_untranslated(const char *message)
{
	size_t		length = message ? strlen(message) : 0;

	if (length == 0 || last_translation[0] == '\0' || length >= sizeof(last_translation) - 1 ||
		strcmp(message, last_translation) != 0)
		return message;
	return last_english;
}
