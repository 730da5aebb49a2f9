/*
 * Masks that labels give.
 */
#ifndef WARDEN_LABEL_MASKS_H
#define WARDEN_LABEL_MASKS_H

#include "shim.h"

/* The rules have changed: every labelled table gets the masks that they give now. */
extern void warden_masks_follow_rules(void);

#endif
