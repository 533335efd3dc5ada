/* exec: runs the guests of one project.
 *
 * One thread, one loop. A turn reads frames, which make runs ready; then every
 * ready run is stepped once and one of those that were preempted; then all that
 * they said leaves in one send. Nothing blocks: a guest that waits is a fiber
 * that nobody polls. The edge is not trusted to be well-behaved but to be the
 * only one who speaks here: a frame that breaks the rules ends the process.
 *
 * Lists: a run is in `free`, or in one of `ready` (new, or what it waited for
 * came), `preempted` (used up a slice of CPU), `waiting`. */
#include "base/clock.h"
#include "base/log.h"
#include "base/meter.h"
#include "base/options.h"
#include "engine/instance.h"
#include "guest/guest.h"
#include "guest/host.h"
#include "guest/remote.h"
#include "guest/tape.h"
#include "guest/trace.h"
#include "ipc/channel.h"
#include "ipc/leash.h"
#include "ipc/ledger.h"
#include "ipc/lockdown.h"
#include "module/bundle.h"
#include "roles/exec_text.h"
#include "roles/roles.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    SLOTS = 4096,     /* versions that an edge may load */
    IMAGES_OPEN = 16, /* of them with an open image; the others open it again */
    BUCKETS = 64,
    INPUT_GRANT = FRAME_CREDIT_INITIAL / 2, /* credit is given back in pieces of this size */
    KEEP_BYTES = 16384,                     /* of a buffer that the next run may use again */
    STATUS_US = 1000000,
    CAPTURE_BACKLOG = 24 << 20, /* bytes of unsent frames from which on captures are dropped */
    TRACE_BACKLOG = 8 << 20,    /* bytes of unsent frames from which on host calls are not told */
    HEAP_RESERVE = 32 << 20,
};

struct version {
    struct list node; /* in exec.images when its image is open, most recent first */
    char *bytes;      /* what `load` and the strings point into */
    size_t size;      /* of those */
    struct version_load load;
    struct strings env, args;
    struct policy *policy; /* NULL: the empty one */
    struct image *image;   /* NULL: not open */
    struct bundle *assets; /* open as long as the image is; NULL: it has none */
    enum err_code broken;  /* why the image can't be opened; 0: it can */
    unsigned runs;
    bool unloaded; /* goes with its last run */
};

struct run {
    struct guest guest;
    struct list node;
    struct run *next; /* in its bucket */
    struct exec *exec;
    struct version *version;
    struct instance *instance;
    uint64_t id;
    struct buf meta;        /* BEGIN's payload after the slot */
    struct buf input;       /* came, not yet read */
    uint32_t input_credit;  /* bytes the edge may still send */
    uint32_t input_owed;    /* read, not yet granted again */
    bool entered;           /* its instance has begun */
    uint64_t untraced;      /* host calls of a traced run that were not told */
    bool input_end;         /* nothing comes after `input` */
    uint32_t output_credit; /* bytes we may still send */
    uint64_t begun_us, cpu_ns;
    uint64_t entered_ns;    /* when the making of its instance began, as the meter counts */
    struct guest_tape tape; /* guest.tape, of a run that is captured or played */
    char *played;           /* what it plays; NULL: nothing */
    uint64_t began_us;      /* real time, of a captured run */
    struct loop_timer wake;
};

struct exec {
    struct loop *loop;
    struct leash leash;
    struct channel edge;
    struct remotes *remotes; /* the way to egress; NULL: there is none */
    struct engine *engine;
    enum engine_kind kind;
    bool one; /* run at a time */
    bool stop, relaxed, bound, has_project;
    char project[UUID_TEXT + 1];
    int statm; /* /proc/self/statm, opened before the lock-down; -1: not there */

    struct version *versions[SLOTS];
    struct list images;
    unsigned images_open;
    struct buf loading; /* pieces of a LOAD */
    uint64_t loading_slot;
    struct buf taping; /* pieces of a TAPE, and whole until its BEGIN */
    uint64_t taping_run;
    bool taped; /* it is whole */

    struct run *buckets[BUCKETS];
    struct list ready, preempted, waiting, free;
    unsigned live;      /* runs between BEGIN and END */
    unsigned made;      /* runs that exist */
    struct meter meter; /* whose CPU time is it? a piece a fiber switch */
    struct loop_timer status;
};

/* Breaking the rules of frames: there is nobody to tell but the log. */
static void malformed(struct exec *x, const char *what)
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

/* Versions and their images */

static void image_close(struct exec *x, struct version *v)
{
    if (!v->image)
        return;
    list_remove(&v->node);
    x->images_open--;
    image_unref(v->image);
    v->image = NULL;
    bundle_close(v->assets);
    v->assets = NULL;
}

