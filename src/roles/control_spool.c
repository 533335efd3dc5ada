/* From the spools of the edges and of egress into the database.
 *
 * A batch of receipts, log lines and connections, the growth of the counters and the place
 * up to which the ring was read are written in one piece; only after its COMMIT
 * is the room given back to the edge. A crash in between reads the same records
 * again, from the place that the database remembers. An edge is not believed: a
 * record of a function that is not the named project's is dropped by the store,
 * and a counter that went back counts nothing. */
#include "roles/control.h"

#include "api/record.h"
#include "auth/seal.h"
#include "base/clock.h"
#include "base/host.h"
#include "base/log.h"
#include "base/steady.h"
#include "ipc/tape.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY_US 86400000000u

enum {
    DRAIN_US = 1000000,
    FOLLOWED_US = 100000, /* while somebody follows the log */
    BATCH = 2000,         /* records of one spool a turn */
    RUNS_KEPT = 10000,    /* receipts of a function */
    RUNS_FULL = 1000,     /* …that keep many rows of what they opened: up to 32 KiB */
    RUNS_STEP = 1024,     /* runs of a function between two trims of its receipts */
    TRIM_MOST = 2000,     /* rows that one trim deletes */
    CAPTURED = 16,        /* projects whose captures are trimmed together */
    LEVEL_WARNING = 3,    /* of spool/spool.h, as the next */
    SOURCE_PLATFORM = 2,
};

_Static_assert((int)STORE_COUNTERS == (int)SPOOL_COUNTERS &&
                   (int)STORE_CPU_US == (int)SPOOL_CPU_US &&
                   (int)STORE_LOG_LINES == (int)SPOOL_LOG_LINES &&
                   (int)STORE_RECEIPTS_LOST == (int)SPOOL_RECEIPTS_LOST &&
                   (int)STORE_LOG_BYTES == (int)SPOOL_LOG_BYTES,
               "usage has the spool's counters in their order");

/* What of one function's counters is in the database. */
struct counted {
    struct uuid function;
    bool known; /* read from the database */
    uint64_t v[STORE_COUNTERS];
};

struct ring {
    struct control *control;
    struct list node;
    char name[32];
    struct spool *spool; /* NULL: it has not been made yet */
    ino_t file;          /* that it is */
    struct uuid id;
    bool placed;  /* `at` is known */
    uint64_t at;  /* read and written up to here, perhaps not committed */
    bool waiting; /* for a COMMIT */
    bool lines;   /* log lines or receipts are in it */
    bool more;    /* the last batch was full */
    struct store_wait wait;
    struct buf capture; /* the pieces of a captured run's tape that came so far */
    struct uuid capture_run;
    struct uuid captured[CAPTURED]; /* projects whose captures grew, to be trimmed */
    unsigned captured_n;
    struct counted *counted; /* by place in the file */
    size_t places;
    /* what the batch adds to api->counts when it is on disk */
    uint64_t grown[STORE_COUNTERS], causes[ERR_COUNT];
};

/* ---- one record ---- */

/* {"name": count} */
static bool jot_calls(const struct ledger *l, struct jot *out)
{
    jot_open(out, NULL, '{');
    for (uint16_t i = 0; i < l->head.call_rows; i++)
        if (l->calls[i].function < HOST_COUNT)
            jot_u64(out, host_functions[l->calls[i].function].label, l->calls[i].count);
    jot_close(out, '}');
    return !out->lost;
}

