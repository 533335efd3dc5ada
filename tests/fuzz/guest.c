/* Host calls: the input is a guest's memory and a row of calls with their arguments.
 *
 * Its first part is calls of 1 + 9 × 4 bytes (a number of the table, arguments), as many as its
 * first byte says; the rest lies at the start of memory, URLs and paths at its end. Memory has
 * exactly its size, so that the sanitizers see a byte beyond it.
 *
 * The guest has assets, and an egress that this program plays: it allows, refuses, answers or keeps
 * silent as the exchange's number says.
 *
 * All of it is recorded, then played: the same calls, without credit's end, input or egress, must
 * have the same results and leave the same memory. */
#include "fuzz.h"

#include "../unit/tar_build.h"
#include "guest/guest.h"
#include "guest/host.h"
#include "guest/remote.h"
#include "guest/tape.h"
#include "ipc/frame.h"

#include <sys/socket.h>
#include <unistd.h>

enum { MEMORY = 8192, CALL = 1 + ENGINE_ARGS * 4, TRIES = 4 };

static size_t credit, arrived;

static size_t output(struct guest *g, const void *p, size_t n)
{
    static volatile char sink;
    (void)g;
    n = n < credit ? n : credit;
    for (size_t i = 0; i < n; i++)
        sink = ((const char *)p)[i];
    (void)sink;
    credit -= n;
    return n;
}

static bool output_ready(struct guest *g)
{
    (void)g;
    return credit > 0;
}

static size_t input_ready(struct guest *g, bool *ret_end)
{
    (void)g;
    *ret_end = arrived == 0 && credit % 2;
    return arrived;
}

static size_t input(struct guest *g, void *p, size_t n, bool *ret_end)
{
    size_t have = input_ready(g, ret_end);
    n = n < have ? n : have;
    memset(p, 'i', n);
    arrived -= n;
    return n;
}

static void log_entry(struct guest *g, enum guest_level level, enum guest_source source,
                      struct slice line)
{
    (void)g, (void)source;
    MUST(level == GUEST_ERROR || level == GUEST_WARNING || level == GUEST_INFO);
    MUST(line.n < 16640 && !memchr(line.p, '\n', line.n));
}

static void wake_at(struct guest *g, uint64_t mono_us)
{
    (void)g;
    MUST(mono_us);
}

/* ---- egress ---- */

static struct {
    struct loop *loop;
    struct remotes *remotes;
    int fd;
    struct buf in, out;
} egress;

static void on_reach(void *arg)
{
    (void)arg;
}

static void on_ready(void *arg, struct guest *g)
{
    (void)arg, (void)g;
}

static void egress_new(void)
{
    struct err e;
    int pair[2];
    egress.loop = loop_new(&e);
    MUST(egress.loop && socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
    MUST(remotes_new(egress.loop, pair[0], on_reach, on_ready, NULL, &egress.remotes, &e) ==
         ERR_OK);
    egress.fd = pair[1];
    buf_init(&egress.in, 1 << 20);
    buf_init(&egress.out, 1 << 20);
}

static void say(enum frame_type type, uint64_t id, const void *p, size_t n)
{
    MUST(frame_put(&egress.out, type, 0, id, p, n));
}

static void say_end(enum frame_type type, uint64_t id, enum err_code reason)
{
    struct exchange_end end = {.reason = (uint16_t)reason};
    say(type, id, &end, sizeof end);
}

static void answer(const struct frame *f)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n";
    enum { REFUSES_OPEN = 3, REFUSES_REQUEST, SILENT, FAILS, KINDS = 8 };
    unsigned kind = f->id % KINDS;
    if (f->type == FRAME_OPEN && kind != SILENT) {
        say_end(FRAME_VERDICT, f->id, kind == REFUSES_OPEN ? ERR_POLICY : ERR_OK);
    } else if (f->type == FRAME_REQUEST && kind == REFUSES_REQUEST) {
        say_end(FRAME_VERDICT, f->id, ERR_POLICY);
    } else if (f->type == FRAME_REQUEST) {
        say_end(FRAME_VERDICT, f->id, ERR_OK);
        say(FRAME_ANSWER, f->id, head, sizeof head - 1);
        say(FRAME_OUTPUT, f->id, "body", 4);
        say_end(FRAME_FINISHED, f->id, kind == FAILS ? ERR_UNREACHABLE : ERR_OK);
    }
}

