/*
 * The contract has no code of its own. What the two sides assume about its layout is checked here, once,
 * by the compiler.
 */
#include "warden_content.h"
#include "warden_label_mask.h"
#include "warden_lineage.h"
#include "warden_mask.h"
#include "warden_mask_value.h"
#include "warden_policy.h"
#include "warden_spool.h"
#include "warden_statement.h"
#include "warden_text.h"

_Static_assert(sizeof(WardenText) == 16, "a text is a pointer and a length");
_Static_assert(offsetof(WardenRing, head) == 64, "the producer's words start on a cache line of their own");
_Static_assert(offsetof(WardenRing, last_seq) == 104, "RingMemory.swift has the same number");
_Static_assert(offsetof(WardenRing, withheld) == 112, "RingMemory.swift has the same number");
_Static_assert(offsetof(WardenRing, tail) == 128, "the consumer's words start on a cache line of their own");
_Static_assert(sizeof(WardenRing) == 192, "the header of a ring is three cache lines");
