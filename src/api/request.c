/* The life of a request: frames in, credit, the answer out, the end.
 *
 * Output is queued in r->out and leaves as far as the edge's credit goes; when
 * all is out, END closes the stream and the request is freed at the turn's end
 * (a handler further up the stack may still hold it). */
#include "api/once.h"

#include "base/brand.h"
#include "base/clock.h"
#include "base/log.h"
#include "ipc/ledger.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    OUT_MOST = 16 << 20,   /* a page is cut long before; JSON escapes take six times the bytes */
    JSON_MOST = 512 << 10, /* a policy of 256 KiB and an environment */
    JSON_NESTED = 32,      /* printed with an indent, deep ones would grow a thousandfold */
    REQUESTS = 1024,       /* at once; further ones are refused */
    GRANT = 16 << 10       /* what was taken of a body is granted anew in such steps */
};

/* ---- sending ---- */

static void send_end(struct api_request *r)
{
    struct ledger l = {.head = {.reason = (uint16_t)(r->broken ? r->cut : ERR_OK),
                                .wall_us = clock_mono_us() - r->began_us}};
    void *at = channel_place(r->channel, FRAME_END, 0, r->id, ledger_size(&l));
    if (at)
        ledger_write(&l, at);
}

static void free_later(struct loop_task *t)
{
    request_free(LIST_ITEM(t, struct api_request, free_task));
}

/* The stream is over on our side: nothing of it may be used after this turn. */
static void finish(struct api_request *r)
{
    r->gone = true;
    store_wait_cancel(&r->wait);
    list_remove(&r->node);
    list_remove(&r->follow);
    once_end(r);
    r->api->open--;
    loop_task_add(r->api->loop, &r->free_task);
}

static void push(struct api_request *r)
{
    if (r->gone || r->held)
        return;
    if (r->absent) {
        if (r->over)
            finish(r);
        return;
    }
    bool sent = false;
    while (buf_size(&r->out) && r->credit) {
        size_t n = buf_size(&r->out);
        n = n < FRAME_MOST ? n : FRAME_MOST;
        n = n < r->credit ? n : (size_t)r->credit;
        channel_send(r->channel, FRAME_OUTPUT, 0, r->id, buf_data(&r->out), n);
        buf_consume(&r->out, n);
        r->credit -= n;
        sent = true;
    }
    if (r->over && !buf_size(&r->out)) {
        send_end(r);
        finish(r);
    } else if (sent && !r->over && r->on_room) {
        r->on_room(r);
    }
}

static void client_gone(struct api_request *r)
{
    if (r->gone)
        return;
    if (r->once && r->body_over && !r->over) {
        r->absent = true; /* what it asked for goes on, and it may ask again */
        r->channel = NULL;
        r->id = 0;
        return;
    }
    if (r->on_gone && !r->over)
        r->on_gone(r);
    finish(r);
}

/* What a body says may be a secret: nothing of it is left in memory that is given back, neither of
 * the text nor of what the parser makes of it. */
static bool wiping;

static void wipe_and_free(void *p)
{
    if (wiping && p)
        explicit_bzero(p, malloc_usable_size(p));
    free(p);
}

void request_json_init(void)
{
    json_set_alloc_funcs(malloc, wipe_and_free);
}

static void drop_json(struct api_request *r)
{
    wiping = true;
    json_decref(r->json);
    wiping = false;
}

void request_free(struct api_request *r)
{
    loop_task_cancel(&r->free_task);
    loop_task_cancel(&r->head_task);
    store_wait_cancel(&r->wait);
    list_remove(&r->node);
    list_remove(&r->follow);
    once_end(r);
    drop_json(r);
    buf_done(&r->body);
    buf_done(&r->out);
    free(r->vars);
    free(r);
}

/* ---- answering ---- */

static const char *reason(int status)
{
    static const struct {
        int status;
        const char *text;
    } reasons[] = {{200, "OK"}, {201, "Created"}, {202, "Accepted"}, {204, "No Content"}};
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].status == status)
            return reasons[i].text;
    return status < 400 ? "Done" : "Refused";
}

static bool put_head(struct api_request *r, int status, const char *type)
{
    r->status = status;
    if (status < API_STATUSES)
        r->api->counts.answers[status]++;
    char id[UUID_TEXT + 1];
    uuid_text(r->request_id, id);
    return buf_addf(&r->out,
                    "Status: %d %s\n" BRAND_HEADER "Request: %s\nCache-Control: no-store\n%s",
                    status, reason(status), id, r->extra) &&
           (!type || buf_addf(&r->out, "Content-Type: %s\n", type)) && buf_add(&r->out, "\n", 1);
}

