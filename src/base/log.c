/* A line is made from the format, not from the formatted text: `key=` is looked for in what we
 * wrote ourselves, each value is formatted alone, and so no value can look like another key, break
 * its quotes or end the line, in text as in JSON. */
#include "base/log.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

/* PIPE_BUF: a shorter write is never mixed with another process's. Escapes take up to six bytes;
 * what doesn't fit any more is left out of the value, never a quote. */
enum { LINE = 4096, TAIL = 16, VALUE = 2048 };

static const char *log_role = "wasmcloud";
static enum log_level log_most = LOG_INFO;
static bool log_json;

void log_init(const char *role, enum log_level level)
{
    if (role)
        log_role = role;
    log_most = level;
}

void log_as_json(bool json)
{
    log_json = json;
}

/* ---- the line ---- */

struct line {
    char text[LINE];
    size_t n;
};

static void put(struct line *l, const char *p, size_t n)
{
    if (l->n + n <= sizeof l->text - TAIL) {
        memcpy(l->text + l->n, p, n);
        l->n += n;
    }
}

static void put_string(struct line *l, struct slice s)
{
    char escape[8];
    while (s.n && l->n < sizeof l->text - 2 * TAIL) {
        unsigned char c = (unsigned char)*s.p;
        size_t n = utf8_length(s);
        if (c == '"' || c == '\\') {
            snprintf(escape, sizeof escape, "\\%c", c);
            put(l, escape, 2);
        } else if (c < 0x20 || c == 0x7f || (!n && !log_json)) {
            int k = snprintf(escape, sizeof escape, log_json ? "\\u%04x" : "\\x%02x", c);
            put(l, escape, (size_t)k);
        } else if (n) {
            put(l, s.p, n);
        } else {
            put(l, "\xef\xbf\xbd", 3);
        }
        s = slice_from(s, n ? n : 1);
    }
}

/* May it stand without quotes in text? */
static bool is_plain(struct slice s)
{
    bool plain = s.n > 0;
    while (plain && s.n) {
        size_t n = utf8_length(s);
        plain = n > 0 && (unsigned char)*s.p > ' ' && !strchr("\"\\=\x7f", *s.p);
        s = slice_from(s, n);
    }
    return plain;
}

static void put_pair(struct line *l, struct slice key, struct slice value, bool quoted, bool number)
{
    if (l->n + key.n + 64 > sizeof l->text) /* a whole pair or none */
        return;
    if (log_json) {
        put(l, ",\"", 2);
        put(l, key.p, key.n);
        put(l, "\":", 2);
    } else {
        put(l, " ", 1);
        put(l, key.p, key.n);
        put(l, "=", 1);
    }
    bool quotes = log_json ? !number : quoted || !is_plain(value);
    if (quotes)
        put(l, "\"", 1);
    put_string(l, value);
    if (quotes) /* there is the tail for it */
        l->text[l->n++] = '"';
}

/* ---- the format ---- */

struct value {
    char text[VALUE];
    size_t n;
    unsigned conversions;
    bool literal; /* characters of the format are in it, too */
    bool integer; /* its last conversion was one */
};

static void add(struct value *v, const char *p, size_t n)
{
    size_t room = sizeof v->text - v->n;
    n = n < room ? n : room;
    memcpy(v->text + v->n, p, n);
    v->n += n;
}

/* The arguments, so that a function can take some and the caller goes on behind them. */
struct arguments {
    va_list ap;
};

