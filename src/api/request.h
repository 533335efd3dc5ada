/* One API request: what came, who asks, and the answer under way.
 *
 * A handler is called when the request is judged (route, token, scope, project,
 * function, media type, length) and its JSON body is complete, and answers
 * exactly once, then or later. An answer made while the turn's writes are not
 * committed waits for the COMMIT and turns into its error if that fails. A
 * request lives until its answer is sent or the client is gone: then on_gone
 * is called first, if it is set, and nothing may be answered any more. */
#pragma once

#include "api/api.h"
#include "api/schemas.h"
#include "base/jot.h"

#include <jansson.h>

struct api_request;

enum api_takes {
    TAKES_NOTHING, /* a body is refused */
    TAKES_JSON,    /* an object, kept whole and judged; r->json */
    TAKES_WASM,    /* application/wasm, streamed to on_body */
    TAKES_TAR,     /* application/x-tar, streamed to on_body */
    TAKES_ANY,     /* any media type, streamed to on_body */
};

enum api_tag { TAG_NONE, TAG_FUNCTION, TAG_SECRET };

struct api_route {
    const char *method;
    const char *path; /* segments; ":name" takes one: project, function and id are known names */
    uint32_t scope;   /* bits of enum scope; 0: any token does */
    enum api_takes takes;
    enum limit_id body_limit;               /* of streamed ones: most bytes of a body */
    bool open;                              /* answers without a token */
    bool operators;                         /* only for an operator's token for all projects */
    bool makes;                             /* the function need not be there */
    bool deleted;                           /* a deleted function will do */
    enum api_tag tag;                       /* its answer has the ETag of this, which If-Match is
                                               held against; without one nothing matches but * */
    bool publishes;                         /* what it changes is in the route table before its
                                               answer is out; if not, the answer says so */
    void (*handler)(struct api_request *r); /* streamed bodies: called before the first byte */
    const char *summary;
    /* What comes and goes, as OpenAPI says it and the dispatcher and the tests hold it to be. */
    const struct schema *body;        /* of TAKES_JSON */
    const struct schema_field *query; /* members that the query may have; NULL: none */
    const struct schema *answer;      /* of success; NULL: it has no JSON */
    const char *streams;              /* media types, with spaces, of answers that are no JSON */
    int status;                       /* of success; 0: 200 */
    int also;                         /* another status of success, with the same answer */
};
extern const struct api_route api_routes[]; /* ends with method == NULL */

struct api_request {
    struct api *api;
    struct channel *channel;
    uint64_t id; /* of the stream */
    struct list node;
    struct list follow; /* api->followers (feed.h) */
    struct once *once;  /* of an Idempotency-Key (once.h); NULL: there is none */
    struct uuid request_id;
    char *vars; /* the BEGIN payload, owned; the slices below point into it */
    size_t vars_n;
    struct slice method, path, query, type, authorization;
    const struct api_route *route;
    struct slice function_text, id_text; /* of the path */

    struct store_user user;
    struct store_token token;
    struct store_project project;
    struct store_function function; /* id zero if it is not there (route->makes) */
    uint64_t function_at;           /* store_changes() when it was read */

    uint64_t body_length; /* announced; UINT64_MAX: chunked */
    uint64_t body_bytes;  /* arrived */
    uint64_t body_most;
    uint32_t owed; /* taken and not granted anew yet */
    bool body_over;
    struct buf body; /* of TAKES_JSON */
    json_t *json;
    /* Streamed body: the bytes are consumed when api_took() says so. */
    void (*on_body)(struct api_request *r, struct slice bytes, bool last);

    struct buf out;
    size_t keeps;    /* bytes that its handler has for it besides */
    uint64_t credit; /* bytes of output that the edge still takes */
    bool answering;  /* a head was made */
    int status;      /* …with this */
    bool held;       /* …and waits for the COMMIT */
    bool over;       /* nothing more will be put in `out` */
    bool gone;
    enum err_code cut; /* why it is ended before its handler was done: on_gone() may look */
    bool streams;      /* its answer comes in pieces */
    bool broken;       /* …and is not whole: the connection is cut */
    bool absent;       /* the client is gone, but its answer is kept for when it asks again */
    bool again;        /* a read whose COMMIT failed: answered again without writing */
    struct store_wait wait;
    struct loop_task free_task, head_task;
    uint64_t began_us;
    char field[128]; /* of a validation error: which */
    char extra[512]; /* header lines for the answer, each with its newline */

    void (*on_gone)(struct api_request *r);
    /* What streams is cut: its last words, before on_gone. True: the client knows now, and the
     * answer ends as a whole one does. */
    bool (*on_cut)(struct api_request *r, const struct err *why);
    void (*on_room)(struct api_request *r); /* streaming: the edge took output, `out` has room */
    void *state;                            /* the handler's */
};

