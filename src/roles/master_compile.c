/* Compile jobs: one process a module, one a core at once, the others wait in a queue. */
#include "roles/master.h"

#include "base/log.h"
#include "ipc/compile.h"
#include "roles/roles.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/sysinfo.h>
#include <unistd.h>

enum {
    JOBS = 256, /* waiting at most; control asks for fewer */
    JOB_FDS = 3,
    JOB_REFUSED = SIGKILL, /* the wait status told when no process was started */
};

struct job {
    struct list node;
    uint64_t cookie;
    enum compile_job kind;
    int fds[JOB_FDS]; /* module, image, result */
};

void compile_init(struct master *m)
{
    list_init(&m->jobs);
}

static void job_free(struct job *j)
{
    for (int i = 0; i < JOB_FDS; i++)
        close(j->fds[i]);
    free(j);
}

static void answer(struct master *m, uint64_t cookie, int status)
{
    if (m->control.child)
        leash_send(&m->control.child->leash, LEASH_COMPILED, (uint32_t)status, cookie, NULL, NULL,
                   0);
}

static void on_deadline(struct loop_timer *t)
{
    struct child *c = LIST_ITEM(t, struct child, deadline);
    log_line(LOG_WARNING, "compile_deadline", "child=%d limit=compile-wall", (int)c->pid);
    child_kill(c);
}

static void next(struct master *m)
{
    while (m->compiling < get_nprocs() && m->phase <= MASTER_DRAINS_EDGES) {
        struct list *n = list_pop(&m->jobs);
        if (!n)
            return;
        struct job *j = LIST_ITEM(n, struct job, node);
        struct role_start s = {.stderr_fd = -1};
        role_give(&s, j->fds[0], COMPILE_MODULE);
        role_give(&s, j->fds[1], COMPILE_IMAGE);
        role_give(&s, j->fds[2], COMPILE_RESULT);
        const char *word = compile_words[j->kind];
        struct child *c = child_start(m, CHILD_COMPILE, *word ? word : NULL, &s);
        if (c) {
            m->compiling++;
            c->owner = m->control.child;
            c->cookie = j->cookie;
            loop_timer_start(m->loop, &c->deadline,
                             loop_now(m->loop) + m->options->limits.v[LIMIT_COMPILE_WALL],
                             on_deadline);
        } else {
            answer(m, j->cookie, JOB_REFUSED);
        }
        job_free(j);
    }
}

void compile_want(struct child *control, const struct leash_msg *msg, const int *fds, int n)
{
    struct master *m = control->master;
    int waiting = 0;
    LIST_EACH(at, &m->jobs)
    waiting++;
    struct job *j =
        n == JOB_FDS && msg->arg < COMPILE_JOBS && waiting < JOBS ? calloc(1, sizeof *j) : NULL;
    if (!j) {
        log_line(LOG_WARNING, "compile_refused", "descriptors=%d waiting=%d", n, waiting);
        for (int i = 0; i < n; i++)
            close(fds[i]);
        answer(m, msg->id, JOB_REFUSED);
        return;
    }
    j->cookie = msg->id;
    j->kind = (enum compile_job)msg->arg;
    memcpy(j->fds, fds, sizeof j->fds);
    list_push(&m->jobs, &j->node);
    next(m);
}

void compile_ended(struct child *c, int status)
{
    c->master->compiling--;
    if (c->owner)
        answer(c->master, c->cookie, status);
    next(c->master);
}

void compile_orphaned(struct master *m)
{
    for (struct list *n; (n = list_pop(&m->jobs));)
        job_free(LIST_ITEM(n, struct job, node));
    LIST_EACH(at, &m->children)
    {
        struct child *c = LIST_ITEM(at, struct child, node);
        if (c->kind == CHILD_COMPILE) {
            c->owner = NULL; /* its successor's cookies are others */
            child_kill(c);
        }
    }
}
