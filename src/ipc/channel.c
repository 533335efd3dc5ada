#include "ipc/channel.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_SIZE = 256 << 10, FDS_READ = 4 /* of one message; the kernel closes more */ };

/* A descriptor on its way out. It leaves together with the first byte of its frame, and nothing of
 * the next frame in that message: so on the other side, whatever is read at once, the frame that
 * it belongs to is the last one of which a byte is there. */
struct channel_fd {
    size_t before; /* bytes in `out` before its frame */
    int fd;
};

union control {
    struct cmsghdr head;
    char space[CMSG_SPACE(FDS_READ * sizeof(int))];
};

static void close_fds(struct channel *c)
{
    for (unsigned i = 0; i < c->fd_count; i++)
        close(c->fds[i].fd);
    free(c->fds);
    c->fds = NULL;
    c->fd_count = 0;
    if (c->came >= 0)
        close(c->came);
    c->came = -1;
}

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
    close_fds(c);
    if (c->on_closed)
        c->on_closed(c, why);
}

static void on_turn_end(struct loop_task *t)
{
    channel_flush(LIST_ITEM(t, struct channel, flush));
}

/* The frame that `out` begins with, and the first queued descriptor with it. */
static ssize_t send_with_fd(struct channel *c)
{
    struct frame f;
    memcpy(&f, buf_data(&c->out), sizeof f);
    union control control = {0};
    struct iovec iov = {.iov_base = buf_data(&c->out), .iov_len = FRAME_HEAD + f.length};
    struct msghdr h = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = CMSG_SPACE(sizeof(int))};
    struct cmsghdr *m = CMSG_FIRSTHDR(&h);
    m->cmsg_level = SOL_SOCKET;
    m->cmsg_type = SCM_RIGHTS;
    m->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(m), &c->fds[0].fd, sizeof(int));
    ssize_t n = sendmsg(c->io.fd, &h, MSG_NOSIGNAL);
    if (n > 0) {
        close(c->fds[0].fd);
        c->fd_count--;
        memmove(c->fds, c->fds + 1, c->fd_count * sizeof *c->fds);
    }
    return n;
}

/* One send: up to the next frame that takes a descriptor along. */
static ssize_t send_piece(struct channel *c)
{
    size_t n = buf_size(&c->out);
    if (!c->fd_count)
        return send(c->io.fd, buf_data(&c->out), n, MSG_NOSIGNAL);
    if (c->fds[0].before)
        return send(c->io.fd, buf_data(&c->out), c->fds[0].before, MSG_NOSIGNAL);
    return send_with_fd(c);
}

void channel_flush(struct channel *c)
{
    c->last.type = 0;
    if (c->flush.on_turn_end == on_turn_end)
        loop_task_cancel(&c->flush); /* nothing is left for it */
    while (!c->dead && buf_size(&c->out)) {
        ssize_t n = send_piece(c);
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
        for (unsigned i = 0; i < c->fd_count; i++)
            c->fds[i].before -= (size_t)n;
    }
    if (!c->dead)
        loop_io_mod(c->loop, &c->io, EPOLLIN);
}

/* Of two descriptors of one frame the first counts. */
static void keep_fd(struct channel *c, int *fd)
{
    if (*fd >= 0 && c->came >= 0)
        close(*fd);
    else if (*fd >= 0)
        c->came = *fd;
    *fd = -1;
}

/* Hands out the whole frames in the buffer; false if the channel is gone or dead. `fd` (-1: none)
 * came with the last read, so it belongs to the last frame of which there is a byte. */
static bool deliver(struct channel *c, int fd)
{
    bool gone = false;
    c->deleted = &gone;
    for (;;) {
        struct frame f;
        struct err e;
        size_t size;
        if (frame_peek(buf_slice(&c->in), c->peer, &f, &size, &e)) {
            keep_fd(c, &fd); /* closed with the channel */
            c->deleted = NULL;
            fail(c, &e);
            return false;
        }
        if (size == buf_size(&c->in) || !size)
            keep_fd(c, &fd);
        if (!size)
            break;
        if (c->came >= 0) {
            int came = c->came;
            c->came = -1;
            c->on_fd(c, &f, came);
            if (gone || c->dead) {
                if (fd >= 0)
                    close(fd);
                if (!gone)
                    c->deleted = NULL;
                return false;
            }
        }
        c->on_frame(c, &f, slice_make(buf_data(&c->in) + FRAME_HEAD, f.length));
        if (gone || c->dead) {
            if (fd >= 0)
                close(fd);
            if (!gone)
                c->deleted = NULL;
            return false;
        }
        buf_consume(&c->in, size);
    }
    c->deleted = NULL;
    return true;
}

/* As recv(), where descriptors may come. */
static ssize_t receive(struct channel *c, void *at, size_t n, int *ret_fd)
{
    union control control;
    struct iovec iov = {.iov_base = at, .iov_len = n};
    struct msghdr h = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof control};
    ssize_t got = recvmsg(c->io.fd, &h, MSG_CMSG_CLOEXEC);
    for (struct cmsghdr *m = got < 0 ? NULL : CMSG_FIRSTHDR(&h); m; m = CMSG_NXTHDR(&h, m)) {
        size_t count = m->cmsg_level == SOL_SOCKET && m->cmsg_type == SCM_RIGHTS
                           ? (m->cmsg_len - CMSG_LEN(0)) / sizeof(int)
                           : 0;
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(m) + i * sizeof fd, sizeof fd);
            if (*ret_fd >= 0)
                close(fd);
            else
                *ret_fd = fd;
        }
    }
    return got;
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
        int fd = -1;
        ssize_t n = c->on_fd ? receive(c, at, READ_SIZE, &fd) : recv(c->io.fd, at, READ_SIZE, 0);
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
        if (!deliver(c, fd))
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
    c->fds = NULL;
    c->fd_count = 0;
    c->came = -1;
    (c->private ? buf_init_private : buf_init)(&c->in, CHANNEL_IN);
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
    close_fds(c);
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

void channel_send_fd(struct channel *c, enum frame_type type, uint64_t id, const void *payload,
                     size_t n, int fd)
{
    size_t before = buf_size(&c->out);
    void *at = c->fd_count < CHANNEL_FDS ? channel_place(c, type, 0, id, n) : NULL;
    struct channel_fd *fds = NULL;
    if (at)
        fds = realloc(c->fds, (c->fd_count + 1) * sizeof *fds);
    if (!fds) {
        close(fd);
        if (!c->dead && c->loop) {
            c->flush.on_turn_end = over_limit;
            loop_task_add(c->loop, &c->flush);
        }
        return;
    }
    if (n)
        memcpy(at, payload, n);
    c->fds = fds;
    c->fds[c->fd_count++] = (struct channel_fd){.before = before, .fd = fd};
    c->last.type = 0; /* nothing may be joined to it */
}

void channel_send_pieces(struct channel *c, enum frame_type type, uint64_t id, struct slice payload)
{
    do {
        size_t n = payload.n < FRAME_MOST ? payload.n : FRAME_MOST;
        channel_send(c, type, n < payload.n ? FRAME_MORE : 0, id, payload.p, n);
        payload = slice_from(payload, n);
    } while (payload.n);
}

void channel_append(struct channel *c, enum frame_type type, uint64_t id, const void *payload,
                    size_t n)
{
    struct frame *f = &c->last;
    if (!c->dead && f->type == type && f->id == id && f->flags == 0 &&
        n <= FRAME_MOST - f->length && buf_reserve(&c->out, n)) {
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
