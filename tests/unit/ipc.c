#include "test.h"

#include "base/clock.h"
#include "ipc/channel.h"
#include "ipc/leash.h"
#include "ipc/ledger.h"
#include "ipc/spec.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* Turns the loop until `done`; what takes a minute hangs. */
static bool turn_until(struct loop *l, const bool *done)
{
    uint64_t end = clock_mono_us() + 60000000;
    while (!*done && clock_mono_us() < end)
        loop_turn(l, 10000);
    return *done;
}

TEST(frames_are_judged_by_their_row)
{
    struct buf b;
    struct frame f;
    struct err e;
    size_t size;
    buf_init(&b, 1 << 20);
    CHECK(frame_put(&b, FRAME_BEGIN, FRAME_LAST, 42, "\0\0\0\0A\0b\0", 8));
    CHECK(!frame_peek(buf_slice(&b), FRAME_FRONT, &f, &size, &e));
    CHECK(size == 24 && f.type == FRAME_BEGIN && f.id == 42 && f.flags == FRAME_LAST);
    CHECK(frame_peek(buf_slice(&b), FRAME_BACK, &f, &size, &e) == ERR_PROTOCOL);
    for (size_t cut = 0; cut < 24; cut++) {
        struct slice part = {buf_data(&b), cut};
        CHECK(!frame_peek(part, FRAME_FRONT, &f, &size, &e) && size == 0);
    }
    static const struct frame bad[] = {
        {.type = 0},
        {.type = 999},
        {.type = FRAME_BEGIN, .length = 3},
        {.type = FRAME_BODY, .length = FRAME_MOST + 1},
        {.type = FRAME_CREDIT, .length = 5},
        {.type = FRAME_BIND, .length = 15},
        {.type = FRAME_BODY, .length = 4, .flags = 4},
        {.type = FRAME_BODY, .length = UINT32_MAX},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(frame_peek(slice_make(&bad[i], sizeof bad[i]), FRAME_FRONT, &f, &size, &e) ==
              ERR_PROTOCOL);
    CHECK(!frame_put(&b, FRAME_BODY, 0, 1, "", FRAME_MOST + 1));
    buf_done(&b);
}

struct end {
    struct channel c;
    uint64_t bytes, frames;
    bool closed, done;
    bool drop_at_first; /* calls channel_done() inside on_frame */
    struct err why;
};

static void on_frame(struct channel *c, const struct frame *f, struct slice payload)
{
    struct end *end = c->owner;
    end->frames++;
    end->bytes += payload.n;
    CHECK(f->id == end->frames);
    for (size_t i = 0; i < payload.n; i++)
        CHECK(payload.p[i] == (char)f->id);
    if (f->flags & FRAME_LAST)
        end->done = true;
    if (end->drop_at_first) {
        channel_done(c);
        end->done = true;
    }
}

static void on_closed(struct channel *c, const struct err *why)
{
    struct end *end = c->owner;
    CHECK(!end->closed);
    end->closed = end->done = true;
    end->why = *why;
}

static void make_pair(struct loop *l, struct end *a, struct end *b)
{
    int fds[2];
    struct err e;
    *a = (struct end){.c = {.on_frame = on_frame, .on_closed = on_closed, .owner = a}};
    *b = (struct end){.c = {.on_frame = on_frame, .on_closed = on_closed, .owner = b}};
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    CHECK(!channel_init(&a->c, l, fds[0], FRAME_BACK, &e));
    CHECK(!channel_init(&b->c, l, fds[1], FRAME_FRONT, &e));
}

TEST(a_channel_carries_every_byte_in_order)
{
    struct err e;
    struct loop *l = loop_new(&e);
    struct end a, b;
    char payload[FRAME_MOST];
    make_pair(l, &a, &b);
    uint64_t sent = 0;
    for (uint64_t id = 1; id <= 300; id++) {
        size_t n = id * 211 % FRAME_MOST;
        memset(payload, (char)id, n);
        channel_send(&a.c, FRAME_BODY, id == 300 ? FRAME_LAST : 0, id, payload, n);
        sent += n;
    }
    CHECK(turn_until(l, &b.done) && b.frames == 300 && b.bytes == sent);
    channel_done(&a.c);
    b.done = false;
    CHECK(turn_until(l, &b.done) && b.closed && b.why.code == ERR_UNAVAILABLE);
    channel_send(&b.c, FRAME_OUTPUT, 0, 1, "x", 1); /* to a dead channel: nothing */
    channel_done(&b.c);
    channel_done(&b.c);
    loop_free(l);
}

TEST(a_malformed_frame_ends_the_channel)
{
    struct err e;
    struct loop *l = loop_new(&e);
    struct end a, b;
    make_pair(l, &a, &b);
    channel_send(&a.c, FRAME_OUTPUT, 0, 1, "x", 1); /* OUTPUT may not come from the front */
    CHECK(turn_until(l, &b.done) && b.closed && b.why.code == ERR_PROTOCOL && b.frames == 0);
    channel_done(&a.c);
    channel_done(&b.c);
    loop_free(l);
}

TEST(a_channel_may_be_dropped_inside_its_own_callback)
{
    struct err e;
    struct loop *l = loop_new(&e);
    struct end a, b;
    make_pair(l, &a, &b);
    b.drop_at_first = true;
    for (uint64_t id = 1; id <= 3; id++) {
        char byte = (char)id;
        channel_send(&a.c, FRAME_BODY, 0, id, &byte, 1);
    }
    CHECK(turn_until(l, &b.done) && b.frames == 1 && !b.closed);
    CHECK(turn_until(l, &a.closed));
    channel_done(&a.c);
    loop_free(l);
}

TEST(a_peer_that_takes_nothing_is_given_up_at_the_bound)
{
    struct err e;
    struct loop *l = loop_new(&e);
    struct end a;
    char payload[FRAME_MOST] = {0};
    int fds[2];
    a = (struct end){.c = {.on_frame = on_frame, .on_closed = on_closed, .owner = &a}};
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    CHECK(!channel_init(&a.c, l, fds[0], FRAME_BACK, &e));
    for (int i = 0; i < CHANNEL_OUT / FRAME_MOST + 10; i++)
        channel_send(&a.c, FRAME_BODY, 0, 1, payload, sizeof payload);
    CHECK(buf_size(&a.c.out) <= CHANNEL_OUT);
    CHECK(turn_until(l, &a.closed) && a.why.code == ERR_MEMORY);
    channel_done(&a.c);
    close(fds[1]);
    loop_free(l);
}

/* Every third frame brings the read end of a pipe that holds the frame's number. */
struct numbered_fds {
    struct channel c;
    uint64_t expected; /* the frame that a descriptor came for; 0: none */
    int frames, fds, wrong;
    bool done, drop;
};

static void on_numbered_fd(struct channel *c, const struct frame *f, int fd)
{
    struct numbered_fds *n = c->owner;
    uint64_t number = 0;
    n->wrong += read(fd, &number, sizeof number) != sizeof number || number != f->id ||
                n->expected || fcntl(fd, F_GETFD) != FD_CLOEXEC;
    close(fd);
    n->expected = f->id;
    n->fds++;
    if (n->drop) {
        n->done = true;
        channel_done(c);
    }
}

static void on_numbered_frame(struct channel *c, const struct frame *f, struct slice payload)
{
    struct numbered_fds *n = c->owner;
    n->wrong += (f->id % 3 == 0) != (n->expected == f->id);
    n->wrong += payload.n && payload.p[payload.n - 1] != (char)f->id;
    n->expected = 0;
    n->frames++;
    n->done = f->flags & FRAME_LAST;
}

static int numbered_pipe(uint64_t number)
{
    int fds[2];
    CHECK(pipe2(fds, O_CLOEXEC) == 0);
    CHECK(write(fds[1], &number, sizeof number) == sizeof number);
    close(fds[1]);
    return fds[0];
}

static int open_fds(void)
{
    int n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

TEST(descriptors_come_with_their_frames)
{
    struct err e;
    int fds[2], before = open_fds();
    struct loop *l = loop_new(&e);
    struct end a = {.c = {.on_frame = on_frame, .on_closed = on_closed, .owner = &a}};
    struct numbered_fds b = {.c = {.on_frame = on_numbered_frame, .on_fd = on_numbered_fd}};
    static char payload[FRAME_MOST];
    b.c.owner = &b;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    CHECK(!channel_init(&a.c, l, fds[0], FRAME_BACK, &e));
    CHECK(!channel_init(&b.c, l, fds[1], FRAME_FRONT, &e));
    for (uint64_t id = 1; id <= 300; id++) {
        size_t n = id * id * 211 % (id % 7 ? 300 : FRAME_MOST);
        memset(payload, (char)id, n);
        if (id % 3 == 0)
            channel_send_fd(&a.c, FRAME_BODY, id, payload, n, numbered_pipe(id));
        else
            channel_append(&a.c, FRAME_BODY, id, payload, n ? n : 1);
        if (id % 50 == 0)
            channel_flush(&a.c); /* what the socket takes: the rest goes piece by piece */
    }
    channel_send(&a.c, FRAME_BODY, FRAME_LAST, 301, NULL, 0);
    CHECK(turn_until(l, &b.done) && b.fds == 100 && b.frames == 301 && b.wrong == 0);

    /* two in one message: the second is closed */
    int two[] = {numbered_pipe(3), numbered_pipe(4)};
    struct frame f = {.type = FRAME_BODY, .flags = FRAME_LAST, .id = 3};
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof two)];
    } control = {.head = {CMSG_LEN(sizeof two), SOL_SOCKET, SCM_RIGHTS}};
    memcpy(CMSG_DATA(&control.head), two, sizeof two);
    struct iovec iov = {&f, sizeof f};
    struct msghdr h = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof control};
    CHECK(sendmsg(fds[0], &h, 0) == sizeof f);
    close(two[0]);
    close(two[1]);
    b.done = false;
    CHECK(turn_until(l, &b.done) && b.fds == 101 && b.wrong == 0);

    b.drop = true;
    b.done = false;
    channel_send_fd(&a.c, FRAME_BODY, 6, "x", 1, numbered_pipe(6));
    channel_send_fd(&a.c, FRAME_BODY, 9, "x", 1, numbered_pipe(9));
    CHECK(turn_until(l, &b.done) && b.fds == 102);
    CHECK(turn_until(l, &a.closed));
    channel_send_fd(&a.c, FRAME_BODY, 12, "x", 1, numbered_pipe(12)); /* to a dead channel */
    channel_done(&a.c);
    loop_free(l);
    CHECK(open_fds() == before);
}

