/* Invoke: the body of this request is a function's standard input, its answer this one's body.
 *
 * The run is injected through an edge like any other and leaves a receipt. The
 * answer is 200 with the guest's body streamed; what the guest's own status was,
 * or why it failed before its head, is in header fields. A guest that fails
 * after its head cuts the answer short, and the connection with it: the run's
 * record says why. So does a body that grows over its limit, which ends the run. */
#include "api/guest.h"
#include "api/request.h"

#include "base/brand.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

struct invocation {
    struct injection injection;
    struct guest_answer answer;
    struct api *api;
    struct api_request *request; /* NULL: the client has gone */
    struct uuid run;
    size_t pending; /* bytes of guest's output that have not been given credit for */
};

static void give_credit(struct invocation *v)
{
    if (v->pending && (!v->request || buf_size(&v->request->out) < API_STREAM_ROOM / 2)) {
        v->api->backend->inject_credit(&v->injection, (uint32_t)v->pending);
        v->pending = 0;
    }
}

static void head(struct invocation *v, const char *error)
{
    struct api_request *r = v->request;
    char run[UUID_TEXT + 1] = "";
    if (r->answering)
        return;
    if (!uuid_is_zero(v->run))
        uuid_text(v->run, run);
    int n = 0;
    if (run[0])
        n = snprintf(r->extra, sizeof r->extra, BRAND_HEADER "Run: %s\n", run);
    if (v->answer.ready)
        n += snprintf(r->extra + n, sizeof r->extra - (size_t)n, BRAND_HEADER "Status: %d\n",
                      v->answer.status);
    if (error)
        snprintf(r->extra + n, sizeof r->extra - (size_t)n, BRAND_HEADER "Error: %s\n", error);
    api_stream(r, 200, v->answer.type[0] ? v->answer.type : "application/octet-stream");
}

static void on_run(struct injection *i, struct uuid run)
{
    LIST_ITEM(i, struct invocation, injection)->run = run;
}

static void on_output(struct injection *i, struct slice bytes)
{
    struct invocation *v = LIST_ITEM(i, struct invocation, injection);
    v->pending += bytes.n;
    guest_answer_feed(&v->answer, &bytes);
    if (v->request && v->answer.ready) {
        head(v, NULL);
        if (v->request && bytes.n && !api_stream_write(v->request, bytes)) {
            /* more than our credit allowed: the edge is not to be trusted with memory */
            v->api->backend->inject_cancel(i, ERR_PROTOCOL);
        }
    }
    if (v->answer.bad)
        v->api->backend->inject_cancel(i, ERR_BAD_CGI);
    give_credit(v);
}

static void on_credit(struct injection *i, uint32_t n)
{
    struct invocation *v = LIST_ITEM(i, struct invocation, injection);
    if (v->request)
        api_took(v->request, n);
}

static void on_end(struct injection *i, const struct ledger *ledger, const struct err *lost)
{
    struct invocation *v = LIST_ITEM(i, struct invocation, injection);
    struct api_request *r = v->request;
    enum err_code error = guest_answer_end(&v->answer, ledger, lost);
    if (r) {
        bool failed_early = error && !v->answer.ready;
        r->state = NULL;
        r->on_gone = NULL;
        r->on_room = NULL;
        r->on_body = NULL;
        if (failed_early && lost) {
            api_fail(r, lost);
        } else {
            snprintf(v->answer.type, sizeof v->answer.type, "%s",
                     v->answer.ready ? v->answer.type : "text/plain; charset=utf-8");
            head(v, error ? err_slug(error) : NULL);
            char line[sizeof v->answer.why + 1];
            int n = snprintf(line, sizeof line, "%s\n", v->answer.why);
            if (failed_early && n > 1 && !api_stream_write(r, slice_make(line, (size_t)n)))
                log_line(LOG_WARNING, "invoke_why", "no memory");
            if (error && error != ERR_EXIT_STATUS && !failed_early)
                api_stream_break(r, error);
            else
                api_stream_end(r);
        }
    }
    guest_answer_done(&v->answer);
    free(v);
}

static void on_gone(struct api_request *r)
{
    struct invocation *v = r->state;
    char run[UUID_TEXT + 1];
    v->request = NULL;
    if (r->cut && !r->answering && !uuid_is_zero(v->run)) {
        uuid_text(v->run, run);
        api_header(r, BRAND_HEADER "Run: %s\n", run);
    }
    v->api->backend->inject_cancel(&v->injection,
                                   r->cut == ERR_TOO_LARGE ? ERR_TOO_LARGE : ERR_CANCELLED);
    give_credit(v);
}

static void on_room(struct api_request *r)
{
    if (r->state)
        give_credit(r->state);
}

static void on_body(struct api_request *r, struct slice bytes, bool last)
{
    struct invocation *v = r->state;
    v->api->backend->inject_body(&v->injection, bytes, last);
}

void invoke_post(struct api_request *r)
{
    struct err e;
    struct buf vars;
    char path[STORE_CHECK] = "/", method[16] = "POST";
    api_query(r, "path", path, sizeof path);
    api_query(r, "method", method, sizeof method);
    if (uuid_is_zero(r->function.live)) {
        api_refuse(r, ERR_NO_VERSION, "\"%s\" has no version that answers yet", r->function.name);
        return;
    }
    struct invocation *v = calloc(1, sizeof *v);
    buf_init(&vars, GUEST_VARS);
    bool has_body = !r->body_over;
    enum err_code rc = ERR_OK;
    if (!v || !guest_vars(r->api, r->function.name, slice_str(method), slice_str(path), r->type,
                          r->body_length, &vars)) {
        rc = err_set(&e, ERR_MEMORY, "no memory for a run");
    } else {
        v->api = r->api;
        v->request = r;
        v->injection = (struct injection){
            .on_run = on_run, .on_output = on_output, .on_credit = on_credit, .on_end = on_end};
        list_init(&v->injection.node);
        guest_answer_init(&v->answer, r->function.response, &r->api->options->limits);
        r->state = v;
        r->on_gone = on_gone;
        r->on_room = on_room;
        r->on_body = on_body;
        rc = r->api->backend->inject(r->api, &v->injection, r->function.live, buf_slice(&vars),
                                     has_body, &e);
    }
    buf_done(&vars);
    if (rc == ERR_OK)
        return;
    r->on_gone = NULL;
    r->on_room = NULL;
    r->on_body = NULL;
    r->state = NULL;
    if (v)
        guest_answer_done(&v->answer);
    free(v);
    api_fail(r, &e);
}
