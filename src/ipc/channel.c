#include "ipc/channel.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_SIZE = 256 << 10 };

static void close_socket(struct channel *c)
{
    int fd = c->io.fd;
    loop_io_del(c->loop, &c->io);
    if (fd >= 0)
        close(fd);
}

static void fail(struct channel *c, const struct err *why)
{
    if (c->dead)
        return;
    c->dead = true;
    loop_task_cancel(&c->flush);
    close_socket(c);
    if (c->on_closed)
        c->on_closed(c, why);
}

static void on_turn_end(struct loop_task *t)
{
    channel_flush(LIST_ITEM(t, struct channel, flush));
}

void channel_flush(struct channel *c)
{
    c->last.type = 0;
    if (c->flush.on_turn_end == on_turn_end)
        loop_task_cancel(&c->flush); /* nothing is left for it */
    while (!c->dead && buf_size(&c->out)) {
        ssize_t n = send(c->io.fd, buf_data(&c->out), buf_size(&c->out), MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EINTR)
                continue;
            if (errno == EAGAIN) {
                loop_io_mod(c->loop, &c->io, EPOLLIN | EPOLLOUT);
                return;
            }
            struct err e;
            err_errno(&e, "send");
            fail(c, &e);
            return;
        }
        buf_consume(&c->out, (size_t)n);
    }
    if (!c->dead)
        loop_io_mod(c->loop, &c->io, EPOLLIN);
}

/* Hands out the whole frames in the buffer; false if the channel is gone or dead. */
static bool deliver(struct channel *c)
{
    bool gone = false;
    c->deleted = &gone;
    for (;;) {
        struct frame f;
        struct err e;
        size_t size;
        if (frame_peek(buf_slice(&c->in), c->peer, &f, &size, &e)) {
            c->deleted = NULL;
            fail(c, &e);
            return false;
        }
        if (!size)
            break;
        c->on_frame(c, &f, slice_make(buf_data(&c->in) + FRAME_HEAD, f.length));
        if (gone)
            return false;
        if (c->dead) {
            c->deleted = NULL;
            return false;
        }
        buf_consume(&c->in, size);
    }
    c->deleted = NULL;
    return true;
}

static void on_event(struct loop_io *io, uint32_t events)
{
    struct channel *c = LIST_ITEM(io, struct channel, io);
    struct err e;
    if (events & EPOLLOUT) {
        bool gone = false;
        c->deleted = &gone;
        channel_flush(c);
        if (gone)
            return;
        c->deleted = NULL;
    }
    if (c->dead || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    /* One or two reads a turn: fairness between channels comes from the loop. */
    for (int i = 0; i < 2; i++) {
        char *at = buf_reserve(&c->in, READ_SIZE);
        if (!at) {
            err_set(&e, ERR_MEMORY, "no memory for what the peer sent");
            fail(c, &e);
            return;
        }
        ssize_t n = recv(c->io.fd, at, READ_SIZE, 0);
        if (n < 0) {
            if (errno == EAGAIN || errno == EINTR)
                return;
            err_errno(&e, "recv");
            fail(c, &e);
            return;
        }
        if (n == 0) {
            err_set(&e, ERR_UNAVAILABLE, "the peer closed its end");
            fail(c, &e);
            return;
        }
        buf_commit(&c->in, (size_t)n);
        if (!deliver(c))
            return;
        if (n < READ_SIZE)
            return;
    }
}

enum err_code channel_init(struct channel *c, struct loop *loop, int fd, enum frame_side peer,
                           struct err *e)
{
    c->loop = loop;
    c->peer = peer;
    c->dead = false;
    c->deleted = NULL;
    c->last.type = 0;
    buf_init(&c->in, CHANNEL_IN);
    buf_init(&c->out, CHANNEL_OUT);
    loop_task_init(&c->flush, on_turn_end);
    return loop_io_add(loop, &c->io, fd, EPOLLIN, on_event, e);
}

void channel_done(struct channel *c)
{
    if (!c->loop)
        return;
    if (c->deleted)
        *c->deleted = true;
    loop_task_cancel(&c->flush);
    close_socket(c);
    buf_done(&c->in);
    buf_done(&c->out);
    c->dead = true;
    c->loop = NULL;
}

static void over_limit(struct loop_task *t)
{
    struct channel *c = LIST_ITEM(t, struct channel, flush);
    struct err e;
    err_set(&e, ERR_MEMORY, "the peer does not take what it is sent");
    fail(c, &e);
}

void *channel_place(struct channel *c, enum frame_type type, uint16_t flags, uint64_t id, size_t n)
{
    if (c->dead || !c->loop)
        return NULL;
    struct frame f = {.length = (uint32_t)n, .type = (uint16_t)type, .flags = flags, .id = id};
    assert(n <= FRAME_MOST);
    char *at = buf_reserve(&c->out, FRAME_HEAD + n);
    if (!at) {
        /* Reported at the turn's end: the caller may be in the middle of something. */
        c->flush.on_turn_end = over_limit;
        loop_task_add(c->loop, &c->flush);
        return NULL;
    }
    memcpy(at, &f, sizeof f);
    buf_commit(&c->out, FRAME_HEAD + n);
    loop_task_add(c->loop, &c->flush);
    c->last = f;
    return at + FRAME_HEAD;
}

void channel_send(struct channel *c, enum frame_type type, uint16_t flags, uint64_t id,
                  const void *payload, size_t n)
{
    void *at = channel_place(c, type, flags, id, n);
    if (at && n)
        memcpy(at, payload, n);
}

void channel_append(struct channel *c, enum frame_type type, uint64_t id, const void *payload,
                    size_t n)
{
    struct frame *f = &c->last;
    if (!c->dead && f->type == type && f->id == id && f->flags == 0 && n <= FRAME_MOST - f->length &&
        buf_reserve(&c->out, n)) {
        /* The last frame is what the buffer ends with. */
        size_t whole = FRAME_HEAD + f->length;
        f->length += (uint32_t)n;
        memcpy(c->out.p + c->out.len - whole, f, sizeof *f);
        memcpy(c->out.p + c->out.len, payload, n);
        buf_commit(&c->out, n);
        return;
    }
    for (size_t part; n; n -= part, payload = (const char *)payload + part) {
        part = n < FRAME_MOST ? n : FRAME_MOST;
        channel_send(c, type, 0, id, payload, part);
    }
}
