/* Master: `wasmcloud serve` itself. Starts the roles, wires them together, starts them again.
 *
 * It reads its own configuration and fixed-size messages of its own roles, nothing else; it opens
 * keys and sockets, but only to pass them on. Long-lived roles have a slot each: when the process
 * in it ends, another is started, at once the first time, later and later if that keeps happening.
 * Control and the edges, egress and the edges are joined by socket pairs, made anew whenever one
 * side is new. */
#include "roles/master.h"

#include "base/brand.h"
#include "base/clock.h"
#include "base/log.h"
#include "ipc/lockdown.h"
#include "roles/reload.h"
#include "roles/roles.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    CHECK_US = 1000000,        /* between two looks at the heartbeats */
    GOOD_LIFE_US = 10000000,   /* a role that lived this long did not fail at its start */
    GRACE_US = 2000000,        /* for a role that has closed its leash to end */
    BACK_OFF_FIRST_US = 20000, /* doubles up to the most */
    BACK_OFF_MOST_US = 5000000,
    EDGES_MOST = 64,
    WORDS = 4, /* of a role's command line before its options */
};

static const char *const kind_names[] = {
    [CHILD_CONTROL] = "control", [CHILD_PLATFORM] = "edge",   [CHILD_EDGE] = "edge",
    [CHILD_EXEC] = "exec",       [CHILD_COMPILE] = "compile", [CHILD_EGRESS] = "egress",
};

uint64_t master_back_off(unsigned failures)
{
    if (failures == 0)
        return 0;
    uint64_t wait = failures > 9 ? BACK_OFF_MOST_US : (uint64_t)BACK_OFF_FIRST_US << (failures - 1);
    return wait < BACK_OFF_MOST_US ? wait : BACK_OFF_MOST_US;
}

void master_fail(struct master *m, int status, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (m->status == 0) {
        fprintf(stderr, "%s serve: %s\n", BRAND_COMMAND, text);
        m->status = status;
    }
    loop_stop(m->loop);
}

/* Children */

void child_kill(struct child *c)
{
    c->killed = true;
    kill(c->pid, SIGKILL); /* not waited for yet, so the pid is still its own */
}

static void child_free(struct child *c)
{
    struct loop *loop = c->master->loop;
    leash_done(&c->leash);
    loop_timer_stop(loop, &c->deadline);
    struct loop_io *ios[] = {&c->end, &c->log};
    for (size_t i = 0; i < 2; i++)
        if (ios[i]->fd >= 0) {
            int fd = ios[i]->fd;
            loop_io_del(loop, ios[i]);
            close(fd);
        }
    if (c->frames >= 0)
        close(c->frames);
    if (c->egress >= 0)
        close(c->egress);
    list_remove(&c->node);
    free(c);
}

static void slot_ended(struct slot *s, struct child *c, int status);
static void drain_next(struct master *m);

static void on_child_end(struct loop_io *io, uint32_t events)
{
    struct child *c = LIST_ITEM(io, struct child, end);
    struct master *m = c->master;
    int status;
    (void)events;
    pid_t got = waitpid(c->pid, &status, WNOHANG);
    if (got == 0)
        return;
    /* What it said last is still in the socket: LEASH_FATAL mostly. */
    if (c->leash.io.fd >= 0)
        c->leash.io.on_event(&c->leash.io, EPOLLIN);
    if (got < 0)
        status = 0;
    switch (c->kind) {
    case CHILD_CONTROL:
    case CHILD_PLATFORM:
    case CHILD_EDGE:
    case CHILD_EGRESS:
        slot_ended(c->slot, c, status);
        break;
    case CHILD_EXEC:
        exec_ended(c, status);
        break;
    case CHILD_COMPILE:
        compile_ended(c, status);
        break;
    }
    child_free(c);
    if (m->phase != MASTER_RUNS)
        drain_next(m);
}

