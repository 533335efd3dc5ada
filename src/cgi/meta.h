/* Meta-variables: an HTTP request as the environment of a CGI program (RFC 3875 4.1).
 *
 * They are written as `NAME\0value\0` pairs, the way a BEGIN frame carries
 * them, straight into the caller's memory. What may mislead a program is left
 * out: `Proxy` (httpoxy), hop-by-hop fields, names that hold `_` and so could
 * pass for others, and forwarding fields from peers that nobody trusts. */
#pragma once

#include "base/slice.h"

struct cgi_request {
    struct slice method;
    struct slice uri;         /* the target as sent */
    struct slice query;       /* raw; empty if there is none */
    struct slice script_name; /* "" or "/NAME" */
    struct slice path;        /* what follows script_name, raw; "" means "/" */
    struct slice server_name;
    uint16_t server_port;
    uint8_t minor;            /* HTTP/1.minor */
    bool https, trusted;      /* trusted: forwarding fields are passed on */
    struct slice remote;      /* the client's address */
    struct slice run, worker; /* RUN_ID, WORKER_ID */
    bool has_length;
    uint64_t length;
    const struct field *fields;
    size_t count;
};

enum cgi_meta { CGI_META_OK, CGI_META_FULL, CGI_META_BAD_PATH };

/* Writes the pairs into `out` of `cap` bytes; *ret_n is how many were written. WORKER_ID comes
 * first, so that its value lies at `out` + CGI_WORKER_AT. BAD_PATH: the path holds a malformed
 * escape, or one for NUL. */
enum cgi_meta cgi_meta_write(const struct cgi_request *r, char *out, size_t cap, size_t *ret_n);

enum { CGI_WORKER_AT = sizeof "WORKER_ID" };

/* May a function set an environment variable of this name? Not if it is a meta-variable. */
bool cgi_is_meta(struct slice name);