/* What was answered is not so. */
static void take_back(struct api_request *r)
{
    if (r->status < API_STATUSES)
        r->api->counts.answers[r->status]--;
    buf_clear(&r->out);
    r->extra[0] = '\0';
    r->answering = r->over = false;
}

/* Is what it changed in the database, but not in the route table? Then visitors don't see it yet.
 */
static enum err_code behind(const struct api_request *r)
{
    struct slice name = r->function_text.p ? r->function_text : slice_str(r->function.name);
    struct store_function f;
    struct err e;
    if (!r->route || !r->route->publishes || r->status >= 300)
        return ERR_OK;
    struct api_state state = r->api->backend->state(r->api);
    if (state.routes_behind && name.n &&
        store_function(r->api->store, r->project.id, name, &f, &e) == ERR_OK &&
        f.generation <= state.published)
        return ERR_OK;
    return state.routes_behind;
}

static void on_commit(struct store_wait *w, enum err_code rc)
{
    struct api_request *r = LIST_ITEM(w, struct api_request, wait);
    r->held = false;
    enum err_code why = rc ? ERR_OK : behind(r);
    if (why) {
        take_back(r);
        api_refuse(r, why == ERR_DISK_FULL ? why : ERR_UNAVAILABLE,
                   "it is done and kept, and counts as soon as the route table can be written, "
                   "which is tried every second: %s",
                   err_title(why));
        return;
    }
    if (rc) {
        struct err e;
        take_back(r);
        if (slice_eq(r->method, SLICE("GET")) && !r->again) {
            r->again = true;
            r->route->handler(r);
            return;
        }
        err_set(&e, rc, "nothing was changed: %s", err_title(rc));
        api_fail(r, &e);
        return;
    }
    push(r);
}

/* The whole answer is in `out`: off it goes, after the COMMIT that it may depend on. */
static void done(struct api_request *r)
{
    r->over = r->held = true;
    store_wait(r->api->store, &r->wait);
}

void api_answer(struct api_request *r, int status, json_t *body)
{
    if (r->gone || r->answering) {
        json_decref(body);
        return;
    }
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    api_answer_text(r, status, text ? slice_str(text) : (struct slice){0});
    free(text);
}

void api_answer_text(struct api_request *r, int status, struct slice json)
{
    if (r->gone || r->answering)
        return;
    r->answering = true;
    if (json.p && status < 300 && !once_waits(r)) /* what is given again has the tag of then */
        request_tag(r);
    once_keep(r, status, json);
    const char *type = status >= 400 ? "application/problem+json" : "application/json";
    if (!json.p || !put_head(r, status, type) || !buf_add(&r->out, json.p, json.n) ||
        !buf_add(&r->out, "\n", 1)) {
        log_line(LOG_ERROR, "api_answer", "status=%d no memory", status);
        buf_clear(&r->out);
        if (!buf_addf(&r->out, "Status: 503\n\n"))
            abort();
    }
    done(r);
}

void api_answer_empty(struct api_request *r, int status)
{
    if (r->gone || r->answering)
        return;
    r->answering = true;
    once_keep(r, status, SLICE(""));
    if (!put_head(r, status, NULL))
        abort();
    done(r);
}

void api_fail(struct api_request *r, const struct err *e)
{
    char id[UUID_TEXT + 1], type[96];
    int status = err_http(e->code);
    if (status == 401)
        snprintf(r->extra, sizeof r->extra, "WWW-Authenticate: Bearer realm=\"%s\"%s\n",
                 BRAND_COMMAND, r->authorization.n ? ", error=\"invalid_token\"" : "");
    if (!r->extra[0] && (status == 429 || status == 503 || status == 507))
        snprintf(r->extra, sizeof r->extra, "Retry-After: 2\n");
    if (status >= 500)
        log_line(LOG_WARNING, "api_failed", "code=%s text=%s", err_slug(e->code), e->text);
    uuid_text(r->request_id, id);
    snprintf(type, sizeof type, "urn:%s:error:%s", BRAND_COMMAND, err_slug(e->code));
    json_t *body = json_pack("{s:s, s:s, s:i, s:o, s:s, s:s}", "type", type, "title",
                             err_title(e->code), "status", status, "detail",
                             shape_text(slice_str(e->text[0] ? e->text : err_title(e->code))),
                             "code", err_slug(e->code), "request_id", id);
    if (body && r->field[0] && e->code == ERR_INVALID) {
        json_t *fields = json_object(), *field = shape_text(slice_str(r->field));
        json_object_set_new(fields, json_string_value(field), shape_text(slice_str(e->text)));
        json_decref(field);
        json_object_set_new(body, "fields", fields);
    }
    api_answer(r, status, body);
}