static void version_free(struct exec *x, struct version *v)
{
    image_close(x, v);
    policy_free(v->policy);
    explicit_bzero(v->bytes, v->size); /* it holds secrets, and perhaps ones that were replaced */
    free(v->bytes);
    free(v);
}

static void unload(struct exec *x, uint64_t slot)
{
    struct version *v = slot < SLOTS ? x->versions[slot] : NULL;
    if (!v)
        return;
    x->versions[slot] = NULL;
    v->unloaded = true;
    if (!v->runs)
        version_free(x, v);
}

/* Closes the image that was unused for the longest time, if one is not in use. */
static void make_room(struct exec *x)
{
    for (struct list *n = x->images.prev; n != &x->images; n = n->prev) {
        struct version *v = LIST_ITEM(n, struct version, node);
        if (!v->runs) {
            image_close(x, v);
            return;
        }
    }
}

/* Its project's folder may not have been there when BIND came. */
static enum err_code bind_project(struct exec *x, struct err *e)
{
    if (x->bound)
        return ERR_OK;
    enum err_code rc = lockdown_exec_bind(EXEC_IMAGES, x->project, x->relaxed, e);
    x->bound = rc == ERR_OK;
    if (rc && rc != ERR_NOT_FOUND)
        x->stop = true;
    return rc;
}

/* Named by its digest, beside the images. */
static enum err_code open_assets(struct version *v, struct err *e)
{
    static const uint8_t none[DIGEST_BYTES];
    char name[sizeof "assets/" + DIGEST_TEXT] = "assets/";
    if (memcmp(v->load.assets, none, sizeof none) == 0)
        return ERR_OK;
    digest_text(v->load.assets, name + strlen(name));
    return bundle_open(name, &v->assets, e);
}

static enum err_code open_image(struct exec *x, struct version *v, struct err *e)
{
    char name[IMAGE_NAME];
    enum err_code rc = bind_project(x, e);
    if (rc)
        return rc;
    if (v->load.kind != x->kind)
        return err_set(e, ERR_INTERNAL, "the version is for the other kind of engine");
    image_name(v->load.digest, x->kind, name);
    while (x->images_open >= IMAGES_OPEN) {
        unsigned before = x->images_open;
        make_room(x);
        if (x->images_open == before)
            break; /* all are in use: one more, for now */
    }
    rc = open_assets(v, e);
    if (rc)
        return rc;
    rc = image_open(x->engine, name, host_handlers, &v->image, e);
    if (rc) {
        bundle_close(v->assets);
        v->assets = NULL;
        return rc;
    }
    x->images_open++;
    list_push(&x->images, &v->node);
    return ERR_OK;
}

static void load_failed(struct exec *x, uint64_t slot, enum err_code rc, const struct err *e)
{
    char payload[2 + sizeof e->text];
    uint16_t code = (uint16_t)rc;
    size_t n = strlen(e->text);
    memcpy(payload, &code, sizeof code);
    memcpy(payload + 2, e->text, n);
    channel_send(&x->edge, FRAME_LOAD_FAILED, 0, slot, payload, 2 + n);
}

/* Opens the version's image unless it is open, and makes it the most recent one. */
static enum err_code use_image(struct exec *x, uint64_t slot, struct version *v)
{
    struct err e = {0};
    if (v->broken)
        return v->broken;
    if (!v->image) {
        v->broken = open_image(x, v, &e);
        if (v->broken) {
            load_failed(x, slot, v->broken, &e);
            return v->broken;
        }
    }
    if (x->images.next != &v->node) {
        list_remove(&v->node);
        list_push(x->images.next, &v->node); /* before the first */
    }
    return ERR_OK;
}

static void on_bind(struct exec *x, struct slice payload)
{
    struct uuid id;
    struct err e;
    if (x->has_project) {
        malformed(x, "a second project");
        return;
    }
    memcpy(&id, payload.p, sizeof id);
    uuid_text(id, x->project);
    x->has_project = true;
    enum err_code rc = bind_project(x, &e);
    if (rc && rc != ERR_NOT_FOUND)
        log_line(LOG_ERROR, "exec_bind", "project=%s error=\"%s\"", x->project, e.text);
}

