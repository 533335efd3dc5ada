/* exec: runs the guests of one project.
 *
 * One thread, one loop. A turn reads frames. A run that needs nothing more is
 * stepped as soon as its BEGIN was read: of a hundred that come at once, one
 * after another then uses the same object and memory, which the caches still
 * hold. Other frames make runs ready; each of these is stepped once when all
 * frames are read, and one of those that were preempted; then all that they
 * said leaves in one send. Nothing blocks: a guest that waits is a fiber that
 * nobody polls. The edge is not trusted to be well-behaved but to be the
 * only one who speaks here: a frame that breaks the rules ends the process.
 *
 * Lists: a run is in `free`, or in one of `ready` (new, or what it waited for
 * came), `preempted` (used up a slice of CPU), `waiting`. */
#include "roles/exec.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/options.h"
#include "guest/host.h"
#include "guest/remote.h"
#include "guest/trace.h"
#include "ipc/ledger.h"
#include "ipc/lockdown.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    INPUT_GRANT = FRAME_CREDIT_INITIAL / 2, /* credit is given back in pieces of this size */
    KEEP_BYTES = 16384,                     /* of a buffer that the next run may use again */
    STATUS_US = 1000000,
    TRACE_BACKLOG = 8 << 20, /* bytes of unsent frames from which on host calls are not told */
    HEAP_RESERVE = 32 << 20,
};

/* Breaking the rules of frames: there is nobody to tell but the log. */
void exec_malformed(struct exec *x, const char *what)
{
    log_line(LOG_ERROR, "exec_malformed_frame", "what=\"%s\"", what);
    x->stop = true;
}

/* What a guest asks of us */

static struct run *run_of(struct guest *g)
{
    return LIST_ITEM(g, struct run, guest);
}

static size_t guest_output(struct guest *g, const void *p, size_t n)
{
    struct run *r = run_of(g);
    if (n > r->output_credit)
        n = r->output_credit;
    if (n) {
        channel_append(&r->exec->edge, FRAME_OUTPUT, r->id, p, n);
        r->output_credit -= (uint32_t)n;
    }
    return n;
}

static bool guest_output_ready(struct guest *g)
{
    return run_of(g)->output_credit > 0;
}

static size_t guest_input_ready(struct guest *g, bool *ret_end)
{
    struct run *r = run_of(g);
    size_t n = buf_size(&r->input);
    if (!n && r->input_end)
        *ret_end = true;
    return n;
}

static size_t guest_input(struct guest *g, void *p, size_t n, bool *ret_end)
{
    struct run *r = run_of(g);
    size_t have = guest_input_ready(g, ret_end);
    if (n > have)
        n = have;
    if (!n)
        return 0;
    memcpy(p, buf_data(&r->input), n);
    buf_consume(&r->input, n);
    r->input_owed += (uint32_t)n;
    if (r->input_owed >= INPUT_GRANT && !r->input_end) {
        channel_send(&r->exec->edge, FRAME_CREDIT, 0, r->id, &r->input_owed, sizeof r->input_owed);
        r->input_credit += r->input_owed;
        r->input_owed = 0;
    }
    return n;
}

static void guest_log(struct guest *g, enum guest_level level, enum guest_source source,
                      struct slice line)
{
    struct run *r = run_of(g);
    if (source == GUEST_TRACE && buf_size(&r->exec->edge.out) > TRACE_BACKLOG) {
        r->untraced++; /* whoever reads it is slower than the guest */
        return;
    }
    char *at = channel_place(&r->exec->edge, FRAME_LOG, 0, r->id, 1 + line.n);
    if (!at)
        return;
    at[0] = (char)FRAME_LOG_HEAD(level, source);
    memcpy(at + 1, line.p, line.n);
}

static void ready(struct run *r)
{
    list_remove(&r->node);
    list_push(&r->exec->ready, &r->node);
}

/* What it waits for may have come. */
static void woken(struct run *r, unsigned by)
{
    if (r->guest.waits & by) {
        r->guest.waits = 0;
        ready(r);
    }
}

