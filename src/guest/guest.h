/* A guest: what one run of a program has, as seen by the host functions.
 *
 * All ABIs (cwa.c, dagger.c, wasi_*.c) work on the same descriptors, streams, log and
 * counters. Whatever leaves or enters the process goes through `struct
 * guest_host`, so that exec, `run` and the tests can each stand behind it. */
#pragma once

#include "base/err.h"
#include "base/host.h"
#include "base/limits.h"
#include "base/uuid.h"
#include "engine/call.h"
#include "guest/log.h"
#include "guest/uses.h"
#include "policy/policy.h"

struct guest;
struct scheme;
struct remotes;
struct bundle;
struct guest_tape;

/* What the owner of a guest does for it. None of these may run the guest. */
struct guest_host {
    /* Takes up to `n` bytes of standard output; returns how many, 0: none now. */
    size_t (*output)(struct guest *g, const void *p, size_t n);
    /* Gives up to `n` bytes of standard input; 0: none now, or with *ret_end set never again. */
    size_t (*input)(struct guest *g, void *p, size_t n, bool *ret_end);
    /* Bytes that input() would give at once; *ret_end as above. */
    size_t (*input_ready)(struct guest *g, bool *ret_end);
    bool (*output_ready)(struct guest *g);
    /* One line for the function's log, within the limits. */
    void (*log)(struct guest *g, enum guest_level level, enum guest_source source,
                struct slice line);
    /* Steps the guest again at this monotonic time, if it still waits for time then. */
    void (*wake_at)(struct guest *g, uint64_t mono_us);
};

/* Why a host call waits: a set. */
enum {
    GUEST_WAITS_INPUT = 1,
    GUEST_WAITS_OUTPUT = 2,
    GUEST_WAITS_TIME = 4,
    GUEST_WAITS_REMOTE = 8, /* egress's word on one of its exchanges */
};

enum {
    GUEST_DESCRIPTORS = 256, /* hard maximum of the limit */
    GUEST_ROOT = 3, /* descriptor of the folder "/", open from the start as 0, 1 and 2 are */
};

/* One place in a guest's table of descriptors. */
struct descriptor {
    const struct scheme *scheme; /* NULL: not open */
    void *state;                 /* the scheme's own */
    struct use *use;             /* counts its bytes; NULL: it has no URL, or no row was left */
    bool nonblocking;            /* WASI's flag */
};

/* NUL-terminated strings one after another: NAME, value, NAME, value … or arguments. */
struct strings {
    struct slice bytes;
    uint32_t count; /* strings; pairs have two each */
};

struct guest {
    /* Set by the owner before guest_begin() */
    const struct guest_host *host;
    const struct limits *limits;
    struct strings meta;         /* CGI meta-variables */
    struct strings env;          /* the function's own; never override a meta-variable */
    struct strings args;         /* argv[0] first */
    const struct policy *policy; /* of the version; NULL: the empty one */
    struct uuid version;
    struct remotes *remotes;     /* NULL: there is no egress; remote opens fail */
    const struct bundle *assets; /* what lies at "/"; NULL: nothing */
    struct guest_tape *tape;     /* records the run, or plays one (tape.h); NULL: neither */

    unsigned waits; /* set by a call that answered ENGINE_WAIT */
    /* Set when a handler answered ENGINE_END */
    enum err_code end_reason; /* ERR_OK: it asked to exit with end_status */
    int32_t end_status;
    char end_text[400];

    uint64_t bytes_in, bytes_out; /* of standard input and output */
    struct guest_log log;
    struct guest_uses uses;
    uint32_t remote_opens, remotes_open; /* outbound opens of the run; open ones */
    uint64_t calls[HOST_COUNT];
    unsigned top; /* descriptors from here on were never used in this run */
    struct descriptor descriptors[GUEST_DESCRIPTORS];
};

/* Prepares a zeroed or ended guest for a run: empty counters, the first four descriptors open. */
void guest_begin(struct guest *g);
/* Closes all descriptors; unfinished lines go to the log. Some memory is kept for the next run. */
void guest_end(struct guest *g);
/* Frees that memory too. */
void guest_done(struct guest *g);

/* Counts the strings; false if the last one does not end or (for pairs) one is missing. */
bool strings_read(struct slice bytes, bool pairs, struct strings *ret_strings);
/* The value of `name` among pairs; false if there is none. */
bool strings_find(const struct strings *pairs, struct slice name, struct slice *ret_value);

/* For handlers */

static inline struct guest *guest_of(struct engine_call *c)
{
    return c->owner;
}
static inline enum engine_verdict guest_return(struct engine_call *c, int64_t result)
{
    c->result = (uint64_t)result;
    return ENGINE_DONE;
}
/* The guest ends for this reason; the text (which may be NULL) is for its owner's eyes. */
enum engine_verdict guest_fail(struct guest *g, enum err_code reason, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The guest ends because it wants to. */
enum engine_verdict guest_exit(struct guest *g, int32_t status);

/* The open descriptor `fd`, or NULL. */
static inline struct descriptor *guest_descriptor(struct guest *g, uint32_t fd)
{
    return fd < g->top && g->descriptors[fd].scheme ? &g->descriptors[fd] : NULL;
}
/* A free place below the limit, not yet open; NULL if all are taken. *ret_fd is its number. */
struct descriptor *guest_place(struct guest *g, uint32_t *ret_fd);
/* Closes it. */
void guest_close(struct guest *g, struct descriptor *d);