static enum err_code put_receipt(struct control *c, const struct spool_receipt *r,
                                 const struct ledger *l, struct err *e)
{
    const struct ledger_head *h = &l->head;
    struct jot *calls = &c->jots[0], *uses = &c->jots[1], *sums = &c->jots[2];
    for (int i = 0; i < CONTROL_JOTS; i++)
        jot_clear(&c->jots[i]);
    struct store_run run = {
        .id = r->run,
        .project = r->project,
        .function = r->function,
        .version = r->version,
        .started_ms = r->started_us / 1000,
        .method = slice_str(r->method),
        .path = slice_str(r->path),
        .client = slice_str(r->client),
        .cause = slice_str(err_slug((enum err_code)r->cause)),
        .host_calls = jot_calls(l, calls) ? buf_slice(&calls->text) : SLICE("{}"),
        .uses = record_uses(l, uses) ? buf_slice(&uses->text) : SLICE("[]"),
        .sums = record_sums(l, sums) ? buf_slice(&sums->text) : SLICE("{}"),
        .text = slice_str(l->text),
        .status = r->status,
        .injected = r->injected,
        .sampled = r->sampled,
        .exit_status = h->status,
        .cpu_us = h->cpu_us,
        .wall_us = h->wall_us,
        .memory_peak = h->memory_peak,
        .bytes_in = h->bytes_in,
        .bytes_out = h->bytes_out,
        .request_bytes = r->request_bytes,
        .response_bytes = r->response_bytes,
        .calls = h->calls,
        .log_lines = h->log_lines,
        .log_lost = h->log_lost,
    };
    return store_run_put(c->api.store, &run, e);
}

/* Bytes of log lines that a project's sum has not yet: a batch adds them up, since its lines are
 * mostly of one project. */
struct logged {
    struct uuid project;
    uint64_t bytes;
};

static enum err_code flush_logged(struct control *c, struct logged *sum, struct err *e)
{
    enum err_code rc =
        sum->bytes ? store_logs_grew(c->api.store, sum->project, sum->bytes, e) : ERR_OK;
    sum->bytes = 0;
    return rc;
}

static enum err_code put_line(struct control *c, const struct store_log *line, struct logged *sum,
                              struct err *e)
{
    uint64_t bytes;
    enum err_code rc = ERR_OK;
    if (!uuid_eq(sum->project, line->project))
        rc = flush_logged(c, sum, e);
    if (rc == ERR_OK)
        rc = store_log_put(c->api.store, line, &bytes, e);
    if (rc)
        return rc;
    sum->project = line->project;
    sum->bytes += bytes;
    return ERR_OK;
}

/* Where lines were lost, the log says so itself. Which runs lost them their receipts say; the sums
 * count also those whose receipt is lost, so the sums are what is shown. */
static enum err_code put_lost(struct control *c, const struct spool_sums *sums, uint64_t lost,
                              struct err *e)
{
    char text[160];
    struct logged sum = {0};
    int n = snprintf(text, sizeof text,
                     "%llu log line%s lost here: over log-lines or log-bytes of a run, or faster "
                     "than lines can be stored",
                     (unsigned long long)lost, lost == 1 ? " was" : "s were");
    struct store_log line = {.project = sums->project,
                             .function = sums->function,
                             .at_ms = clock_real_us() / 1000,
                             .level = LEVEL_WARNING,
                             .source = SOURCE_PLATFORM,
                             .lost = lost < UINT32_MAX ? (uint32_t)lost : UINT32_MAX,
                             .text = slice_make(text, (size_t)n)};
    enum err_code rc = put_line(c, &line, &sum, e);
    return rc ? rc : flush_logged(c, &sum, e);
}

static enum err_code put_connection(struct control *c, const struct spool_connection *s,
                                    struct err *e)
{
    struct store_connection connection = {
        .at_ms = s->at_us / 1000,
        .port = s->port,
        .scheme = slice_str(s->scheme),
        .host = slice_str(s->host),
        .outcome = slice_str(s->outcome ? err_slug((enum err_code)s->outcome) : ""),
        .project = s->project,
        .function = s->function,
        .run = s->run,
        .sent = s->sent,
        .received = s->received,
    };
    memcpy(connection.address, s->address, sizeof connection.address);
    return store_connection_put(c->api.store, &connection, e);
}

