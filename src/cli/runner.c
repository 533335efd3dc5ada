#include "cli/runner.h"

#include "cli/image_cache.h"
#include "cli/play.h"
#include "cli/runner_egress.h"
#include "cli/show.h"
#include "ipc/channel.h"
#include "ipc/leash.h"
#include "ipc/role.h"
#include "ipc/tape.h"
#include "roles/roles.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    RUN = 1, /* id of the only invocation */
    SLOT = 1,
    LEVEL_ERROR = 1, /* of a LOG frame: the guest's numbers */
    LEVEL_WARNING = 3,
    PIECE = 4096,          /* bytes that a pipe which polls as writable takes without blocking */
    CANCEL_US = 1000000,   /* an exec that does not end a cancelled run within this is killed */
    CREDIT_MOST = 1 << 30, /* more credit than this makes no sense */
};

/* A standard stream. Its descriptor stays blocking, for others share it: it is used only when
 * poll() says that it is ready, and watched only while it is not. */
struct stream {
    struct loop_io io;
    int fd;
    bool open;
};

struct runner {
    struct loop *loop;
    struct channel exec;
    struct leash leash;
    pid_t pid;
    const struct runner_job *job;
    struct runner_egress egress;
    int egress_end; /* egress's end of the exec's socket; -1: handed on */
    struct stream in, out;
    int signal_fd;
    struct loop_io signals;
    struct loop_timer wall, grace;
    struct loop_task pump; /* moves what can be moved, at a turn's end */

    uint64_t credit;   /* bytes of BODY that we may send */
    uint64_t expected; /* bytes of OUTPUT that exec may send */
    struct buf output; /* received and not written yet: FRAME_CREDIT_INITIAL, a head's additions */
    uint64_t gratis;   /* bytes at its start that exec did not send */
    unsigned again;    /* runs that are still to come */

    /* Wall time does not pass while we wait for whoever is at the standard streams. */
    const struct limits *limits;
    uint64_t started_us, waiting_since_us, waited_us;
    uint64_t first_us, last_us; /* wall time of the first and latest output; 0: none yet */

    crypto_hash_sha256_state hash; /* of the output */
    uint64_t hash_left;            /* bytes of it that are still to be hashed */

    enum err_code cancelled; /* why; ERR_OK: it was not */
    bool ended;              /* rc, or the ledger, says how */
    enum err_code rc;
    struct err *e;
    struct runner_end *result;
};

#define RUNNER(ptr, member) LIST_ITEM(ptr, struct runner, member)

static void wake(struct runner *r)
{
    loop_task_add(r->loop, &r->pump);
}

static void end(struct runner *r, enum err_code rc)
{
    if (r->ended)
        return;
    r->ended = true;
    r->rc = rc;
    wake(r);
}

/* ---- ending it early ---- */

static void kill_exec(struct runner *r)
{
    if (r->pid > 0)
        kill(r->pid, SIGKILL); /* its channel closes */
}

static void on_grace(struct loop_timer *t)
{
    kill_exec(RUNNER(t, grace));
}

static void cancel(struct runner *r, enum err_code why)
{
    if (r->ended || r->cancelled)
        return;
    uint16_t reason = (uint16_t)why;
    r->cancelled = why;
    channel_send(&r->exec, FRAME_CANCEL, 0, RUN, &reason, sizeof reason);
    loop_timer_start(r->loop, &r->grace, loop_now(r->loop) + CANCEL_US, on_grace);
}

/* Whoever wanted it does no more. */
static void give_up(struct runner *r, int why)
{
    if (!r->result->signal && !r->ended)
        r->result->signal = why;
    cancel(r, ERR_CANCELLED);
}

/* Ctrl-C ends the run and waits for its ledger; once more, it waits no longer. */
static void on_signal(struct loop_io *io, uint32_t events)
{
    struct runner *r = RUNNER(io, signals);
    struct signalfd_siginfo info;
    if (read(r->signal_fd, &info, sizeof info) != sizeof info)
        return;
    if (r->ended)
        r->out.open = false; /* gives up on whoever does not read the rest */
    else if (r->cancelled)
        kill_exec(r);
    else
        give_up(r, (int)info.ssi_signo);
    wake(r);
}

/* ---- wall time ---- */