/* Hears all that was said, answers, and lets the guest's side take it in. */
static void egress_turn(void)
{
    struct frame f;
    struct err e;
    size_t size;
    remotes_flush(egress.remotes);
    loop_turn(egress.loop, 0);
    char *at = buf_reserve(&egress.in, 65536);
    ssize_t n = at ? recv(egress.fd, at, 65536, 0) : 0;
    if (n > 0)
        buf_commit(&egress.in, (size_t)n);
    while (frame_peek(buf_slice(&egress.in), FRAME_FRONT, &f, &size, &e) == ERR_OK && size) {
        answer(&f);
        buf_consume(&egress.in, size);
    }
    if (buf_size(&egress.out))
        MUST(send(egress.fd, buf_data(&egress.out), buf_size(&egress.out), MSG_NOSIGNAL) ==
             (ssize_t)buf_size(&egress.out));
    buf_clear(&egress.out);
    loop_turn(egress.loop, 0);
}

/* ---- a guest ---- */

static uint64_t calls_made;

static void __attribute__((destructor)) tell(void)
{
    fprintf(stderr, "guest: %llu host calls\n", (unsigned long long)calls_made);
}

static struct policy *policy;
static struct bundle *assets;

static void prepare(void)
{
    static const char *const files[] = {"file", "content", "dir/x", "1", "dir/deep/y", "22", NULL};
    static const char allow[] = "allow: ['http://**', 'https://**', 'gemini://**']\n";
    struct err e;
    egress_new();
    assets = tar_bundle(files);
    MUST(policy_parse(slice_str(allow), POLICY_YAML, NULL, NULL, &policy, &e) == ERR_OK);
}

/* What an argument may point at; where each begins, calls can name by a small number. */
static const char *const texts[] = {
    "null://",
    "zero://",
    "random://",
    "log://?prefix=p",
    "fd://1",
    "http://a/b",
    "https://a",
    "gemini://a/",
    "file",
    "dir",
    "dev/zero",
    "net/http/a/b",
    "dir/deep",
    ".",
    "GET / HTTP/1.1\nHost: a\n\n",
    "KEY",
};
enum { TEXTS = sizeof texts / sizeof *texts, TEXT = 32 };

/* What the calls came to. */
struct outcome {
    uint8_t memory[MEMORY];
    size_t made;
    enum engine_verdict verdicts[256];
    uint64_t results[256];
    uint64_t in, out;
};

/* The `i`th call. */
static struct engine_call read_call(struct guest *g, const char *at, uint8_t *memory)
{
    struct engine_call c = {.owner = g, .memory = memory, .memory_size = MEMORY};
    for (int k = 0; k < ENGINE_ARGS; k++) {
        uint32_t v;
        memcpy(&v, at + 1 + k * 4, sizeof v);
        switch (v % 5) { /* most of them mean something */
        case 0:
            c.arg[k] = v;
            break;
        case 1: /* a text, and as the next argument its length */
            c.arg[k] = (uint64_t)(MEMORY - (v / 5 % TEXTS + 1) * TEXT);
            if (k + 1 < ENGINE_ARGS)
                c.arg[++k] = strlen(texts[v / 5 % TEXTS]);
            break;
        case 2:
            c.arg[k] = v / 5 % 12; /* a descriptor */
            break;
        default:
            c.arg[k] = v / 5 % (MEMORY + 9);
        }
    }
    c.alias = (uint8_t)at[0] >= 128;
    return c;
}

