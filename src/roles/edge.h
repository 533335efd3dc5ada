/* The edge: HTTP from the world on one side, frames on the other.
 *
 * A functions edge finds the function a request names, hands the request to
 * the exec process of its project, and turns what the guest prints into the
 * answer. The platform edge does the same with control behind it. This header
 * is shared by the files of the edge only:
 *
 *   edge.c            start, leash, drain
 *   edge_site.c       host and path → function name
 *   edge_begin.c      a request → the payload of its BEGIN
 *   edge_routes.c     the route table
 *   edge_functions.c  requests of the world, the cache of routes
 *   edge_preview.c    who may see a version before it is promoted
 *   edge_queue.c      who may run now: concurrency and the queues
 *   edge_run.c        one invocation from its request to its receipt
 *   edge_receipt.c    counters, receipts, logs
 *   edge_capture.c    which runs are captured, and their tapes
 *   edge_exec.c       exec processes, one a project
 *   edge_egress.c     how execs reach egress
 *   edge_answer.c     a program's output → an answer
 *   edge_control.c    the channel to control: injected runs
 *   edge_platform.c   the platform edge
 *
 * Everything belongs to one loop; nothing is locked. */
#pragma once

#include "base/options.h"
#include "cgi/head.h"
#include "http/problem.h"
#include "ipc/channel.h"
#include "ipc/leash.h"
#include "ipc/ledger.h"
#include "route/route.h"
#include "spool/spool.h"

enum {
    EDGE_RUNS = 16384,             /* runs and waiting requests at once */
    EDGE_FUNCTIONS = 4096,         /* functions remembered; the idle ones longest unused go first */
    EDGE_EXEC_WAIT_US = 10000000,  /* for an exec of the project */
    EDGE_IMAGE_WAIT_US = 60000000, /* for an image that control compiles anew */
    EDGE_IMAGE_RETRY_US = 250000,
    EDGE_IMAGE_TELL_US = 2000000, /* control, again: what it lacked may have been uploaded */
    EDGE_CANCEL_US = 1000000,     /* from CANCEL to END; then the exec is killed */
    EDGE_BODY_EARLY = 64 << 10,   /* of a body: enough to start when places are scarce */
    EDGE_NUDGE_US = 500000,       /* from a spooled record to SPOOLED */
    EDGE_EXEC_SLOTS = 64,         /* versions loaded into one exec at most */
    EDGE_EXEC_IMAGES = 16,        /* … kept loaded when idle */
    EDGE_LOG_PLATFORM = 2,        /* source of the platform's own words in a log (spool_log) */
};

/* What is said of a run whose request's body grows over its limit. */
#define EDGE_BODY_OVER "the body is over the limit `request-body`"

/* A row of the route table, counted: its cache and the runs that use it hold it. */
struct edge_route {
    uint32_t refs;
    struct route_row row;
};

struct edge_project {
    struct uuid id; /* its key */
    struct edge *edge;
    struct edge_exec *exec[ENGINE_KINDS]; /* takes new runs; NULL: ask for one */
    uint32_t active;                      /* runs that hold a place */
    struct list waiting;                  /* functions with requests in their queue, in turn */
    uint32_t functions;                   /* that point here */
};

struct edge_function {
    char name[ROUTE_KEY_NAME + 1]; /* its key: as that of its row */
    struct edge_project *project;
    struct edge_route *route; /* NULL: read it */
    uint64_t generation;      /* of the table when `route` was read */
    struct spool_sums *sums;
    uint32_t active;       /* runs that hold a place */
    uint32_t queued, runs; /* requests in `queue`; runs that point here */
    struct list queue;
    struct list node;    /* of the edge's functions, longest unused first */
    struct list waiting; /* of the project's */
    uint64_t second;     /* receipts of successes in this second */
    uint32_t receipts;
    uint64_t capture_second; /* runs captured in this second */
    uint32_t captures;
};

/* A program's output on its way into an answer. */
struct edge_answer {
    struct http_conn *conn; /* NULL: nobody listens (any more) */
    struct cgi_head head;
    const char *run; /* for Wasmcloud-Run; NULL on the platform */
    bool text;       /* response: text */
    bool members;    /* only for who may see it: nothing that others share may keep it */
    bool ready;      /* the head is complete */
    bool begun;      /* and was handed to the connection */
    bool surplus;    /* more body than its Content-Length */
    uint64_t body;   /* bytes */
    int status;      /* what the client was told; 0: nothing */
};

