/* Names to addresses, on the event loop, by c-ares.
 *
 * Nothing is cached here and no search domain is tried: the name is asked for as the guest wrote
 * it. What comes back is not judged here; whoever asked does that and connects to one of these
 * addresses and to no other. */
#pragma once

#include "http/address.h"
#include "loop/loop.h"

enum {
    RESOLVE_MOST = 16,       /* addresses of an answer that are kept */
    RESOLVE_AT_ONCE = 1024,  /* questions in flight, of all projects */
    RESOLVE_PER_OWNER = 256, /* … of one */
};

struct resolver;

/* One question; embed it. */
struct resolve {
    /* The answer: `n` addresses, IPv4 first, or why there are none (ERR_NOT_FOUND: there is no such
     * name; ERR_UNREACHABLE: nobody could say; ERR_BUSY). May come before resolve_start() returns.
     */
    void (*on_resolved)(struct resolve *r, const struct http_address *addresses, unsigned n,
                        const struct err *why);
    struct query *query; /* private; NULL: nothing is asked */
};

/* `servers`: comma-separated "address:port", borrowed; NULL: those of /etc/resolv.conf, which is
 * read now, before the lock-down, and again when it has changed. */
enum err_code resolver_new(struct loop *loop, const char *servers, struct resolver **ret_resolver,
                           struct err *e) MUST_CHECK;
void resolver_free(struct resolver *r); /* no answer follows */

/* Asks. `in_flight` counts the questions of one owner, abandoned ones too, and must outlive them:
 * it is 0 when none is left. */
void resolve_start(struct resolver *r, struct resolve *q, const char *host, unsigned *in_flight);
/* Abandons it: on_resolved won't be called. The servers' answer is still waited for, some seconds
 * at most, and dropped. */
void resolve_cancel(struct resolve *q);