static void on_grace_over(struct loop_timer *t)
{
    child_kill(LIST_ITEM(t, struct child, deadline));
}

/* It is ending, or broke the rules of the leash. */
static void on_leash_closed(struct leash *l)
{
    struct child *c = l->owner;
    loop_timer_start(l->loop, &c->deadline, loop_now(l->loop) + GRACE_US, on_grace_over);
}

static void on_leash_msg(struct leash *l, const struct leash_msg *msg, const int *fds, int n);

struct child *child_start(struct master *m, enum child_kind kind, const char *word,
                          struct role_start *start)
{
    const char *words[WORDS + OPTION_COUNT + 1] = {kind_names[kind]};
    int count = 1, pair[2], pidfd;
    struct err e;
    if (word)
        words[count++] = word;
    for (char **f = m->flags; *f; f++)
        words[count++] = *f;
    start->words = words;

    struct child *c = calloc(1, sizeof *c);
    if (!c || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
        log_line(LOG_ERROR, "role_start", "child_role=%s error=\"%s\"", kind_names[kind],
                 strerror(errno));
        free(c);
        return NULL;
    }
    *c = (struct child){.master = m,
                        .kind = kind,
                        .frames = -1,
                        .egress = -1,
                        .end.fd = -1,
                        .log.fd = -1,
                        .leash.io.fd = -1};
    role_give(start, pair[1], ROLE_LEASH);
    enum err_code rc = role_start(start, &c->pid, &pidfd, &e);
    close(pair[1]);
    if (rc) {
        log_line(LOG_ERROR, "role_start", "child_role=%s error=\"%s\"", kind_names[kind], e.text);
        close(pair[0]);
        free(c);
        return NULL;
    }
    c->started_us = c->beat_us = clock_mono_us();
    c->leash.owner = c;
    c->leash.on_msg = on_leash_msg;
    c->leash.on_closed = on_leash_closed;
    list_push(&m->children, &c->node);
    if (leash_init(&c->leash, m->loop, pair[0], false, &e)) {
        log_line(LOG_ERROR, "role_start", "child_role=%s error=\"%s\"", kind_names[kind], e.text);
        close(pair[0]);
        c->leash.loop = NULL;
        child_kill(c);
    }
    /* Without its pidfd we would not see it end. */
    if (loop_io_add(m->loop, &c->end, pidfd, EPOLLIN, on_child_end, &e)) {
        child_kill(c);
        while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
            ;
        close(pidfd);
        child_free(c);
        log_line(LOG_ERROR, "role_start", "child_role=%s error=\"%s\"", kind_names[kind], e.text);
        return NULL;
    }
    log_line(LOG_DEBUG, "role_started", "child_role=%s word=%s child=%d", kind_names[kind],
             word ? word : "", (int)c->pid);
    return c;
}

/* Slots */

/* Joins control or egress and one edge by a socket pair, if both are there. */
static void join(struct master *m, struct slot *inner, struct slot *edge)
{
    struct child *c = inner->child, *e = edge->child;
    int pair[2];
    if (!c || !e || (inner->kind == CHILD_EGRESS && edge->kind == CHILD_PLATFORM))
        return;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
        log_line(LOG_ERROR, "join", "error=\"%s\"", strerror(errno));
        child_kill(e); /* started again, hopefully in better times */
        return;
    }
    uint32_t number = edge->kind == CHILD_PLATFORM ? LEASH_PLATFORM_EDGE : (uint32_t)edge->index;
    leash_send(&c->leash, LEASH_EDGE, number, 0, NULL, &pair[0], 1);
    leash_send(&e->leash, inner->kind == CHILD_EGRESS ? LEASH_EGRESS : LEASH_CONTROL, 0, 0, NULL,
               &pair[1], 1);
    close(pair[0]);
    close(pair[1]);
}

