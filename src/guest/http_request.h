/* Requests as guests write them: HTTP/1.x text, in any pieces, judged (RFC 9112).
 *
 * Programs print these by hand, so lines may end in a bare LF, and empty lines
 * before the request are skipped. Nothing of the text is ever passed on: what
 * comes out is a method, a target, a Host and fields, from which egress makes a
 * new request. Whatever two readers could understand differently is refused:
 * folded lines, two Hosts, two lengths, a length with chunks, space before a
 * colon. Fields that frame a message or belong to one connection are dropped. */
#pragma once

#include "ipc/exchange.h"

enum {
    GUEST_REQUEST_HEAD = 32 << 10, /* bytes of a head */
    GUEST_REQUEST_FIELDS = 200,    /* fields in it; egress takes some more */
    GUEST_REQUEST_METHOD = 32,     /* bytes of a method */
};

enum guest_request_state {
    GUEST_REQUEST_MORE,  /* its head is not there yet */
    GUEST_REQUEST_READY, /* it is, and judged */
    GUEST_REQUEST_BAD,   /* `why` says what is wrong */
};

struct guest_request {
    enum guest_request_state state;
    const char *why;
    /* once ready, until guest_request_init(); they point into `text` */
    struct slice method, target; /* absolute-form or origin-form */
    struct slice host;           /* p == NULL: no Host field, or an empty one */
    struct buf fields;           /* `Name\0value\0` each */
    enum exchange_body body;     /* BODY_NONE: the head says nothing about one */
    uint64_t length;             /* of BODY_LENGTH */
    /* private */
    struct buf text;
    size_t line; /* where the last line begins */
};

/* Begins a new one; the buffers of an earlier one are reused. Zeroed memory is fine. */
void guest_request_init(struct guest_request *r);
void guest_request_done(struct guest_request *r);

/* Feeds bytes to a request in state MORE; returns how many belonged to its head: all of them
 * unless it is READY afterwards. */
size_t guest_request_feed(struct guest_request *r, struct slice bytes);
/* Has none of it been written yet? */
static inline bool guest_request_empty(const struct guest_request *r)
{
    return r->state == GUEST_REQUEST_MORE && buf_size(&r->text) == 0;
}

/* The reader of a body that the guest sends in chunks (RFC 9112 7.1), strictly but for bare LFs:
 * no extensions, no trailer fields. Zeroed: at the beginning. */
struct guest_chunks {
    enum {
        CHUNK_SIZE,
        CHUNK_SIZE_LF,
        CHUNK_DATA,
        CHUNK_END,
        CHUNK_END_LF,
        CHUNK_LAST,
        CHUNK_LAST_LF,
        CHUNK_DONE,
        CHUNK_BAD
    } state;
    unsigned digits;
    uint64_t left; /* bytes of the chunk to come */
};

/* Reads on to the next content, at most `most` bytes of it, which *ret_content gets (empty if none
 * came). Returns how many of `bytes` were used. */
size_t guest_chunks_feed(struct guest_chunks *c, struct slice bytes, uint64_t most,
                         struct slice *ret_content);