static void on_wake(struct loop_timer *t)
{
    woken(LIST_ITEM(t, struct run, wake), GUEST_WAITS_TIME);
}

/* The first remote open of the process. What it says waits in the socket until egress has it. */
static void on_reach(void *arg)
{
    struct exec *x = arg;
    channel_send(&x->edge, FRAME_REACH, 0, 0, NULL, 0);
}

static void on_remote_ready(void *arg, struct guest *g)
{
    (void)arg;
    woken(run_of(g), GUEST_WAITS_REMOTE);
}

static void guest_wake_at(struct guest *g, uint64_t mono_us)
{
    struct run *r = run_of(g);
    loop_timer_start(r->exec->loop, &r->wake, mono_us, on_wake);
}

static const struct guest_host host = {
    .output = guest_output,
    .output_ready = guest_output_ready,
    .input = guest_input,
    .input_ready = guest_input_ready,
    .log = guest_log,
    .wake_at = guest_wake_at,
};

/* Runs */

static struct run **bucket(struct exec *x, uint64_t id)
{
    return &x->buckets[id % EXEC_BUCKETS];
}

static struct run *find_run(struct exec *x, uint64_t id)
{
    for (struct run *r = *bucket(x, id); r; r = r->next)
        if (r->id == id)
            return r;
    return NULL;
}

static struct run *new_run(struct exec *x)
{
    struct list *node = list_pop(&x->free);
    if (node)
        return LIST_ITEM(node, struct run, node);
    if (x->made == (x->one ? 1 : limit_rows[LIMIT_PROJECT_CONCURRENCY].maximum))
        return NULL; /* as many as the engine has places */
    struct run *r = calloc(1, sizeof *r);
    if (!r || !(r->instance = instance_new()))
        abort();
    x->made++;
    list_init(&r->node);
    r->exec = x;
    r->guest.host = &host;
    buf_init(&r->meta, FRAME_MOST);
    buf_init(&r->input, FRAME_CREDIT_INITIAL);
    return r;
}

/* Empties a buffer; one that grew large is not kept. */
void exec_reset(struct buf *b)
{
    buf_clear(b);
    if (b->cap > KEEP_BYTES)
        buf_done(b);
}

static void send_ledger(struct exec *x, uint64_t id, const struct ledger *l)
{
    void *at = channel_place(&x->edge, FRAME_END, 0, id, ledger_size(l));
    if (at)
        ledger_write(l, at);
}

/* A BEGIN that can't be served still gets its END. */
static void refuse(struct exec *x, uint64_t id, enum err_code reason, const char *text)
{
    struct ledger l;
    l.head = (struct ledger_head){.reason = (uint16_t)reason};
    snprintf(l.text, sizeof l.text, "%s", text);
    send_ledger(x, id, &l);
}

struct statm {
    uint64_t held; /* bytes of memory of its own */
    uint64_t data; /* bytes of private writable mappings, as RLIMIT_DATA counts them */
};