static bool waiting(const struct runner *r)
{
    return r->in.io.fd >= 0 || r->out.io.fd >= 0;
}

static uint64_t wall_now(const struct runner *r)
{
    uint64_t now = loop_now(r->loop);
    return now - r->started_us - r->waited_us -
           (r->waiting_since_us ? now - r->waiting_since_us : 0);
}

static void on_wall(struct loop_timer *t)
{
    cancel(RUNNER(t, wall), ERR_WALL_LIMIT);
}

/* As an edge: `wall` until the first output, then `stream-idle` and `stream-total`. */
static void rearm(struct runner *r)
{
    uint64_t now = loop_now(r->loop);
    if (waiting(r) && !r->waiting_since_us)
        r->waiting_since_us = now;
    if (!waiting(r) && r->waiting_since_us) {
        r->waited_us += now - r->waiting_since_us;
        r->waiting_since_us = 0;
    }
    if (waiting(r) || r->ended) {
        loop_timer_stop(r->loop, &r->wall);
        return;
    }
    uint64_t until = r->limits->v[LIMIT_WALL];
    if (r->first_us) {
        uint64_t idle = r->last_us + r->limits->v[LIMIT_STREAM_IDLE];
        uint64_t total = r->first_us + r->limits->v[LIMIT_STREAM_TOTAL];
        until = idle < total ? idle : total;
    }
    uint64_t spent = wall_now(r);
    loop_timer_start(r->loop, &r->wall, now + (until > spent ? until - spent : 0) + 1, on_wall);
}

/* ---- standard streams ---- */

static void on_ready(struct loop_io *io, uint32_t events)
{
    struct stream *s = LIST_ITEM(io, struct stream, io);
    struct runner *r = s->fd == STDIN_FILENO ? RUNNER(s, in) : RUNNER(s, out);
    loop_io_del(r->loop, io);
    wake(r);
}

/* Ready now? If not, it is watched and the pump runs when it is. */
static bool ready(struct runner *r, struct stream *s, short how)
{
    struct pollfd p = {.fd = s->fd, .events = how};
    struct err ignored;
    if (s->io.fd >= 0)
        return false;
    if (poll(&p, 1, 0) == 1)
        return true;
    /* what can't be watched (a regular file) is always ready */
    return loop_io_add(r->loop, &s->io, s->fd, how == POLLIN ? EPOLLIN : EPOLLOUT, on_ready,
                       &ignored) != ERR_OK;
}

static void unwatch(struct runner *r, struct stream *s)
{
    if (s->io.fd >= 0)
        loop_io_del(r->loop, &s->io);
}

/* One piece of standard input at most; the pump comes back for more. */
static void move_input(struct runner *r)
{
    static char piece[FRAME_MOST];
    if (!r->in.open || r->credit == 0 || !ready(r, &r->in, POLLIN))
        return;
    size_t want = r->credit < sizeof piece ? (size_t)r->credit : sizeof piece;
    ssize_t n = read(r->in.fd, piece, want);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
        wake(r);
        return;
    }
    if (n <= 0) { /* an unreadable standard input is an empty one */
        r->in.open = false;
        channel_send(&r->exec, FRAME_BODY, FRAME_LAST, RUN, NULL, 0);
        return;
    }
    r->credit -= (uint64_t)n;
    channel_send(&r->exec, FRAME_BODY, 0, RUN, piece, (size_t)n);
    wake(r);
}

static void grant(struct runner *r, uint32_t bytes)
{
    if (!bytes || r->ended)
        return;
    r->expected += bytes;
    channel_send(&r->exec, FRAME_CREDIT, 0, RUN, &bytes, sizeof bytes);
}

static void move_output(struct runner *r)
{
    uint32_t written = 0;
    while (buf_size(&r->output) && r->out.open && ready(r, &r->out, POLLOUT)) {
        size_t n = buf_size(&r->output) < PIECE ? buf_size(&r->output) : PIECE;
        ssize_t w = write(r->out.fd, buf_data(&r->output), n);
        if (w > 0) {
            buf_consume(&r->output, (size_t)w);
            written += (uint32_t)w;
        } else if (errno != EINTR && errno != EAGAIN) {
            r->out.open = false; /* what it prints further is of no use */
            if (errno != EPIPE)
                r->result->broken = errno;
            else if (!r->result->signal)
                r->result->signal = SIGPIPE;
            cancel(r, ERR_CANCELLED);
        }
    }
    uint32_t free = r->gratis < written ? (uint32_t)r->gratis : written;
    r->gratis -= free;
    grant(r, written - free);
}

