/* The pool of blank execs.
 *
 * A few processes stand ready: engine up, locked down, of no project. An edge that asks gets one
 * for good, with the other end of its frame socket and its standard error; what it does with them
 * is between the two. Execs of the fuel engine are rare and started when asked for. */
#include "roles/master.h"

#include "base/log.h"
#include "ipc/lockdown.h"
#include "roles/roles.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    WANTS = 1024,     /* of one edge */
    HOPELESS = 5,     /* failed starts in a row after which those who wait are told */
    LOG_PIECE = 1024, /* bytes of a blank exec's standard error logged at once */
};

/* An edge that waits. */
struct want {
    struct list node;
    struct child *edge;
    uint64_t cookie;
    enum engine_kind engine;
};

void execs_init(struct master *m)
{
    list_init(&m->wants);
    char why[128];
    m->own_users = geteuid() == 0 && fence_probe(FENCE_UID, why);
    m->exec_seen = m->options->limits.v[LIMIT_EXEC_BLANK] == 0;
}

static void on_exec_log(struct loop_io *io, uint32_t events)
{
    struct child *c = LIST_ITEM(io, struct child, log);
    char text[LOG_PIECE];
    (void)events;
    ssize_t n = read(io->fd, text, sizeof text);
    if (n > 0) {
        while (n > 0 && text[n - 1] == '\n')
            n--;
        log_line(LOG_WARNING, "exec_stderr", "child=%d text=\"%.*s\"", (int)c->pid, (int)n, text);
    } else if (n == 0 || errno != EAGAIN) {
        int fd = io->fd;
        loop_io_del(c->master->loop, io);
        close(fd);
    }
}

/* A user that no living exec has, in turn, so that none comes back soon; 0: stay who we are. */
static uid_t free_user(struct master *m)
{
    for (int tries = 0; m->own_users && tries < EXEC_USERS; tries++) {
        uid_t user = EXEC_USERS_FIRST + m->next_user++ % EXEC_USERS;
        bool taken = false;
        LIST_EACH(at, &m->children)
        taken = taken || LIST_ITEM(at, struct child, node)->user == user;
        if (!taken)
            return user;
    }
    return 0;
}

static bool socket_pair(int fds[2])
{
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0;
}

static bool start(struct master *m, enum engine_kind engine)
{
    int frames[2] = {-1, -1}, egress[2] = {-1, -1}, log[2] = {-1, -1};
    struct child *c = NULL;
    struct err e;
    if (socket_pair(frames) && socket_pair(egress) && pipe2(log, O_CLOEXEC | O_NONBLOCK) == 0) {
        uid_t user = free_user(m);
        struct role_start s = {.stderr_fd = log[1], .sandbox = true, .uid = user, .gid = user};
        role_give(&s, frames[1], EXEC_FRAMES);
        role_give(&s, m->data.images, EXEC_IMAGES);
        role_give(&s, egress[1], EXEC_EGRESS);
        c = child_start(m, CHILD_EXEC, engine == ENGINE_FUEL ? "fuel" : NULL, &s);
        if (c)
            c->user = user;
    }
    if (c) {
        c->number = ++m->exec_number;
        c->engine = engine;
        c->frames = frames[0];
        c->egress = egress[0];
        if (loop_io_add(m->loop, &c->log, log[0], EPOLLIN, on_exec_log, &e))
            close(log[0]);
    }
    /* The exec's ends are its own now; ours are kept if it started. */
    int rest[] = {frames[1], egress[1], log[1], frames[0], egress[0], log[0]};
    for (int i = 0; i < (c ? 3 : 6); i++)
        if (rest[i] >= 0)
            close(rest[i]);
    return c != NULL;
}

static bool is_blank(const struct child *c)
{
    return c->kind == CHILD_EXEC && !c->owner && !c->killed;
}

static int count_blank(const struct master *m, enum engine_kind engine)
{
    int n = 0;
    LIST_EACH(at, &m->children)
    {
        const struct child *c = LIST_ITEM(at, struct child, node);
        n += is_blank(c) && c->engine == engine;
    }
    return n;
}

static int count_wants(const struct master *m, enum engine_kind engine)
{
    int n = 0;
    LIST_EACH(at, &m->wants)
    n += LIST_ITEM(at, struct want, node)->engine == engine;
    return n;
}

static void on_exec_retry(struct loop_timer *t)
{
    execs_refill(LIST_ITEM(t, struct master, exec_retry));
}

/* One did not come up; the next try is later each time. After some, a server that has not answered
 * yet gives up, and one that has tells whoever waits. */
static void start_failed(struct master *m)
{
    m->exec_failures++;
    if (m->exec_failures >= HOPELESS && !m->announced) {
        master_fail(m, 1,
                    "processes for guests can't be started; the log above says why. They run as "
                    "users of their own when the server runs as root: all folders up to the "
                    "system's libraries must be open to them (chmod o+x)");
        return;
    }
    if (m->exec_failures >= HOPELESS)
        for (struct list *n; (n = list_pop(&m->wants));) {
            struct want *w = LIST_ITEM(n, struct want, node);
            leash_send(&w->edge->leash, LEASH_NO_EXEC, 0, w->cookie,
                       "processes for guests end at their start", NULL, 0);
            free(w);
        }
    loop_timer_start(m->loop, &m->exec_retry,
                     loop_now(m->loop) + master_back_off(m->exec_failures), on_exec_retry);
}

