/* gemini://host/…: the answer's header line, then its body. There is nothing to write: the
 * request is the URL. */
#include "guest/remote.h"
#include "guest/resource.h"

#include <stdlib.h>

static int32_t gemini_opened(struct guest *g, struct descriptor *d)
{
    return remote_opened(g, d->state);
}

static void gemini_close(struct guest *g, struct descriptor *d)
{
    remote_close(g, d->state);
    free(d->state);
}

static int32_t gemini_open(struct guest *g, struct descriptor *d, const struct url *url)
{
    struct remote *r = malloc(sizeof *r);
    if (!r) {
        resource_say(g, "resource_open: there is no memory for it");
        return RESOURCE_UNKNOWN;
    }
    d->state = r;
    int32_t rc = remote_open(g, r, url_slice(url));
    if (rc < 0 && rc != RESOURCE_WAIT)
        gemini_close(g, d);
    return rc;
}

/* The first look at the answer asks for it. */
static void begin(struct descriptor *d)
{
    struct remote *r = d->state;
    if (r->state != REMOTE_OPEN)
        return;
    remote_request(r, SLICE("GET"), r->url, SLICE(""), BODY_NONE, 0);
    if (d->use)
        d->use->row.requests++;
}

static int32_t gemini_read(struct guest *g, struct descriptor *d, void *p, uint32_t n)
{
    begin(d);
    return remote_read(g, d->state, p, n);
}

static bool gemini_ready(struct guest *g, struct descriptor *d, bool to_write, uint64_t *ret_bytes,
                         bool *ret_end)
{
    (void)to_write;
    begin(d);
    *ret_bytes = remote_ready(d->state, ret_end);
    if (*ret_bytes || *ret_end)
        return true;
    g->waits |= GUEST_WAITS_REMOTE;
    return false;
}

const struct scheme scheme_gemini = {.name = "gemini",
                                     .remote = true,
                                     .open = gemini_open,
                                     .opened = gemini_opened,
                                     .read = gemini_read,
                                     .close = gemini_close,
                                     .ready = gemini_ready};