/* request.c: the frames' side */
void request_begin(struct api *api, struct channel *channel, uint64_t id, bool last,
                   struct slice payload);
void request_free(struct api_request *r);
/* Before any JSON is read: what bodies said is wiped when it is freed. */
void request_json_init(void);
/* dispatch.c: called when the head is there; when r->json is there, too */
void request_dispatch(struct api_request *r);
void request_judge_json(struct api_request *r);
/* May it still be answered? ERR_UNAUTHORIZED or ERR_NOT_FOUND: not any more. */
enum err_code request_allowed(const struct api_request *r, struct err *e) MUST_CHECK;
/* watch.c: looks at them from time to time while there are requests. */
void watch_begin(struct api *api);
/* The body took a while: finds the function anew and looks at If-Match; false: answered. */
bool request_again(struct api_request *r);
/* Reads r->function; the second: anew, if anything may have changed since. */
enum err_code request_function(struct api_request *r, struct slice name_or_id,
                               struct err *e) MUST_CHECK;
enum err_code request_function_again(struct api_request *r, struct err *e) MUST_CHECK;
/* The ETag for an answer of success, if the route has one. */
void request_tag(struct api_request *r);
/* Does If-Match name a state that must last until the change is made? */
bool request_held(const struct api_request *r);
/* fields.c: judges the query by the route's row; false: answered. */
bool request_judge_query(struct api_request *r);

/* ---- answering ---- */

