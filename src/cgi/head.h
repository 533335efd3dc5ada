/* Heads: what a CGI program prints before its body (RFC 3875 6), judged.
 *
 * A guest may print anything in any pieces. What comes out here are whole field
 * lines that can be sent as they are: names are tokens, values hold no control
 * byte, and everything that frames a message or speaks for the platform is
 * taken out. A line is judged when it is complete; memory is bounded by the
 * limit of the head. */
#pragma once

#include "base/buf.h"
#include "base/limits.h"

enum cgi_result { CGI_MORE, CGI_READY, CGI_BAD };

enum { CGI_BEGINNING = 80 /* bytes of bad output that the log shows */ };

struct cgi_head {
    /* set by cgi_head_init */
    const struct limits *limits;
    struct slice script_name; /* prefix of a local Location; borrowed until the head is ready */
    bool trusted;             /* the platform's own backend: its headers and cookies pass */
    /* once ready */
    int status;
    bool has_type, has_length, has_location;
    uint64_t length;
    struct buf lines; /* `Name: value\r\n` each */
    /* once bad */
    const char *why;
    /* private */
    struct buf line; /* the beginning of an incomplete line */
    size_t seen;
    unsigned fields, cookies;
    bool has_status;
    char beginning[CGI_BEGINNING];
    size_t beginning_n;
};

/* Begins a new head; the buffers of an earlier one are reused. Zeroed memory is fine. */
void cgi_head_init(struct cgi_head *h, const struct limits *limits, struct slice script_name,
                   bool trusted);
void cgi_head_done(struct cgi_head *h);

/* Feeds output; *bytes is advanced over what belonged to the head, so that once it is READY the
 * rest is body. After BAD, `why` says what is wrong. */
enum cgi_result cgi_head_feed(struct cgi_head *h, struct slice *bytes);
/* The output ended before the head did: why that is bad. */
const char *cgi_head_missing(const struct cgi_head *h);

/* Writes "…; the output begins with "…"" and the two remedies into `out`, NUL-terminated. */
void cgi_head_explain(const struct cgi_head *h, char *out, size_t cap);