/* The oldest captures of projects that got some make room for them. */
static enum err_code trim_captures(struct ring *r, struct err *e)
{
    const struct control *c = r->control;
    const uint64_t *limit = c->options.limits.v;
    uint64_t age = limit[LIMIT_RUN_AGE] / 1000, now = steady_ms();
    enum err_code rc = ERR_OK;
    for (unsigned i = 0; i < r->captured_n && rc == ERR_OK; i++)
        rc = store_captures_trim(c->api.store, r->captured[i], limit[LIMIT_CAPTURES],
                                 age && now > age ? now - age : 0, TRIM_MOST, e);
    r->captured_n = 0;
    return rc;
}

/* Once a batch and project: a trim adds up all that the project has. */
static enum err_code trim_later(struct ring *r, struct uuid project, struct err *e)
{
    for (unsigned i = 0; i < r->captured_n; i++)
        if (uuid_eq(r->captured[i], project))
            return ERR_OK;
    enum err_code rc = r->captured_n == CAPTURED ? trim_captures(r, e) : ERR_OK;
    r->captured[r->captured_n++] = project;
    return rc;
}

/* Takes a tape out of the edge's seal and keeps it in the database's. */
static enum err_code put_capture(struct ring *r, const struct spool_capture *s,
                                 struct slice spooled, struct err *e)
{
    struct control *c = r->control;
    struct buf plain, sealed;
    buf_init_private(&plain, TAPE_MOST);
    buf_init(&sealed, TAPE_MOST + SEAL_EXTRA);
    enum err_code rc = unseal(c->node_key, s->run, spooled, &plain, e);
    struct slice tape = buf_slice(&plain);
    if (rc == ERR_INTERNAL) { /* of another key, before this server was restored: it is lost */
        log_line(LOG_WARNING, "capture_lost", "error=\"%s\"", e->text);
        rc = ERR_OK;
        goto out;
    }
    if (!rc && !seal(c->api.secrets, s->run, tape, &sealed))
        rc = err_set(e, ERR_MEMORY, "no memory for a captured run");
    if (!rc)
        rc = store_capture_put(c->api.store,
                               &(struct store_capture){.run = s->run,
                                                       .project = s->project,
                                                       .function = s->function,
                                                       .size = tape.n,
                                                       .whole = s->whole,
                                                       .bytes = buf_slice(&sealed)},
                               e);
    if (!rc)
        rc = trim_later(r, s->project, e);
out:
    buf_done(&plain);
    buf_done(&sealed);
    return rc;
}

/* The pieces of a tape follow each other; of one that isn't whole nothing is kept. */
static enum err_code take_piece(struct ring *r, const struct spool_capture *s, struct slice piece,
                                struct err *e)
{
    bool first = s->at == 0;
    if (first) {
        buf_clear(&r->capture);
        r->capture_run = s->run;
    }
    if ((!first && !uuid_eq(r->capture_run, s->run)) || s->at != buf_size(&r->capture) ||
        !buf_add(&r->capture, piece.p, piece.n)) {
        buf_done(&r->capture);
        return ERR_OK;
    }
    if (buf_size(&r->capture) < s->bytes)
        return ERR_OK;
    enum err_code rc = put_capture(r, s, buf_slice(&r->capture), e);
    buf_done(&r->capture);
    return rc;
}

/* ---- counters ---- */

static enum err_code count(struct ring *r, struct counted *have, const struct spool_sums *sums,
                           struct err *e)
{
    struct store *st = r->control->api.store;
    uint64_t now[STORE_COUNTERS];
    bool grown = false;
    enum err_code rc = ERR_OK;
    if (!have->known || !uuid_eq(have->function, sums->function)) {
        have->function = sums->function;
        rc = store_counted(st, r->id, sums->function, have->v, e);
        if (rc)
            return rc;
        have->known = true;
    }
    for (int i = 0; i < STORE_COUNTERS; i++) {
        now[i] = __atomic_load_n(&sums->v[i], __ATOMIC_RELAXED);
        if (now[i] < have->v[i])
            now[i] = have->v[i];
        grown |= now[i] != have->v[i];
    }
    if (!grown)
        return ERR_OK;
    rc = store_count(st, r->id, sums->project, sums->function, clock_real_us() / DAY_US, have->v,
                     now, e);
    for (int i = 0; i < STORE_COUNTERS; i++)
        r->grown[i] += store_grown(have->v[i], now[i]);
    if (rc == ERR_OK && now[STORE_LOG_LOST] != have->v[STORE_LOG_LOST]) {
        rc = put_lost(r->control, sums, now[STORE_LOG_LOST] - have->v[STORE_LOG_LOST], e);
        r->lines = true;
    }
    if (rc == ERR_OK && now[STORE_RUNS] / RUNS_STEP != have->v[STORE_RUNS] / RUNS_STEP)
        rc = store_runs_trim(st, sums->function, RUNS_KEPT, RUNS_FULL, 2 * RUNS_STEP, e);
    if (rc == ERR_OK && now[STORE_LOG_LINES] != have->v[STORE_LOG_LINES])
        rc = store_logs_trim(st, sums->project, r->control->options.limits.v[LIMIT_LOG_STORED],
                             TRIM_MOST, e);
    memcpy(have->v, now, sizeof now);
    return rc;
}