TEST(a_descriptor_that_nobody_expects_is_closed)
{
    struct err e;
    int before = open_fds();
    struct loop *l = loop_new(&e);
    struct end a, b;
    make_pair(l, &a, &b);
    channel_send_fd(&a.c, FRAME_BODY, 1, "\1", 1, numbered_pipe(1));
    channel_send(&a.c, FRAME_BODY, FRAME_LAST, 2, NULL, 0);
    CHECK(turn_until(l, &b.done) && b.frames == 2);
    channel_done(&a.c);
    channel_done(&b.c);
    loop_free(l);
    CHECK(open_fds() == before);
}

static int timer_order[8], timer_count;
struct numbered {
    struct loop_timer t;
    int number;
};
static void on_timeout(struct loop_timer *t)
{
    timer_order[timer_count++] = LIST_ITEM(t, struct numbered, t)->number;
}

TEST(timers_fire_in_order_and_can_be_stopped)
{
    struct err e;
    struct loop *l = loop_new(&e);
    struct numbered n[6] = {{{0}, 0}, {{0}, 1}, {{0}, 2}, {{0}, 3}, {{0}, 4}, {{0}, 5}};
    static const int delay_ms[6] = {9, 3, 7, 1, 5, 2};
    uint64_t now = clock_mono_us();
    for (int i = 0; i < 6; i++)
        loop_timer_start(l, &n[i].t, now + (uint64_t)delay_ms[i] * 1000, on_timeout);
    loop_timer_stop(l, &n[2].t);
    loop_timer_start(l, &n[0].t, now + 500, on_timeout); /* earlier than it was */
    while (timer_count < 5)
        loop_turn(l, UINT64_MAX);
    static const int want[] = {0, 3, 5, 1, 4};
    CHECK(memcmp(timer_order, want, sizeof want) == 0 && n[2].t.at_us == 0);
    loop_free(l);
}