static void on_pump(struct loop_task *t)
{
    struct runner *r = RUNNER(t, pump);
    if (!r->ended)
        move_input(r);
    else
        unwatch(r, &r->in);
    move_output(r);
    if (!r->out.open)
        unwatch(r, &r->out);
    rearm(r);
    if (r->ended && (!r->out.open || buf_size(&r->output) == 0))
        loop_stop(r->loop);
}

/* ---- what exec says ---- */

static void protocol_error(struct runner *r, const char *what)
{
    end(r, err_set(r->e, ERR_PROTOCOL, "the process that runs the program %s", what));
}

static void print_log(struct slice payload)
{
    int level = FRAME_LOG_LEVEL((uint8_t)payload.p[0]);
    const char *mark = level == LEVEL_ERROR ? "error: " : level == LEVEL_WARNING ? "warning: " : "";
    fputs(mark, stderr);
    show_text(stderr, slice_from(payload, 1));
    fputc('\n', stderr);
}

/* It opens something remote, for the first time. */
static void reach(struct runner *r)
{
    struct err e;
    int end = r->job->tape.n ? -1 : r->egress_end; /* a tape has all that the run needs */
    if (end < 0)
        return;
    r->egress_end = -1;
    if (runner_egress_start(&r->egress, r->loop, r->job->options, r->job->load, r->job->project,
                            end, &e))
        fprintf(stderr, "the network can't be reached from here: %s\n", e.text);
}

/* False: there is no room for it. */
static bool take_output(struct runner *r, struct slice bytes)
{
    struct play_answer *answer = r->job->answer;
    size_t before = buf_size(&r->output);
    size_t hashed = bytes.n < r->hash_left ? bytes.n : (size_t)r->hash_left;
    r->expected -= bytes.n;
    r->hash_left -= hashed;
    crypto_hash_sha256_update(&r->hash, (const unsigned char *)bytes.p, hashed);
    if (r->job->each) {
        grant(r, (uint32_t)bytes.n); /* nobody wants to see it */
        return true;
    }
    if (!answer)
        return buf_add(&r->output, bytes.p, bytes.n);
    if (!play_answer_feed(answer, bytes, &r->output)) {
        cancel(r, ERR_BAD_CGI);
        return true;
    }
    size_t put = buf_size(&r->output) - before;
    if (put > bytes.n)
        r->gratis += put - bytes.n;
    else
        grant(r, (uint32_t)(bytes.n - put));
    return true;
}

/* What the answer's judge says comes before what exec tells of the program. */
static void judge_answer(struct runner *r, struct ledger *l)
{
    char why[512], told[sizeof l->text];
    enum err_code reason = (enum err_code)l->head.reason;
    if (reason != ERR_OK && reason != ERR_BAD_CGI &&
        !(reason == ERR_EXIT_STATUS && r->job->answer->ready))
        return;
    if (!play_answer_end(r->job->answer, &r->output, why, sizeof why))
        return;
    l->head.reason = ERR_BAD_CGI;
    memcpy(told, l->text, sizeof told);
    snprintf(l->text, sizeof l->text, "%s%s%.500s", why, told[0] ? "\n" : "", told);
}

static void send_begin(struct runner *r)
{
    const uint32_t slot = SLOT;
    bool plays = r->job->tape.n;
    uint16_t flags =
        (uint16_t)((r->job->each || plays ? FRAME_LAST : 0) | (r->job->keep ? FRAME_KEEP : 0));
    if (plays)
        channel_send_pieces(&r->exec, FRAME_TAPE, RUN, r->job->tape);
    char *begin = channel_place(&r->exec, FRAME_BEGIN, flags, RUN, sizeof slot + r->job->meta.n);
    if (!begin)
        return;
    memcpy(begin, &slot, sizeof slot);
    memcpy(begin + sizeof slot, r->job->meta.p, r->job->meta.n);
    r->expected = FRAME_CREDIT_INITIAL;
    r->started_us = loop_now(r->loop);
    r->first_us = r->last_us = r->waited_us = 0;
}

