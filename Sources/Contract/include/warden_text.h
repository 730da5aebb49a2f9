/*
 * Text and buffers as they cross the wall between C and Swift.
 *
 * Every pointer here belongs to C and is valid until the call returns; Swift copies what it keeps.
 * Text is bytes in the database's encoding, never NUL-terminated, and may hold invalid sequences.
 */
#ifndef WARDEN_TEXT_H
#define WARDEN_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__clang__)
#define WARDEN_NONNULL _Nonnull
#define WARDEN_NULLABLE _Nullable
#else
#define WARDEN_NONNULL
#define WARDEN_NULLABLE
#endif

/* A stretch of bytes. bytes == NULL is SQL NULL; an empty text has bytes != NULL and length 0. */
typedef struct WardenText
{
	const uint8_t *WARDEN_NULLABLE bytes;
	int64_t		length;
} WardenText;

/*
 * Room that C lends for a result. Swift writes at most capacity bytes and sets length to what was written.
 * Where a result does not fit, the function says so (or cuts, where its comment says that it cuts).
 */
typedef struct WardenBuffer
{
	uint8_t    *WARDEN_NONNULL bytes;
	int64_t		capacity;
	int64_t		length;
} WardenBuffer;

/* How characters are to be counted in a text. */
typedef enum WardenEncoding
{
	WARDEN_ENCODING_SINGLE_BYTE = 0,
	WARDEN_ENCODING_UTF8 = 1,
	/* any other multibyte encoding: characters are not counted, a mask hides the whole text */
	WARDEN_ENCODING_OPAQUE = 2
} WardenEncoding;

/* Always room enough for the tags of a statement. */
#define WARDEN_TAGS_CAPACITY 4096

/*
 * What an application told of a statement in a comment, traceparent='00-5bd6…-01',route='%2Fusers' in the form that
 * sqlcommenter gave the field: as a JSON object, in UTF-8: {"route":"/users"}. They are those of its last comment; where that has
 * none, of a comment before everything else. A comment that has a '=' and is not of the form key='value',… is told as it is:
 * {"comment":"…"}. Length 0: no tags. At most 64 tags and 4 kB, or less where `out` is smaller; what is not UTF-8 becomes ?.
 */
void		warden_statement_tags(WardenText text, WardenBuffer *WARDEN_NONNULL out);

#endif
