/* Servers: a listening socket and the connections that came from it.
 *
 * What connections share lies here: limits, the owner's callbacks, the scratch
 * buffer that every read goes into, spare buffers, the list of connections that
 * have something to send. At the end of a turn all of those are flushed and
 * closed ones freed. Connections of one address and in all are bounded. */
#pragma once

#include "base/buf.h"
#include "base/map.h"
#include "http/address.h"
#include "http/request.h"
#include "loop/loop.h"

#include <time.h>

enum {
    HTTP_SCRATCH = 64 << 10,    /* bytes of one read */
    HTTP_SPARES = 64,           /* buffers kept for reuse */
    HTTP_SPARE_MOST = 64 << 10, /* bytes of a buffer worth keeping */
};

struct http_conn;

struct http_ops {
    /* A request; `r` is valid during the call. Answer now or later; for a body open the window. */
    void (*on_request)(struct http_conn *c, const struct http_request *r);
    /* Bytes of the body, never more than the window. */
    void (*on_body)(struct http_conn *c, struct slice bytes);
    /* The body is complete. */
    void (*on_body_end)(struct http_conn *c);
    /* Everything composed so far was given to the kernel. */
    void (*on_drained)(struct http_conn *c);
    /* The connection ends before the answer is complete: forget it. */
    void (*on_gone)(struct http_conn *c);
};

struct http_server {
    struct loop *loop;
    const struct limits *limits;
    const struct http_ops *ops;
    struct cidr_list trusted;
    const char *contact;                     /* for error pages; may be "" */
    void (*on_empty)(struct http_server *s); /* draining, and the last connection is closed */
    void *owner;

    uint16_t port; /* what it listens on */
    /* private */
    struct loop_io listener;
    struct loop_task turn_end;
    struct list conns, dirty, dead;
    struct map peers; /* address → struct peer: connections of one address */
    size_t count, most;
    uint64_t refused, refused_logged_us;
    bool draining;
    time_t date_at;
    char date[30];
    struct buf spares[HTTP_SPARES];
    size_t spare_count;
    struct http_request request;
    char *scratch;
};

/* Takes a non-blocking listening socket; set limits, ops, trusted, contact and owner first.
 * `shared`: other processes accept from it too. */
enum err_code http_server_init(struct http_server *s, struct loop *loop, int fd, bool shared,
                               struct err *e) MUST_CHECK;
/* No new connections; idle ones close, busy ones after their answer. */
void http_server_drain(struct http_server *s);
/* Closes everything. */
void http_server_done(struct http_server *s);

/* For the other files of http/. */
/* A buffer from the spares if `b` has none; and back, or freed. */
void http_borrow(struct http_server *s, struct buf *b);
void http_give_back(struct http_server *s, struct buf *b);
/* A connection of this address has ended. */
void http_server_left(struct http_server *s, const struct http_address *peer);