enum run_state {
    RUN_FREE,
    RUN_NEW,    /* made, not admitted yet */
    RUN_GATHER, /* places are scarce: its body comes first */
    RUN_QUEUED, /* in its function's queue */
    RUN_EXEC,   /* holds a place, waits for an exec */
    RUN_IMAGE,  /* … for its image */
    RUN_HEAD,   /* runs; its head isn't complete */
    RUN_BODY,   /* runs; its head is out */
    RUN_CANCEL, /* was told to end; END is awaited */
    RUN_STATES
};

struct edge_run {
    uint64_t id; /* index into edge.runs in the low 16 bits, a serial above */
    enum run_state state;
    struct edge *edge;
    struct edge_function *function;
    struct edge_route *route;
    const struct route_version *version; /* of `route` */
    struct edge_exec *exec;
    uint32_t slot;
    struct list node; /* of the queue, of exec.waiting, of exec.runs, or of edge.missing */
    struct loop_timer timer;
    uint64_t deadline_us;

    struct edge_answer answer;
    bool injected; /* control is the client */
    uint64_t inject_id;
    struct list inject_node;

    struct buf begin, body; /* what waits for an exec, or is kept until its image is sure */
    bool body_last;         /* the body is complete */
    uint64_t body_limit;
    uint32_t credit;     /* bytes of body the exec still takes */
    uint32_t owed;       /* bytes of output not yet granted anew */
    uint32_t out_credit; /* bytes of output the exec may still send */
    bool awaiting;       /* the wall clock stands: the client's body is awaited */
    uint64_t wall_left_us;
    uint64_t image_until_us, image_told_us;
    uint64_t head_us, output_us;
    struct buf capture; /* its tape, as it comes before its END */
    bool capturing;     /* one is expected */
    bool captured;      /* it is here */
    bool capture_whole; /* nothing was cut from it */
    uint64_t log_lines;
    uint32_t log_unkept; /* of the program's lines: the spool had no room */
    enum err_code cause; /* why we ended it; ERR_OK: it ends by itself */
    char text[UUID_TEXT + 1];
    char script[ROUTE_KEY_NAME + 2]; /* SCRIPT_NAME: "" or "/NAME" */
    char detail[512];            /* for the receipt, the log and the page */
    struct spool_receipt receipt;
};

struct edge_slot {
    struct uuid id;                      /* the version's: with its revision what a run looks for */
    struct edge_route *route;            /* NULL: the slot is free */
    const struct route_version *version; /* of `route` */
    bool sure;                           /* its image was there */
    bool outdated;                       /* the version was loaded again with newer secrets */
    uint32_t running;
    uint64_t used_us;
};

struct edge_exec {
    struct edge *edge;
    struct edge_project *project; /* NULL once it takes no new runs */
    struct uuid project_id;
    enum engine_kind kind;
    struct channel channel;
    uint64_t cookie; /* of the wish to master */
    uint32_t number; /* master's */
    bool bound;
    char worker[UUID_TEXT + 1];
    struct list node;    /* of edge.execs */
    struct list waiting; /* runs in RUN_EXEC */
    struct list runs;    /* runs with a BEGIN and no END */
    struct edge_slot slots[EDGE_EXEC_SLOTS];
    uint64_t born_us, idle_us, begun;
    uint64_t memory;
    uint64_t taping; /* id of the run whose tape came last; 0: none came */
    struct loop_timer timer;
    struct loop_io standard_error;
    int egress;   /* egress's end of its socket; -1: handed on */
    bool reaches; /* its guests have opened something remote */
    bool joined;  /* to the egress that there is */
};

struct edge {
    struct loop *loop;
    struct leash leash;
    struct options options;
    struct http_server http;
    const char *name; /* "0" … or "platform" */
    bool platform;
    bool draining;
    struct channel control, egress;
    bool has_control, has_egress;

    /* functions edge */
    struct route_table *routes; /* NULL: there is none that can be read */
    uint8_t node_key[ROUTE_KEY_BYTES];
    uint64_t damaged_us; /* when control was told last that the table is damaged */
    struct spool *spool;
    uint64_t generation, generation_us; /* of the table; when it was looked at */
    struct map functions, projects;
    struct list functions_used; /* longest unused first */
    uint32_t function_count;
    struct list execs;
    uint32_t exec_count; /* of those */
    uint64_t exec_serial;
    struct edge_run **runs; /* by index; grows to EDGE_RUNS */
    uint32_t run_count, run_most;
    struct edge_run **free_runs;
    uint32_t free_count;
    uint64_t run_serial;
    struct list missing; /* runs in RUN_IMAGE */
    struct loop_timer missing_timer;
    struct list injected;
    struct buf injecting; /* pieces of an INJECT that has more */
    struct loop_timer nudge;
    struct edge_platform *front; /* platform edge */
    char *scratch;               /* a BEGIN's payload in the making: FRAME_MOST bytes */
};