static void join_all(struct slot *s)
{
    struct master *m = s->master;
    if (s->kind == CHILD_EDGE || s->kind == CHILD_PLATFORM) {
        join(m, &m->control, s);
        join(m, &m->egress, s);
        return;
    }
    join(m, s, &m->platform);
    for (int i = 0; i < m->edge_count; i++)
        join(m, s, &m->edges[i]);
}

static void on_slot_retry(struct loop_timer *t);

static void slot_start(struct slot *s)
{
    struct master *m = s->master;
    struct master_data *d = &m->data;
    struct role_start start = {.stderr_fd = -1};
    char number[16];
    const char *word = NULL;
    if (s->kind == CHILD_CONTROL) {
        role_give(&start, d->folder, CONTROL_DATA);
        role_give(&start, d->signing, CONTROL_SIGNING);
        role_give(&start, d->secrets, CONTROL_SECRETS);
        role_give(&start, d->node, CONTROL_NODE);
    } else if (s->kind == CHILD_EGRESS) {
        role_give(&start, d->spool, EGRESS_SPOOL);
        if (m->policy >= 0)
            role_give(&start, m->policy, EGRESS_POLICY);
    } else {
        role_give(&start, s->listen, EDGE_LISTEN);
        if (s->kind == CHILD_EDGE) {
            role_give(&start, d->routes, EDGE_ROUTES);
            role_give(&start, d->spool, EDGE_SPOOL);
            role_give(&start, d->node, EDGE_NODE);
        }
        snprintf(number, sizeof number, "%d", s->index);
        word = s->kind == CHILD_PLATFORM ? "platform" : number;
    }
    s->child = child_start(m, s->kind, word, &start);
    if (!s->child) {
        loop_timer_start(m->loop, &s->retry, loop_now(m->loop) + master_back_off(++s->failures),
                         on_slot_retry);
        return;
    }
    s->child->slot = s;
    join_all(s);
}

static void on_slot_retry(struct loop_timer *t)
{
    struct slot *s = LIST_ITEM(t, struct slot, retry);
    if (s->master->phase == MASTER_RUNS)
        slot_start(s);
}

static void describe_end(int status, char out[64])
{
    if (WIFSIGNALED(status))
        snprintf(out, 64, "signal %d", WTERMSIG(status));
    else
        snprintf(out, 64, "status %d", WEXITSTATUS(status));
}

static void slot_ended(struct slot *s, struct child *c, int status)
{
    struct master *m = s->master;
    char how[64];
    s->child = NULL;
    if (s->kind == CHILD_EDGE)
        execs_orphaned(c);
    if (s->kind == CHILD_CONTROL)
        compile_orphaned(m);
    describe_end(status, how);
    if (m->phase != MASTER_RUNS) {
        /* What is too slow is killed, which is no fault; a crash is one at the end, too. */
        if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL && WTERMSIG(status) != SIGTERM)
            log_line(LOG_ERROR, "role_crashed", "child_role=%s index=%d child=%d how=\"%s\"",
                     kind_names[s->kind], s->index, (int)c->pid, how);
        return;
    }
    bool lived = c->ready && loop_now(m->loop) - c->started_us >= GOOD_LIFE_US;
    s->failures = lived ? 0 : s->failures + 1;
    /* The first end after a good life is repaired at once. */
    uint64_t wait = c->ready ? master_back_off(s->failures ? s->failures - 1 : 0)
                             : master_back_off(s->failures);
    log_line(LOG_WARNING, "role_ended",
             "child_role=%s index=%d child=%d how=\"%s\" restart_ms=%llu", kind_names[s->kind],
             s->index, (int)c->pid, how, (unsigned long long)wait / 1000);
    loop_timer_start(m->loop, &s->retry, loop_now(m->loop) + wait, on_slot_retry);
}

/* Ready */

