/* What the files of egress share.
 *
 *   egress.c    the whole: projects, and what is freed when it was idle
 *   edge.c      edges: POLICY, JOIN and FORGET; versions
 *   member.c    an exec's socket: OPEN, REQUEST, BODY, CREDIT and CANCEL; decisions
 *   transfer.c  one request from its place in the queue to FINISHED: resolving, deadlines, bytes
 *   http.c      how libcurl makes it          multi.c   libcurl on the loop
 *   gemini.c    how TLS and a line make it
 *   head.c address.c resolve.c trust.c pins.c  know nothing of these */
#pragma once

#include "egress/egress.h"
#include "egress/head.h"
#include "egress/pins.h"
#include "egress/resolve.h"
#include "egress/trust.h"

#include "base/map.h"
#include "ipc/channel.h"
#include "ipc/exchange.h"

enum {
    EDGES_MOST = 1024,
    MEMBERS_MOST = 4096,    /* execs of one edge */
    VERSIONS_MOST = 4096,   /* of one exec */
    EXCHANGES_MOST = 4096,  /* of one exec, open at once */
    WAITING_MOST = 256,     /* … of them, for their version's policy */
    TRANSFERS_MOST = 1024,  /* of one exec, under way or in the queue */
    RUNS_KEPT = 1024,       /* of one exec: runs with nothing open whose sums are remembered */
    SPARES_MOST = 64,       /* transfers of a project kept for reuse */
    SPARE_BYTES = 16 << 10, /* … with buffers of this at most */
    CONNECTIONS_KEPT = 64,  /* idle ones of a project */
    FIELDS_MOST = 256,      /* header fields of a request */
    GRANT = 16 << 10,       /* CREDIT is given in steps of this */
    CREDIT_MOST = 16 << 20, /* more than that is never outstanding */
    METHOD_MOST = 32,
    ORIGIN_MOST = 300, /* scheme://authority/: a host has 255 bytes at most */
};

struct member;

struct egress {
    struct egress_config config;
    struct loop *loop;
    const struct curl_api *curl;
    struct resolver *resolver;
    struct trust *trust;
    struct map projects; /* struct project by id */
    struct list edges, members;
    unsigned edge_count;
    unsigned joined; /* members with a socket */
    struct loop_timer sweep;
    struct pins pins; /* of gemini servers */
};

/* ---- egress.c ---- */

/* A project: its connections are its own. Lives while it has members, and a while longer. */
struct project {
    struct uuid id;
    struct egress *egress;
    unsigned members;
    unsigned running;   /* transfers that have a place */
    unsigned lookups;   /* names being resolved, abandoned ones too */
    struct list queue;  /* transfers that wait for a place */
    struct list spares; /* transfers without an exchange; their handles keep TLS sessions */
    unsigned spare_count;
    uint64_t rate_us;       /* when the bucket of opens is full again */
    uint64_t idle_us;       /* since when nothing ran; 0: something does */
    struct loop_task admit; /* looks at the queue */
    CURLM *multi;           /* NULL while idle */
    struct list resting;    /* sockets of kept connections that nothing is under way on */
    struct loop_timer timer;
};

struct project *project_get(struct egress *g, struct uuid id); /* NULL: no memory */
/* Looks for what is idle in a while. */
void egress_sweep_later(struct egress *g);

/* ---- edge.c ---- */

struct edge {
    struct list node;
    struct egress *egress;
    struct channel channel;
    struct map members; /* by number */
    unsigned member_count;
    int fd; /* came with the frame that is being read; -1: none */
};

void edge_free(struct edge *edge);
void edge_forget_member(struct edge *edge, struct member *m);

/* A version as its exec's edge told it. */
struct version {
    struct uuid id, function;
    struct limits limits;
    struct policy *policy; /* NULL: the empty one */
    unsigned refs;
};
void version_unref(struct version *v);

/* One exec: known by its number from the first POLICY on, joined once its socket came. */
struct member {
    struct list node; /* of egress->members */
    uint64_t number;  /* among its edge's execs */
    struct egress *egress;
    struct edge *edge; /* NULL: gone */
    uint64_t since_us;
    struct buf pieces; /* of a POLICY */
    struct map versions, exchanges, runs;
    unsigned version_count, exchange_count, waiting_count, transfer_count, idle_runs;
    struct list runs_by_age; /* those with nothing open, oldest first */
    struct list waiting;     /* exchanges whose version is not known yet */
    struct project *project; /* set when joined */
    struct channel channel;
};

/* ---- member.c ---- */

/* Bytes of all opens of one run. */
struct run {
    struct uuid id;
    struct list node;
    unsigned open;
    uint64_t bytes;
};

struct exchange {
    uint64_t id;
    struct member *member;
    struct list node; /* in member->waiting */
    struct loop_timer timer;
    struct version *version; /* NULL while it waits */
    struct uuid version_id;
    struct run *run;
    struct transfer *transfer; /* NULL: no request is under way */
    uint64_t bytes;            /* of all its requests */
    char scheme[10];           /* "" until the OPEN is allowed */
    struct buf url;            /* while it waits */
};

/* The socket of an exec: JOIN. Takes it. */
enum err_code member_join(struct member *m, struct project *p, int fd, struct err *e) MUST_CHECK;
/* Frees everything of it; its exchanges end without a word. */
void member_free(struct member *m);
/* A version is known now: OPENs that waited for it go on. */
void member_version(struct member *m, struct version *v);