struct leash_end {
    struct leash l;
    bool got, closed;
    struct leash_msg m;
    int fds[LEASH_FDS], n;
};
static void on_msg(struct leash *l, const struct leash_msg *m, const int *fds, int n)
{
    struct leash_end *end = l->owner;
    end->m = *m;
    end->n = n;
    memcpy(end->fds, fds, (size_t)n * sizeof *fds);
    end->got = true;
}
static void on_leash_closed(struct leash *l)
{
    ((struct leash_end *)l->owner)->closed = true;
}

TEST(a_leash_carries_descriptors_and_tells_of_death)
{
    struct err e;
    struct loop *loop = loop_new(&e);
    struct leash_end a = {.l = {.owner = &a}}, b = {.l = {.owner = &b}};
    int fds[2], pipe_fds[2];
    a.l.on_msg = b.l.on_msg = on_msg;
    a.l.on_closed = b.l.on_closed = on_leash_closed;
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    CHECK(pipe2(pipe_fds, O_CLOEXEC) == 0);
    CHECK(!leash_init(&a.l, loop, fds[0], false, &e) && !leash_init(&b.l, loop, fds[1], true, &e));
    leash_send(&a.l, LEASH_EXEC, 7, 99, "text", pipe_fds, 2);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    CHECK(turn_until(loop, &b.got) && b.m.type == LEASH_EXEC && b.m.arg == 7 && b.m.id == 99);
    CHECK_STR(b.m.text, "text");
    char c = 0;
    CHECK(b.n == 2 && write(b.fds[1], "y", 1) == 1 && read(b.fds[0], &c, 1) == 1 && c == 'y');
    CHECK(fcntl(b.fds[0], F_GETFD) == FD_CLOEXEC);
    close(b.fds[0]);
    close(b.fds[1]);
    CHECK(turn_until(loop, &a.got) && a.m.type == LEASH_BEAT);
    leash_done(&b.l);
    CHECK(turn_until(loop, &a.closed));
    leash_send(&a.l, LEASH_DRAIN, 0, 0, NULL, NULL, 0);
    loop_free(loop);
}

