/* What an exec sends to egress: any frames in any order. It may lose its socket and nothing else.
 *
 * The input is frames: type, id, flags, length of the payload. All URLs are allowed and all
 * addresses of this machine refused, so nothing is connected to; names are asked of a port where
 * nobody answers. */
#include "fuzz.h"

#include "egress/private.h"

#include <sys/socket.h>

static struct loop *loop;
static struct egress *egress;
static struct channel edge, exec;
static struct uuid version = {{1}}, run = {{2}}, project = {{3}};
static bool closed;

static void on_frame(struct channel *c, const struct frame *f, struct slice payload)
{
    struct exchange_end end;
    struct slice text;
    struct err e;
    MUST(c == &exec);
    if (f->type == FRAME_VERDICT || f->type == FRAME_FINISHED) {
        MUST(exchange_end_read(payload, &end, &text, &e) == ERR_OK);
        MUST(end.reason != ERR_OK || f->type == FRAME_VERDICT); /* no answer comes of anywhere */
    } else {
        MUST(f->type == FRAME_CREDIT);
    }
}

static void on_closed(struct channel *c, const struct err *why)
{
    (void)why;
    MUST(c == &exec);
    closed = true;
}

/* The other end is egress's. */
static int connected(struct channel *c)
{
    struct err e;
    int pair[2];
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    *c = (struct channel){.on_frame = on_frame, .on_closed = on_closed};
    MUST(channel_init(c, loop, pair[0], FRAME_BACK, &e) == ERR_OK);
    return pair[1];
}

static void join(void)
{
    static const char policy[] = "{\"allow\":[\"http://**\",\"https://**\",\"gemini://**\"]}";
    char payload[sizeof(struct exchange_policy) + sizeof policy - 1];
    struct exchange_policy head = {.version = version};
    limits_init(&head.limits, false);
    head.limits.v[LIMIT_EGRESS_RATE] = 0;
    memcpy(payload, &head, sizeof head);
    memcpy(payload + sizeof head, policy, sizeof policy - 1);
    int other = connected(&exec);
    channel_send(&edge, FRAME_POLICY, 0, 1, payload, sizeof payload);
    channel_send_fd(&edge, FRAME_JOIN, 1, &project, sizeof project, other);
    loop_turn(loop, 0);
    closed = false;
}

static void start(void)
{
    struct err e;
    loop = loop_new(&e);
    struct egress_config config = {.loop = loop, .servers = "127.0.0.1:1"};
    MUST(loop && curl_open(&config.curl, &e) == ERR_OK);
    MUST(egress_new(&config, &egress, &e) == ERR_OK);
    MUST(egress_edge(egress, connected(&edge), &e) == ERR_OK);
}

/* One frame off the input; an OPEN gets the run and the version that egress knows. */
static struct slice send_one(struct slice in)
{
    char payload[4096];
    uint8_t head[4];
    memcpy(head, in.p, sizeof head);
    in = slice_from(in, sizeof head);
    size_t n = head[3] * 4u < in.n ? head[3] * 4u : in.n, at = 0;
    if (head[0] % 32 == FRAME_OPEN && head[2] & 4) {
        memcpy(payload, &run, sizeof run);
        memcpy(payload + sizeof run, &version, sizeof version);
        at = sizeof(struct exchange_open);
    }
    memcpy(payload + at, in.p, n);
    channel_send(&exec, head[0] % 32, head[2] & 3, head[1] % 8, payload, at + n);
    return slice_from(in, n);
}

FUZZ(bytes)
{
    if (!loop)
        start();
    if (!exec.loop || closed) {
        channel_done(&exec);
        join();
    }
    for (int i = 0; bytes.n > 4 && !closed; i++) {
        bytes = send_one(bytes);
        if (i % 4 == 3)
            loop_turn(loop, 0);
    }
    for (int i = 0; i < 4; i++)
        loop_turn(loop, 0);
    for (uint64_t id = 0; id < 8 && !closed; id++) /* the next input begins anew */
        channel_send(&exec, FRAME_CANCEL, 0, id, "\0", 2);
    loop_turn(loop, 0);
    loop_turn(loop, 0);
    MUST(!edge.dead);
}