static void announce(struct master *m)
{
    if (m->ready_fd >= 0) {
        json_t *line =
            json_pack("{s:s, s:s, s:s, s:i}", "platform", m->platform_url, "functions",
                      m->functions_url, "token_file", m->token_file, "pid", (int)getpid());
        if (json_dumpfd(line, m->ready_fd, JSON_COMPACT) < 0 || write(m->ready_fd, "\n", 1) != 1)
            log_line(LOG_WARNING, "ready_fd", "error=\"%s\"", strerror(errno));
        json_decref(line);
        close(m->ready_fd);
    }
    master_local_write(m);
    if (isatty(STDOUT_FILENO)) {
        printf("%s %s answers.\n\n"
               "  platform   %s\n"
               "  functions  %s\n"
               "  data       %s\n\n"
               "Deploy a program from another terminal: %s deploy FILE.wasm\n"
               "Ctrl-C stops the server.\n",
               BRAND_NAME, BRAND_VERSION, m->platform_url, m->functions_url, m->data.path,
               BRAND_COMMAND);
        fflush(stdout);
    }
    log_line(LOG_INFO, "ready", "platform=%s functions=%s", m->platform_url, m->functions_url);
    m->announced = true;
}

static void role_ready(struct child *c)
{
    struct master *m = c->master;
    c->ready = true;
    if (c->kind == CHILD_EXEC)
        exec_ready(c);
    /* Edges read what control makes at its first start. */
    if (c->kind == CHILD_CONTROL && !m->platform.child && !m->announced) {
        slot_start(&m->platform);
        for (int i = 0; i < m->edge_count; i++)
            slot_start(&m->edges[i]);
    }
    if (m->announced || !m->exec_seen || !m->control.child || !m->control.child->ready ||
        !m->platform.child || !m->platform.child->ready || !m->egress.child ||
        !m->egress.child->ready)
        return;
    for (int i = 0; i < m->edge_count; i++)
        if (!m->edges[i].child || !m->edges[i].child->ready)
            return;
    announce(m);
}

/* The leash */

/* The message ends where the leash's line does; the fence it names has a row that says the rest. */
void master_no_fence(struct master *m, const char *what)
{
    const char *remedy = NULL, *end = strstr(what, "): ");
    char name[64];
    for (int i = 0; i < FENCE_COUNT && !remedy; i++) {
        snprintf(name, sizeof name, "fence %s is missing", fences[i].name);
        if (strstr(what, name))
            remedy = fences[i].remedy;
    }
    master_fail(m, err_cli(ERR_NO_FENCE),
                "guests can't be run safely here: %.*s\n%s%s`%s doctor` shows every fence; with "
                "`isolation: relaxed` in the configuration guests run all the same",
                end ? (int)(end - what) + 1 : (int)strlen(what), what, remedy ? remedy : "",
                remedy ? "; " : "", BRAND_COMMAND);
}

/* It can't go on. Before the server has answered, neither would another one: that is a start that
 * failed. Later it may be short of something for a moment (a full disk), and is started again. */
static void role_fatal(struct child *c, const struct leash_msg *msg)
{
    struct master *m = c->master;
    if (c->kind == CHILD_EXEC && msg->arg == ERR_NO_FENCE && !m->fences_hold)
        master_no_fence(m, msg->text);
    else if (m->announced || c->kind == CHILD_EXEC || c->kind == CHILD_COMPILE)
        log_line(LOG_ERROR, "role_fatal", "child_role=%s child=%d text=\"%s\"", kind_names[c->kind],
                 (int)c->pid, msg->text);
    else
        master_fail(m, msg->arg && msg->arg < ERR_COUNT ? err_cli((enum err_code)msg->arg) : 1,
                    "%s: %s", kind_names[c->kind], msg->text);
}