static enum err_code count_all(struct ring *r, struct err *e)
{
    const struct spool_sums *sums;
    enum err_code rc = ERR_OK;
    for (size_t at = 0; rc == ERR_OK && (sums = spool_sums_next(r->spool, &at));) {
        if (uuid_is_zero(sums->function))
            continue;
        if (at > r->places) {
            size_t places = at * 2 < 16 ? 16 : at * 2;
            struct counted *more = realloc(r->counted, places * sizeof *more);
            if (!more)
                return err_set(e, ERR_MEMORY, "no memory for counters");
            memset(more + r->places, 0, (places - r->places) * sizeof *more);
            r->counted = more;
            r->places = places;
        }
        rc = count(r, &r->counted[at - 1], sums, e);
    }
    return rc;
}

/* ---- a batch ---- */

/* What of the counters is in the database has to be asked again. */
static void forget_counted(struct ring *r)
{
    for (size_t i = 0; i < r->places; i++)
        r->counted[i].known = false;
}

/* Where to go on: what was committed before a crash, but not yet given back, is not read again. */
static enum err_code place(struct ring *r, struct err *e)
{
    uint64_t taken;
    if (r->placed)
        return ERR_OK;
    enum err_code rc = store_spool(r->control->api.store, r->id, &taken, e);
    if (rc)
        return rc;
    r->at = spool_tail(r->spool);
    if (taken > r->at)
        r->at = taken;
    r->placed = true;
    return ERR_OK;
}

static void drop_counts(struct ring *r)
{
    memset(r->grown, 0, sizeof r->grown);
    memset(r->causes, 0, sizeof r->causes);
}

static void keep_counts(struct ring *r)
{
    struct api_counts *all = &r->control->api.counts;
    for (int i = 0; i < STORE_COUNTERS; i++)
        all->functions[i] += r->grown[i];
    for (int i = 0; i < ERR_COUNT; i++)
        all->causes[i] += r->causes[i];
    drop_counts(r);
}

static void on_commit(struct store_wait *w, enum err_code rc)
{
    struct ring *r = LIST_ITEM(w, struct ring, wait);
    bool lines = r->lines;
    r->waiting = r->lines = false;
    if (rc) { /* what was written is lost: read it again */
        forget_counted(r);
        drop_counts(r);
        buf_done(&r->capture);
        r->placed = false;
        return;
    }
    spool_take(r->spool, r->at);
    keep_counts(r);
    if (lines)
        api_on_stored(&r->control->api);
    if (r->more)
        control_drain_soon(r->control);
}

