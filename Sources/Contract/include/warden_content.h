/*
 * Masks that look at what a value says: fake values, personal data within free text, members of JSON.
 */
#ifndef WARDEN_CONTENT_H
#define WARDEN_CONTENT_H

#include "warden_text.h"

/* A fake's longest text, of whatever kind. */
#define WARDEN_FAKE_CAPACITY 128

/*
 * A fake value of that kind (name, email, card …), chosen by the digest alone: 32 bytes that nobody can compute who
 * does not know the secret. Kind ip alone looks at the value, whose address family it keeps. ASCII; of at most
 * max_characters (-1: of whatever length).
 * False where there is no such kind, no digest of 32 bytes or no room: nothing of the value is shown then either.
 */
bool		warden_mask_fake(WardenText kind, WardenText digest, WardenText value, int32_t max_characters,
							 WardenBuffer *WARDEN_NONNULL out);

/*
 * The text with what looks like personal data or a secret replaced by a marker: [email], [phone], [card], [iban],
 * [id], [ip], [key]. MaskScrub*.swift say what is found, by which rule and from which source. Time is proportional to
 * the length, whatever the text. In a multibyte encoding other than UTF-8 the whole text becomes [redacted].
 * `work` is memory for the length of the call, of at least the text's length.
 * False where `out` is too small; twice the text's length and 16 always suffice.
 */
bool		warden_mask_scrub(WardenText value, WardenEncoding encoding, WardenBuffer *WARDEN_NONNULL work,
							  WardenBuffer *WARDEN_NONNULL out);

typedef enum WardenJSONResult
{
	WARDEN_JSON_MASKED = 0,
	/* `out` is too small: again with a larger one */
	WARDEN_JSON_NO_ROOM = 1,
	/* no JSON, nested too deep, or a plan that is none: nothing of it may be shown */
	WARDEN_JSON_REFUSED = 2
} WardenJSONResult;

/*
 * A JSON text with some of its members masked. The plan has a line per rule: a method (redact, null, email, last4,
 * scrub), a space, and a path such as $.card.number, contacts[*].phone or **.email.
 * All else stays byte by byte. `work` is memory for the length of the call, of at least four times the text's length and 64.
 */
WardenJSONResult warden_mask_json(WardenText value, WardenText plan, WardenEncoding encoding,
								  WardenBuffer *WARDEN_NONNULL work, WardenBuffer *WARDEN_NONNULL out);

#endif
