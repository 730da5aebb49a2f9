/*
 * What the mask functions over text share.
 */
#ifndef WARDEN_MASK_TEXT_H
#define WARDEN_MASK_TEXT_H

#include "shim.h"

#include "mb/pg_wchar.h"

/* How characters are to be counted in this database. */
static inline WardenEncoding
warden_text_encoding(void)
{
	int			database = GetDatabaseEncoding();

	if (database == PG_UTF8)
		return WARDEN_ENCODING_UTF8;
	return pg_encoding_max_length(database) == 1 ? WARDEN_ENCODING_SINGLE_BYTE : WARDEN_ENCODING_OPAQUE;
}

static inline WardenText
warden_text_bytes(text *value)
{
	return (WardenText) {(const uint8_t *) VARDATA_ANY(value), (int64_t) VARSIZE_ANY_EXHDR(value)};
}

/* The value whose bytes a buffer over VARDATA(result) has got. */
static inline text *
warden_text_finish(text *result, const WardenBuffer *out)
{
	SET_VARSIZE(result, VARHDRSZ + out->length);
	return result;
}

#endif
