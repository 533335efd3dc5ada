/* Exchanges: how an exec asks egress to open something remote, and what edge tells egress.
 *
 * exec (FRONT) and egress (BACK) share a stream socket; id is the exchange, a
 * number that the exec never uses twice. One exchange is one remote descriptor:
 *
 *   OPEN      struct exchange_open, the URL        → VERDICT
 *   REQUEST   struct exchange_request, its parts   → VERDICT, then, if it is allowed:
 *   BODY      the request's body, as far as credit goes; flag LAST ends it   ← CREDIT
 *             ANSWER  the answer's head, whole (HTTP/1.1 with exact framing; gemini: its line)
 *             OUTPUT  its body, as far as credit goes                        → CREDIT
 *             FINISHED  it is complete, or why it is not; nothing follows until the next REQUEST
 *   CANCEL    closes the descriptor wherever it is; nothing is answered
 *
 * A REQUEST may come once the one before is FINISHED; both directions' credit is then
 * FRAME_CREDIT_INITIAL again. BODY and CREDIT that cross a FINISHED are ignored. A VERDICT that
 * refuses an OPEN ends the exchange; one that refuses a REQUEST ends only that. FINISHED may come
 * before the BODY's LAST: the rest of the body is then not sent.
 *
 * An edge (FRONT) tells egress who an exec is; id is the exec's number there. POLICY comes for each
 * version that the exec has loaded, then JOIN with egress's end of the exec's socket, POLICY again
 * for each later version, FORGET for one that was unloaded. An OPEN that overtakes its version's
 * POLICY waits for it, two seconds at most. When the exec's socket closes, the join is over.
 * Identity is the socket: project and policies are never in an OPEN. */
#pragma once

#include "base/buf.h"
#include "base/limits.h"
#include "base/uuid.h"

enum {
    EXCHANGE_TEXT = 512,      /* bytes of the text in VERDICT and FINISHED */
    EXCHANGE_HEAD = 32 << 10, /* bytes of an answer's head */
};

struct exchange_open {
    struct uuid run, version;
}; /* the URL as the guest gave it follows */

enum exchange_body { BODY_NONE, BODY_LENGTH, BODY_CHUNKED };

struct exchange_request {
    uint64_t length; /* of the body, if its kind is BODY_LENGTH */
    uint8_t body;    /* enum exchange_body */
    uint8_t method_bytes;
    uint16_t url_bytes;
    uint32_t fields_bytes;
}; /* method, whole URL and the fields as `Name\0value\0` follow. Host, Content-Length,
      Transfer-Encoding, Connection and other hop-by-hop fields are egress's own: not among them. */

struct exchange_end {   /* VERDICT and FINISHED */
    uint16_t reason;    /* enum err_code: ERR_OK; ERR_POLICY and the rule, ERR_INVALID,
                           ERR_EGRESS_LIMIT,    ERR_TIMEOUT, ERR_UNREACHABLE, … */
    uint16_t operator_; /* 1: the operator's layer decided, not the version's policy */
    uint32_t reserved;
    uint64_t sent, received; /* FINISHED: bytes of the bodies on the wire */
}; /* the text follows: the deciding rule, or what happened; at most EXCHANGE_TEXT */

struct exchange_policy {
    struct uuid version, function;
    struct limits limits;
}; /* the policy's canonical form follows (policy_write); in pieces as LOAD */

/* Readers check every length; slices borrow `payload`. ERR_PROTOCOL. */
enum err_code exchange_open_read(struct slice payload, struct exchange_open *ret_open,
                                 struct slice *ret_url, struct err *e) MUST_CHECK;
struct exchange_parts {
    struct slice method, url, fields;
};
enum err_code exchange_request_read(struct slice payload, struct exchange_request *ret_request,
                                    struct exchange_parts *ret_parts, struct err *e) MUST_CHECK;
enum err_code exchange_end_read(struct slice payload, struct exchange_end *ret_end,
                                struct slice *ret_text, struct err *e) MUST_CHECK;
enum err_code exchange_policy_read(struct slice payload, struct exchange_policy *ret_policy,
                                   struct slice *ret_text, struct err *e) MUST_CHECK;
