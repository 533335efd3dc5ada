#include "cli/runner_egress.h"

#include "cli/image_cache.h"
#include "ipc/exchange.h"
#include "ipc/role.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXEC = 1 /* its number, for there is only one */ };

static void on_msg(struct leash *l, const struct leash_msg *m, const int *fds, int n)
{
    (void)l;
    for (int i = 0; i < n; i++)
        close(fds[i]);
    if (m->type == LEASH_FATAL)
        fprintf(stderr, "the network can't be reached from here: %s\n", m->text);
}

/* The program is told by the sockets that it has there. */
static void on_closed(struct channel *c, const struct err *why)
{
    (void)c, (void)why;
}

static void on_frame(struct channel *c, const struct frame *f, struct slice payload)
{
    (void)c, (void)f, (void)payload; /* egress has nothing to say to an edge */
}

static void close_pair(const int pair[2])
{
    for (int i = 0; i < 2; i++)
        if (pair[i] >= 0)
            close(pair[i]);
}

static enum err_code start(struct runner_egress *g, struct loop *loop,
                           const struct options *options, struct err *e)
{
    int leash[2] = {-1, -1}, frames[2] = {-1, -1};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, leash) < 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, frames) < 0) {
        enum err_code rc = err_errno(e, "no sockets for the network");
        close_pair(leash);
        return rc;
    }
    const char **words = role_words((const char *[]){"egress", NULL}, options);
    struct role_start start = {.words = words, .stderr_fd = -1};
    role_give(&start, leash[1], ROLE_LEASH);
    enum err_code rc = role_start(&start, &g->pid, NULL, e);
    free(words);
    if (!rc) {
        g->leash = (struct leash){.on_msg = on_msg, .owner = g};
        rc = leash_init(&g->leash, loop, leash[0], false, e);
    }
    if (!rc) {
        leash[0] = -1;
        leash_send(&g->leash, LEASH_EDGE, 0, 0, NULL, &frames[1], 1);
        g->channel = (struct channel){.on_frame = on_frame, .on_closed = on_closed, .owner = g};
        rc = channel_init(&g->channel, loop, frames[0], FRAME_BACK, e);
    }
    if (!rc)
        frames[0] = -1;
    close_pair(leash);
    close_pair(frames);
    return rc;
}

enum err_code runner_egress_start(struct runner_egress *g, struct loop *loop,
                                  const struct options *options, const struct version_load *load,
                                  struct uuid project, int exec_end, struct err *e)
{
    struct exchange_policy p = {
        .version = load->id, .function = load->function, .limits = load->limits};
    struct buf payload;
    enum err_code rc = start(g, loop, options, e);
    buf_init(&payload, FRAME_LOAD_MOST);
    if (!rc &&
        (!buf_add(&payload, &p, sizeof p) || !buf_add(&payload, load->policy.p, load->policy.n)))
        rc = err_set(e, ERR_MEMORY, "no memory for the policy");
    if (rc) {
        close(exec_end);
    } else {
        channel_send_pieces(&g->channel, FRAME_POLICY, EXEC, buf_slice(&payload));
        channel_send_fd(&g->channel, FRAME_JOIN, EXEC, project.b, sizeof project.b, exec_end);
    }
    buf_done(&payload);
    return rc;
}

void runner_egress_done(struct runner_egress *g)
{
    channel_done(&g->channel);
    leash_done(&g->leash);
    if (g->pid > 0) {
        kill(g->pid, SIGKILL);
        while (waitpid(g->pid, NULL, 0) < 0 && errno == EINTR)
            ;
        g->pid = 0;
    }
}
