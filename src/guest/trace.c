#include "guest/trace.h"

#include "guest/resource.h"

#include <stdarg.h>
#include <stdio.h>

enum {
    SHOWN = 64, /* bytes of a text */
    FAR = 4096, /* bytes that are looked through for the end of one */
    LINE = 600, /* the longest: nine numbers and a text of escapes */
};

/* Which argument is a pointer to text, whose length is the next one (or which ends in NUL). */
static const struct {
    uint16_t function; /* enum host_id */
    uint8_t argument;
} texts[] = {
    {HOST_DAGGER_OPEN, 0},           {HOST_DAGGER_WRITE, 1},
    {HOST_CWA_ENV_GET, 0},           {HOST_CWA_LOG_WRITE, 1},
    {HOST_CWA_RESOURCE_OPEN, 0},     {HOST_CWA_RESOURCE_WRITE, 1},
    {HOST_WASI_PATH_OPEN, 2},        {HOST_WASI_PATH_FILESTAT_GET, 2},
    {HOST_WASI_PATH_READLINK, 1},    {HOST_WASI_PATH_CREATE_DIRECTORY, 1},
    {HOST_WASI_PATH_UNLINK_FILE, 1}, {HOST_WASI_PATH_REMOVE_DIRECTORY, 1},
};

static int text_argument(unsigned function)
{
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].function == function)
            return texts[i].argument;
    return -1;
}

struct line {
    char p[LINE];
    size_t n;
};

__attribute__((format(printf, 2, 3))) static void say(struct line *l, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(l->p + l->n, sizeof l->p - l->n, fmt, ap);
    va_end(ap);
    if (n > 0 && (size_t)n < sizeof l->p - l->n)
        l->n += (size_t)n;
}

/* In quotes, what is not printable ASCII or part of UTF-8 escaped. */
static void say_text(struct line *l, const unsigned char *p, size_t size)
{
    size_t shown = size < SHOWN ? size : SHOWN;
    while (shown < size && shown && (p[shown] & 0xc0) == 0x80)
        shown--; /* no character is cut in two */
    bool utf8 = utf8_valid(slice_make(p, shown));
    say(l, "\"");
    for (size_t i = 0; i < shown; i++) {
        if (p[i] == '\n' || p[i] == '\r')
            say(l, p[i] == '\n' ? "\\n" : "\\r");
        else if (p[i] == '"' || p[i] == '\\')
            say(l, "\\%c", p[i]);
        else if (p[i] < ' ' || p[i] == 0x7f || (p[i] >= 0x80 && !utf8))
            say(l, "\\x%02x", p[i]);
        else
            say(l, "%c", p[i]);
    }
    say(l, shown < size ? "…\"" : "\"");
}

/* The text at argument `k`; p is NULL if it is not all in the guest's memory. */
static struct slice text_at(const struct engine_call *c, unsigned function, int k)
{
    uint32_t at = engine_u32(c, k), n = engine_u32(c, k + 1);
    const char *p;
    if (function == HOST_DAGGER_OPEN) { /* ends in NUL; what is not shown does not matter */
        uint64_t rest = at < c->memory_size ? c->memory_size - at : 0;
        p = engine_span(c, at, 0);
        return slice_make(p, p ? strnlen(p, rest < FAR ? rest : FAR) : 0);
    }
    return slice_make(engine_span(c, at, n), n);
}

void guest_trace(const struct engine_call *c, unsigned function, bool ended, uint64_t ns)
{
    const struct host_function *f = &host_functions[function];
    struct guest *g = c->owner;
    struct line l = {.n = 0};
    char number[HOST_NUMBER];
    int text = text_argument(function);
    say(&l, "%s(", f->label);
    for (int k = 0; f->params[k]; k++) {
        struct slice s = k == text ? text_at(c, function, k) : slice_make(NULL, 0);
        say(&l, "%s", k ? ", " : "");
        if (s.p)
            say_text(&l, (const unsigned char *)s.p, s.n);
        else
            say(&l, "%s", host_number(f->params[k], c->arg[k], number));
    }
    say(&l, ")");
    if (ended)
        say(&l, " ends the run");
    else if (f->result[0])
        say(&l, " -> %s", host_number(f->result[0], c->result, number));
    say(&l, ns < 1000000 ? "  (%.1f µs)" : "  (%.0f µs)", (double)ns / 1000);
    g->host->log(g, GUEST_INFO, GUEST_TRACE, slice_make(l.p, l.n));
}
