#include "policy/escape.h"

enum { SCHEME_MOST = 32 };

void url_put(struct url_out *o, struct slice s)
{
    if (s.n > o->cap - o->n) {
        o->full = true;
        return;
    }
    if (s.n)
        memcpy(o->p + o->n, s.p, s.n);
    o->n += s.n;
}

static void put_byte(struct url_out *o, char c)
{
    if (o->n == o->cap)
        o->full = true;
    else
        o->p[o->n++] = c;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

void url_put_lower(struct url_out *o, struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        put_byte(o, lower(s.p[i]));
}

bool url_alpha(char c)
{
    return lower(c) >= 'a' && lower(c) <= 'z';
}

bool url_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool unreserved(char c)
{
    return url_alpha(c) || url_digit(c) || (c && strchr("-._~", c));
}

/* pchar and '/' (RFC 3986 3.3), in a query '?' too. */
static bool stands(char c, bool query)
{
    return unreserved(c) || (c && strchr("!$&'()*+,;=:@/", c)) || (query && c == '?');
}

/* -1: not a hex digit. */
static int hex(char c)
{
    if (url_digit(c))
        return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void put_encoded(struct url_out *o, unsigned char c)
{
    static const char digits[] = "0123456789ABCDEF";
    const char text[3] = {'%', digits[c >> 4], digits[c & 15]};
    url_put(o, slice_make(text, sizeof text));
}

enum err_code url_escape(struct slice s, bool query, struct url_out *out, struct err *e)
{
    for (size_t i = 0; i < s.n; i++) {
        if (stands(s.p[i], query)) {
            put_byte(out, s.p[i]);
            continue;
        }
        if (s.p[i] != '%') {
            put_encoded(out, (unsigned char)s.p[i]);
            continue;
        }
        int high = i + 2 < s.n ? hex(s.p[i + 1]) : -1, low = high < 0 ? -1 : hex(s.p[i + 2]);
        if (low < 0)
            return err_set(e, ERR_INVALID,
                           "'%%' has to be followed by two hex digits; itself it is \"%%25\"");
        unsigned char c = (unsigned char)(high << 4 | low);
        if (unreserved((char)c))
            put_byte(out, (char)c);
        else
            put_encoded(out, c);
        i += 2;
    }
    return ERR_OK;
}

size_t url_remove_dots(char *path, size_t n)
{
    size_t out = 0; /* path[0, out) is done and has no '/' at its end unless more follows */
    for (size_t i = 0; i < n;) {
        size_t end = i + 1; /* path[i] is '/' */
        while (end < n && path[end] != '/')
            end++;
        size_t length = end - i - 1;
        bool last = end == n;
        bool one = length == 1 && path[i + 1] == '.';
        bool two = length == 2 && path[i + 1] == '.' && path[i + 2] == '.';
        if (two)
            while (out && path[--out] != '/')
                ;
        if (!one && !two) {
            memmove(path + out, path + i, end - i);
            out += end - i;
        } else if (last) {
            path[out++] = '/';
        }
        i = end;
    }
    return out;
}

enum err_code url_plain(struct slice s, bool strict, struct err *e)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20 || c == 0x7f)
            return err_set(e, ERR_INVALID, "it has a control byte (0x%02x) at byte %zu", c, i + 1);
        if (strict && c == ' ')
            return err_set(e, ERR_INVALID, "it has a space at byte %zu: write \"%%20\"", i + 1);
        if (strict && c == '\\')
            return err_set(e, ERR_INVALID,
                           "it has a backslash at byte %zu: write \"/\" or \"%%5C\"", i + 1);
    }
    if (!utf8_valid(s))
        return err_set(e, ERR_INVALID, "it is not UTF-8: percent-encode its bytes");
    return ERR_OK;
}

bool url_scheme_valid(struct slice s, bool globs)
{
    if (s.n == 0 || s.n > SCHEME_MOST || !(url_alpha(s.p[0]) || (globs && s.p[0] == '*')))
        return false;
    for (size_t i = 1; i < s.n; i++)
        if (!url_alpha(s.p[i]) && !url_digit(s.p[i]) && !(s.p[i] && strchr("+-.", s.p[i])) &&
            !(globs && s.p[i] == '*'))
            return false;
    return true;
}

uint16_t url_default_port(struct slice scheme)
{
    static const struct {
        struct slice name;
        uint16_t port;
    } rows[] = {{{"https", 5}, 443}, {{"http", 4}, 80}, {{"gemini", 6}, 1965}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (slice_eq(scheme, rows[i].name))
            return rows[i].port;
    return 0;
}
