/* Playing a request: what `run --cgi` gives a CGI program instead of an HTTP client. */
#pragma once

#include "base/buf.h"
#include "base/limits.h"
#include "cli/args.h"

/* `request` is "[METHOD ]TARGET", as in "POST /path?query"; `headers` are "Name: value" each.
 * Standard input, unless it is a terminal, is the request's body: it is read to its end, as a
 * client's is before CONTENT_LENGTH is known, and put back to be read again. Appends the
 * meta-variables as NUL-terminated pairs to `out`. ERR_USAGE, ERR_TOO_LARGE, ERR_IO. */
enum err_code play_request(const char *request, const struct words *headers,
                           const struct limits *limits, struct buf *out, struct err *e) MUST_CHECK;