static void on_load(struct exec *x, const struct frame *f, struct slice payload)
{
    struct err e;
    if (!x->has_project || f->id >= SLOTS || (buf_size(&x->loading) && f->id != x->loading_slot) ||
        !buf_add(&x->loading, payload.p, payload.n)) {
        malformed(x, "LOAD out of place");
        return;
    }
    explicit_bzero((char *)payload.p, payload.n); /* our own channel's: the copy is enough */
    x->loading_slot = f->id;
    if (f->flags & FRAME_MORE)
        return;
    struct version *v = calloc(1, sizeof *v);
    size_t n = buf_size(&x->loading);
    char *bytes = malloc(n);
    if (!v || !bytes)
        abort();
    memcpy(bytes, buf_data(&x->loading), n);
    buf_done(&x->loading);
    v->bytes = bytes;
    v->size = n;
    list_init(&v->node);
    if (version_load_read(slice_make(bytes, n), &v->load, &e) ||
        !strings_read(v->load.env, true, &v->env) || !strings_read(v->load.args, false, &v->args)) {
        malformed(x, "a LOAD that can't be read");
        version_free(x, v);
        return;
    }
    unload(x, f->id);
    x->versions[f->id] = v;
    if (v->load.policy.n)
        v->broken = policy_parse(v->load.policy, POLICY_YAML, NULL, NULL, &v->policy, &e);
    if (v->broken)
        load_failed(x, f->id, v->broken, &e);
    else
        (void)use_image(x, f->id, v);
}

/* Runs */