void execs_refill(struct master *m)
{
    if (m->phase > MASTER_DRAINS_EDGES || m->exec_retry.slot)
        return;
    for (int engine = ENGINE_PLAIN; engine <= ENGINE_FUEL; engine++) {
        int wanted = count_wants(m, (enum engine_kind)engine);
        if (engine == ENGINE_PLAIN && m->phase == MASTER_RUNS)
            wanted += (int)m->options->limits.v[LIMIT_EXEC_BLANK];
        for (int there = count_blank(m, (enum engine_kind)engine); there < wanted; there++)
            if (!start(m, (enum engine_kind)engine)) {
                start_failed(m);
                return;
            }
    }
}

/* It is the edge's from here on. */
static void hand_over(struct child *c, const struct want *w)
{
    struct loop *loop = c->master->loop;
    int fds[3] = {c->frames, c->egress}, n = 2;
    if (c->log.fd >= 0) {
        on_exec_log(&c->log, EPOLLIN); /* what it said while it was ours */
        if (c->log.fd >= 0) {
            fds[n++] = c->log.fd;
            loop_io_del(loop, &c->log);
        }
    }
    c->owner = w->edge;
    leash_send(&w->edge->leash, LEASH_EXEC, c->number, w->cookie, NULL, fds, n);
    for (int i = 0; i < n; i++)
        close(fds[i]);
    c->frames = c->egress = -1;
}

static struct child *ready_blank(struct master *m, enum engine_kind engine)
{
    LIST_EACH(at, &m->children)
    {
        struct child *c = LIST_ITEM(at, struct child, node);
        if (is_blank(c) && c->ready && c->engine == engine)
            return c;
    }
    return NULL;
}

/* Gives what is ready to those who wait, then makes up for it. */
static void serve_wants(struct master *m)
{
    LIST_EACH(at, &m->wants)
    {
        struct want *w = LIST_ITEM(at, struct want, node);
        struct child *c = ready_blank(m, w->engine);
        if (!c)
            continue;
        hand_over(c, w);
        list_remove(&w->node);
        free(w);
    }
    execs_refill(m);
}

void exec_want(struct child *edge, uint64_t cookie, uint32_t kind)
{
    struct master *m = edge->master;
    int waiting = 0;
    LIST_EACH(at, &m->wants)
    waiting += LIST_ITEM(at, struct want, node)->edge == edge;
    struct want *w = kind <= ENGINE_FUEL && waiting < WANTS ? calloc(1, sizeof *w) : NULL;
    if (!w) {
        leash_send(&edge->leash, LEASH_NO_EXEC, 0, cookie, "too many execs are wanted at once",
                   NULL, 0);
        return;
    }
    *w = (struct want){.edge = edge, .cookie = cookie, .engine = (enum engine_kind)kind};
    list_push(&m->wants, &w->node);
    serve_wants(m);
}

void exec_ready(struct child *c)
{
    struct master *m = c->master;
    m->exec_seen = m->fences_hold = true;
    m->exec_failures = 0;
    serve_wants(m);
}

void exec_kill(struct child *edge, uint32_t number)
{
    LIST_EACH(at, &edge->master->children)
    {
        struct child *c = LIST_ITEM(at, struct child, node);
        if (c->kind == CHILD_EXEC && c->number == number && c->owner == edge)
            child_kill(c);
    }
}

void exec_ended(struct child *c, int status)
{
    struct master *m = c->master;
    if (c->log.fd >= 0)
        on_exec_log(&c->log, EPOLLIN);
    if (c->owner) {
        leash_send(&c->owner->leash, LEASH_EXEC_ENDED, c->number, (uint64_t)(uint32_t)status, NULL,
                   NULL, 0);
    } else if (WIFEXITED(status) && WEXITSTATUS(status) == err_cli(ERR_NO_FENCE) &&
               !m->fences_hold) {
        master_no_fence(m, "a required fence is missing"); /* it could not even say which */
    } else if (!c->ready && !m->status) {
        log_line(m->exec_failures + 1 < HOPELESS ? LOG_WARNING : LOG_ERROR, "exec_failed",
                 "child=%d %s=%d failures=%u", (int)c->pid,
                 WIFSIGNALED(status) ? "signal" : "status",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
                 m->exec_failures + 1);
        start_failed(m);
    }
    c->killed = true; /* no longer counts as blank */
    execs_refill(m);
}

void execs_orphaned(struct child *edge)
{
    struct master *m = edge->master;
    LIST_EACH(at, &m->wants)
    {
        struct want *w = LIST_ITEM(at, struct want, node);
        if (w->edge == edge) {
            list_remove(&w->node);
            free(w);
        }
    }
    LIST_EACH(at, &m->children)
    {
        struct child *c = LIST_ITEM(at, struct child, node);
        if (c->kind == CHILD_EXEC && c->owner == edge) {
            c->owner = NULL;
            child_kill(c);
        }
    }
}
