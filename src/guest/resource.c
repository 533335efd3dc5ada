#include "guest/resource.h"

#include <ctype.h>
#include <stdio.h>

static const struct scheme *const schemes[] = {&scheme_null, &scheme_zero, &scheme_random,
                                               &scheme_log};

static int32_t refuse(struct guest *g, const char *why, struct slice what)
{
    char line[300];
    int n = snprintf(line, sizeof line, "resource_open: %s \"%.*s\"\n", why,
                     (int)(what.n < 200 ? what.n : 200), what.p);
    struct guest_line whole = {0};
    guest_log_bytes(g, GUEST_ERROR, GUEST_LOG, SLICE(""), &whole, slice_make(line, (size_t)n));
    return RESOURCE_INVALID;
}

/* RFC 3986 3.1: a letter, then letters, digits, + - . */
static bool split_url(struct slice url, struct slice *ret_scheme, struct slice *ret_rest)
{
    size_t n = 0;
    while (n < url.n && (isalpha((unsigned char)url.p[n]) ||
                         (n && (isdigit((unsigned char)url.p[n]) || strchr("+-.", url.p[n])))))
        n++;
    struct slice rest = slice_from(url, n);
    if (!n || !slice_starts(rest, SLICE("://")))
        return false;
    *ret_scheme = slice_make(url.p, n);
    *ret_rest = slice_from(rest, 3);
    return true;
}

/* The descriptor is open, or not yet, or not at all. */
static int32_t conclude(struct guest *g, struct descriptor *d, uint32_t fd, int32_t rc,
                        uint64_t *progress)
{
    if (rc == RESOURCE_WAIT) {
        *progress = fd + 1;
        return rc;
    }
    if (rc < 0) {
        guest_close(g, d);
        return rc;
    }
    return (int32_t)fd;
}

int32_t resource_open(struct guest *g, struct slice url, uint64_t *progress)
{
    struct slice name, rest;
    if (*progress) {
        uint32_t fd = (uint32_t)*progress - 1;
        struct descriptor *d = &g->descriptors[fd];
        return conclude(g, d, fd, d->scheme->opened(g, d), progress);
    }
    if (!utf8_valid(url) || memchr(url.p, '\0', url.n) || !split_url(url, &name, &rest))
        return refuse(g, "not an absolute URL:", url);
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        if (!slice_ieq(name, slice_str(schemes[i]->name)))
            continue;
        uint32_t fd;
        struct descriptor *d = guest_place(g, &fd);
        if (!d)
            return refuse(g, "all descriptors are in use, no place for", url);
        int32_t rc = schemes[i]->open ? schemes[i]->open(g, d, rest) : 0;
        if (rc < 0 && rc != RESOURCE_WAIT)
            return rc;
        d->scheme = schemes[i];
        uses_opened(g, d, fd, url, SLICE(""));
        return conclude(g, d, fd, rc, progress);
    }
    return refuse(g, "no such scheme:", name);
}

int32_t resource_read(struct guest *g, struct descriptor *d, void *p, uint64_t n)
{
    if (!d->scheme->read)
        return RESOURCE_INVALID;
    if (!n)
        return 0;
    int32_t got = d->scheme->read(g, d, p, n < RESOURCE_MOST ? (uint32_t)n : RESOURCE_MOST);
    if (got > 0 && d->use)
        d->use->row.bytes_in += (uint32_t)got;
    return got;
}

int32_t resource_write(struct guest *g, struct descriptor *d, const void *p, uint64_t n)
{
    if (!d->scheme->write)
        return RESOURCE_INVALID;
    if (!n)
        return 0;
    int32_t put = d->scheme->write(g, d, p, n < RESOURCE_MOST ? (uint32_t)n : RESOURCE_MOST);
    if (put > 0 && d->use)
        d->use->row.bytes_out += (uint32_t)put;
    return put;
}

int32_t resource_flush(struct guest *g, struct descriptor *d)
{
    return d->scheme->flush ? d->scheme->flush(g, d) : 0;
}

bool resource_ready(struct guest *g, struct descriptor *d, bool to_write, uint64_t *ret_bytes,
                    bool *ret_end)
{
    *ret_bytes = RESOURCE_MOST;
    *ret_end = false;
    return !d->scheme->ready || d->scheme->ready(g, d, to_write, ret_bytes, ret_end);
}