TEST(ledgers_and_versions_survive_the_wire_and_reject_damage)
{
    struct ledger l = {.head = {.cpu_us = 5, .reason = ERR_TRAP, .status = -3, .call_rows = 2}},
                  back;
    struct err e;
    l.calls[0] = (struct ledger_call){.function = 3, .count = 9};
    l.calls[1] = (struct ledger_call){.function = 4, .count = 1};
    snprintf(l.text, sizeof l.text, "unreachable");
    size_t n = ledger_size(&l);
    char *bytes = malloc(n);
    ledger_write(&l, bytes);
    CHECK(!ledger_read(slice_make(bytes, n), &back, &e));
    CHECK(back.head.status == -3 && back.calls[1].function == 4);
    CHECK_STR(back.text, "unreachable");
    for (size_t cut = 0; cut < n; cut++)
        CHECK(ledger_read(slice_make(bytes, cut), &back, &e) == ERR_PROTOCOL);
    free(bytes);

    struct buf b;
    struct version_load v = {.env = {"A\0b", 4}, .args = {"prog\0-x", 8}}, got;
    limits_init(&v.limits, true);
    buf_init(&b, 1 << 16);
    CHECK(version_load_write(&v, &b) && !version_load_read(buf_slice(&b), &got, &e));
    CHECK(slice_eq(got.env, v.env) && slice_eq(got.args, v.args));
    for (size_t cut = 0; cut < buf_size(&b); cut++)
        CHECK(version_load_read(slice_make(b.p, cut), &got, &e) == ERR_PROTOCOL);
    b.p[buf_size(&b) - 1] = 'x'; /* the last argument no longer ends */
    CHECK(version_load_read(buf_slice(&b), &got, &e) == ERR_PROTOCOL);
    buf_clear(&b);
    v.limits.v[LIMIT_CPU] = limit_rows[LIMIT_CPU].maximum + 1;
    CHECK(version_load_write(&v, &b) && version_load_read(buf_slice(&b), &got, &e) == ERR_PROTOCOL);
    buf_done(&b);

    uint8_t d[DIGEST_BYTES], d2[DIGEST_BYTES];
    char text[DIGEST_TEXT + 1];
    for (int i = 0; i < DIGEST_BYTES; i++)
        d[i] = (uint8_t)(i * 9);
    digest_text(d, text);
    CHECK(digest_parse(slice_str(text), d2) && !memcmp(d, d2, sizeof d));
    text[5] = 'X';
    CHECK(!digest_parse(slice_str(text), d2));
}

TEST_MAIN(CASE(frames_are_judged_by_their_row), CASE(a_channel_carries_every_byte_in_order),
          CASE(a_malformed_frame_ends_the_channel),
          CASE(a_channel_may_be_dropped_inside_its_own_callback),
          CASE(a_peer_that_takes_nothing_is_given_up_at_the_bound),
          CASE(descriptors_come_with_their_frames),
          CASE(a_descriptor_that_nobody_expects_is_closed),
          CASE(timers_fire_in_order_and_can_be_stopped),
          CASE(a_leash_carries_descriptors_and_tells_of_death),
          CASE(ledgers_and_versions_survive_the_wire_and_reject_damage))