void api_refuse(struct api_request *r, enum err_code code, const char *fmt, ...)
{
    struct err e = {.code = code};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e.text, sizeof e.text, fmt, ap);
    va_end(ap);
    api_fail(r, &e);
}

void api_refuse_field(struct api_request *r, const char *field, const char *fmt, ...)
{
    struct err e = {.code = ERR_INVALID};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e.text, sizeof e.text, fmt, ap);
    va_end(ap);
    if (field != r->field)
        snprintf(r->field, sizeof r->field, "%s", field);
    api_fail(r, &e);
}

void api_header(struct api_request *r, const char *fmt, ...)
{
    size_t at = strlen(r->extra);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(r->extra + at, sizeof r->extra - at, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof r->extra - at)
        r->extra[at] = '\0';
}

void api_stream(struct api_request *r, int status, const char *type)
{
    if (r->gone || r->answering)
        return;
    r->answering = r->streams = true;
    if (!put_head(r, status, type))
        abort();
    push(r);
    if (slice_eq(r->method, SLICE("HEAD")))
        loop_task_add(r->api->loop, &r->head_task);
}

bool api_stream_write(struct api_request *r, struct slice bytes)
{
    if (r->gone)
        return true;
    if (buf_size(&r->out) > API_STREAM_ROOM || !buf_add(&r->out, bytes.p, bytes.n))
        return false;
    push(r);
    return true;
}

void api_stream_end(struct api_request *r)
{
    r->over = true;
    push(r);
}

/* Nobody reads what it would stream, for ever perhaps: the head was all. */
static void end_head(struct loop_task *t)
{
    struct api_request *r = LIST_ITEM(t, struct api_request, head_task);
    if (r->gone || r->over)
        return;
    if (r->on_gone)
        r->on_gone(r);
    r->on_gone = r->on_room = NULL;
    api_stream_end(r);
}

void api_stream_break(struct api_request *r, enum err_code why)
{
    r->broken = true;
    r->cut = why;
    api_stream_end(r);
}

void request_cut(struct api_request *r, const struct err *why)
{
    bool told = false;
    r->cut = why->code;
    r->on_body = NULL;
    if (r->answering && r->on_cut)
        told = r->on_cut(r, why);
    if (r->on_gone)
        r->on_gone(r);
    r->on_gone = r->on_room = NULL;
    if (!r->answering)
        api_fail(r, why);
    else if (told)
        api_stream_end(r);
    else
        api_stream_break(r, why->code);
}

void api_took(struct api_request *r, size_t n)
{
    r->owed += (uint32_t)n; /* never more than the edge was granted */
    if (r->gone || r->absent || r->body_over || r->owed < GRANT)
        return;
    channel_send(r->channel, FRAME_CREDIT, 0, r->id, &r->owed, sizeof r->owed);
    r->owed = 0;
}

/* ---- frames in ---- */

struct slice api_var(const struct api_request *r, const char *name)
{
    struct slice want = slice_str(name), rest = slice_make(r->vars, r->vars_n);
    while (rest.n) {
        struct slice key = slice_split(&rest, '\0'), value = slice_split(&rest, '\0');
        if (slice_eq(key, want))
            return value;
    }
    return (struct slice){0};
}

void request_begin(struct api *api, struct channel *channel, uint64_t id, bool last,
                   struct slice payload)
{
    struct api_request *r = calloc(1, sizeof *r);
    char *vars = malloc(payload.n);
    if (!r || !vars) {
        log_line(LOG_ERROR, "api_begin", "no memory");
        free(r);
        free(vars);
        struct ledger l = {.head = {.reason = ERR_MEMORY}};
        void *at = channel_place(channel, FRAME_END, 0, id, ledger_size(&l));
        if (at)
            ledger_write(&l, at);
        return;
    }
    payload = slice_from(payload, sizeof(uint32_t)); /* the slot means nothing here */
    memcpy(vars, payload.p, payload.n);
    r->api = api;
    r->channel = channel;
    r->id = id;
    r->vars = vars;
    r->vars_n = payload.n;
    r->credit = FRAME_CREDIT_INITIAL;
    r->body_over = last;
    r->began_us = clock_mono_us();
    buf_init_private(&r->body, JSON_MOST);
    buf_init(&r->out, OUT_MOST);
    list_init(&r->node);
    list_init(&r->follow);
    store_wait_init(&r->wait, on_commit);
    loop_task_init(&r->free_task, free_later);
    loop_task_init(&r->head_task, end_head);
    list_push(&api->requests, &r->node);
    api->open++;
    watch_begin(api);

