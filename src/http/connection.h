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

#include "http/server.h"

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
    HTTP_OUT_MOST = 1 << 20,  /* bytes of answer waiting for a client; credit keeps it far below */
    HTTP_PIPELINE = 64 << 10, /* bytes read ahead while a request runs */
};

struct http_conn {
    struct http_server *server;
    void *owner;                /* the edge's; NULL when no request is in progress */
    struct http_address client; /* behind trusted proxies: who they say it is */
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
    size_t scanned;                 /* of `in`: http_head_end's */
    uint64_t since_us;              /* begin of what the state's deadline measures */
    uint64_t out_us;                /* the client last took something, while `out` isn't empty */
    uint64_t body_us, body_open_us; /* time the window was open; when it last opened */
    uint64_t body_bytes;
    size_t window;
    uint32_t requests;
    uint8_t empty_lines;
    bool fresh;  /* a PROXY header may come */
    bool eof;    /* the client sent its end */
    bool close;  /* after this answer */
    bool expect; /* 100 Continue is owed */
    /* the answer */
    int status;
    bool chunked, bodiless;
    bool declared;
    uint64_t length; /* declared */
    uint64_t sent;   /* bytes of body composed */
    size_t gap_at;   /* in `out`, from its start: where the framing goes */
    uint64_t linger_bytes;
};

/* The owner takes `n` more bytes of the body. */
void http_window(struct http_conn *c, size_t n);
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

/* For http/server.c. The socket is the connection's if this succeeds. */
enum err_code http_conn_open(struct http_server *s, int fd, const struct http_address *peer,
                             bool trusted, struct err *e) MUST_CHECK;
/* Sends what was composed, goes on with what has waited for that. */
void http_conn_flush(struct http_conn *c);
/* Closes it if it is idle, else after its answer. */
void http_conn_drain(struct http_conn *c);
