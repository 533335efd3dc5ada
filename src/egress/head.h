/* The head of an upstream's answer, made into the one that a guest reads.
 *
 * libcurl has cut it into lines and takes the framing of the body off; here
 * every line is judged and written again, so that what the guest parses is one
 * HTTP/1.1 head whose framing is true: hop-by-hop fields are gone (RFC 9110
 * 7.6.1), Content-Length is there only when the body has just that many bytes. */
#pragma once

#include "base/buf.h"

struct head {
    struct buf text;      /* as it is handed on; complete when `done` */
    struct buf nominated; /* names in Connection fields, each with a NUL */
    size_t taken;         /* bytes of all lines so far, those of 1xx answers too */
    unsigned status;      /* 0: no status line yet */
    bool done;            /* the empty line came; what follows are trailers, which are dropped */
    bool bodyless;        /* the answer to a HEAD */
    bool has_length, coded, dropped; /* Content-Length; Transfer-Encoding; the last field */
    uint64_t length;
};

void head_init(struct head *h);
void head_done(struct head *h);
/* For the next answer; keeps the memory. */
void head_reset(struct head *h, bool bodyless);

/* Takes one line with its line break. ERR_UNREACHABLE with what is wrong with it; ERR_TOO_LARGE
 * over EXCHANGE_HEAD bytes. */
enum err_code head_line(struct head *h, struct slice line, struct err *e) MUST_CHECK;

/* Is there a gemini header at the start of `bytes`: two digits, a space, at most 1,024 bytes, CR
 * LF? *ret_size is its size, 0 if more bytes are needed to tell. ERR_UNREACHABLE. */
enum err_code head_gemini(struct slice bytes, size_t *ret_size, struct err *e) MUST_CHECK;

/* One character of a token (RFC 9110 5.6.2)? */
bool head_is_token(struct slice s);
/* A field of one connection, not of the message (RFC 9110 7.6.1), or one that frames it? */
bool head_is_hop(struct slice name);