/* edge_begin.c */
/* Slot 0 and the meta-variables, in e->scratch: valid until the next call. ERR_HEADERS_TOO_LARGE or
 * ERR_BAD_REQUEST, and then *err says why. */
enum err_code edge_begin(struct edge *e, const struct http_conn *c, const struct http_request *q,
                         struct slice script, struct slice path, struct slice run,
                         struct slice worker, struct slice *ret_begin, struct err *err) MUST_CHECK;

/* edge_site.c */
enum site { SITE_FUNCTION, SITE_LOCALHOST, SITE_NONE };
/* What host and path name. FUNCTION: *ret_name, *ret_preview (the version's number of NUMBER--NAME,
 * else 0), and *ret_script and *ret_path split the path.
 * LOCALHOST: the request belongs on http://localhost:PORT. All slices borrow. */
enum site site_find(struct slice host, struct slice path, struct slice domain,
                    struct slice *ret_name, uint32_t *ret_preview, struct slice *ret_script,
                    struct slice *ret_path);

/* edge_functions.c */
extern const struct http_ops edge_functions_ops;
/* The function of this name, made if needed; NULL without memory. */
struct edge_function *edge_function_get(struct edge *e, struct slice name);
/* Ties it to a project, once known. */
bool edge_function_bind(struct edge_function *f, struct edge *e, struct uuid project,
                        struct uuid id);
void edge_route_unref(struct edge_route *r);
/* Frees a project that no function and no exec needs any more. */
void edge_project_drop(struct edge_project *p);
void edge_functions_done(struct edge *e);

/* A page that names the cause. */
void edge_refuse(struct http_conn *c, enum err_code cause, const char *detail);

/* edge_preview.c */
/* Answers what is the platform's below a function's address; false: it is the function's. */
bool edge_wellknown(struct http_conn *c, struct slice path);

/* May it go on to the version of this preview's row? Then what only we may see is out of *q;
 * `cookies` (empty) holds what its fields point to. false: answered. */
bool edge_preview_admit(struct edge *e, struct http_conn *c, struct http_request *q,
                        const struct edge_route *route, struct slice script, struct buf *cookies);

/* edge_queue.c */
/* A new run, or one that gathered its body: starts it, queues it, lets it gather, or ends it as
 * busy. `begin` is its BEGIN's payload, kept only if it has to wait. */
void edge_queue_admit(struct edge_run *r, struct slice begin);
/* A run gives its place back. */
void edge_queue_release(struct edge_run *r);

/* edge_run.c */
struct edge_run *edge_run_new(struct edge *e, struct edge_function *f, struct edge_route *route,
                              const struct route_version *v); /* NULL: too many */
struct edge_run *edge_run_find(struct edge *e, uint64_t id);
void edge_run_state(struct edge_run *r, enum run_state next);
void edge_run_deadline(struct edge_run *r, uint64_t at_us);
/* `exec` is there: LOAD if needed, BEGIN, and the body so far. `begin` is the payload, whose slot
 * and WORKER_ID are filled in here. */
void edge_run_start(struct edge_run *r, struct edge_exec *x, struct slice begin);
/* Holds a place: starts it or waits for an exec. */
void edge_run_place(struct edge_run *r, struct slice begin);
/* Keeps the payload for later. false: no memory, the run has ended. */
bool edge_run_keep(struct edge_run *r, struct slice begin);
void edge_run_body(struct edge_run *r, struct slice bytes);
void edge_run_body_end(struct edge_run *r);
void edge_run_output(struct edge_run *r, struct slice bytes);
void edge_run_credit(struct edge_run *r, uint32_t n);
void edge_run_drained(struct edge_run *r);
/* The exec says that it has ended. */
void edge_run_ended(struct edge_run *r, struct ledger *l);
/* Ends it for this cause: answers now, tells the exec. */
void edge_run_cancel(struct edge_run *r, enum err_code cause, const char *detail);
/* Ends it for this cause without an exec to tell. */
void edge_run_fail(struct edge_run *r, enum err_code cause, const char *detail);
/* Its image isn't there: waits for control to compile it. */
void edge_run_missing(struct edge_run *r);
void edge_run_retry_missing(struct edge *e);
void edge_runs_done(struct edge *e);