    r->method = api_var(r, "REQUEST_METHOD");
    r->path = api_var(r, "PATH_INFO");
    r->query = api_var(r, "QUERY_STRING");
    r->type = api_var(r, "CONTENT_TYPE");
    r->authorization = api_var(r, "HTTP_AUTHORIZATION");
    if (!uuid_parse(api_var(r, "RUN_ID"), &r->request_id))
        r->request_id = uuid_new();
    struct slice length = api_var(r, "CONTENT_LENGTH");
    if (last)
        r->body_length = 0;
    else if (!slice_u64(length, &r->body_length))
        r->body_length = UINT64_MAX;
    r->body_most = JSON_MOST;
    if (api->open > REQUESTS)
        api_refuse(r, ERR_UNAVAILABLE, "the server has too many requests at once");
    else
        request_dispatch(r);
}

static void on_json(struct api_request *r)
{
    json_error_t error;
    struct slice text = buf_slice(&r->body);
    wiping = true;
    r->json = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &error);
    wiping = false;
    /* What it is near to may be a secret. */
    char *near = r->json ? NULL : strstr(error.text, " near ");
    if (near)
        *near = '\0';
    if (!r->json && json_error_code(&error) == json_error_numeric_overflow)
        api_refuse(r, ERR_INVALID,
                   "the body has a number of more than 64 bits (line %d, column %d)", error.line,
                   error.column);
    else if (!r->json && json_error_code(&error) == json_error_null_character)
        api_refuse(r, ERR_BAD_REQUEST, "the body has a NUL, \\u0000, which no text here may have");
    else if (!r->json)
        api_refuse(r, ERR_BAD_REQUEST, "the body is not JSON: %s (line %d, column %d)", error.text,
                   error.line, error.column);
    else if (!json_is_object(r->json))
        api_refuse(r, ERR_BAD_REQUEST, "the body is not a JSON object");
    else if (!schema_nested(r->json, JSON_NESTED))
        api_refuse(r, ERR_BAD_REQUEST, "the body has more than %d objects and lists in each other",
                   JSON_NESTED);
    else
        request_judge_json(r);
}

static void on_body(struct api_request *r, struct slice bytes, bool last)
{
    if (r->body_over || r->over || r->gone || (r->answering && !r->on_body))
        return; /* answered already: the edge drops the rest with the connection */
    r->body_bytes += bytes.n;
    r->body_over = last;
    if (r->body_bytes > r->body_most) {
        char most[32];
        struct err e;
        limit_format(LIMIT_MODULE, r->body_most, most);
        err_set(&e, ERR_TOO_LARGE, "the body is over the limit of %s", most);
        request_cut(r, &e);
        return;
    }
    once_body(r, bytes);
    if (last && once_answered(r))
        return;
    if (r->on_body) {
        r->on_body(r, bytes, last);
        return;
    }
    if (!buf_add(&r->body, bytes.p, bytes.n)) {
        api_refuse(r, ERR_MEMORY, "no memory for the body");
        return;
    }
    if (last)
        on_json(r);
    else
        api_took(r, bytes.n);
}

static struct api_request *find(struct api *api, struct channel *channel, uint64_t id)
{
    LIST_EACH(n, &api->requests)
    {
        struct api_request *r = LIST_ITEM(n, struct api_request, node);
        if (r->channel == channel && r->id == id)
            return r;
    }
    return NULL;
}

void api_on_frame(struct api *api, struct channel *channel, const struct frame *f,
                  struct slice payload)
{
    struct api_request *r = find(api, channel, f->id);
    uint32_t credit;
    switch (f->type) {
    case FRAME_BEGIN:
        if (!r)
            request_begin(api, channel, f->id, f->flags & FRAME_LAST, payload);
        return;
    case FRAME_BODY:
        if (r)
            on_body(r, payload, f->flags & FRAME_LAST);
        return;
    case FRAME_CREDIT:
        memcpy(&credit, payload.p, sizeof credit);
        if (r) {
            r->credit += credit;
            push(r);
        }
        return;
    case FRAME_CANCEL:
        if (r) {
            send_end(r);
            client_gone(r);
        }
        return;
    default:
        return;
    }
}

void api_on_closed(struct api *api, struct channel *channel)
{
    LIST_EACH(n, &api->requests)
    {
        struct api_request *r = LIST_ITEM(n, struct api_request, node);
        if (r->channel == channel)
            client_gone(r);
    }
}
