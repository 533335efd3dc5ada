/* Resources: everything a guest reads or writes is a descriptor of some scheme.
 *
 * One row of the table of schemes (resource.c) and one small file make a new
 * scheme. The standard streams are schemes too, only without a URL. */
#pragma once

#include "guest/guest.h"

/* Results of the operations: a count, or one of CWA's negative codes (guest-abi.md section 1). */
enum {
    RESOURCE_UNKNOWN = -1,
    RESOURCE_INVALID = -2,
    RESOURCE_DENIED = -3,
    RESOURCE_NOT_FOUND = -4,
    RESOURCE_END = -5,
    RESOURCE_WAIT = -100,  /* nothing done yet; guest.waits says what for */
    RESOURCE_FATAL = -101, /* the guest ends here: guest_fail() was called */
};

enum { RESOURCE_MOST = 65536 /* bytes one operation moves: the loop is not held up */ };

struct scheme {
    const char *name; /* before "://"; NULL for what has no URL */
    bool folder;      /* WASI's kind of descriptor that paths start from */
    bool remote;      /* beyond this machine: its bytes count as such */
    /* The policy allows `url`. 0 or a negative code, then it leaves nothing; NULL: always opens. It
     * may give the descriptor another scheme. */
    int32_t (*open)(struct guest *g, struct descriptor *d, const struct url *url);
    /* After open answered RESOURCE_WAIT: is it open now? If not, it is closed. */
    int32_t (*opened)(struct guest *g, struct descriptor *d);
    /* NULL: InvalidArgument. `n` is at most RESOURCE_MOST and not 0. */
    int32_t (*read)(struct guest *g, struct descriptor *d, void *p, uint32_t n);
    int32_t (*write)(struct guest *g, struct descriptor *d, const void *p, uint32_t n);
    int32_t (*flush)(struct guest *g, struct descriptor *d); /* NULL: 0 */
    void (*close)(struct guest *g, struct descriptor *d);    /* NULL: nothing to do */
    /* Would a read (or write) go on at once, with about how many bytes, or at its end? If not, what
     * it waits for is added to guest.waits. NULL: always. */
    bool (*ready)(struct guest *g, struct descriptor *d, bool to_write, uint64_t *ret_bytes,
                  bool *ret_end);
};

extern const struct scheme *const scheme_stdio[3];
extern const struct scheme scheme_root; /* WASI's folders (place.c) */
extern const struct scheme scheme_null, scheme_zero, scheme_random, scheme_log, scheme_fd;
extern const struct scheme scheme_http, scheme_https, scheme_gemini;

/* The name of the `n`th scheme that has URLs, from 0; NULL after the last. */
const char *resource_scheme(size_t n);

/* Opens a URL: its descriptor or a negative code, whose reason is in the log. After RESOURCE_WAIT
 * it is called again with the same URL and *progress, which is 0 at first. */
int32_t resource_open(struct guest *g, struct slice url, uint64_t *progress);

/* Moves up to `n` bytes; what there is, at least one, or RESOURCE_END, RESOURCE_WAIT … */
int32_t resource_read(struct guest *g, struct descriptor *d, void *p, uint64_t n);
/* Takes some of the bytes: how many, or a negative code. */
int32_t resource_write(struct guest *g, struct descriptor *d, const void *p, uint64_t n);
int32_t resource_flush(struct guest *g, struct descriptor *d);
/* As the operation of this name in struct scheme. */
bool resource_ready(struct guest *g, struct descriptor *d, bool to_write, uint64_t *ret_bytes,
                    bool *ret_end);

/* What a handler answers to the engine for the result of one of these; ENGINE_DONE: it is the
 * guest's. */
static inline enum engine_verdict resource_verdict(int32_t code)
{
    return code == RESOURCE_WAIT ? ENGINE_WAIT : code == RESOURCE_FATAL ? ENGINE_END : ENGINE_DONE;
}

/* For schemes */

/* A line for the function's log, from the platform. */
void resource_say(struct guest *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The policy forbids the normalised URL: says so in the log and the ledger. RESOURCE_FATAL, or
 * RESOURCE_DENIED if the policy wants that. */
int32_t resource_refuse(struct guest *g, struct slice url, bool by_operator, struct slice rule);