/* Sends VERDICT or FINISHED. */
void exchange_say(struct exchange *x, enum frame_type type, const struct exchange_end *end,
                  const char *text);

/* ---- transfer.c ---- */

enum phase {
    PHASE_QUEUED, /* the project has as many as it may */
    PHASE_RESOLVING,
    PHASE_CONNECTING, /* libcurl has it from here on */
    PHASE_SENDING,    /* connected; the request's body is not complete */
    PHASE_WAITING,    /* for the answer's first byte */
    PHASE_READING,
    PHASE_DRAINING, /* complete; the exec has not granted the rest yet */
};

/* One request and its answer. */
struct transfer {
    struct list node; /* in the project's queue or spares */
    struct project *project;
    struct exchange *x;
    enum phase phase;
    struct loop_timer timer;
    uint64_t phase_us, total_us; /* deadlines; 0: none */
    uint64_t connect_us;         /* deadline of all attempts to connect */
    uint64_t began_us;           /* real time */

    /* the request */
    struct url url;
    char method[METHOD_MOST + 1];
    enum exchange_body body_kind;
    uint64_t body_length;
    struct buf fields; /* `Name: value\0`, as libcurl wants them */
    unsigned field_count;
    bool has_agent;

    /* where to */
    struct resolve lookup;
    struct http_address addresses[RESOLVE_MOST]; /* all passed */
    unsigned address_count, address_at;

    /* its bytes */
    struct buf body;         /* of the request: came, not yet sent */
    bool body_last;          /* no more comes */
    bool complete;           /* the answer is, before the request was: the rest of it is not sent */
    uint32_t may_send, owed; /* what the exec may send us; what it will be granted */
    uint64_t body_came;
    bool placed;     /* counts as running */
    struct buf rest; /* of the answer: came, not yet granted */
    uint32_t granted;
    uint64_t sent, received;
    struct head head;
    struct err why; /* set by a callback that ended it */

    /* http.c and gemini.c */
    CURL *easy;
    bool added; /* the multi handle has it */
    int paused; /* CURLPAUSE_ bits */
    char origin[ORIGIN_MOST];
    char connect_to[ADDRESS_TEXT + 16];
    struct curl_slist connect_node;
    struct curl_slist field_nodes[FIELDS_MOST + 8];
    char error[CURL_ERROR_SIZE];
    struct gemini *gemini;
};

void transfer_init(struct project *p); /* its part of a new project */
/* A transfer for this exchange; the caller fills in the request. NULL: no memory. */
struct transfer *transfer_new(struct exchange *x);
/* Puts it in the project's queue and starts it when there is a place. */
void transfer_start(struct transfer *t);
/* The exec sends bytes, or no more; false if it broke the rules. */
bool transfer_body(struct transfer *t, struct slice bytes, bool last);
bool transfer_credit(struct transfer *t, uint32_t n);
/* The exec has closed the descriptor, or is gone: nothing is said. */
void transfer_cancel(struct transfer *t);
/* Makes it a spare one, or drops it. */
void transfer_free(struct transfer *t);
void transfer_drop(struct transfer *t);

/* For http.c and gemini.c. */
/* Connected: the request is on its way. */
void transfer_connected(struct transfer *t);
/* All of the request was sent. */
void transfer_sent(struct transfer *t);
/* Counts bytes against the limits of open and run; false: t->why says which is passed. */
bool transfer_count(struct transfer *t, uint64_t sent, uint64_t received);
/* The head, whole, goes to the exec. */
void transfer_answer(struct transfer *t, struct slice head);
/* Bytes of the body; they go out as far as granted. False: no memory for the others. */
bool transfer_output(struct transfer *t, struct slice bytes);
/* All of the answer is here: a request whose body is still coming ends (at this turn's end). */
void transfer_complete(struct transfer *t);
/* Bytes of the request's body, taken out; 0: none are there now. */
size_t transfer_take(struct transfer *t, char *out, size_t most);
/* The connection could not be made: tries the next address. */
void transfer_unconnected(struct transfer *t, const char *why);
/* Over: FINISHED, once all is granted. */
void transfer_finish(struct transfer *t, enum err_code code, const char *text);
static inline const struct http_address *transfer_address(const struct transfer *t)
{
    return &t->addresses[t->address_at];
}

/* ---- multi.c, http.c, gemini.c ---- */

enum err_code multi_open(struct project *p, struct err *e) MUST_CHECK;
void multi_close(struct project *p);
/* Gives it to libcurl. */
enum err_code multi_add(struct transfer *t, struct err *e) MUST_CHECK;
void multi_remove(struct transfer *t);
/* The socket of a connection that is not for libcurl's own requests: no longer in the loop. */
void multi_forget_socket(struct project *p, curl_socket_t fd);
/* libcurl's callback for closing a socket; `arg` is the project. */
int multi_close_socket(void *arg, curl_socket_t fd);

/* Begins with the address of the moment. */
enum err_code http_begin(struct transfer *t, struct err *e) MUST_CHECK;
/* libcurl is done with it. */
void http_done(struct transfer *t, CURLcode result);
/* Body or credit came, and may let it go on. */
void http_resume(struct transfer *t);

enum err_code gemini_begin(struct transfer *t, struct err *e) MUST_CHECK;
void gemini_done(struct transfer *t, CURLcode result);
void gemini_resume(struct transfer *t);
/* Forgets the connection; also before another address is tried. */
void gemini_end(struct transfer *t);

/* libcurl's callbacks for opening a socket and before a request goes out: both make sure that the
 * address is the one that was judged. */
void checked_options(struct transfer *t);
