/* Downloading a captured run: its tape as exec made it, opened here, played elsewhere.
 *
 * Nobody here looks into it: it was made by a process that runs guests. */
#include "api/request.h"

#include "auth/seal.h"
#include "ipc/tape.h"

#include <stdio.h>
#include <stdlib.h>

struct download {
    struct api_request *request;
    struct buf tape;
    bool filling; /* on_room is called from within a write, too */
};

static void download_free(struct download *d)
{
    buf_done(&d->tape);
    free(d);
}

static void download_end(struct api_request *r)
{
    download_free(r->state);
    r->state = NULL;
    r->on_gone = NULL;
    r->on_room = NULL;
}

static void fill(struct api_request *r)
{
    struct download *d = r->state;
    if (!d || d->filling)
        return;
    d->filling = true;
    while (buf_size(&d->tape) && buf_size(&r->out) <= API_STREAM_ROOM / 2 && !r->gone) {
        size_t n = buf_size(&d->tape) < 64 << 10 ? buf_size(&d->tape) : 64 << 10;
        if (!api_stream_write(r, slice_make(buf_data(&d->tape), n)))
            break;
        buf_consume(&d->tape, n);
    }
    d->filling = false;
    r->keeps = buf_size(&d->tape);
    if (buf_size(&d->tape) && !r->gone)
        return;
    download_end(r);
    if (!r->gone)
        api_stream_end(r);
}

static enum err_code open_tape(void *arg, const struct store_capture *c, struct err *e)
{
    struct download *d = arg;
    return unseal(d->request->api->secrets, c->run, c->bytes, &d->tape, e);
}

void captures_get(struct api_request *r)
{
    struct err e;
    struct uuid id = {{0}};
    struct download *d = calloc(1, sizeof *d);
    if (!d) {
        api_refuse(r, ERR_MEMORY, "no memory for a download");
        return;
    }
    buf_init(&d->tape, TAPE_MOST);
    d->request = r;
    api_drain(r);
    enum err_code rc = uuid_parse(r->id_text, &id)
                           ? store_capture(r->api->store, r->project.id, id, open_tape, d, &e)
                           : err_set(&e, ERR_NOT_FOUND, "%s", "");
    if (rc == ERR_NOT_FOUND)
        err_set(&e, rc,
                "the run was not captured: deploy a version with `capture: all` or `capture: "
                "failures`; the limit \"capture-rate\" says how many runs a second are captured, "
                "\"captures\" and \"run-age\" how long that is kept");
    if (rc) {
        download_free(d);
        api_fail(r, &e);
        return;
    }
    r->state = d;
    r->on_gone = download_end;
    r->on_room = fill;
    snprintf(r->extra, sizeof r->extra, "Content-Length: %zu\n", buf_size(&d->tape));
    api_stream(r, 200, "application/octet-stream");
    fill(r);
}
