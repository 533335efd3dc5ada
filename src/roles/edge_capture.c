/* Captured runs: whether a run is recorded, and its tape on the way into the spool.
 *
 * Which runs are recorded is decided before they begin: all of a version that
 * captures all, as far as `capture-rate` goes, and all of one that captures
 * failures, for nobody knows yet; never a silent one, which nobody asked for.
 * Exec sends a tape before each END; what is not to be kept is forgotten then.
 * The spool is a file: what goes into it is sealed with the node key, for a tape
 * holds the environment and what a visitor sent. */
#include "roles/edge.h"

#include "auth/seal.h"
#include "ipc/tape.h"

/* One more in this second? */
static bool within_rate(struct edge_run *r)
{
    struct edge_function *f = r->function;
    uint64_t most = r->edge->options.limits.v[LIMIT_CAPTURE_RATE];
    uint64_t second = loop_now(r->edge->loop) / 1000000u;
    if (f->capture_second != second) {
        f->capture_second = second;
        f->captures = 0;
    }
    if (most && f->captures >= most)
        return false;
    f->captures++;
    return true;
}

bool edge_capture_begin(struct edge_run *r)
{
    uint8_t kind = r->version->load.capture;
    buf_clear(&r->capture);
    r->captured = false;
    r->capturing = r->edge->spool && !r->route->row.silent &&
                   (kind == CAPTURE_FAILURES || (kind == CAPTURE_ALL && within_rate(r)));
    return r->capturing;
}

/* A tape and the END of its run come in one piece, so of each process there is one at a time: what
 * it can have us keep is one tape, however many runs it has. */
static bool has_another(const struct edge_run *r)
{
    const struct edge_exec *x = r->exec;
    const struct edge_run *other = x->taping ? edge_run_find(x->edge, x->taping) : NULL;
    return other && other != r && other->exec == x && buf_size(&other->capture);
}

bool edge_capture_take(struct edge_run *r, uint16_t flags, struct slice bytes)
{
    if (!r->capturing || r->captured || has_another(r) || !buf_add(&r->capture, bytes.p, bytes.n))
        return false;
    r->exec->taping = r->id;
    r->captured = !(flags & FRAME_MORE);
    r->capture_whole = flags & FRAME_LAST;
    return true;
}

bool edge_capture_keep(struct edge_run *r)
{
    const struct spool_capture head = {.run = r->receipt.run,
                                       .function = r->receipt.function,
                                       .project = r->receipt.project,
                                       .whole = r->capture_whole};
    bool wanted = r->captured && (r->version->load.capture == CAPTURE_ALL ||
                                  (r->receipt.cause != ERR_OK && within_rate(r)));
    struct buf sealed;
    buf_init(&sealed, TAPE_MOST + SEAL_EXTRA);
    bool kept = wanted && seal(r->edge->node_key, head.run, buf_slice(&r->capture), &sealed) &&
                spool_capture(r->edge->spool, &head, buf_slice(&sealed));
    buf_done(&sealed);
    buf_done(&r->capture);
    r->capturing = r->captured = false;
    return kept;
}