static void on_end(struct runner *r, struct slice payload)
{
    struct ledger *l = &r->result->ledger;
    enum err_code rc = ledger_read(payload, l, r->e);
    if (r->job->tape.n)
        crypto_hash_sha256_final(&r->hash, r->result->output);
    if (!rc && r->job->answer)
        judge_answer(r, l);
    if (!rc && r->job->each)
        r->job->each(r->job->arg, l);
    if (rc || !r->again || (l->head.reason && l->head.reason != ERR_EXIT_STATUS)) {
        end(r, rc);
        kill_exec(r); /* its memory is given back while we write the rest of the output */
        return;
    }
    r->again--;
    send_begin(r);
    wake(r);
}

static void on_frame(struct channel *c, const struct frame *f, struct slice payload)
{
    struct runner *r = c->owner;
    uint32_t granted;
    if (r->ended)
        return;
    switch (f->type) {
    case FRAME_OUTPUT:
        if (payload.n > r->expected || !take_output(r, payload)) {
            protocol_error(r, "sent more than it may");
            return;
        }
        r->last_us = wall_now(r) + 1;
        r->first_us = r->first_us ? r->first_us : r->last_us;
        wake(r);
        return;
    case FRAME_CREDIT:
        memcpy(&granted, payload.p, sizeof granted);
        r->credit += granted;
        if (r->credit > CREDIT_MOST)
            protocol_error(r, "gives credit without end");
        wake(r);
        return;
    case FRAME_LOG:
        if (r->again == r->job->again) /* of several runs the first one speaks for all */
            print_log(payload);
        return;
    case FRAME_CAPTURE:
        if (!buf_add(&r->result->capture, payload.p, payload.n))
            protocol_error(r, "captured more than it may");
        return;
    case FRAME_REACH:
        reach(r);
        return;
    case FRAME_END:
        on_end(r, payload);
        return;
    case FRAME_LOAD_FAILED: {
        uint16_t code;
        memcpy(&code, payload.p, sizeof code);
        payload = slice_from(payload, sizeof code);
        end(r, err_set(r->e, code && code < ERR_COUNT ? (enum err_code)code : ERR_INTERNAL,
                       "the program could not be loaded: %.*s", SLICE_ARG(payload)));
        return;
    }
    default: /* STATUS */
        return;
    }
}

static void on_closed(struct channel *c, const struct err *why)
{
    struct runner *r = c->owner;
    if (r->ended)
        return;
    if (r->cancelled) { /* it was killed because it would not end */
        r->result->ledger = (struct ledger){.head.reason = (uint16_t)r->cancelled};
        end(r, ERR_OK);
        return;
    }
    int status = 0;
    while (waitpid(r->pid, &status, 0) < 0 && errno == EINTR)
        ;
    r->pid = 0;
    end(r, WIFSIGNALED(status)
               ? err_set(r->e, ERR_EXEC_DIED, "the process that ran the program died: %s%s",
                         strsignal(WTERMSIG(status)),
                         WTERMSIG(status) == SIGSYS ? " (it made a forbidden system call)" : "")
               : err_set(r->e, ERR_EXEC_DIED, "the process that ran the program ended: %s",
                         why->text));
}

static void on_leash(struct leash *l, const struct leash_msg *m, const int *fds, int n)
{
    struct runner *r = l->owner;
    for (int i = 0; i < n; i++)
        close(fds[i]);
    if (m->type == LEASH_FATAL)
        end(r, err_set(r->e, ERR_NO_FENCE, "the program can't be run here: %s", m->text));
}

static void on_leash_closed(struct leash *l)
{
    (void)l; /* the channel closes too and says more */
}

/* ---- start ---- */