static struct run **bucket(struct exec *x, uint64_t id)
{
    return &x->buckets[id % BUCKETS];
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
static void reset(struct buf *b)
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

static void on_tape(struct exec *x, const struct frame *f, struct slice payload)
{
    if (x->taped || (buf_size(&x->taping) && f->id != x->taping_run) ||
        !buf_add(&x->taping, payload.p, payload.n)) {
        malformed(x, "TAPE out of place");
        return;
    }
    x->taping_run = f->id;
    x->taped = !(f->flags & FRAME_MORE);
}

/* Its run can't begin. */
static void drop_tape(struct exec *x, uint64_t id)
{
    if (!x->taped || x->taping_run != id)
        return;
    buf_done(&x->taping);
    x->taped = false;
}

/* The run that begins plays the tape that came before it. */
static enum err_code play(struct run *r, struct err *e)
{
    struct exec *x = r->exec;
    struct tape t;
    size_t n = buf_size(&x->taping);
    char *bytes = malloc(n);
    if (bytes)
        memcpy(bytes, buf_data(&x->taping), n);
    drop_tape(x, x->taping_run);
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

static void on_begin(struct exec *x, const struct frame *f, struct slice payload)
{
    uint32_t slot;
    memcpy(&slot, payload.p, sizeof slot);
    struct version *v = slot < SLOTS ? x->versions[slot] : NULL;
    struct strings pairs;
    if (!v || find_run(x, f->id) || !strings_read(slice_from(payload, 4), true, &pairs)) {
        malformed(x, "BEGIN");
        return;
    }
    enum err_code rc = use_image(x, slot, v);
    if (rc) {
        drop_tape(x, f->id);
        refuse(x, f->id, rc, "its image can't be opened");
        return;
    }
    struct run *r = new_run(x);
    if (!r) {
        drop_tape(x, f->id);
        refuse(x, f->id, ERR_BUSY, "all places of the process are taken");
        return;
    }
    if (!buf_add(&r->meta, pairs.bytes.p, pairs.bytes.n)) {
        list_push(&x->free, &r->node);
        drop_tape(x, f->id);
        refuse(x, f->id, ERR_MEMORY, "no memory for its variables");
        return;
    }
    struct err e;
    bool plays = x->taped && x->taping_run == f->id;
    if (plays && play(r, &e)) {
        list_push(&x->free, &r->node);
        reset(&r->meta);
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
    r->begun_us = clock_mono_us();
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
    list_push(&x->ready, &r->node);
}

static int32_t end_status(const struct run *r)
{
    const struct instance_end *end = instance_end(r->instance);
    return end->by_host ? r->guest.end_status : end->status;
}

static enum err_code end_reason(const struct run *r)
{
    const struct instance_end *end = instance_end(r->instance);
    enum err_code reason = end->by_host ? r->guest.end_reason : end->reason;
    return reason == ERR_OK && end_status(r) ? ERR_EXIT_STATUS : reason;
}

static void fill_ledger(struct run *r, struct ledger *l)
{
    const struct instance_end *end = instance_end(r->instance);
    struct guest *g = &r->guest;
    uint64_t start_ns = end->made_ns > r->entered_ns ? end->made_ns - r->entered_ns : 0;
    l->head = (struct ledger_head){
        .cpu_us = r->cpu_ns / 1000,
        .wall_us = clock_mono_us() - r->begun_us,
        .memory_peak = end->memory,
        .gas = end->gas,
        .start_ns = start_ns < r->cpu_ns ? start_ns : r->cpu_ns,
        .bytes_in = g->bytes_in,
        .bytes_out = g->bytes_out,
        .log_lines = g->log.lines,
        .log_lost = g->log.lost,
        .status = end_status(r),
        .reason = (uint16_t)end_reason(r),
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
                     .reason = end_reason(r),
                     .status = end_status(r),
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

/* The run is over: what it recorded goes out, what it played goes. */
static void end_tape(struct run *r)
{
    if (r->tape.playing)
        free(r->played);
    else
        send_capture(r);
    r->played = NULL;
    r->guest.tape = NULL;
    reset(&r->tape.records);
}

/* The instance ended: gives everything back, sends the ledger. */
static void finish(struct run *r)
{
    struct exec *x = r->exec;
    struct version *v = r->version;
    struct ledger l;
    guest_end(&r->guest); /* its last line of log */
    exec_text(r->instance, &r->guest, end_reason(r), l.text, sizeof l.text);
    if (r->guest.tape && r->tape.playing && r->tape.rest.n && !l.text[0])
        snprintf(l.text, sizeof l.text, "%u of the capture's %u records were not asked for",
                 r->tape.played.count - r->tape.at, r->tape.played.count);
    instance_done(r->instance);
    r->cpu_ns += meter_piece(&x->meter);
    fill_ledger(r, &l);
    tell_untraced(r);
    if (r->guest.tape)
        end_tape(r);
    send_ledger(x, r->id, &l);

    struct run **at = bucket(x, r->id);
    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    loop_timer_stop(x->loop, &r->wake);
    reset(&r->meta);
    reset(&r->input);
    list_remove(&r->node);
    list_push(&x->free, &r->node);
    x->live--;
    if (!--v->runs && v->unloaded)
        version_free(x, v);
}

static bool used_up(void *owner)
{
    const struct run *r = run_of(owner);
    return (r->cpu_ns + meter_so_far(&r->exec->meter)) / 1000 >= r->guest.limits->v[LIMIT_CPU];
}

/* Not before its first step: of a hundred runs that come at once, one after another then uses the
 * same memory, which the caches still hold. */
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

static void step(struct run *r)
{
    struct exec *x = r->exec;
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
    if (list_empty(&x->ready) && list_empty(&x->preempted))
        return;
    list_init(&now);
    while ((node = list_pop(&x->ready)))
        list_push(&now, node);
    meter_start(&x->meter); /* reading frames is nobody's CPU time */
    while ((node = list_pop(&now)))
        step(LIST_ITEM(node, struct run, node));
    if ((node = list_pop(&x->preempted)))
        step(LIST_ITEM(node, struct run, node));
    meter_stop(&x->meter);
}

/* Frames of a run. One that has ended may still get some: they crossed its END on the way. */

static void on_body(struct exec *x, const struct frame *f, struct slice payload)
{
    struct run *r = find_run(x, f->id);
    if (!r)
        return;
    if (r->input_end || payload.n > r->input_credit) {
        malformed(x, "BODY without credit or after its end");
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
        malformed(x, "CREDIT beyond all measure");
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
        malformed(x, "CANCEL for no reason");
    } else if (r) {
        meter_start(&x->meter);
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
        on_bind(x, payload);
        break;
    case FRAME_LOAD:
        on_load(x, f, payload);
        break;
    case FRAME_TAPE:
        on_tape(x, f, payload);
        break;
    case FRAME_UNLOAD:
        unload(x, f->id);
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
        malformed(x, frame_name(f->type));
        break;
    }
}

/* Life of the process */

static void on_edge_closed(struct channel *c, const struct err *why)
{
    struct exec *x = c->owner;
    if (why->code == ERR_PROTOCOL)
        malformed(x, why->text);
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
    x->edge = (struct channel){.on_frame = on_frame, .on_closed = on_edge_closed, .owner = x};
    x->leash = (struct leash){.on_closed = on_leash_closed, .owner = x};
    /* The leash first: by it master learns why we can't start. */
    enum err_code rc = leash_init(&x->leash, x->loop, ROLE_LEASH, true, e);
    if (rc == ERR_OK)
        rc = engine_new(x->kind, x->one ? ENGINE_TO_RUN_ONE : ENGINE_TO_RUN, &o->limits, &x->engine,
                        e);
    /* The limit is what guests may add: the pool's stacks and tables are reserved, not used. */
    if (limits.v[LIMIT_EXEC_MEMORY])
        limits.v[LIMIT_EXEC_MEMORY] += read_statm(x).data;
    if (rc == ERR_OK)
        rc = lockdown_exec_start(EXEC_IMAGES, &limits, x->relaxed, e);
    if (rc == ERR_OK)
        rc = engine_tick_start(x->engine, e);
    if (rc == ERR_OK)
        rc = lockdown_exec_seal(x->relaxed, e);
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
