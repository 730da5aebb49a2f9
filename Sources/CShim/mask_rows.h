/*
 * The rows of warden.mask_policy.
 */
#ifndef WARDEN_MASK_ROWS_H
#define WARDEN_MASK_ROWS_H

#include "shim.h"

/* WardenMaskEntry.column of a mask whose column was dropped: no column has that number. */
#define WARDEN_MASK_OF_NO_COLUMN PG_INT16_MIN

/* Brings a table's rows up to the columns that it has now. Inside warden_internal_run only. */
extern void warden_mask_rows_bind(Oid relid);

#endif
