/*
 * Masks of values that are no text: what stands for one value. `key` is a key of the database for one purpose
 * (warden_mask_key in C): 32 bytes; with fewer the missing ones count as zero. Nothing here fails.
 */
#ifndef WARDEN_MASK_VALUE_H
#define WARDEN_MASK_VALUE_H

#include "warden_mask.h"

/* `length` characters (up to 52) of the digest in lower-case letters and digits, 5 bits each; cut to capacity. */
void		warden_mask_token(WardenText digest, int32_t length, WardenBuffer *WARDEN_NONNULL out);

/* A random-looking UUID (version 4) of the digest: 16 bytes in `out`, cut to capacity. */
void		warden_mask_uuid(WardenText digest, WardenBuffer *WARDEN_NONNULL out);

/*
 * A token for an integer, never negative. Of width 16 it fits smallint: values from 0 on have tokens of their own, those
 * of negative values may meet others. Of any other width values from 0 to 2^31 - 1 have tokens of their own in
 * that range, the same in every width; negative values that fit an integer have tokens in that range that may meet others;
 * all further values tokens from 2^31 on, which hardly meet.
 */
int64_t		warden_mask_integer(WardenText key, int64_t value, int32_t width);

/*
 * The same for a numeric, as the server writes it; 12 and 12.00 are equal. A whole number that fits an integer has the
 * integer's token, any other value one from 2^31 on below 10^digits; digits: 10 to 18, any other number is taken for 18.
 */
int64_t		warden_mask_numeric(WardenText key, WardenText value, int32_t digits);

/* A number from 0 to count - 1 for a text; 0 where count is not above 0. */
int32_t		warden_mask_choice(WardenText key, WardenText value, int32_t count);

/*
 * The value moved by up to `percent` (in millionths of a percent, 100 percent at most), by one at least where it is not
 * 0: by the same amount each time. Within min and max, which value must be.
 */
int64_t		warden_mask_noise(WardenText key, int64_t value, int64_t percent, int64_t min, int64_t max);

/* The value moved by 1 to `most`, up or down, by the same amount each time. Within min and max, which value must be. */
int64_t		warden_mask_shift(WardenText key, int64_t value, int64_t most, int64_t min, int64_t max);

/*
 * Noise for a numeric as the server writes it, as such a text again: as many decimals, `digits` before the point at most
 * (0: any number). Of more than 18 digits those that follow are 0. NaN and infinities stay. Cut to capacity, for which
 * twice the length plus 24 is always enough.
 */
void		warden_mask_noise_decimal(WardenText key, WardenText value, int64_t percent, int32_t digits,
									  WardenBuffer *WARDEN_NONNULL out);

/* Noise for a float of the width (32 or 64): another finite one, where the value is finite and not 0. */
double		warden_mask_noise_float(WardenText key, double value, int64_t percent, int32_t width);

/*
 * The nearest multiple of step (above 0; else the value); of two the one further from 0. The next one towards 0 where
 * that is not within min and max.
 */
int64_t		warden_mask_round(int64_t value, int64_t step, int64_t min, int64_t max);
double		warden_mask_round_float(double value, double step, int32_t width);

/*
 * When the unit began in which the time lies: hour, day, month, quarter, year or decade (any other: year), of the
 * Gregorian calendar. In days, or microseconds, since 2000-01-01; not before min.
 */
int64_t		warden_mask_begin_day(int64_t day, WardenText unit, int64_t min);
int64_t		warden_mask_begin_instant(int64_t microseconds, WardenText unit, int64_t min);

/*
 * The network of an address: its first bits as many as kept, or as its own prefix has where that is fewer, all others 0.
 * `out` gets as many bytes as the address has; returns the length of the prefix.
 */
int32_t		warden_mask_network(WardenText address, int32_t prefix, int32_t kept, WardenBuffer *WARDEN_NONNULL out);

/*
 * **** and the last four letters and digits; **** alone where the text has not more than eight of them, or a byte that is
 * no part of a character. Cut to capacity.
 */
void		warden_mask_last4(WardenText value, WardenEncoding encoding, WardenBuffer *WARDEN_NONNULL out);

#endif
