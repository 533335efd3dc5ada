/* Tapes: a run that is captured sends what it got from outside when it ends; one that plays gets it
 * before it begins. */
#include "roles/exec.h"

#include "ipc/tape.h"

#include <stdlib.h>
#include <string.h>

enum { CAPTURE_BACKLOG = 24 << 20 /* bytes of unsent frames from which on captures are dropped */ };

void exec_on_tape(struct exec *x, const struct frame *f, struct slice payload)
{
    if (x->taped || (buf_size(&x->taping) && f->id != x->taping_run) ||
        !buf_add(&x->taping, payload.p, payload.n)) {
        exec_malformed(x, "TAPE out of place");
        return;
    }
    x->taping_run = f->id;
    x->taped = !(f->flags & FRAME_MORE);
}

/* Its run can't begin. */
void exec_drop_tape(struct exec *x, uint64_t id)
{
    if (!x->taped || x->taping_run != id)
        return;
    buf_done(&x->taping);
    x->taped = false;
}

/* The run that begins plays the tape that came before it. */
enum err_code exec_play(struct run *r, struct err *e)
{
    struct exec *x = r->exec;
    struct tape t;
    size_t n = buf_size(&x->taping);
    char *bytes = malloc(n);
    if (bytes)
        memcpy(bytes, buf_data(&x->taping), n);
    exec_drop_tape(x, x->taping_run);
    enum err_code rc = bytes ? tape_read(slice_make(bytes, n), &t, e)
                             : err_set(e, ERR_MEMORY, "no memory for the capture");
    if (rc) {
        free(bytes);
        return rc;
    }
    r->played = bytes;
    tape_play(&r->tape, &t);
    r->guest.tape = &r->tape;
    return ERR_OK;
}

static void send_pieces(struct run *r, struct slice bytes, bool whole)
{
    while (bytes.n) {
        size_t n = bytes.n < FRAME_MOST ? bytes.n : FRAME_MOST;
        uint16_t flags = n < bytes.n ? FRAME_MORE : whole ? FRAME_LAST : 0;
        channel_send(&r->exec->edge, FRAME_CAPTURE, flags, r->id, bytes.p, n);
        bytes = slice_from(bytes, n);
    }
}

/* The tape of a captured run. One that nobody takes from us fast enough is dropped. */
static void send_capture(struct run *r)
{
    struct exec *x = r->exec;
    const struct version_load *load = &r->version->load;
    struct tape t = {.started_us = r->began_us,
                     .kind = load->kind,
                     .reason = exec_end_reason(r),
                     .status = exec_end_status(r),
                     .limits = load->limits,
                     .meta = r->guest.meta.bytes,
                     .env = load->env,
                     .args = load->args,
                     .policy = load->policy};
    struct buf names, whole;
    buf_init(&names, TAPE_PARTS);
    buf_init(&whole, TAPE_MOST);
    memcpy(t.module, load->digest, sizeof t.module);
    memcpy(t.assets, load->assets, sizeof t.assets);
    memcpy(t.policy_digest, load->policy_digest, sizeof t.policy_digest);
    tape_recorded(&r->tape, &r->guest, &t);
    if (buf_size(&x->edge.out) < CAPTURE_BACKLOG && tape_secrets(&t, load->secrets, &names) &&
        tape_write(&t, &whole))
        send_pieces(r, buf_slice(&whole), t.whole);
    buf_done(&names);
    buf_done(&whole);
}

/* The run is over: what it recorded goes out, what it played goes. */
void exec_end_tape(struct run *r)
{
    if (r->tape.playing)
        free(r->played);
    else
        send_capture(r);
    r->played = NULL;
    r->guest.tape = NULL;
    exec_reset(&r->tape.records);
}
