/* The API's client: what every command that speaks to a server is made of.
 *
 * A command describes a request in a struct and gets JSON back; problem+json
 * answers become a `struct err` whose code is the server's, so that the exit
 * status follows from the table of errors. Bodies may also stream, both ways,
 * in constant memory. A redirect is never followed: it would carry the token
 * to wherever a broken server points. */
#pragma once

#include "base/err.h"
#include "cli/context.h"

#include <jansson.h>

struct client;

/* For the server and project of the context; `project` (from --project) goes first, may be NULL. */
enum err_code client_open(const char *project, struct client **ret_client,
                          struct err *e) MUST_CHECK;
/* For a given server and token. */
enum err_code client_open_as(const struct context *context, struct client **ret_client,
                             struct err *e) MUST_CHECK;
void client_close(struct client *c); /* NULL is fine */
const struct context *client_context(const struct client *c);

struct client_pair {
    const char *name, *value;
};

/* What the head of an answer says; strings are "" when the field is absent. */
struct client_head {
    long status;
    char run[40];   /* Wasmcloud-Run */
    char error[40]; /* Wasmcloud-Error */
    char tag[80];   /* ETag */
};

struct client_request {
    const char *method;           /* NULL: GET */
    const char *path;             /* after /v1/; each {} is the next of `at`, percent-encoded; {P}
                                   * stands for projects/PROJECT */
    const char *at[3];            /* borrowed, as everything here */
    struct client_pair query[16]; /* rows without a value are left out; the last has no name */
    struct client_pair field;     /* one more header field */
    const json_t *json;           /* the body, or … */
    const char *content_type;     /* … a stream of this type, read from `fd` to its end */
    int fd;
    const char *progress, *progress_then; /* shown while it takes its time: cli/progress.h */
    /* A stream for the body of a 2xx answer: gets each piece as it arrives, and its head first in
     * `head`; false ends the call with ERR_CANCELLED. NULL: the body is collected as JSON. */
    bool (*on_body)(void *ctx, const struct client_head *head, struct slice piece);
    void *ctx;
};

/* Performs it. *ret_json (the caller's; NULL for 204 or a stream) may be NULL when it is of no
 * interest, ret_head too. Errors are the server's own, or ERR_UNREACHABLE. */
enum err_code client_call(struct client *c, const struct client_request *request, json_t **ret_json,
                          struct client_head *ret_head, struct err *e) MUST_CHECK;

/* All pages of a list, up to `most` items (0: all), as one {"items":[…],"next":null}. */
enum err_code client_list(struct client *c, const struct client_request *request, size_t most,
                          json_t **ret_json, struct err *e) MUST_CHECK;

/* For commands that make one call: opens, calls, closes. The exit status, 0 with *ret_json set;
 * a failure was printed. `most` as in client_list(); CLIENT_ONE: no list. */
enum { CLIENT_ONE = -1 };
int client_once(const char *project, const struct client_request *request, long most,
                json_t **ret_json) MUST_CHECK;

/* The error of a problem+json body, or of a body that is something else. */
enum err_code client_problem(long status, struct slice body, struct err *e);

/* As command_fail(), and then the command that helps, if there is one. `request` may be NULL. */
int client_fail(const struct client_request *request, const struct err *e);

/* Members of an answer: "" or 0 when absent or null. Borrowed. */
const char *answer_text(const json_t *object, const char *name);
uint64_t answer_count(const json_t *object, const char *name);
