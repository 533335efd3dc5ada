/* Private to roles/master*.c: what master knows about its folder, its sockets and its children. */
#pragma once

#include "base/list.h"
#include "base/options.h"
#include "ipc/leash.h"
#include "ipc/role.h"
#include "ipc/spec.h"

struct master;

/* The data folder: one server at a time, created with everything in it. Descriptors are O_PATH or
 * read-only; -1 when not open. */
struct master_data {
    char *path;                              /* absolute */
    int lock, folder, images, routes, spool; /* images: that of this engine */
    int signing, secrets, node;              /* keys: opened, never read here */
};
enum err_code master_data_open(struct master_data *d, const char *path, struct err *e) MUST_CHECK;
void master_data_close(struct master_data *d);

/* Opens the file of the option `policy`; *ret_fd is -1 without one. */
enum err_code master_open_policy(const struct options *o, int *ret_fd, struct err *e) MUST_CHECK;

/* Listening sockets. `count` of them on one address (SO_REUSEPORT shares the connections out); port
 * 0 is replaced in *address, which is the option's text "host:port". */
enum err_code master_listen(struct options *o, enum option_id address, int count, int *ret_fds,
                            struct err *e) MUST_CHECK;

/* $XDG_STATE_HOME/wasmcloud/local.json, by which the same user's command line finds us. */
void master_local_write(const struct master *m);
void master_local_remove(const struct master *m);

enum child_kind {
    CHILD_CONTROL,
    CHILD_PLATFORM,
    CHILD_EDGE,
    CHILD_EGRESS,
    CHILD_EXEC,
    CHILD_COMPILE
};

/* A process that we started. Freed when it has ended and been waited for. */
struct child {
    struct list node; /* of master.children */
    struct master *master;
    enum child_kind kind;
    pid_t pid;
    struct loop_io end; /* its pidfd: readable when it has ended */
    struct leash leash;
    bool ready;
    bool killed; /* by us: its end is no surprise */
    uint64_t started_us, beat_us;

    struct slot *slot;   /* CONTROL, PLATFORM, EDGE, EGRESS */
    struct child *owner; /* of EXEC the edge that got it, NULL while blank; of COMPILE control */

    /* EXEC */
    uint32_t number;
    enum engine_kind engine;
    uid_t user; /* its own; 0: that of master */
    int frames, egress; /* while blank: the other ends of its sockets */
    struct loop_io log;

    uint64_t cookie;            /* COMPILE: control's */
    struct loop_timer deadline; /* then it is killed: of COMPILE, and of what closed its leash */
};

/* A place for a role that has to be there always. */
struct slot {
    struct master *master;
    enum child_kind kind;
    int index;  /* of an edge */
    int listen; /* of edges: stays open while the role is restarted */
    struct child *child;
    unsigned failures; /* ends in a row without a good life between them */
    struct loop_timer retry;
};

struct master {
    struct loop *loop;
    struct options *options;
    const struct master_source *source;
    struct options read; /* as they were last read, before master filled anything in */
    char **flags; /* of every role */
    struct master_data data;
    char platform_url[256], functions_url[256], token_file[4096];

    struct slot control, platform, egress, *edges;
    int policy; /* the operator's policy, for egress; -1: there is none */
    int edge_count;
    struct list children;

    struct list wants; /* struct want: edges waiting for an exec */
    uint32_t exec_number;
    unsigned exec_failures;
    struct loop_timer exec_retry;
    bool exec_seen;     /* one has been ready, or none is kept */
    bool fences_hold;   /* one has been ready: all required fences are there */
    uint32_t next_user; /* of the range of execs */
    bool own_users;     /* each exec becomes a user of its own */

    struct list jobs; /* struct job: modules waiting for a compile process */
    int compiling;

    struct loop_timer check;
    struct loop_io signals;
    int ready_fd;   /* -1: nobody waits */
    bool announced; /* the ready line is out */
    enum { MASTER_RUNS, MASTER_DRAINS_EDGES, MASTER_DRAINS_EGRESS, MASTER_DRAINS_CONTROL } phase;
    struct loop_timer drain_deadline;
    int status; /* exit status */
};

/* Starts a process of this kind with what `start` says (leash, words and common options are
 * added here) and watches it; NULL after a line in the log. */
struct child *child_start(struct master *m, enum child_kind kind, const char *word,
                          struct role_start *start);
void child_kill(struct child *c);
/* Stops serving: everything ends, `wasmcloud serve` exits with this status. */
void master_fail(struct master *m, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same, for a required fence that is missing. */
void master_no_fence(struct master *m, const char *what);
/* How long to wait before the next start after so many failures in a row, in microseconds. */
uint64_t master_back_off(unsigned failures);

/* The pool of blank execs (master_exec.c). */
void execs_init(struct master *m);
void execs_refill(struct master *m);
void exec_want(struct child *edge, uint64_t cookie, uint32_t kind);
void exec_kill(struct child *edge, uint32_t number);
void exec_ready(struct child *c);
void exec_ended(struct child *c, int status);
void execs_orphaned(struct child *edge); /* the edge has ended */

/* Compile jobs (master_compile.c). */
void compile_init(struct master *m);
void compile_want(struct child *control, const struct leash_msg *msg, const int *fds, int n);
void compile_ended(struct child *c, int status);
void compile_orphaned(struct master *m); /* control has ended */

/* Where the options come from, to be read again at SIGHUP. */
struct master_source {
    enum err_code (*read)(void *arg, struct options *o, struct err *e);
    void *arg;
};

/* Runs the server; the exit status of `serve`. `options` are finished; takes nothing over. */
int master_run(struct options *options, const struct master_source *source);