static void on_leash_msg(struct leash *l, const struct leash_msg *msg, const int *fds, int n)
{
    struct child *c = l->owner;
    bool taken = false;
    c->beat_us = loop_now(c->master->loop);
    switch ((enum leash_type)msg->type) {
    case LEASH_READY:
        if (!c->ready)
            role_ready(c);
        break;
    case LEASH_BEAT:
        break;
    case LEASH_FATAL:
        role_fatal(c, msg);
        break;
    case LEASH_WANT_EXEC:
        if (c->kind == CHILD_EDGE)
            exec_want(c, msg->id, msg->arg);
        break;
    case LEASH_KILL_EXEC:
        if (c->kind == CHILD_EDGE)
            exec_kill(c, msg->arg);
        break;
    case LEASH_COMPILE:
        if (c->kind == CHILD_CONTROL) {
            compile_want(c, msg, fds, n);
            taken = true;
        }
        break;
    case LEASH_EXEC:
    case LEASH_NO_EXEC:
    case LEASH_EXEC_ENDED:
    case LEASH_EDGE:
    case LEASH_EGRESS:
    case LEASH_CONTROL:
    case LEASH_COMPILED:
    case LEASH_OPTION:
    case LEASH_DRAIN:
    default:
        log_line(LOG_WARNING, "leash_type", "child_role=%s child=%d type=%u", kind_names[c->kind],
                 (int)c->pid, msg->type);
        child_kill(c);
    }
    for (int i = 0; i < n && !taken; i++)
        close(fds[i]);
}

/* Roles that hang are killed; compile jobs have their own deadline. If it was this process that
 * stood still (a suspended machine), nobody is blamed. */
static void on_check(struct loop_timer *t)
{
    struct master *m = LIST_ITEM(t, struct master, check);
    uint64_t now = loop_now(m->loop);
    static uint64_t last;
    bool slept = last && now - last > 3 * (uint64_t)CHECK_US;
    last = now;
    LIST_EACH(n, &m->children)
    {
        struct child *c = LIST_ITEM(n, struct child, node);
        if (slept)
            c->beat_us = now;
        /* A child that was started in this turn of the loop has a beat after `now`. */
        if (c->kind == CHILD_COMPILE || c->killed || now < c->beat_us + LEASH_HANG_US)
            continue;
        log_line(LOG_ERROR, "role_hangs", "child_role=%s child=%d", kind_names[c->kind],
                 (int)c->pid);
        child_kill(c);
    }
    loop_timer_start(m->loop, t, now + CHECK_US, on_check);
}

/* Ending */

static void on_drain_deadline(struct loop_timer *t)
{
    struct master *m = LIST_ITEM(t, struct master, drain_deadline);
    log_line(LOG_WARNING, "drain_deadline", "limit=drain");
    loop_stop(m->loop);
}

static void drain_slot(struct slot *s)
{
    if (s->child)
        leash_send(&s->child->leash, LEASH_DRAIN, 0, 0, NULL, NULL, 0);
}

/* Edges first: they answer what they have. Then egress, which they may need for it, and control
 * last: it keeps what all of them have written down. */
static void drain_next(struct master *m)
{
    bool edges = m->platform.child != NULL;
    for (int i = 0; i < m->edge_count; i++)
        edges = edges || m->edges[i].child;
    if (m->phase == MASTER_DRAINS_EDGES && !edges) {
        m->phase = MASTER_DRAINS_EGRESS;
        drain_slot(&m->egress);
    }
    if (m->phase == MASTER_DRAINS_EGRESS && !m->egress.child) {
        m->phase = MASTER_DRAINS_CONTROL;
        drain_slot(&m->control);
    }
    if (m->phase == MASTER_DRAINS_CONTROL && !m->control.child)
        loop_stop(m->loop);
}

static void drain(struct master *m)
{
    log_line(LOG_INFO, "draining", "limit_ms=%llu",
             (unsigned long long)m->options->limits.v[LIMIT_DRAIN] / 1000);
    m->phase = MASTER_DRAINS_EDGES;
    loop_timer_start(m->loop, &m->drain_deadline,
                     loop_now(m->loop) + m->options->limits.v[LIMIT_DRAIN], on_drain_deadline);
    drain_slot(&m->platform);
    for (int i = 0; i < m->edge_count; i++)
        drain_slot(&m->edges[i]);
    drain_next(m);
}