static void run(struct guest *g, struct slice calls, struct slice content, struct outcome *ret)
{
    uint8_t *memory = calloc(1, MEMORY);
    for (int i = 0; i < TEXTS; i++)
        memcpy(memory + MEMORY - (i + 1) * TEXT, texts[i], strlen(texts[i]));
    memcpy(memory, content.p, content.n < MEMORY ? content.n : MEMORY);
    guest_begin(g);
    *ret = (struct outcome){0};
    for (size_t i = 0; i < calls.n / CALL; i++) {
        const char *at = calls.p + i * CALL;
        int id = (uint8_t)at[0] % HOST_COUNT;
        struct engine_call c = read_call(g, at, memory);
        enum engine_verdict v = ENGINE_YIELD;
        calls_made++;
        for (int k = 0; k < TRIES && (v == ENGINE_YIELD || v == ENGINE_WAIT); k++) {
            if (v == ENGINE_WAIT && g->waits & GUEST_WAITS_REMOTE)
                egress_turn();
            v = host_handlers[id](&c);
            MUST(v == ENGINE_DONE || v == ENGINE_END || host_functions[id].waits);
            MUST(v != ENGINE_WAIT || g->waits);
            credit += 7;
        }
        ret->verdicts[ret->made] = v;
        ret->results[ret->made++] = v == ENGINE_DONE ? c.result : 0;
        if (v == ENGINE_WAIT || v == ENGINE_END)
            break; /* a guest that waits calls nothing else */
    }
    guest_end(g);
    ret->in = g->bytes_in;
    ret->out = g->bytes_out;
    memcpy(ret->memory, memory, MEMORY);
    free(memory);
}

static void check_same(const struct guest *g, const struct outcome *first,
                       const struct outcome *again)
{
    MUST(again->made == first->made);
    for (size_t i = 0; i < first->made; i++)
        MUST(again->verdicts[i] ==
             (first->verdicts[i] == ENGINE_WAIT && again->verdicts[i] == ENGINE_END
                  ? ENGINE_END /* what it waited for is not on the tape */
              : first->verdicts[i] == ENGINE_WAIT && again->verdicts[i] == ENGINE_DONE
                  ? ENGINE_DONE /* a sleep, or output */
                  : first->verdicts[i]));
    bool waited = first->made && first->verdicts[first->made - 1] == ENGINE_WAIT;
    for (size_t i = 0; i + waited < first->made; i++)
        MUST(again->results[i] == first->results[i]);
    MUST(waited || memcmp(first->memory, again->memory, MEMORY) == 0);
    MUST(again->in == first->in && (waited || again->out == first->out));
    MUST(waited || g->end_reason != ERR_DIVERGED);
}

FUZZ(bytes)
{
    static const struct guest_host host = {.output = output,
                                           .output_ready = output_ready,
                                           .input = input,
                                           .input_ready = input_ready,
                                           .log = log_entry,
                                           .wake_at = wake_at};
    static struct guest g;
    static struct guest_tape tape;
    static struct outcome first, again;
    struct limits limits;
    if (!bytes.n)
        return;
    if (!assets)
        prepare();
    size_t calls = (uint8_t)bytes.p[0];
    bytes = slice_from(bytes, 1);
    if (calls > bytes.n / CALL)
        calls = bytes.n / CALL;
    struct slice rest = slice_from(bytes, calls * CALL);
    bytes.n = calls * CALL;
    limits_init(&limits, false);
    limits.v[LIMIT_LOG_LINE] = 100;
    g.host = &host;
    g.limits = &limits;
    g.policy = policy;
    g.assets = assets;
    g.remotes = egress.remotes;
    g.tape = &tape;
    MUST(strings_read(slice_make("A\0b\0LONG\0value", 15), true, &g.meta));
    MUST(strings_read(slice_make("C\0", 3), true, &g.env));
    MUST(strings_read(slice_make("argv0\0one", 10), false, &g.args));
    credit = 5000;
    arrived = 3000;
    tape_record(&tape, limits.v[LIMIT_CAPTURE]);
    run(&g, bytes, rest, &first);
    MUST(g.remotes_open == 0);
    MUST(g.log.lines <= limits.v[LIMIT_LOG_LINES] && g.log.bytes <= limits.v[LIMIT_LOG_BYTES]);
    egress_turn();

    struct tape recorded = {.limits = limits};
    struct buf records;
    tape_recorded(&tape, &g, &recorded);
    buf_init(&records, recorded.records.n);
    MUST(recorded.whole && buf_add(&records, recorded.records.p, recorded.records.n));
    recorded.records = buf_slice(&records);
    credit = SIZE_MAX / 2;
    arrived = 0;
    g.remotes = NULL;
    tape_play(&tape, &recorded);
    bytes.n = first.made * CALL; /* a call that waited may not wait now */
    run(&g, bytes, rest, &again);
    check_same(&g, &first, &again);
    buf_done(&records);
}
