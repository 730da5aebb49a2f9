/*
 * Policy rows as contract structures: shared by loading (policy.c) and defining (policy_sql.c). All results are in the
 * current memory context; texts end with a NUL that their length does not count.
 */
#ifndef WARDEN_POLICY_ROWS_H
#define WARDEN_POLICY_ROWS_H

#include "shim.h"

extern WardenText warden_datum_text(Datum datum, bool isnull);
extern WardenText *warden_array_texts(Datum array, int64_t *count);
extern WardenNetwork *warden_networks(Datum array, int64_t *count);
extern WardenSubjectPattern *warden_subject_patterns(Datum array, int64_t *count);
/* Bound to what they name at this moment. */
extern WardenObjectPattern *warden_object_patterns(Datum array, int64_t *count);

#endif