static enum err_code take_batch(struct ring *r, struct err *e)
{
    struct control *c = r->control;
    static struct spool_record record; /* large; one thread */
    struct logged sum = {0};
    enum err_code rc = place(r, e);
    uint64_t begun = r->at;
    int n = 0;
    while (rc == ERR_OK && n < BATCH && spool_next(r->spool, &r->at, &record)) {
        n++;
        switch (record.type) {
        case SPOOL_RECEIPT:
            rc = put_receipt(c, &record.receipt, &record.ledger, e);
            if (record.receipt.cause < ERR_COUNT)
                r->causes[record.receipt.cause]++;
            r->lines = true; /* runs are followed, too */
            break;
        case SPOOL_LOG:
            rc = put_line(c,
                          &(struct store_log){.project = record.log.project,
                                              .function = record.log.function,
                                              .run = record.log.run,
                                              .at_ms = record.log.at_us / 1000,
                                              .level = record.log.level,
                                              .source = record.log.source,
                                              .text = record.line},
                          &sum, e);
            r->lines = true;
            break;
        case SPOOL_CONNECTION:
            rc = put_connection(c, &record.connection, e);
            break;
        case SPOOL_CAPTURE:
            rc = take_piece(r, &record.capture, record.piece, e);
            break;
        }
    }
    r->more = n == BATCH;
    if (rc == ERR_OK)
        rc = flush_logged(c, &sum, e);
    if (rc == ERR_OK)
        rc = trim_captures(r, e);
    if (rc == ERR_OK)
        rc = count_all(r, e);
    if (rc == ERR_OK && r->at != begun)
        rc = store_spool_taken(c->api.store, r->id, r->at, e);
    return rc;
}

/* Is there a record, or has a counter grown? Asked far more often than it is so. */
static bool has_news(const struct ring *r)
{
    const struct spool_sums *sums;
    if (!r->placed || spool_tail(r->spool) + spool_waiting(r->spool) != r->at)
        return true;
    for (size_t at = 0; (sums = spool_sums_next(r->spool, &at));) {
        const struct counted *have = at <= r->places ? &r->counted[at - 1] : NULL;
        if (uuid_is_zero(sums->function))
            continue;
        if (!have || !have->known || !uuid_eq(have->function, sums->function))
            return true;
        for (int i = 0; i < STORE_COUNTERS; i++)
            if (__atomic_load_n(&sums->v[i], __ATOMIC_RELAXED) > have->v[i])
                return true;
    }
    return false;
}

static enum err_code drain_ring(struct ring *r, struct err *e)
{
    if (!has_news(r)) {
        r->more = false;
        return ERR_OK;
    }
    struct store *st = r->control->api.store;
    enum err_code rc = store_begin(st, e);
    if (rc)
        return rc;
    uint64_t at = r->at;
    bool placed = r->placed;
    rc = store_end(st, take_batch(r, e), e);
    if (rc) {
        forget_counted(r);
        drop_counts(r);
        buf_done(&r->capture); /* its first pieces may be committed: then it is lost */
        r->at = at;
        r->placed = placed;
        return rc;
    }
    if (!r->waiting) {
        r->waiting = true;
        store_wait(st, &r->wait);
    }
    return ERR_OK;
}

/* ---- files ---- */

static void ring_close(struct ring *r)
{
    store_wait_cancel(&r->wait);
    if (r->spool)
        spool_close(r->spool);
    free(r->counted);
    buf_done(&r->capture);
    r->counted = NULL;
    r->places = 0;
    r->spool = NULL;
    r->waiting = r->lines = r->more = r->placed = false;
}