/* Reading again */

static void tell_option(struct slot *s, enum option_id id)
{
    if (s->child)
        reload_send(&s->child->leash, id, option_text(s->master->options, id));
}

static void change_option(struct master *m, enum option_id id, const char *value)
{
    struct err e;
    if (!option_rows[id].live) {
        log_line(LOG_WARNING, "option_at_start",
                 "option=%s text=\"it has changed and takes effect at the next start\"",
                 option_rows[id].name);
        return;
    }
    if (options_put(m->options, id, slice_str(value), &e)) {
        log_line(LOG_ERROR, "reload_refused", "error=\"%s\"", e.text);
        return;
    }
    options_log(m->options, NULL);
    tell_option(&m->control, id);
    tell_option(&m->egress, id);
    tell_option(&m->platform, id);
    for (int i = 0; i < m->edge_count; i++)
        tell_option(&m->edges[i], id);
    log_line(LOG_INFO, "option_changed", "option=%s value=\"%s\"", option_rows[id].name, value);
}

static void reload(struct master *m)
{
    struct options fresh;
    struct err e = {0};
    options_init(&fresh);
    if (m->source->read(m->source->arg, &fresh, &e)) {
        log_line(LOG_ERROR, "reload_refused", "error=\"%s\" text=\"nothing was changed\"", e.text);
        options_done(&fresh);
        return;
    }
    for (int id = 0; id < OPTION_COUNT; id++)
        if (strcmp(fresh.v[id], m->read.v[id]) != 0)
            change_option(m, (enum option_id)id, fresh.v[id]);
    free(m->flags);
    m->flags = options_as_flags(m->options);
    options_done(&m->read);
    m->read = fresh;
    log_line(LOG_INFO, "reloaded", "signal=SIGHUP");
}

static void on_signal(struct loop_io *io, uint32_t events)
{
    struct master *m = LIST_ITEM(io, struct master, signals);
    struct signalfd_siginfo info;
    (void)events;
    while (read(io->fd, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGHUP) {
            reload(m);
        } else if (m->phase == MASTER_RUNS && m->announced) {
            drain(m);
        } else {
            m->status = m->announced ? 1 : 0; /* at once */
            loop_stop(m->loop);
        }
    }
}

static enum err_code watch_signals(struct master *m, struct err *e)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return err_errno(e, "signalfd");
    return loop_io_add(m->loop, &m->signals, fd, EPOLLIN, on_signal, e);
}

/* Starting */

static void raise_file_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

/* What others write to reach us. An address that means "all" is reached at this machine. */
static void make_urls(struct master *m)
{
    const struct options *o = m->options;
    const char *platform = option_text(o, OPTION_LISTEN_PLATFORM);
    const char *port = strrchr(platform, ':');
    struct slice host = {platform, (size_t)(port - platform)};
    if (host.n == 0 || slice_eq(host, SLICE("0.0.0.0")) || slice_eq(host, SLICE("[::]")))
        host = SLICE("127.0.0.1");
    snprintf(m->platform_url, sizeof m->platform_url, "http://%.*s%s", SLICE_ARG(host), port);
    port = strrchr(option_text(o, OPTION_LISTEN_FUNCTIONS), ':');
    if (option_text(o, OPTION_PUBLIC_FUNCTIONS)[0])
        snprintf(m->functions_url, sizeof m->functions_url, "%s",
                 option_text(o, OPTION_PUBLIC_FUNCTIONS));
    else
        snprintf(m->functions_url, sizeof m->functions_url, "http://%s%s",
                 option_text(o, OPTION_FUNCTIONS_DOMAIN), port);
    snprintf(m->token_file, sizeof m->token_file, "%s/operator.token", m->data.path);
}