/* Takes the reference to `body`. */
void api_answer(struct api_request *r, int status, json_t *body);
/* JSON that is text already. */
void api_answer_text(struct api_request *r, int status, struct slice json);
void api_answer_empty(struct api_request *r, int status);
/* problem+json of an error. */
void api_fail(struct api_request *r, const struct err *e);
/* As api_fail, with a text of its own. */
void api_refuse(struct api_request *r, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* ERR_INVALID naming the field. */
void api_refuse_field(struct api_request *r, const char *field, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Ends a request that is not answered yet, or whose answer streams: it is refused, or cut short. */
void request_cut(struct api_request *r, const struct err *why);

/* Adds header lines to the answer that is going to be made; leaves them out if there is no room. */
void api_header(struct api_request *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A streamed answer: head, then pieces (false: there is no room, wait for on_room), then the end.
 */
void api_stream(struct api_request *r, int status, const char *type);
bool api_stream_write(struct api_request *r, struct slice bytes) MUST_CHECK;
void api_stream_end(struct api_request *r);
/* The end of one that is not whole: the client sees its connection cut. */
void api_stream_break(struct api_request *r, enum err_code why);
enum { API_STREAM_ROOM = 256 << 10 };

/* Gives credit for `n` bytes of a streamed body. */
void api_took(struct api_request *r, size_t n);

/* ---- reading what came ---- */

/* The value of a meta-variable; .p NULL if it is absent. */
struct slice api_var(const struct api_request *r, const char *name);
/* Body and query were judged by the route's schemas: what is read here has its type and bounds. */

/* A member of the query, percent-decoded into `out`; false if it is absent or too long. */
bool api_query(const struct api_request *r, const char *name, char *out, size_t cap);
/* A number of the query; `normal` if it is absent. */
uint64_t api_number(const struct api_request *r, const char *name, uint64_t normal);
/* A time of the query: RFC 3339, Unix seconds, or "15m" ago; 0 if it is absent. */
uint64_t api_time(const struct api_request *r, const char *name);
bool api_time_parse(struct slice text, uint64_t *ret_ms);
/* An id of the query; zero if it is absent. */
struct uuid api_uuid(const struct api_request *r, const char *name);
/* A member of the query that is true or false; false if it is absent. */
bool api_flag(const struct api_request *r, const char *name);
/* A text of the body; .p NULL if it is absent or null. */
struct slice api_text(const struct api_request *r, const char *name);

struct store_actor api_actor(const struct api_request *r);

/* Takes what the edges have spooled into the database, so that a read is exact. If that is not
 * possible now (a full disk), the read goes on with what is there: nothing is lost. */
void api_drain(struct api_request *r);

/* ---- shapes (shapes.c) ---- */

json_t *shape_text(struct slice s); /* invalid UTF-8 becomes U+FFFD */
json_t *shape_time(uint64_t ms);    /* null for 0 */
json_t *shape_uuid(struct uuid id); /* null for zero */
void shape_revision(struct uuid revision, char out[UUID_TEXT + 3]); /* as an ETag */
json_t *shape_digest(const uint8_t digest[DIGEST_BYTES]);
json_t *shape_scopes(uint32_t scopes);
json_t *shape_project(const struct store_project *p);
/* Bytes of a function's text, while it is written, and when it is. */
enum { FUNCTION_MOST = 8192, FUNCTION_USUAL = 640 };
void jot_function(struct jot *j, const struct api *api, const struct store_function *f);
json_t *shape_function(const struct api *api, const struct store_function *f);
/* With "split", what the versions' shares of its requests are: null if one has them all. */
enum err_code shape_function_split(const struct api *api, const struct store_function *f,
                                   json_t **ret_shape, struct err *e) MUST_CHECK;
/* NULL and *e if the environment does not open. */
json_t *shape_version(const struct api *api, const struct store_version *v, struct err *e);
json_t *shape_check(const struct check_result *c); /* null if none ran */
/* As it is stored, too; null if nothing was measured. `over`: the version was held back for it. */
json_t *shape_price(const struct price *p, bool over);
/* From what is stored; *ret_price stays if that is empty. */
void shape_price_read(struct slice text, struct price *ret_price);
json_t *shape_counters(const uint64_t c[STORE_COUNTERS]);
json_t *shape_run(const struct store_run *r);
json_t *shape_log(const struct store_log *l);
enum {
    LOG_PART = 128, /* characters of a text that log lines are searched for */
    RUN_PATH = 255, /* …of a path that runs begin with */
};
/* "503" or "5xx" of a query for runs; "250ms". False: it is no such thing. */
bool runs_status(struct slice text, uint64_t *ret_low, uint64_t *ret_high);
bool runs_slower(struct slice text, uint64_t *ret_us);
/* "2026-11-22" as days since 1970; false: it is no day. */
bool usage_day(struct slice text, uint64_t *ret_day);
/* The id of a run in the path; false (and answered) if it is none. */
bool runs_id(struct api_request *r, struct uuid *ret_id);
/* api_fail() of a run that was looked for. */
void runs_fail(struct api_request *r, struct err *e);
/* {"items":…, "next":…}; takes both references, next may be NULL. */
json_t *shape_list(json_t *items, json_t *next);

/* What a version may cost, as max_cpu of a request says it: *ret_percent of the live one's ("+20%"
 * is 120), or *ret_us. */
enum err_code version_cost(struct slice text, uint32_t *ret_percent, uint64_t *ret_us,
                           struct err *e) MUST_CHECK;

/* ---- names (names.c) ---- */

/* The rules for names of projects and functions: ERR_INVALID says which is broken. */
enum err_code name_check(struct slice name, struct err *e) MUST_CHECK;

/* Functions deleted before this (Unix ms) no longer keep their name (functions.c). */
uint64_t functions_kept_since(void);
/* May the project have one more? False: it is answered. */
bool functions_room(struct api_request *r);

/* ---- handlers, one a row of routes.c ---- */

void whoami_get(struct api_request *r);
void health_live(struct api_request *r);
void health_ready(struct api_request *r);
void openapi_get(struct api_request *r);
void tokens_list(struct api_request *r);
void tokens_create(struct api_request *r);
void tokens_revoke(struct api_request *r);
void projects_list(struct api_request *r);
void projects_create(struct api_request *r);
void projects_get(struct api_request *r);
void functions_list(struct api_request *r);
void functions_create(struct api_request *r);
void functions_get(struct api_request *r);
void functions_delete(struct api_request *r);
void functions_undelete(struct api_request *r);
void modules_create(struct api_request *r);
void modules_put(struct api_request *r);
void assets_create(struct api_request *r);
void modules_get(struct api_request *r);
void assets_get(struct api_request *r);
/* The project may store `more` bytes, or ERR_QUOTA. */
enum err_code modules_quota(struct api_request *r, uint64_t more, struct err *e) MUST_CHECK;
void versions_list(struct api_request *r);
void versions_get(struct api_request *r);
void versions_create(struct api_request *r);
void versions_promote(struct api_request *r);
void versions_rollback(struct api_request *r);
void versions_disable(struct api_request *r);
void versions_enable(struct api_request *r);
void versions_split(struct api_request *r);
void versions_unsplit(struct api_request *r);
void secrets_list(struct api_request *r);
void secrets_put(struct api_request *r);
void secrets_delete(struct api_request *r);
void versions_preview(struct api_request *r);
void versions_diff(struct api_request *r);
void logs_list(struct api_request *r);
void audit_egress(struct api_request *r);
void backup_get(struct api_request *r);
void metrics_get(struct api_request *r);
void gc_post(struct api_request *r);
void runs_list(struct api_request *r);
void runs_get(struct api_request *r);
void runs_explain(struct api_request *r);
void usage_get(struct api_request *r);
void captures_get(struct api_request *r);
void invoke_post(struct api_request *r);
