/* Problems: error answers made by the platform, as problem+json (RFC 9457) or a small HTML page
 * for browsers. They name the cause, the run and whom to ask. */
#pragma once

#include "http/response.h"

struct problem {
    enum err_code code;
    const char *detail; /* NULL: the title says it */
    const char *run;    /* id of the run or request; NULL if there is none */
    bool cause;         /* on a function's address: name the cause in Wasmcloud-Error */
    bool close;         /* the connection can't go on */
    unsigned retry_s;   /* Retry-After; 0: none */
};

/* The whole answer to the request in progress, which must not have been answered. */
void http_problem(struct http_conn *c, const struct problem *p);
/* 308 to `url`. */
void http_redirect(struct http_conn *c, struct slice url);