/* proc_pid_statm(5); zeros if it isn't there. */
static struct statm read_statm(const struct exec *x)
{
    char text[128];
    unsigned long long resident, shared, data;
    ssize_t n = x->statm < 0 ? 0 : pread(x->statm, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    if (sscanf(text, "%*u %llu %llu %*u %*u %llu", &resident, &shared, &data) != 3)
        return (struct statm){0};
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    return (struct statm){.held = (resident - shared) * page, .data = data * page};
}

static void on_status(struct loop_timer *t)
{
    struct exec *x = LIST_ITEM(t, struct exec, status);
    if (!x->live)
        return;
    uint64_t held = read_statm(x).held;
    channel_send(&x->edge, FRAME_STATUS, 0, 0, &held, sizeof held);
    loop_timer_start(x->loop, t, loop_now(x->loop) + STATUS_US, on_status);
}

int32_t exec_end_status(const struct run *r)
{
    const struct instance_end *end = instance_end(r->instance);
    return end->by_host ? r->guest.end_status : end->status;
}

enum err_code exec_end_reason(const struct run *r)
{
    const struct instance_end *end = instance_end(r->instance);
    enum err_code reason = end->by_host ? r->guest.end_reason : end->reason;
    return reason == ERR_OK && exec_end_status(r) ? ERR_EXIT_STATUS : reason;
}

static void fill_ledger(struct run *r, struct ledger *l)
{
    const struct instance_end *end = instance_end(r->instance);
    struct guest *g = &r->guest;
    uint64_t start_ns = end->made_ns > r->entered_ns ? end->made_ns - r->entered_ns : 0;
    l->head = (struct ledger_head){
        .cpu_us = r->cpu_ns / 1000,
        .wall_us = r->exec->meter.mono_ns / 1000 - r->begun_us,
        .memory_peak = end->memory,
        .gas = end->gas,
        .start_ns = start_ns < r->cpu_ns ? start_ns : r->cpu_ns,
        .bytes_in = g->bytes_in,
        .bytes_out = g->bytes_out,
        .log_lines = g->log.lines,
        .log_lost = g->log.lost,
        .status = exec_end_status(r),
        .reason = (uint16_t)exec_end_reason(r),
    };
    memcpy(l->head.module, r->version->load.digest, sizeof l->head.module);
    memcpy(l->head.policy, r->version->load.policy_digest, sizeof l->head.policy);
    uses_write(&g->uses, l);
    for (int i = 0; i < HOST_COUNT; i++) {
        if (!g->calls[i])
            continue;
        l->calls[l->head.call_rows++] =
            (struct ledger_call){.function = (uint16_t)i, .count = g->calls[i]};
        l->head.calls += g->calls[i];
    }
}
_Static_assert((int)HOST_COUNT <= (int)LEDGER_CALLS, "a ledger has room for every host function");

static void tell_untraced(struct run *r)
{
    char text[64];
    if (!r->untraced)
        return;
    int n = snprintf(text, sizeof text, "… and %ju host calls more", (uintmax_t)r->untraced);
    char *at = channel_place(&r->exec->edge, FRAME_LOG, 0, r->id, 1 + (size_t)n);
    if (at) {
        at[0] = (char)FRAME_LOG_HEAD(GUEST_INFO, GUEST_TRACE);
        memcpy(at + 1, text, (size_t)n);
    }
}

/* The instance ended: gives everything back, sends the ledger. */
static void finish(struct run *r)
{
    struct exec *x = r->exec;
    struct version *v = r->version;
    struct ledger l;
    guest_end(&r->guest); /* its last line of log */
    exec_text(r->instance, &r->guest, exec_end_reason(r), l.text, sizeof l.text);
    if (r->guest.tape && r->tape.playing && r->tape.rest.n && !l.text[0])
        snprintf(l.text, sizeof l.text, "%u of the capture's %u records were not asked for",
                 r->tape.played.count - r->tape.at, r->tape.played.count);
    instance_done(r->instance);
    r->cpu_ns += meter_piece(&x->meter);
    fill_ledger(r, &l);
    tell_untraced(r);
    if (r->guest.tape)
        exec_end_tape(r);
    send_ledger(x, r->id, &l);

    struct run **at = bucket(x, r->id);
    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    loop_timer_stop(x->loop, &r->wake);
    exec_reset(&r->meta);
    exec_reset(&r->input);
    list_remove(&r->node);
    list_push(x->free.next, &r->node); /* the first to be used again: the caches still hold it */
    x->live--;
    if (!--v->runs && v->unloaded)
        exec_version_free(x, v);
}

static bool used_up(void *owner)
{
    const struct run *r = run_of(owner);
    return (r->cpu_ns + meter_so_far(&r->exec->meter)) / 1000 >= r->guest.limits->v[LIMIT_CPU];
}

/* Not before its first step, for the same sake: an instance's memory. */
static void enter(struct run *r)
{
    r->entered = true;
    r->entered_ns = r->exec->meter.mono_ns;
    guest_begin(&r->guest);
    instance_begin(r->instance, r->version->image, r->guest.limits, r->guest.calls, &r->guest);
    instance_watch(r->instance, used_up);
    if (r->version->load.trace)
        instance_trace(r->instance, guest_trace);
}

/* What follows is the CPU time of a run; what came before, reading frames, is nobody's. */
static void begin_piece(struct exec *x)
{
    if (x->metering)
        meter_skip(&x->meter);
    else
        meter_start(&x->meter);
    x->metering = true;
}

static void step(struct run *r)
{
    struct exec *x = r->exec;
    begin_piece(x);
    r->guest.waits = 0;
    if (!r->entered)
        enter(r);
    enum instance_state state = instance_step(r->instance);
    if (state == INSTANCE_ENDED) {
        finish(r);
        return;
    }
    r->cpu_ns += meter_piece(&x->meter);
    if (r->cpu_ns / 1000 >= r->guest.limits->v[LIMIT_CPU]) {
        instance_cancel(r->instance, ERR_CPU_LIMIT);
        finish(r);
        return;
    }
    list_push(state == INSTANCE_WAITING ? &x->waiting : &x->preempted, &r->node);
}

static void step_runs(struct exec *x)
{
    struct list *node, now;
    list_init(&now);
    while ((node = list_pop(&x->ready)))
        list_push(&now, node);
    while ((node = list_pop(&now)))
        step(LIST_ITEM(node, struct run, node));
    if ((node = list_pop(&x->preempted)))
        step(LIST_ITEM(node, struct run, node));
    if (x->metering)
        meter_stop(&x->meter);
    x->metering = false;
}

/* Frames of a run. One that has ended may still get some: they crossed its END on the way. */

static void on_begin(struct exec *x, const struct frame *f, struct slice payload)
{
    uint32_t slot;
    memcpy(&slot, payload.p, sizeof slot);
    struct version *v = slot < EXEC_SLOTS ? x->versions[slot] : NULL;
    struct strings pairs;
    if (!v || find_run(x, f->id) || !strings_read(slice_from(payload, 4), true, &pairs)) {
        exec_malformed(x, "BEGIN");
        return;
    }
    enum err_code rc = exec_use_image(x, slot, v);
    if (rc) {
        exec_drop_tape(x, f->id);
        refuse(x, f->id, rc, "its image can't be opened");
        return;
    }
    struct run *r = new_run(x);
    if (!r) {
        exec_drop_tape(x, f->id);
        refuse(x, f->id, ERR_BUSY, "all places of the process are taken");
        return;
    }
    if (!buf_add(&r->meta, pairs.bytes.p, pairs.bytes.n)) {
        list_push(&x->free, &r->node);
        exec_drop_tape(x, f->id);
        refuse(x, f->id, ERR_MEMORY, "no memory for its variables");
        return;
    }
    struct err e;
    bool plays = x->taped && x->taping_run == f->id;
    if (plays && exec_play(r, &e)) {
        list_push(&x->free, &r->node);
        exec_reset(&r->meta);
        refuse(x, f->id, e.code, e.text);
        return;
    }
    if (!plays && f->flags & FRAME_KEEP) {
        r->guest.tape = &r->tape;
        r->began_us = clock_real_us();
        tape_record(&r->tape, v->load.limits.v[LIMIT_CAPTURE]);
    }
    if (!x->live++ && x->statm >= 0 && !x->status.at_us)
        loop_timer_start(x->loop, &x->status, loop_now(x->loop) + STATUS_US, on_status);
    r->id = f->id;
    r->next = *bucket(x, r->id);
    *bucket(x, r->id) = r;
    r->version = v;
    v->runs++;
    r->input_credit = FRAME_CREDIT_INITIAL;
    r->input_owed = 0;
    r->input_end = f->flags & FRAME_LAST;
    r->output_credit = FRAME_CREDIT_INITIAL;
    r->begun_us = loop_now(x->loop);
    r->cpu_ns = 0;
    r->guest.limits = &v->load.limits;
    r->guest.policy = v->policy;
    r->guest.version = v->load.id;
    r->guest.remotes = x->remotes;
    r->guest.meta = (struct strings){buf_slice(&r->meta), pairs.count};
    r->guest.env = v->env;
    r->guest.args = v->args;
    r->guest.assets = v->assets;
    r->entered = false;
    r->untraced = 0;
    if (r->input_end && list_empty(&x->ready))
        step(r);
    else /* its body may be what comes next */
        list_push(&x->ready, &r->node);
}

static void on_body(struct exec *x, const struct frame *f, struct slice payload)
{
    struct run *r = find_run(x, f->id);
    if (!r)
        return;
    if (r->input_end || payload.n > r->input_credit) {
        exec_malformed(x, "BODY without credit or after its end");
        return;
    }
    r->input_credit -= (uint32_t)payload.n;
    if (!buf_add(&r->input, payload.p, payload.n))
        abort();
    r->input_end = f->flags & FRAME_LAST;
    woken(r, GUEST_WAITS_INPUT);
}

static void on_credit(struct exec *x, const struct frame *f, struct slice payload)
{
    struct run *r = find_run(x, f->id);
    uint32_t more;
    if (!r)
        return;
    memcpy(&more, payload.p, sizeof more);
    if (more > INT32_MAX - r->output_credit) {
        exec_malformed(x, "CREDIT beyond all measure");
        return;
    }
    r->output_credit += more;
    woken(r, GUEST_WAITS_OUTPUT);
}

static void on_cancel(struct exec *x, const struct frame *f, struct slice payload)
{
    struct run *r = find_run(x, f->id);
    uint16_t reason;
    memcpy(&reason, payload.p, sizeof reason);
    if (reason == ERR_OK || reason >= ERR_COUNT) {
        exec_malformed(x, "CANCEL for no reason");
    } else if (r) {
        begin_piece(x);
        if (!r->entered)
            enter(r);
        instance_cancel(r->instance, (enum err_code)reason);
        finish(r);
    }
}

static void on_frame(struct channel *c, const struct frame *f, struct slice payload)
{
    struct exec *x = c->owner;
    if (x->stop)
        return;
    switch (f->type) {
    case FRAME_BIND:
        exec_on_bind(x, payload);
        break;
    case FRAME_LOAD:
        exec_on_load(x, f, payload);
        break;
    case FRAME_TAPE:
        exec_on_tape(x, f, payload);
        break;
    case FRAME_UNLOAD:
        exec_unload(x, f->id);
        break;
    case FRAME_BEGIN:
        on_begin(x, f, payload);
        break;
    case FRAME_BODY:
        on_body(x, f, payload);
        break;
    case FRAME_CREDIT:
        on_credit(x, f, payload);
        break;
    case FRAME_CANCEL:
        on_cancel(x, f, payload);
        break;
    default:
        exec_malformed(x, frame_name(f->type));
        break;
    }
}

/* Life of the process */

static void on_edge_closed(struct channel *c, const struct err *why)
{
    struct exec *x = c->owner;
    if (why->code == ERR_PROTOCOL)
        exec_malformed(x, why->text);
    x->stop = true;
}

static void on_leash_closed(struct leash *l)
{
    ((struct exec *)l->owner)->stop = true;
}

/* Guests may use up RLIMIT_DATA: their memory.grow then gets -1. What exec itself needs must not
 * fail then, so the heap is asked for in one large piece, which is part of what the process has
 * before the limit is set. Pages of it that nobody touches cost nothing. */
static void reserve_heap(void)
{
    mallopt(M_MMAP_THRESHOLD, INT32_MAX);
    mallopt(M_TRIM_THRESHOLD, 2 * HEAP_RESERVE);
    mallopt(M_TOP_PAD, HEAP_RESERVE);
    void *volatile piece = malloc(HEAP_RESERVE / 2); /* volatile: or the pair is optimised away */
    free(piece);
}

static enum err_code start(struct exec *x, const struct options *o, struct err *e)
{
    struct limits limits = o->limits;
    bool has_egress = fcntl(EXEC_EGRESS, F_GETFD) >= 0;
    /* Log lines are not worth dying for: to a closed pipe, or to a file, which RLIMIT_FSIZE
     * forbids. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    reserve_heap();
    x->relaxed = option_is(o, OPTION_ISOLATION, "relaxed");
    x->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    list_init(&x->images);
    list_init(&x->ready);
    list_init(&x->preempted);
    list_init(&x->waiting);
    list_init(&x->free);
    buf_init_private(&x->loading, FRAME_LOAD_MOST);
    buf_init(&x->taping, TAPE_MOST);
    x->loop = loop_new(e);
    if (!x->loop)
        return e->code;
    x->edge = (struct channel){
        .on_frame = on_frame, .on_closed = on_edge_closed, .owner = x, .private = true};
    x->leash = (struct leash){.on_closed = on_leash_closed, .owner = x};
    /* The leash first: by it master learns why we can't start. */
    enum err_code rc = leash_init(&x->leash, x->loop, ROLE_LEASH, true, e);
    if (rc == ERR_OK)
        rc = lockdown_exec_start(EXEC_IMAGES, x->relaxed, e);
    if (rc == ERR_OK)
        rc = engine_new(x->kind, x->one ? ENGINE_TO_RUN_ONE : ENGINE_TO_RUN, &o->limits, &x->engine,
                        e);
    /* The limit is what guests may add: the pool's stacks and tables are reserved, not used. */
    if (limits.v[LIMIT_EXEC_MEMORY])
        limits.v[LIMIT_EXEC_MEMORY] += read_statm(x).data;
    if (rc == ERR_OK)
        rc = engine_tick_start(x->engine, e);
    if (rc == ERR_OK)
        rc = lockdown_exec_seal(&limits, x->relaxed, e);
    if (rc == ERR_OK)
        rc = channel_init(&x->edge, x->loop, EXEC_FRAMES, FRAME_FRONT, e);
    if (rc == ERR_OK && has_egress)
        rc = remotes_new(x->loop, EXEC_EGRESS, on_reach, on_remote_ready, x, &x->remotes, e);
    return rc;
}

int role_exec(int argc, char **argv)
{
    struct exec *x = calloc(1, sizeof *x);
    struct options o;
    struct err e = {0};
    int at = 1;
    if (!x)
        abort();
    if (at < argc && strcmp(argv[at], "fuel") == 0) {
        x->kind = ENGINE_FUEL;
        at++;
    }
    if (at < argc && strcmp(argv[at], "one") == 0) {
        x->one = true;
        at++;
    }
    options_init(&o);
    if (options_flags(&o, argc, argv, &at, &e) || options_finish(&o, &e)) {
        log_line(LOG_ERROR, "exec_options", "error=\"%s\"", e.text);
        return err_cli(e.code);
    }
    options_log(&o, "exec");
    enum err_code rc = start(x, &o, &e);
    if (rc) {
        log_line(LOG_ERROR, "exec_start", "error=\"%s\"", e.text);
        if (x->loop && x->leash.loop)
            leash_send(&x->leash, LEASH_FATAL, rc, 0, e.text, NULL, 0);
        return err_cli(rc);
    }
    leash_send(&x->leash, LEASH_READY, 0, 0, NULL, NULL, 0);
    while (!x->stop) {
        bool busy = !list_empty(&x->ready) || !list_empty(&x->preempted);
        loop_turn(x->loop, busy ? 0 : UINT64_MAX);
        step_runs(x);
        channel_flush(&x->edge);
        if (x->remotes)
            remotes_flush(x->remotes);
    }
    return 0; /* the kernel frees faster than we do */
}
