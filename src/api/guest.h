/* The guest's side of a run that control injects: its meta-variables and the head of its answer.
 * Used by checks and by `invoke`, which talk CGI with the guest where an edge would. */
#pragma once

#include "api/api.h"
#include "cgi/head.h"

enum { GUEST_VARS = 8 << 10 /* bytes of meta-variables, at most */ };

/* Appends the `NAME\0value\0` pairs. `target` is a path with an optional query; `type` may be
 * empty; `length` UINT64_MAX means that it is not known. */
bool guest_vars(const struct api *api, const char *function, struct slice method,
                struct slice target, struct slice type, uint64_t length,
                struct buf *out) MUST_CHECK;

/* Output split into head and body. */
struct guest_answer {
    uint8_t response; /* enum response_kind */
    bool ready;       /* the head is complete: status and type are known */
    bool bad;         /* what came is no CGI head; `why` says it */
    int status;
    char type[256];
    char why[512];
    uint64_t body_bytes;
    struct cgi_head head;
};
void guest_answer_init(struct guest_answer *a, uint8_t response, const struct limits *limits);
void guest_answer_done(struct guest_answer *a);
/* Feeds output; what belongs to the body is what is left in *bytes. */
void guest_answer_feed(struct guest_answer *a, struct slice *bytes);
/* The run ended: why it failed as an edge would say, or ERR_OK. Fills `why`. */
enum err_code guest_answer_end(struct guest_answer *a, const struct ledger *l,
                               const struct err *lost);
