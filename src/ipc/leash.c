#include "ipc/leash.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
    struct cmsghdr head;
    char space[CMSG_SPACE(LEASH_FDS * sizeof(int))];
};

static void on_beat(struct loop_timer *t)
{
    struct leash *l = LIST_ITEM(t, struct leash, beat);
    leash_send(l, LEASH_BEAT, 0, 0, NULL, NULL, 0);
    loop_timer_start(l->loop, t, loop_now(l->loop) + LEASH_BEAT_US, on_beat);
}

static void closed(struct leash *l)
{
    leash_done(l);
    if (l->on_closed)
        l->on_closed(l);
}

static void on_event(struct loop_io *io, uint32_t events)
{
    struct leash *l = LIST_ITEM(io, struct leash, io);
    (void)events;
    while (l->io.fd >= 0) {
        struct leash_msg m = {0};
        union control control;
        struct iovec iov = {.iov_base = &m, .iov_len = sizeof m};
        struct msghdr h = {.msg_iov = &iov,
                           .msg_iovlen = 1,
                           .msg_control = &control,
                           .msg_controllen = sizeof control};
        ssize_t got = recvmsg(l->io.fd, &h, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (got <= 0) {
            closed(l);
            return;
        }
        int fds[LEASH_FDS], n = 0;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c))
            if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
                int count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
                for (int i = 0; i < count && n < LEASH_FDS; i++)
                    memcpy(&fds[n++], CMSG_DATA(c) + (size_t)i * sizeof(int), sizeof(int));
            }
        if (got != sizeof m || (h.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
            log_line(LOG_ERROR, "leash_malformed", "bytes=%zd", got);
            for (int i = 0; i < n; i++)
                close(fds[i]);
            closed(l);
            return;
        }
        m.text[sizeof m.text - 1] = '\0';
        if (l->on_msg) {
            l->on_msg(l, &m, fds, n);
        } else {
            for (int i = 0; i < n; i++)
                close(fds[i]);
        }
    }
}

enum err_code leash_init(struct leash *l, struct loop *loop, int fd, bool beat, struct err *e)
{
    l->loop = loop;
    enum err_code rc = loop_io_add(loop, &l->io, fd, EPOLLIN, on_event, e);
    if (rc == ERR_OK && beat)
        loop_timer_start(loop, &l->beat, loop_now(loop) + LEASH_BEAT_US, on_beat);
    return rc;
}

void leash_done(struct leash *l)
{
    if (!l->loop || l->io.fd < 0)
        return;
    int fd = l->io.fd;
    loop_timer_stop(l->loop, &l->beat);
    loop_io_del(l->loop, &l->io);
    close(fd);
}

void leash_send(struct leash *l, enum leash_type type, uint32_t arg, uint64_t id, const char *text,
                const int *fds, int n)
{
    struct leash_msg m = {.type = type, .arg = arg, .id = id};
    union control control = {0};
    struct iovec iov = {.iov_base = &m, .iov_len = sizeof m};
    struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
    if (!l->loop || l->io.fd < 0)
        return;
    snprintf(m.text, sizeof m.text, "%s", text ? text : "");
    if (n > 0) {
        h.msg_control = &control;
        h.msg_controllen = CMSG_SPACE((size_t)n * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&h);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN((size_t)n * sizeof(int));
        memcpy(CMSG_DATA(c), fds, (size_t)n * sizeof(int));
    }
    /* EPIPE: the other side is ending, and its end is noticed elsewhere. */
    if (sendmsg(l->io.fd, &h, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && type != LEASH_BEAT &&
        errno != EPIPE)
        log_line(LOG_WARNING, "leash_send", "type=%u error=%s", type, strerror(errno));
}
