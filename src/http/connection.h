/* Connections: HTTP/1.1 on a socket, one request at a time.
 *
 * A connection reads a head, hands the request to the edge that owns the
 * server, feeds it the body as far as the edge opened the window, and sends
 * the answer that the edge composes (http/response.h). Pipelined requests wait
 * in the input buffer until the answer before them has left. Everything that
 * one loop turn produced leaves in one send at its end.
 *
 *   IDLE ──▶ HEAD ──▶ BODY ──▶ RUN ──▶ FLUSH ──▶ IDLE
 *     └────────┴────────┴───────┴────────┴──▶ LINGER ──▶ CLOSED
 *
 * An idle connection holds no buffers: bytes are read into one scratch buffer
 * of the server, and only what has to wait is copied into a buffer borrowed
 * from its spares. Each connection has one timer, which is left alone when a
 * deadline moves to later and re-armed only when it fires.
 *
 * The two functions that touch the socket, receive() and transmit(), are where
 * TLS goes. */
#pragma once

#include "base/buf.h"
#include "base/map.h"
#include "http/address.h"
#include "http/request.h"
#include "loop/loop.h"

enum conn_state {
    CONN_IDLE,   /* no byte of a request yet */
    CONN_HEAD,   /* part of a head is in `in` */
    CONN_BODY,   /* the request is the owner's; its body isn't complete */
    CONN_RUN,    /* the body is complete, the answer isn't */
    CONN_FLUSH,  /* the answer is complete, its bytes are not all sent */
    CONN_LINGER, /* our end is shut; reading so that the client sees the answer */
    CONN_CLOSED, /* freed at the end of the turn */
    CONN_STATES
};

enum http_answer {
    ANSWER_NONE,
    ANSWER_FIELDS, /* the head is being written */
    ANSWER_HELD,   /* the head is complete but for the framing, which the turn's end decides */
    ANSWER_OPEN,   /* the head is sent, the body follows */
    ANSWER_DONE,
};

enum {
    HTTP_SCRATCH = 64 << 10,    /* bytes of one read */
    HTTP_OUT_MOST = 1 << 20,    /* bytes of answer waiting for a client; credit keeps it far below */
    HTTP_PIPELINE = 64 << 10,   /* bytes read ahead while a request runs */
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
    const char *contact; /* for error pages; may be "" */
    void (*on_empty)(struct http_server *s); /* draining, and the last connection is closed */
    void *owner;

    struct http_address address; /* what it listens on */
    uint16_t port;
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

struct http_conn {
    struct http_server *server;
    void *owner; /* the edge's; NULL when no request is in progress */
    struct http_address client; /* behind trusted proxies: who they say it is */
    uint16_t client_port;
    bool https;
    bool trusted;      /* the peer is a trusted proxy */
    bool accepts_html; /* of the request in progress */
    bool head_only;    /* it is a HEAD */
    uint8_t minor;

    /* private */
    struct loop_io io;
    struct loop_timer timer;
    struct list node, dirty;
    enum conn_state state;
    enum http_answer answer;
    struct http_parser parser;
    struct http_address socket_client; /* the socket's, or the PROXY header's */
    struct http_address peer;          /* the socket's */
    struct buf in, out;
    size_t scanned;     /* of `in`: http_head_end's */
    uint64_t since_us;  /* begin of what the state's deadline measures */
    uint64_t out_us;    /* the client last took something, while `out` isn't empty */
    uint64_t body_us, body_open_us; /* time the window was open; when it last opened */
    uint64_t body_bytes;
    size_t window;
    uint32_t requests;
    uint8_t empty_lines;
    bool fresh;         /* a PROXY header may come */
    bool eof;           /* the client sent its end */
    bool close;         /* after this answer */
    bool expect;        /* 100 Continue is owed */
    /* the answer */
    int status;
    bool chunked, bodiless;
    bool declared;
    uint64_t length;    /* declared */
    uint64_t sent;      /* bytes of body composed */
    size_t gap_at;      /* in `out`, from its start: where the framing goes */
    uint64_t linger_bytes;
};

/* Takes a non-blocking listening socket; set limits, ops, trusted, contact and owner first.
 * `shared`: other processes accept from it too. */
enum err_code http_server_init(struct http_server *s, struct loop *loop, int fd, bool shared,
                               struct err *e) MUST_CHECK;
/* No new connections; idle ones close, busy ones after their answer. */
void http_server_drain(struct http_server *s);
/* Closes everything. */
void http_server_done(struct http_server *s);

/* The owner takes `n` more bytes of the body. */
void http_window(struct http_conn *c, size_t n);
/* Is the body of the request in progress complete? */
static inline bool http_body_complete(const struct http_conn *c)
{
    return c->state != CONN_BODY;
}
/* Bytes of answer that the kernel hasn't taken. */
static inline size_t http_backlog(const struct http_conn *c)
{
    return buf_size(&c->out);
}

/* For http/response.c: something was composed, the turn's end sends it. */
void http_dirty(struct http_conn *c);
/* For http/response.c: the answer is complete. */
void http_answered(struct http_conn *c);
/* Closes at once; an owner that is still set hears on_gone. */
void http_fail(struct http_conn *c);
/* A buffer from the spares if `b` has none. */
void http_borrow(struct http_server *s, struct buf *b);
