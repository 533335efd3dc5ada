/* Identifiers: UUID version 7 (RFC 9562 5.7), so they sort by time of birth.
 *
 * Runs, projects, functions, versions, users and tokens all carry one. */
#pragma once

#include "base/slice.h"

struct uuid {
    uint8_t b[16];
};

enum { UUID_TEXT = 36 };

/* 48 bits of Unix milliseconds, 12 of sub-millisecond counter so that ids made
 * by one process keep their order, 62 random. Aborts if the kernel has no random bytes. */
struct uuid uuid_new(void);
/* The same for who has just read the clock (microseconds since 1970). */
struct uuid uuid_born(uint64_t real_us);
/* Lower-case hexadecimal with four dashes, NUL-terminated. */
void uuid_text(struct uuid id, char out[UUID_TEXT + 1]);
bool uuid_parse(struct slice text, struct uuid *ret_id);
static inline bool uuid_eq(struct uuid a, struct uuid b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}
static inline bool uuid_is_zero(struct uuid a)
{
    return uuid_eq(a, (struct uuid){{0}});
}
/* Unix milliseconds at which it was made. */
uint64_t uuid_ms(struct uuid id);

/* Bytes of the kernel's CSPRNG through a small buffer; aborts if there are none. */
void random_bytes(void *p, size_t n);
