/* Playing a request: what `run --cgi` gives a CGI program instead of an HTTP client, and what it
 * makes of the program's output. */
#pragma once

#include "base/buf.h"
#include "base/limits.h"
#include "cgi/head.h"
#include "cli/args.h"

/* `request` is "[METHOD ]URL", as in "POST /path?query" or "http://localhost:8080/path"; `headers`
 * are "Name: value" each. The file `body`, or if that is NULL standard input, unless it is a
 * terminal, is the request's body: it is read to its end, as a client's is before CONTENT_LENGTH
 * is known, and becomes standard input. Appends the
 * meta-variables as NUL-terminated pairs to `out`. ERR_USAGE, ERR_TOO_LARGE, ERR_IO. */
enum err_code play_request(const char *request, const char *body, const struct words *headers,
                           const struct limits *limits, struct buf *out, struct err *e) MUST_CHECK;

/* The answer that a server would have made of the output, as text: status line, fields, an empty
 * line, the body. */
struct play_answer {
    struct cgi_head head;
    bool ready, begun, bad; /* the head is whole; it was shown; there is none */
    bool surplus;           /* there is more body than Content-Length says */
    uint64_t body;          /* bytes of it that were shown */
};

void play_answer_init(struct play_answer *a, const struct limits *limits);
void play_answer_done(struct play_answer *a);
/* Takes a piece of output; appends to `out` what is to be shown. False: it is no CGI response. */
bool play_answer_feed(struct play_answer *a, struct slice bytes, struct buf *out) MUST_CHECK;
/* The output is over: appends what is left to show. ERR_BAD_CGI if it was no whole CGI response,
 * with the reason in `why`. */
enum err_code play_answer_end(struct play_answer *a, struct buf *out, char *why,
                              size_t size) MUST_CHECK;

enum { PLAY_HEAD = 128 << 10 /* bytes that a head may be longer when it is shown */ };
