/* Requests: HTTP/1.x heads and bodies, strictly (RFC 9110, RFC 9112).
 *
 * llhttp does the parsing with every lenient flag off; around it stand the
 * rules it leaves to its caller. Two programs that read one byte stream
 * differently are how requests are smuggled, so whatever is ambiguous is
 * refused: bare LF, obs-fold, two lengths, a length with chunks, any transfer
 * coding but `chunked`, a missing or second Host, space before a colon.
 *
 * A head is parsed once it is there as a whole, straight from the bytes that
 * came in: all slices of a request point into them. */
#pragma once

#include "base/limits.h"

#include <llhttp.h>

enum {
    HTTP_FIELDS = 1000,  /* the hard maximum of the limit `header-count` */
    HTTP_NO_LENGTH = -1, /* of a body: chunked */
};

struct http_request {
    struct slice method;
    struct slice target;    /* as sent */
    struct slice path;      /* of the target, raw, starts with '/'; or "*" */
    struct slice query;     /* after '?', raw; p == NULL if there is none */
    struct slice authority; /* Host (or the absolute form's): host[:port], "" only in HTTP/1.0 */
    struct slice host;      /* without port and brackets */
    uint8_t minor;          /* HTTP/1.minor */
    bool keep_alive;        /* what the client asked for */
    bool expect_continue;
    bool has_length;   /* a Content-Length field was sent */
    bool accepts_html; /* Accept names text/html: a browser */
    int64_t length;    /* of the body: 0 if there is none, HTTP_NO_LENGTH if chunked */
    size_t count;
    struct field fields[HTTP_FIELDS]; /* values without spaces at their ends */
};

/* The value of the first field of this name; p == NULL if there is none. */
struct slice http_field(const struct http_request *r, struct slice name);

/* Finds the end of the head at the start of `bytes`: *ret_size is its size with the empty line,
 * 0 while it isn't there yet. Line ends and sizes are judged as the bytes come in, so an error
 * doesn't wait for the rest. *scanned is how far earlier calls have looked; starts at 0. */
enum err_code http_head_end(struct slice bytes, const struct limits *l, size_t *scanned,
                            size_t *ret_size, struct err *e) MUST_CHECK;

/* The parser's state from a head to the end of its body. */
struct http_parser {
    llhttp_t ll;
    struct http_request *request; /* while a head is parsed */
    void (*on_body)(void *owner, struct slice bytes);
    void *owner;
    uint64_t wire, body; /* of a chunked body: bytes fed, bytes of content among them */
    const char *framing; /* of a chunked body: not looked at yet, in the bytes being fed */
    bool after_cr;
    bool in_body; /* the body isn't complete yet */
    enum err_code refused;
    const char *why;
};

/* Parses a whole head as found by http_head_end(). On success *r is filled and p->in_body says
 * whether a body follows. Error: which answer to give. */
enum err_code http_head_parse(struct http_parser *p, struct slice head, const struct limits *l,
                              struct http_request *r, struct err *e) MUST_CHECK;

/* Feeds bytes of the body; on_body is called for its content. *ret_used is how many were the
 * body's: fewer than given only at its end, when in_body turns false. */
enum err_code http_body_parse(struct http_parser *p, struct slice bytes, size_t *ret_used,
                              struct err *e) MUST_CHECK;
