/* log:// and log://?prefix=P: each line written goes to the function's log. */
#include "guest/resource.h"

#include <stdlib.h>

enum { PREFIX_MOST = 64 };

struct state {
    struct guest_line line;
    size_t prefix_size;
    char prefix[PREFIX_MOST];
};

static int32_t log_open(struct guest *g, struct descriptor *d, const struct url *url)
{
    struct slice prefix = SLICE("");
    (void)g;
    struct slice rest = url->path;
    const char *query = memchr(rest.p, '?', rest.n);
    if (query) {
        struct slice params = slice_from(rest, (size_t)(query + 1 - rest.p));
        while (params.p) {
            struct slice one = slice_split(&params, '&');
            if (slice_starts(one, SLICE("prefix=")))
                prefix = slice_from(one, sizeof "prefix=" - 1);
        }
    }
    struct state *s = prefix.n <= PREFIX_MOST ? calloc(1, sizeof *s) : NULL;
    if (!s)
        return RESOURCE_INVALID;
    memcpy(s->prefix, prefix.p, prefix.n);
    s->prefix_size = prefix.n;
    d->state = s;
    return 0;
}

static int32_t log_read(struct guest *g, struct descriptor *d, void *p, uint32_t n)
{
    (void)g, (void)d, (void)p, (void)n;
    return 0;
}

static int32_t log_write(struct guest *g, struct descriptor *d, const void *p, uint32_t n)
{
    struct state *s = d->state;
    guest_log_bytes(g, GUEST_INFO, GUEST_LOG, slice_make(s->prefix, s->prefix_size), &s->line,
                    slice_make(p, n));
    return (int32_t)n;
}

static void log_close(struct guest *g, struct descriptor *d)
{
    struct state *s = d->state;
    guest_log_flush(g, GUEST_INFO, GUEST_LOG, slice_make(s->prefix, s->prefix_size), &s->line);
    buf_done(&s->line.text);
    free(s);
}

const struct scheme scheme_log = {
    .name = "log", .open = log_open, .read = log_read, .write = log_write, .close = log_close};
