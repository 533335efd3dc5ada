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

static enum err_code is_there(void *arg, const struct store_run *r, struct err *e)
{
    (void)arg, (void)r, (void)e;
    return ERR_OK;
}

/* Says why there is no capture of a run, which may not be there itself. */
static void fail(struct api_request *r, struct uuid run, struct err *e)
{
    if (e->code == ERR_NOT_FOUND &&
        store_run(r->api->store, r->project.id, run, is_there, NULL, e) == ERR_OK)
        api_refuse(
            r, ERR_NOT_FOUND,
            "the run was not captured: deploy a version with `capture: all` or `capture: "
            "failures`; the limit \"capture-rate\" says how many runs a second are captured, "
            "\"captures\" and \"run-age\" how long that is kept");
    else
        runs_fail(r, e);
}

void captures_get(struct api_request *r)
{
    struct err e;
    struct uuid id;
    if (!runs_id(r, &id))
        return;
    struct download *d = calloc(1, sizeof *d);
    if (!d) {
        api_refuse(r, ERR_MEMORY, "no memory for a download");
        return;
    }
    buf_init(&d->tape, TAPE_MOST);
    d->request = r;
    api_drain(r);
    enum err_code rc = store_capture(r->api->store, r->project.id, id, open_tape, d, &e);
    if (rc) {
        download_free(d);
        fail(r, id, &e);
        return;
    }
    r->state = d;
    r->on_gone = download_end;
    r->on_room = fill;
    snprintf(r->extra, sizeof r->extra, "Content-Length: %zu\n", buf_size(&d->tape));
    api_stream(r, 200, "application/octet-stream");
    fill(r);
}