/* Opens the file if it is there. A damaged one was replaced by whoever writes to it. */
static enum err_code ring_open(struct ring *r, struct err *e)
{
    struct control *c = r->control;
    struct stat st;
    if (fstatat(c->spool_folder, r->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? ERR_OK : err_errno(e, "spool: %s", r->name);
    if (r->spool && r->file == st.st_ino)
        return ERR_OK;
    ring_close(r);
    r->file = st.st_ino;
    size_t size = (size_t)option_number(&c->options, OPTION_SPOOL_SIZE);
    enum err_code rc = spool_open(c->spool_folder, r->name, size, false, &r->spool, e);
    if (rc)
        return rc == ERR_NOT_FOUND ? ERR_OK : rc;
    r->id = spool_id(r->spool);
    return ERR_OK;
}

static struct ring *ring_add(struct control *c, const char *name)
{
    struct ring *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->control = c;
    snprintf(r->name, sizeof r->name, "%s", name);
    list_init(&r->node);
    buf_init(&r->capture, TAPE_MOST + SEAL_EXTRA);
    store_wait_init(&r->wait, on_commit);
    list_push(&c->spools, &r->node);
    return r;
}

void control_spool_edge(struct control *c, uint32_t number)
{
    char name[32];
    snprintf(name, sizeof name, "edge-%u", number);
    LIST_EACH(n, &c->spools)
    {
        struct ring *r = LIST_ITEM(n, struct ring, node);
        if (strcmp(r->name, name) == 0) {
            ring_close(r);
            return;
        }
    }
    if (!ring_add(c, name))
        log_line(LOG_ERROR, "spool_edge", "spool=%s no memory", name);
}

/* ---- when ---- */

enum err_code control_drain(struct api *api, struct err *e)
{
    struct control *c = control_of(api);
    enum err_code rc = ERR_OK;
    LIST_EACH(n, &c->spools)
    {
        struct ring *r = LIST_ITEM(n, struct ring, node);
        if (rc == ERR_OK)
            rc = ring_open(r, e);
        if (rc == ERR_OK && r->spool)
            rc = drain_ring(r, e);
    }
    return rc;
}

static void on_drain(struct loop_timer *t)
{
    struct control *c = LIST_ITEM(t, struct control, drain);
    struct err e;
    bool more = false;
    if (control_drain(&c->api, &e))
        log_line(LOG_WARNING, "spool_drain", "error=\"%s\"", e.text);
    else
        LIST_EACH(n, &c->spools)
    more |= LIST_ITEM(n, struct ring, node)->more;
    uint64_t pause = more ? 0 : list_empty(&c->api.followers) ? DRAIN_US : FOLLOWED_US;
    loop_timer_start(c->loop, t, loop_now(c->loop) + pause, on_drain);
}

void control_drain_soon(struct control *c)
{
    loop_timer_start(c->loop, &c->drain, loop_now(c->loop), on_drain);
}

enum err_code control_spools_open(struct control *c, struct err *e)
{
    list_init(&c->spools);
    for (int i = 0; i < CONTROL_JOTS; i++)
        jot_init(&c->jots[i], RECORD_MOST);
    if (mkdirat(c->data, "spool", 0700) < 0 && errno != EEXIST)
        return err_errno(e, "making the folder spool");
    c->spool_folder = openat(c->data, "spool", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    int again =
        c->spool_folder < 0 ? -1 : openat(c->spool_folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = again < 0 ? NULL : fdopendir(again);
    if (!d)
        return err_errno(e, "opening the folder spool");
    ring_add(c, "egress");
    /* Rings of a run with more edges than there are now, too. */
    for (struct dirent *f; (f = readdir(d));) {
        struct slice number = slice_str(f->d_name);
        uint64_t n;
        if (slice_starts(number, SLICE("edge-")) && slice_u64(slice_from(number, 5), &n))
            ring_add(c, f->d_name);
    }
    closedir(d);
    control_drain_soon(c);
    return ERR_OK;
}

void control_rings(struct api *api, void (*each)(void *arg, const struct api_ring *ring), void *arg)
{
    LIST_EACH(n, &control_of(api)->spools)
    {
        struct ring *r = LIST_ITEM(n, struct ring, node);
        struct api_ring now = {.name = r->name};
        if (!r->spool)
            continue;
        now.waiting = spool_waiting(r->spool);
        now.execs = spool_execs(r->spool);
        for (int type = 0; type < SPOOL_TYPES; type++)
            now.dropped[type] = spool_dropped(r->spool, (enum spool_type)(type + 1));
        each(arg, &now);
    }
}

void control_spools_done(struct control *c)
{
    loop_timer_stop(c->loop, &c->drain);
    for (int i = 0; i < CONTROL_JOTS; i++)
        jot_done(&c->jots[i]);
    LIST_EACH(n, &c->spools)
    {
        struct ring *r = LIST_ITEM(n, struct ring, node);
        ring_close(r);
        list_remove(&r->node);
        free(r);
    }
}