/* One conversion, from its '%' on; returns what follows it. */
static const char *convert(struct value *v, const char *p, struct arguments *a)
{
    char spec[24] = "%", out[VALUE];
    size_t n = 1;
    int longs = 0, count = 0, made = 0;
    for (p++; *p && strchr("-+ #0123456789.*", *p) && n < sizeof spec - 8; p++) {
        if (*p == '*')
            n += (size_t)snprintf(spec + n, 12, "%d", va_arg(a->ap, int));
        else
            spec[n++] = *p;
        count++;
    }
    for (; *p == 'l' || *p == 'z' || *p == 'j' || *p == 'h'; p++) {
        longs += *p == 'l' ? 1 : *p == 'h' ? 0 : 2; /* size_t and intmax_t have 64 bits here */
        spec[n] = '\0';
    }
    char c = *p ? *p++ : '%';
    v->integer = c == 'd' || c == 'i' || c == 'u';
    v->conversions++;
    snprintf(spec + n, sizeof spec - n, "%s%c",
             v->integer || c == 'x' || c == 'X' || c == 'o' ? "ll" : "", c);
    switch (c) {
    case 'd':
    case 'i':
        made = snprintf(out, sizeof out, spec,
                        longs ? (long long)va_arg(a->ap, long) : (long long)va_arg(a->ap, int));
        break;
    case 'u':
    case 'x':
    case 'X':
    case 'o':
        made = snprintf(out, sizeof out, spec,
                        longs ? (unsigned long long)va_arg(a->ap, unsigned long)
                              : (unsigned long long)va_arg(a->ap, unsigned));
        break;
    case 's':
        made = snprintf(out, sizeof out, spec, va_arg(a->ap, const char *));
        break;
    case 'c':
        made = snprintf(out, sizeof out, spec, va_arg(a->ap, int));
        break;
    case 'f':
    case 'g':
        made = snprintf(out, sizeof out, spec, va_arg(a->ap, double));
        break;
    case '%':
        made = snprintf(out, sizeof out, "%%");
        break;
    default:
        abort(); /* a conversion that this file has to learn */
    }
    if (made > 0)
        add(v, out, (size_t)made < sizeof out ? (size_t)made : sizeof out - 1);
    return p;
}

/* The value that begins at `p`: up to a space of the format, or to its second quote. */
static const char *read_value(struct value *v, const char *p, bool quoted, struct arguments *a)
{
    *v = (struct value){.n = 0};
    while (*p && *p != (quoted ? '"' : ' ')) {
        if (*p == '%') {
            p = convert(v, p, a);
        } else {
            add(v, p++, 1);
            v->literal = true;
        }
    }
    return quoted && *p ? p + 1 : p;
}

/* "key=" at `p`; n 0: there is none. */
static struct slice read_key(const char *p)
{
    size_t n = 0;
    while (islower((unsigned char)p[n]) || isdigit((unsigned char)p[n]) || p[n] == '_')
        n++;
    return slice_make(p, p[n] == '=' ? n : 0);
}

static void put_format(struct line *l, const char *p, struct arguments *a)
{
    struct value v;
    while (*p) {
        while (*p == ' ')
            p++;
        struct slice key = read_key(p);
        bool words = *p && !key.n; /* a remark without a key, to the end */
        if (words)
            key = SLICE("text");
        else
            p += key.n + (*p != '\0');
        bool quoted = words || *p == '"';
        p = read_value(&v, p + (!words && quoted), quoted, a);
        if (*key.p)
            put_pair(l, key, slice_make(v.text, v.n), quoted,
                     v.integer && v.conversions == 1 && !v.literal && !quoted);
    }
}

void log_line(enum log_level level, const char *event, const char *fmt, ...)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    if (level > log_most)
        return;
    int saved = errno;
    struct line l = {.n = 0};
    struct arguments a;
    char when[25];
    clock_rfc3339(clock_real_us(), when);
    l.n = (size_t)snprintf(l.text, sizeof l.text - TAIL,
                           log_json ? "{\"at\":\"%s\",\"level\":\"%s\",\"event\":\"%s\","
                                      "\"role\":\"%s\",\"pid\":%d"
                                    : "%s %s %s role=%s pid=%d",
                           when, names[level], event, log_role, (int)getpid());
    va_start(a.ap, fmt);
    put_format(&l, fmt, &a);
    va_end(a.ap);
    if (log_json)
        l.text[l.n++] = '}';
    l.text[l.n++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, l.text, l.n);
    (void)ignored;
    errno = saved;
}
