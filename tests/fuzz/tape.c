/* Tapes and the files around them, from anywhere: they are read whole or refused, and what was read
 * plays to some end. */
#include "fuzz.h"

#include "cli/capture_file.h"
#include "guest/guest.h"
#include "guest/resource.h"
#include "guest/tape.h"

static size_t output(struct guest *g, const void *p, size_t n)
{
    (void)g, (void)p;
    return n;
}

static void log_entry(struct guest *g, enum guest_level level, enum guest_source source,
                      struct slice line)
{
    (void)g, (void)level, (void)source;
    MUST(!memchr(line.p, '\n', line.n));
}

static struct policy *policy;

static void prepare(void)
{
    struct err e;
    MUST(policy_parse(SLICE("allow: ['https://**']\n"), POLICY_YAML, NULL, NULL, &policy, &e) ==
         ERR_OK);
}

/* Asks for what comes next on the tape, so that something comes of it. */
static bool step(struct guest *g, const struct tape_record *r)
{
    static char bytes[RESOURCE_MOST];
    struct descriptor *d = guest_descriptor(g, r->fd);
    uint64_t us, progress = 0, ready;
    bool end;
    switch (r->kind) {
    case TAPE_REAL:
    case TAPE_MONO:
        return guest_time(g, r->kind == TAPE_MONO, &us);
    case TAPE_RANDOM:
        return guest_random(g, bytes, r->bytes.n < sizeof bytes ? r->bytes.n : sizeof bytes);
    case TAPE_OPEN:
        return resource_open(g, SLICE("https://a/"), &progress) != RESOURCE_FATAL;
    case TAPE_READ:
        return d && resource_read(g, d, bytes, sizeof bytes / 2) != RESOURCE_FATAL;
    case TAPE_WRITE:
        return d && resource_write(g, d, bytes, 100) != RESOURCE_FATAL;
    case TAPE_FLUSH:
        return d && resource_flush(g, d) != RESOURCE_FATAL;
    case TAPE_READY:
        return tape_was_ready(g, r->fd, &ready, &end);
    case TAPE_SLEPT:
        return guest_slept(g, 1);
    case TAPE_FATAL:
    case TAPE_KINDS:
        break;
    }
    return false;
}

static void play(const struct tape *t)
{
    static const struct guest_host host = {.output = output, .log = log_entry};
    static struct guest g;
    static struct guest_tape tape;
    tape_play(&tape, t);
    g.host = &host;
    g.limits = &t->limits;
    g.policy = policy;
    g.tape = &tape;
    MUST(strings_read(t->meta, true, &g.meta) && strings_read(t->env, true, &g.env) &&
         strings_read(t->args, false, &g.args));
    guest_begin(&g);
    struct tape_record r;
    do {
        struct slice rest = tape.rest;
        uint32_t at = tape.at;
        if (!tape_next(&rest, &r) || !step(&g, &r) || (tape.at == at && !tape.held.n))
            break;
    } while (tape.at < t->count);
    guest_end(&g);
    tape_done(&tape);
}

FUZZ(bytes)
{
    struct capture_file file;
    struct tape t, again;
    struct buf out;
    struct err e;
    if (!policy)
        prepare();
    if (capture_file_parts(bytes, &file, &e) == ERR_OK)
        bytes = file.tape;
    if (tape_read(bytes, &t, &e))
        return;
    buf_init(&out, TAPE_MOST);
    MUST(tape_write(&t, &out) && tape_read(buf_slice(&out), &again, &e) == ERR_OK);
    MUST(again.count == t.count && again.status == t.status && again.reason == t.reason);
    MUST(slice_eq(again.records, t.records) && slice_eq(again.env, t.env) &&
         slice_eq(again.meta, t.meta));
    play(&t);
    buf_done(&out);
}
