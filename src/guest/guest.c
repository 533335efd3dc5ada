#include "guest/guest.h"

#include "guest/resource.h"
#include "guest/tape.h"

#include <stdarg.h>
#include <stdio.h>

void guest_begin(struct guest *g)
{
    g->waits = 0;
    g->end_reason = ERR_OK;
    g->end_status = 0;
    g->end_text[0] = '\0';
    g->bytes_in = g->bytes_out = 0;
    guest_log_begin(&g->log);
    uses_begin(&g->uses);
    g->remote_opens = g->remotes_open = 0;
    memset(g->calls, 0, sizeof g->calls);
    for (g->top = 0; g->top < GUEST_ROOT; g->top++)
        g->descriptors[g->top] = (struct descriptor){.scheme = tape_stdio(g, g->top)};
    g->descriptors[g->top++] = (struct descriptor){.scheme = &scheme_root};
}

void guest_end(struct guest *g)
{
    for (unsigned fd = 0; fd < g->top; fd++)
        if (g->descriptors[fd].scheme)
            guest_close(g, &g->descriptors[fd]);
    g->top = 0;
}

void guest_done(struct guest *g)
{
    guest_end(g);
    buf_done(&g->log.error.text);
    uses_done(&g->uses);
}

struct descriptor *guest_place(struct guest *g, uint32_t *ret_fd)
{
    uint64_t most = g->limits->v[LIMIT_DESCRIPTORS];
    if (most > GUEST_DESCRIPTORS)
        most = GUEST_DESCRIPTORS;
    for (unsigned fd = 0; fd < most; fd++) {
        if (fd == g->top)
            g->descriptors[g->top++].scheme = NULL;
        if (!g->descriptors[fd].scheme) {
            *ret_fd = fd;
            g->descriptors[fd] = (struct descriptor){0};
            return &g->descriptors[fd];
        }
    }
    return NULL;
}

void guest_close(struct guest *g, struct descriptor *d)
{
    if (d->scheme->close)
        d->scheme->close(g, d);
    d->scheme = NULL;
}

enum engine_verdict guest_fail(struct guest *g, enum err_code reason, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(g->end_text, sizeof g->end_text, fmt, ap);
    va_end(ap);
    g->end_reason = reason;
    return ENGINE_END;
}

enum engine_verdict guest_exit(struct guest *g, int32_t status)
{
    g->end_reason = ERR_OK;
    g->end_status = status;
    return ENGINE_END;
}

bool strings_read(struct slice bytes, bool pairs, struct strings *ret_strings)
{
    uint32_t count = 0;
    if (bytes.n && bytes.p[bytes.n - 1])
        return false;
    for (const char *p = bytes.p, *end = bytes.p + bytes.n; p < end; count++)
        p += strlen(p) + 1;
    if (pairs && count % 2)
        return false;
    *ret_strings = (struct strings){bytes, count};
    return true;
}

bool strings_find(const struct strings *pairs, struct slice name, struct slice *ret_value)
{
    const char *p = pairs->bytes.p;
    for (uint32_t i = 0; i < pairs->count; i += 2) {
        size_t name_size = strlen(p);
        const char *value = p + name_size + 1;
        size_t value_size = strlen(value);
        if (slice_eq(name, slice_make(p, name_size))) {
            *ret_value = slice_make(value, value_size);
            return true;
        }
        p = value + value_size + 1;
    }
    return false;
}