static enum err_code start_exec(struct runner *r, const struct runner_job *job, struct err *e)
{
    int frames[2] = {-1, -1}, leash[2] = {-1, -1}, egress[2] = {-1, -1};
    bool fuel = job->load->kind == ENGINE_FUEL;
    const char *own[4] = {"exec"};
    int n = 1;
    if (fuel)
        own[n++] = "fuel";
    if (!job->again) /* several runs are to be as a server's */
        own[n++] = "one";
    const char **words = role_words(own, job->options);
    enum err_code rc = ERR_OK;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, frames) < 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, egress) < 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, leash) < 0)
        rc = err_errno(e, "no sockets for running the program");
    if (!rc) {
        struct role_start start = {.words = words, .stderr_fd = -1, .sandbox = true};
        role_give(&start, leash[1], ROLE_LEASH);
        role_give(&start, frames[1], EXEC_FRAMES);
        role_give(&start, job->images_fd, EXEC_IMAGES);
        role_give(&start, egress[1], EXEC_EGRESS);
        rc = role_start(&start, &r->pid, NULL, e);
    }
    if (frames[1] >= 0)
        close(frames[1]);
    if (leash[1] >= 0)
        close(leash[1]);
    if (egress[1] >= 0)
        close(egress[1]);
    r->egress_end = egress[0];
    free(words);
    if (rc) {
        if (frames[0] >= 0)
            close(frames[0]);
        if (leash[0] >= 0)
            close(leash[0]);
        return rc;
    }
    r->exec.on_frame = on_frame;
    r->exec.on_closed = on_closed;
    r->leash.on_msg = on_leash;
    r->leash.on_closed = on_leash_closed;
    r->exec.owner = r->leash.owner = r;
    rc = leash_init(&r->leash, r->loop, leash[0], false, e);
    if (!rc)
        rc = channel_init(&r->exec, r->loop, frames[0], FRAME_BACK, e);
    return rc;
}

static enum err_code send_load(struct runner *r, const struct version_load *load, struct err *e)
{
    struct buf b;
    buf_init(&b, FRAME_LOAD_MOST);
    enum err_code rc = version_load_write(load, &b) ? ERR_OK
                                                    : err_set(e, ERR_TOO_LARGE,
                                                              "arguments and environment are over "
                                                              "1 MiB");
    if (!rc)
        channel_send_pieces(&r->exec, FRAME_LOAD, SLOT, buf_slice(&b));
    buf_done(&b);
    return rc;
}

static enum err_code watch_signals(struct runner *r, struct err *e)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    r->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (r->signal_fd < 0)
        return err_errno(e, "no descriptor for signals");
    return loop_io_add(r->loop, &r->signals, r->signal_fd, EPOLLIN, on_signal, e);
}

enum err_code runner_run(const struct runner_job *job, struct runner_end *ret_end, struct err *e)
{
    struct runner r = {
        .in = {.io.fd = -1, .fd = STDIN_FILENO, .open = !job->each && !job->tape.n},
        .out = {.io.fd = -1, .fd = STDOUT_FILENO, .open = true},
        .signals.fd = -1,
        .exec.io.fd = -1,
        .leash.io.fd = -1,
        .signal_fd = -1,
        .job = job,
        .egress_end = -1,
        .again = job->again,
        .credit = FRAME_CREDIT_INITIAL,
        .expected = FRAME_CREDIT_INITIAL,
        .hash_left = job->tape_output,
        .limits = &job->load->limits,
        .e = e,
        .result = ret_end,
    };
    ret_end->signal = ret_end->broken = 0;
    buf_init(&ret_end->capture, TAPE_MOST);
    crypto_hash_sha256_init(&r.hash);
    buf_init(&r.output, FRAME_CREDIT_INITIAL + PLAY_HEAD);
    loop_task_init(&r.pump, on_pump);
    r.loop = loop_new(e);
    if (!r.loop)
        return e->code;
    r.rc = watch_signals(&r, e);
    if (!r.rc)
        r.rc = start_exec(&r, job, e);
    if (!r.rc) {
        channel_send(&r.exec, FRAME_BIND, 0, 0, job->project.b, sizeof job->project.b);
        r.rc = send_load(&r, job->load, e);
    }
    if (!r.rc) {
        send_begin(&r);
        wake(&r);
        loop_run(r.loop);
    }
    channel_done(&r.exec);
    leash_done(&r.leash);
    runner_egress_done(&r.egress);
    if (r.egress_end >= 0)
        close(r.egress_end);
    if (r.pid > 0) { /* it holds nothing that is not in the ledger */
        kill(r.pid, SIGKILL);
        while (waitpid(r.pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    if (r.signal_fd >= 0)
        close(r.signal_fd);
    loop_free(r.loop);
    buf_done(&r.output);
    return r.rc;
}
