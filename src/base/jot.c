#include "base/jot.h"

#include "base/utf8.h"

enum { U64_TEXT = 20, ESCAPED = 6 /* \u0000 */ };
#define ONES 0x0101010101010101ull
#define HIGHS (ONES << 7)

void jot_init(struct jot *j, size_t limit)
{
    *j = (struct jot){0};
    buf_init(&j->text, limit);
}

void jot_done(struct jot *j)
{
    buf_done(&j->text);
    j->comma = j->lost = false;
}

void jot_clear(struct jot *j)
{
    buf_clear(&j->text);
    j->comma = j->lost = false;
}

bool jot_slice(const struct jot *j, struct slice *ret_text)
{
    *ret_text = buf_slice(&j->text);
    return !j->lost;
}

/* Writes what stands before a value and makes room for `n` bytes of it: there it goes. NULL: lost.
 */
static char *lead(struct jot *j, struct slice key, size_t n)
{
    char *p = j->lost ? NULL : buf_reserve(&j->text, key.n + 4 + n);
    if (!p) {
        j->lost = true;
        return NULL;
    }
    if (j->comma)
        *p++ = ',';
    if (key.n) {
        *p++ = '"';
        memcpy(p, key.p, key.n);
        p += key.n;
        *p++ = '"';
        *p++ = ':';
    }
    j->comma = true;
    return p;
}

/* The value ends before `end`. */
static void written(struct jot *j, const char *end)
{
    buf_commit(&j->text, (size_t)(end - (j->text.p + j->text.len)));
}

void jot_open_named(struct jot *j, struct slice key, char bracket)
{
    char *p = lead(j, key, 1);
    if (!p)
        return;
    *p++ = bracket;
    written(j, p);
    j->comma = false;
}

void jot_close(struct jot *j, char bracket)
{
    j->comma = false;
    char *p = lead(j, SLICE(""), 1);
    if (!p)
        return;
    *p++ = bracket;
    written(j, p);
}

static char *put_u64(char *p, uint64_t v)
{
    size_t n = 1;
    for (uint64_t most = 10; n < U64_TEXT && v >= most; most *= 10)
        n++;
    for (char *at = p + n; at > p; v /= 10)
        *--at = (char)('0' + v % 10);
    return p + n;
}

void jot_u64_named(struct jot *j, struct slice key, uint64_t v)
{
    char *p = lead(j, key, U64_TEXT);
    if (p)
        written(j, put_u64(p, v));
}

void jot_i64_named(struct jot *j, struct slice key, int64_t v)
{
    char *p = lead(j, key, U64_TEXT + 1);
    if (!p)
        return;
    if (v < 0)
        *p++ = '-';
    written(j, put_u64(p, v < 0 ? 0 - (uint64_t)v : (uint64_t)v));
}

static bool is_plain(unsigned char c)
{
    return c >= ' ' && c < 0x80 && c != '"' && c != '\\';
}

/* Of eight bytes at once: not 0 if one of them is the byte `c`; is less than `c`, at most 128. */
static uint64_t any(uint64_t w, uint64_t c)
{
    w ^= ONES * c;
    return (w - ONES) & ~w & HIGHS;
}
static uint64_t any_less(uint64_t w, uint64_t c)
{
    return (w - ONES * c) & ~w & HIGHS;
}

/* How many bytes at its start are written as they are. */
static size_t plain(struct slice s)
{
    size_t n = 0;
    for (uint64_t w; n + sizeof w <= s.n; n += sizeof w) {
        memcpy(&w, s.p + n, sizeof w);
        if (w & HIGHS || any_less(w, ' ') || any(w, '"') || any(w, '\\'))
            break;
    }
    while (n < s.n && is_plain((unsigned char)s.p[n]))
        n++;
    return n;
}

static char *put_escaped(char *p, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    *p++ = '\\';
    if (c >= ' ') {
        *p++ = (char)c;
        return p;
    }
    memcpy(p, "u00", 3);
    p[3] = hex[c >> 4];
    p[4] = hex[c & 15];
    return p + 5;
}

void jot_text_named(struct jot *j, struct slice key, struct slice s)
{
    char *p = s.n < SIZE_MAX / ESCAPED - 2 ? lead(j, key, s.n * ESCAPED + 2) : NULL;
    if (!p) {
        j->lost = true;
        return;
    }
    *p++ = '"';
    for (size_t n; s.n; s = slice_from(s, n)) {
        if ((n = plain(s))) {
            memcpy(p, s.p, n);
            p += n;
        } else if ((unsigned char)*s.p < 0x80) {
            p = put_escaped(p, (unsigned char)*s.p);
            n = 1;
        } else if ((n = utf8_length(s))) {
            memcpy(p, s.p, n);
            p += n;
        } else {
            memcpy(p, "\xef\xbf\xbd", 3);
            p += 3;
            n = 1;
        }
    }
    *p++ = '"';
    written(j, p);
}

void jot_null_named(struct jot *j, struct slice key)
{
    char *p = lead(j, key, 4);
    if (!p)
        return;
    memcpy(p, "null", 4);
    written(j, p + 4);
}
