#include "base/uuid.h"

#include "base/clock.h"

#include <stdlib.h>
#include <sys/random.h>

void random_bytes(void *p, size_t n)
{
    static _Thread_local uint8_t pool[1024];
    static _Thread_local size_t left;
    uint8_t *out = p;
    if (n >= sizeof pool) {
        while (n) {
            ssize_t got = getrandom(out, n, 0);
            if (got <= 0)
                abort();
            out += got, n -= (size_t)got;
        }
        return;
    }
    if (left < n) {
        /* getrandom of at most 256 bytes is never cut short; ask in such pieces. */
        for (size_t at = 0; at < sizeof pool; at += 256)
            if (getrandom(pool + at, 256, 0) != 256)
                abort();
        left = sizeof pool;
    }
    left -= n;
    memcpy(out, pool + left, n);
    explicit_bzero(pool + left, n);
}

struct uuid uuid_new(void)
{
    return uuid_born(clock_real_us());
}

struct uuid uuid_born(uint64_t us)
{
    static _Thread_local uint64_t last; /* ms << 12 | counter */
    uint64_t now = (us / 1000u << 12) | (us % 1000u * 4u);
    last = now > last ? now : last + 1;

    struct uuid id;
    random_bytes(id.b + 8, 8);
    for (int i = 0; i < 6; i++)
        id.b[i] = (uint8_t)(last >> (12 + 8 * (5 - i)));
    id.b[6] = (uint8_t)(0x70 | (last >> 8 & 0x0f));
    id.b[7] = (uint8_t)last;
    id.b[8] = (uint8_t)(0x80 | (id.b[8] & 0x3f));
    return id;
}

void uuid_text(struct uuid id, char out[UUID_TEXT + 1])
{
    static const char hex[] = "0123456789abcdef";
    char *o = out;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *o++ = '-';
        *o++ = hex[id.b[i] >> 4];
        *o++ = hex[id.b[i] & 15];
    }
    *o = '\0';
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool uuid_parse(struct slice text, struct uuid *ret_id)
{
    struct uuid id;
    if (text.n != UUID_TEXT)
        return false;
    for (int i = 0, at = 0; i < 16; i++, at += 2) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            if (text.p[at++] != '-')
                return false;
        int hi = hex_value(text.p[at]), lo = hex_value(text.p[at + 1]);
        if (hi < 0 || lo < 0)
            return false;
        id.b[i] = (uint8_t)(hi << 4 | lo);
    }
    *ret_id = id;
    return true;
}

uint64_t uuid_ms(struct uuid id)
{
    uint64_t ms = 0;
    for (int i = 0; i < 6; i++)
        ms = ms << 8 | id.b[i];
    return ms;
}