static void slot_init(struct slot *s, struct master *m, enum child_kind kind, int index)
{
    *s = (struct slot){.master = m, .kind = kind, .index = index, .listen = -1};
}

static enum err_code open_all(struct master *m, struct err *e)
{
    int fds[EDGES_MOST];
    enum err_code rc = master_data_open(&m->data, option_text(m->options, OPTION_DATA), e);
    if (rc == ERR_OK)
        rc = options_set(m->options, SLICE("data"), slice_str(m->data.path), e);
    if (rc == ERR_OK)
        rc = master_open_policy(m->options, &m->policy, e);
    if (rc == ERR_OK)
        rc = master_listen(m->options, OPTION_LISTEN_PLATFORM, 1, &m->platform.listen, e);
    if (rc == ERR_OK)
        rc = master_listen(m->options, OPTION_LISTEN_FUNCTIONS, m->edge_count, fds, e);
    for (int i = 0; i < m->edge_count && rc == ERR_OK; i++)
        m->edges[i].listen = fds[i];
    return rc;
}

static void close_all(struct master *m)
{
    LIST_EACH(n, &m->children)
    {
        struct child *c = LIST_ITEM(n, struct child, node);
        child_kill(c);
        while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
            ;
        child_free(c);
    }
    if (m->platform.listen >= 0)
        close(m->platform.listen);
    for (int i = 0; i < m->edge_count; i++)
        if (m->edges[i].listen >= 0)
            close(m->edges[i].listen);
    if (m->policy >= 0)
        close(m->policy);
    if (m->announced)
        master_local_remove(m);
    master_data_close(&m->data);
    if (m->signals.fd >= 0)
        close(m->signals.fd);
    loop_free(m->loop);
    options_done(&m->read);
    free(m->flags);
    free(m->edges);
}

int master_run(struct options *o, const struct master_source *source)
{
    struct master m = {.options = o,
                       .source = source,
                       .policy = -1,
                       .signals.fd = -1,
                       .ready_fd = (int)option_number(o, OPTION_READY_FD)};
    struct err e = {0};
    int64_t edges = option_number(o, OPTION_EDGES);
    m.edge_count = edges > 0 ? (int)edges : get_nprocs();
    if (m.edge_count > EDGES_MOST)
        m.edge_count = EDGES_MOST;
    m.edges = calloc((size_t)m.edge_count, sizeof *m.edges);
    m.loop = loop_new(&e);
    if (!m.edges || !m.loop)
        abort();
    list_init(&m.children);
    slot_init(&m.control, &m, CHILD_CONTROL, 0);
    slot_init(&m.platform, &m, CHILD_PLATFORM, 0);
    slot_init(&m.egress, &m, CHILD_EGRESS, 0);
    for (int i = 0; i < m.edge_count; i++)
        slot_init(&m.edges[i], &m, CHILD_EDGE, i);
    execs_init(&m);
    compile_init(&m);
    options_init(&m.read);
    if (source->read(source->arg, &m.read, &e)) /* a moment ago it could be read */
        log_line(LOG_WARNING, "options_reread", "error=\"%s\"", e.text);

    umask(022); /* modes are given with each file; execs must be able to enter the images folder */
    raise_file_limit();
    enum err_code rc = open_all(&m, &e);
    if (rc == ERR_OK)
        rc = watch_signals(&m, &e);
    if (rc) {
        fprintf(stderr, "%s serve: %s\n", BRAND_COMMAND, e.text);
        close_all(&m);
        return err_cli(rc);
    }
    make_urls(&m);
    rc = options_set(o, SLICE("ready-fd"), SLICE("-1"), &e); /* ours alone */
    assert(rc == ERR_OK);
    m.flags = options_as_flags(o);
    loop_timer_start(m.loop, &m.check, loop_now(m.loop) + CHECK_US, on_check);
    slot_start(&m.control);
    slot_start(&m.egress);
    execs_refill(&m);
    loop_run(m.loop);
    close_all(&m);
    return m.status;
}
