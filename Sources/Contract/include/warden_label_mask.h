/*
 * Masks by label: which rule masks a column, and what masks it where no method is named.
 */
#ifndef WARDEN_LABEL_MASK_H
#define WARDEN_LABEL_MASK_H

#include "warden_text.h"

/*
 * Which of the patterns (pii.email, pii.*, *) masks a column that carries these labels: the exact one before one with a
 * star, then the longer one, then the first by name. Its index; -1 where none selects any of the labels.
 */
int64_t		warden_label_mask_rule(const WardenText *WARDEN_NONNULL labels, int64_t label_count,
								   const WardenText *WARDEN_NONNULL patterns, int64_t pattern_count);

/* May `pattern` be that of a rule? */
bool		warden_label_mask_pattern(WardenText pattern);

/*
 * The methods for what a column of these labels holds, the best first: that of rank 0, 1 … with its options, a JSON object.
 * The caller takes the first that fits the column's type. False where there is none of that rank: the type decides.
 */
bool		warden_label_mask_default(const WardenText *WARDEN_NONNULL labels, int64_t count, int32_t rank,
									  WardenBuffer *WARDEN_NONNULL method, WardenBuffer *WARDEN_NONNULL options);

#endif