/* edge_receipt.c */
/* A line of the run's log; level and source are the spool's numbers. */
void edge_receipt_log(struct edge_run *r, uint8_t level, uint8_t source, struct slice line);
/* Counts the run and keeps its receipt, if it is to be kept; r->receipt is filled. Lines that the
 * spool had no room for become lost ones in *l. */
void edge_receipt_keep(struct edge_run *r, struct ledger *l);

/* edge_capture.c */
/* Its BEGIN is about to go: is it captured? */
bool edge_capture_begin(struct edge_run *r);
/* A piece of its tape. false: it may not come. */
bool edge_capture_take(struct edge_run *r, uint16_t flags, struct slice bytes) MUST_CHECK;
/* Its receipt is filled: spools the tape if it is to be kept. Was it? */
bool edge_capture_keep(struct edge_run *r);

/* edge_exec.c */
/* NULL: no memory. */
struct edge_exec *edge_exec_want(struct edge_project *p, enum engine_kind kind);
/* The slot of this version of `route`, loading it if needed; UINT32_MAX: all are taken. */
uint32_t edge_exec_slot(struct edge_exec *x, struct edge_route *route,
                        const struct route_version *v);
/* A run in the slot has ended. */
void edge_exec_slot_rest(struct edge_exec *x, uint32_t slot);
void edge_exec_given(struct edge *e, uint64_t cookie, uint32_t number, const int *fds, int n);
void edge_exec_refused(struct edge *e, uint64_t cookie, const char *why);
void edge_exec_ended(struct edge *e, uint32_t number, int status);
/* A run on it has ended. */
void edge_exec_rest(struct edge_exec *x);
/* No new runs; ends with its last: at once if it has none. */
void edge_exec_retire(struct edge_exec *x, const char *why);
void edge_execs_done(struct edge *e);

/* edge_egress.c */
/* Takes the channel to a new egress. */
enum err_code edge_egress_set(struct edge *e, int fd, struct err *err) MUST_CHECK;
/* Its guests open something remote for the first time. */
void edge_egress_reach(struct edge_exec *x);
/* It is about to load or unload this. */
void edge_egress_load(struct edge_exec *x, const struct edge_slot *s);
void edge_egress_unload(struct edge_exec *x, const struct edge_slot *s);
void edge_egress_done(struct edge *e);

/* edge_answer.c */
void edge_answer_begin(struct edge_answer *a, struct http_conn *conn, const struct limits *limits,
                       struct slice script, const char *run, bool text, bool trusted);
/* Feeds output. ERR_BAD_CGI: nothing was answered yet. */
enum err_code edge_answer_output(struct edge_answer *a, struct slice bytes);
/* The program ended by itself: completes the answer. ERR_BAD_CGI: it wasn't one; if nothing was
 * answered yet (!a->begun) the caller does. */
enum err_code edge_answer_end(struct edge_answer *a, struct slice late);
/* It ended for this cause: a page, or the cut of what was begun. */
void edge_answer_fail(struct edge_answer *a, enum err_code cause, const char *detail);

/* edge_routes.c */
/* Opens the table if it isn't open or has been replaced. */
void edge_routes_look(struct edge *e);
/* Looks at the table's generation, once a turn. */
void edge_routes_check(struct edge *e);
enum err_code edge_routes_get(struct edge *e, const char *name, struct route_row *ret_row,
                              struct err *err) MUST_CHECK;
void edge_routes_damaged(struct edge *e, const char *why);

/* edge_control.c */
enum err_code edge_control_set(struct edge *e, int fd, struct err *err) MUST_CHECK;
void edge_control_missing(struct edge *e, struct uuid version);
void edge_control_spooled(struct edge *e);
void edge_control_damaged(struct edge *e);
void edge_inject_done(struct edge_run *r, const struct ledger *l);
void edge_control_done(struct edge *e);

/* edge_platform.c */
extern const struct http_ops edge_platform_ops;
bool edge_platform_idle(const struct edge *e);
enum err_code edge_platform_init(struct edge *e, struct err *err) MUST_CHECK;
enum err_code edge_platform_control(struct edge *e, int fd, struct err *err) MUST_CHECK;
void edge_platform_done(struct edge *e);

/* edge.c */
/* Something was spooled: tells control soon. */
void edge_nudge(struct edge *e);
/* Runs wait for their image: looks for it again soon. */
void edge_watch_missing(struct edge *e);
/* Ends the loop if the edge drains and nothing is left to do. */
void edge_maybe_stop(struct edge *e);
