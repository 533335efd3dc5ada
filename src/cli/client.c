#include "cli/client.h"

#include "base/brand.h"
#include "base/buf.h"
#include "cli/progress.h"
#include "http/curl.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ANSWER_MOST = 64 << 20, /* an answer that is collected; lists are pages of far less */
    URL_MOST = 16 << 10,
    CONNECT_TIMEOUT_S = 10,
    STALL_S = 120, /* a compile job may take 60 s before the first byte of an answer */
};

struct client {
    struct context context;
    const struct curl_api *api;
    CURL *curl; /* reused: the connection stays open between calls */
};

/* One call in progress: what libcurl's callbacks need. */
struct call {
    const struct client_request *request;
    struct client_head head;
    char location[512];   /* where it redirects to */
    struct buf collected; /* the body, unless it streams */
    bool too_much, stopped;
    bool duplex, starved; /* both bodies flow at once; its input has nothing at the moment */
    int fd;
    struct progress progress;
};

enum err_code client_open_as(const struct context *context, struct client **ret_client,
                             struct err *e)
{
    const struct curl_api *api;
    enum err_code rc = curl_open(&api, e);
    if (rc)
        return rc;
    struct client *c = calloc(1, sizeof *c);
    if (c)
        *c = (struct client){.context = *context, .api = api, .curl = api->easy_init()};
    if (!c || !c->curl) {
        client_close(c);
        return err_set(e, ERR_MEMORY, "out of memory");
    }
    *ret_client = c;
    return ERR_OK;
}

enum err_code client_open(const char *project, struct client **ret_client, struct err *e)
{
    struct context context;
    enum err_code rc = context_find(&context, e);
    if (rc)
        return rc;
    if (project && !slice_copy(slice_str(project), context.project, sizeof context.project))
        return err_set(e, ERR_INVALID, "\"%.60s…\" is too long for a project's name", project);
    return client_open_as(&context, ret_client, e);
}

void client_close(struct client *c)
{
    if (c && c->curl)
        c->api->easy_cleanup(c->curl);
    free(c);
}

const struct context *client_context(const struct client *c)
{
    return &c->context;
}

/* ---- building the request ---- */

/* RFC 3986 2.3: all but unreserved characters are encoded. */
static bool add_encoded(struct buf *url, const char *text)
{
    for (; *text; text++) {
        unsigned char b = (unsigned char)*text;
        bool plain = (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') ||
                     strchr("-._~", b);
        if (!(plain ? buf_add(url, text, 1) : buf_addf(url, "%%%02X", b)))
            return false;
    }
    return true;
}

/* What names nothing and would change what the path means. */
static enum err_code judge_segment(const char *text, struct err *e)
{
    if (!*text)
        return err_set(e, ERR_USAGE, "a name or number in the command is empty");
    if (strchr(text, '/'))
        return err_set(e, ERR_NOT_FOUND, "there is nothing called \"%.60s\": no name has a slash",
                       text);
    return ERR_OK;
}

/* "." and ".." would be taken for steps in the path and be resolved before they are sent. */
static bool add_segment(struct buf *url, const char *text)
{
    if (strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
        return buf_addf(url, text[1] ? "%%2E%%2E" : "%%2E");
    return add_encoded(url, text);
}

static enum err_code make_url(const struct client *c, const struct client_request *request,
                              struct buf *url, struct err *e)
{
    bool ok = buf_addf(url, "%s/v1/", c->context.url);
    size_t at = 0;
    for (const char *p = request->path; *p && ok; p++) {
        bool project = strncmp(p, "{P}", 3) == 0;
        if (!project && strncmp(p, "{}", 2) != 0) {
            ok = buf_add(url, p, 1);
            continue;
        }
        const char *name = project ? c->context.project : request->at[at++];
        if (judge_segment(name, e))
            return e->code;
        ok = (!project || buf_addf(url, "projects/")) && add_segment(url, name);
        p += project ? 2 : 1;
    }
    char sep = '?';
    for (size_t i = 0; i < sizeof request->query / sizeof *request->query && ok; i++)
        if (request->query[i].value) {
            ok = buf_addf(url, "%c%s=", sep, request->query[i].name) &&
                 add_encoded(url, request->query[i].value);
            sep = '&';
        }
    return ok && buf_add(url, "", 1) ? ERR_OK
                                     : err_set(e, ERR_URI_TOO_LONG, "the names are too long");
}

static bool has_input(const struct call *call)
{
    struct pollfd fd = {.fd = call->fd, .events = POLLIN};
    return poll(&fd, 1, 0) != 0; /* its end, and what is no descriptor, are for read() to tell */
}

static size_t on_upload(char *out, size_t size, size_t n, void *ctx)
{
    struct call *call = ctx;
    call->starved = call->duplex && !has_input(call);
    if (call->starved)
        return CURL_READFUNC_PAUSE;
    ssize_t got = read(call->fd, out, size * n);
    return got < 0 ? CURL_READFUNC_ABORT : (size_t)got;
}

/* libcurl sends a body again when a kept connection turns out to be closed. */
static int on_seek(void *ctx, curl_off_t offset, int origin)
{
    const struct call *call = ctx;
    return lseek(call->fd, offset, origin) < 0 ? CURL_SEEKFUNC_CANTSEEK : CURL_SEEKFUNC_OK;
}

/* ---- taking the answer ---- */

static bool succeeded(long status)
{
    return status >= 200 && status < 300;
}

static size_t on_field(char *p, size_t size, size_t n, void *ctx)
{
    struct call *call = ctx;
    const struct {
        struct slice name;
        char *out;
        size_t cap;
    } wanted[] = {
        {SLICE(BRAND_HEADER "Run"), call->head.run, sizeof call->head.run},
        {SLICE(BRAND_HEADER "Error"), call->head.error, sizeof call->head.error},
        {SLICE("ETag"), call->head.tag, sizeof call->head.tag},
        {SLICE("Location"), call->location, sizeof call->location},
    };
    struct slice value = slice_make(p, size * n);
    while (value.n && (value.p[value.n - 1] == '\r' || value.p[value.n - 1] == '\n'))
        value.n--;
    if (slice_starts(value, SLICE("HTTP/"))) { /* a new head: the one before was a 100 */
        call->head = (struct client_head){0};
        slice_split(&value, ' ');
        call->head.status = value.p ? strtol(value.p, NULL, 10) : 0;
        return size * n;
    }
    struct slice name = slice_split(&value, ':');
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted && value.p; i++)
        if (slice_ieq(name, wanted[i].name))
            (void)!slice_copy(slice_trim(value), wanted[i].out, wanted[i].cap);
    return size * n;
}

static size_t on_answer(char *p, size_t size, size_t n, void *ctx)
{
    struct call *call = ctx;
    struct slice piece = slice_make(p, size * n);
    if (call->request->on_body && succeeded(call->head.status)) {
        call->stopped = !call->request->on_body(call->request->ctx, &call->head, piece);
        return call->stopped ? 0 : piece.n;
    }
    call->too_much = !buf_add(&call->collected, piece.p, piece.n);
    return call->too_much ? 0 : piece.n;
}

/* Text from the server inside our own messages: on one line, nothing that a terminal obeys. */
static void tame(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = ' ';
}

static void append(struct err *e, const char *before, const char *text)
{
    size_t n = strlen(e->text), start = n + strlen(before);
    snprintf(e->text + n, sizeof e->text - n, "%s%s", before, text);
    if (start < sizeof e->text)
        tame(e->text + start);
}

/* `fields`: an object of name and text. */
static void append_fields(struct err *e, json_t *fields)
{
    const char *name;
    json_t *value;
    json_object_foreach(fields, name, value)
    {
        if (json_is_string(value) && !strstr(e->text, json_string_value(value))) {
            append(e, "\n  ", name);
            append(e, ": ", json_string_value(value));
        }
    }
}

static enum err_code code_of_status(long status)
{
    for (int i = ERR_OK + 1; i < ERR_COUNT; i++)
        if (err_http((enum err_code)i) == status)
            return (enum err_code)i;
    return status >= 500 ? ERR_INTERNAL : ERR_BAD_REQUEST;
}

enum err_code client_problem(long status, struct slice body, struct err *e)
{
    json_t *problem = json_loadb(body.p, body.n, JSON_REJECT_DUPLICATES, NULL);
    const char *detail = answer_text(problem, "detail"), *title = answer_text(problem, "title");
    enum err_code code;
    if (!err_from_slug(slice_str(answer_text(problem, "code")), &code) || code == ERR_OK)
        code = code_of_status(status);
    if (*detail || *title)
        err_set(e, code, "%s", *detail ? detail : title);
    else
        err_set(e, code, "the server answered %ld, but not as %s does", status, BRAND_NAME);
    tame(e->text);
    append_fields(e, json_object_get(problem, "fields"));
    if (status >= 500 && *answer_text(problem, "request_id"))
        append(e, "\n  request ", answer_text(problem, "request_id"));
    json_decref(problem);
    return code;
}

static enum err_code transport_error(const struct client *c, const struct call *call, CURLcode code,
                                     const char *why, struct err *e)
{
    if (call->stopped)
        return err_set(e, ERR_CANCELLED, "stopped");
    if (call->too_much)
        return err_set(e, ERR_TOO_LARGE, "the server's answer is larger than %d MiB",
                       ANSWER_MOST >> 20);
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return err_set(e, ERR_IO, "the input could not be read");
    if (!*why)
        why = c->api->easy_strerror(code);
    if (call->head.status)
        return err_set(e, ERR_UNREACHABLE, "the answer of %s broke off (%s)", c->context.url, why);
    return err_set(e, ERR_UNREACHABLE, "no server answers at %s (%s)%s", c->context.url, why,
                   context_is_local(c->context.url) ? "; start one with `" BRAND_COMMAND " serve`"
                                                    : "; check the address and the network");
}

static enum err_code finish(const struct client *c, struct call *call, json_t **ret_json,
                            struct err *e)
{
    struct slice body = buf_slice(&call->collected);
    long status = call->head.status;
    if (status >= 300 && status < 400) {
        err_set(
            e, ERR_UNREACHABLE,
            "%s is not the API's address: it redirects to %s, which would get the token if that "
            "were followed",
            c->context.url, call->location);
        tame(e->text);
        return e->code;
    }
    if (!succeeded(status)) {
        enum err_code code = client_problem(status, body, e);
        if (code == ERR_UNAUTHORIZED && !*c->context.token)
            err_set(e, code, "you are not logged in at %s", c->context.url);
        if (code == ERR_NO_FUNCTION && !strstr(call->request->path, "/invoke"))
            err_set(e, code, "%s is where functions answer; the API has an address of its own",
                    c->context.url);
        return code;
    }
    if (body.n == 0 || !ret_json)
        return ERR_OK;
    json_error_t why;
    json_t *json = json_loadb(body.p, body.n, JSON_REJECT_DUPLICATES, &why);
    if (!json)
        return err_set(e, ERR_UNREACHABLE, "%s answers, but not as %s does (%s)", c->context.url,
                       BRAND_NAME, why.text);
    *ret_json = json;
    return ERR_OK;
}

static int on_progress(void *ctx, curl_off_t to_get, curl_off_t got, curl_off_t to_send,
                       curl_off_t sent)
{
    struct call *call = ctx;
    progress_show(&call->progress, (uint64_t)sent, (uint64_t)to_send);
    return 0;
}

/* The options of one call. Loopback servers are reached directly, whatever http_proxy says. */
static void set_options(struct client *c, struct call *call, const char *url, char *why,
                        struct curl_slist *fields)
{
    const struct client_request *request = call->request;
    const struct curl_api *api = c->api;
    CURL *curl = c->curl;
    api->easy_reset(curl);
    api->easy_setopt(curl, CURLOPT_URL, url);
    api->easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    if (context_is_local(url))
        api->easy_setopt(curl, CURLOPT_PROXY, "");
    api->easy_setopt(curl, CURLOPT_USERAGENT, BRAND_SERVER);
    api->easy_setopt(curl, CURLOPT_HTTPHEADER, fields);
    api->easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
    api->easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
    if (!request->on_body) {
        api->easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
        api->easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)STALL_S);
    }
    if (request->progress) {
        api->easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
        api->easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
        api->easy_setopt(curl, CURLOPT_XFERINFODATA, call);
    }
    api->easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_field);
    api->easy_setopt(curl, CURLOPT_HEADERDATA, call);
    api->easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_answer);
    api->easy_setopt(curl, CURLOPT_WRITEDATA, call);
    if (request->content_type) {
        struct stat st;
        api->easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        api->easy_setopt(curl, CURLOPT_READFUNCTION, on_upload);
        api->easy_setopt(curl, CURLOPT_READDATA, call);
        if (fstat(call->fd, &st) == 0 && S_ISREG(st.st_mode)) { /* else it goes in chunks */
            off_t at = lseek(call->fd, 0, SEEK_CUR);
            curl_off_t size = st.st_size > at ? st.st_size - at : 0;
            api->easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, size);
            api->easy_setopt(curl, CURLOPT_SEEKFUNCTION, on_seek);
            api->easy_setopt(curl, CURLOPT_SEEKDATA, call);
        }
    }
    api->easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method ? request->method : "GET");
}

/* A call whose answer comes while its input still does: waiting for the one may not keep the other
 * waiting. */
static CURLcode perform_duplex(struct client *c, struct call *call)
{
    enum { LOOK_MS = 1000 };
    const struct curl_api *api = c->api;
    CURLM *multi = api->multi_init();
    CURLcode code = CURLE_OUT_OF_MEMORY;
    int running = 1, left;
    if (!multi || api->multi_add_handle(multi, c->curl))
        running = 0;
    while (running && api->multi_perform(multi, &running) == CURLM_OK && running) {
        struct curl_waitfd input = {.fd = call->fd, .events = CURL_WAIT_POLLIN};
        if (api->multi_poll(multi, &input, call->starved, LOOK_MS, NULL))
            break;
        if (call->starved && has_input(call)) {
            call->starved = false;
            api->easy_pause(c->curl, CURLPAUSE_CONT);
        }
    }
    for (const CURLMsg *m; multi && (m = api->multi_info_read(multi, &left));)
        if (m->msg == CURLMSG_DONE)
            code = m->data.result;
    if (multi) {
        api->multi_remove_handle(multi, c->curl);
        api->multi_cleanup(multi);
    }
    return code;
}

/* Appends "Name: value" to the request's fields; false without memory. */
static bool add_field(const struct client *c, struct curl_slist **fields, const char *name,
                      const char *value)
{
    char *text;
    if (asprintf(&text, "%s: %s", name, value) < 0)
        return false;
    struct curl_slist *longer = c->api->slist_append(*fields, text);
    free(text);
    if (longer)
        *fields = longer;
    return longer;
}

enum err_code client_call(struct client *c, const struct client_request *request, json_t **ret_json,
                          struct client_head *ret_head, struct err *e)
{
    struct call call = {
        .request = request, .fd = request->fd, .duplex = request->content_type && request->on_body};
    struct curl_slist *fields = NULL;
    char bearer[sizeof c->context.token + 8], why[CURL_ERROR_SIZE] = "", *text = NULL;
    struct err unseen;
    struct buf url;
    e = e ? e : &unseen;
    buf_init(&url, URL_MOST);
    buf_init(&call.collected, ANSWER_MOST);
    enum err_code rc = make_url(c, request, &url, e);
    if (rc)
        goto out;

    const char *type = request->json ? "application/json" : request->content_type;
    snprintf(bearer, sizeof bearer, "Bearer %s", c->context.token);
    if (!add_field(c, &fields, "Accept", "application/json, */*") ||
        (*c->context.token && !add_field(c, &fields, "Authorization", bearer)) ||
        (type && !add_field(c, &fields, "Content-Type", type)) ||
        (request->field.value &&
         !add_field(c, &fields, request->field.name, request->field.value)) ||
        (request->json && !(text = json_dumps(request->json, JSON_COMPACT)))) {
        rc = err_set(e, ERR_MEMORY, "out of memory");
        goto out;
    }
    set_options(c, &call, buf_data(&url), why, fields);
    if (text || (!type && request->method && strcmp(request->method, "POST") == 0)) {
        c->api->easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE,
                            (curl_off_t)(text ? strlen(text) : 0));
        c->api->easy_setopt(c->curl, CURLOPT_POSTFIELDS, text ? text : "");
    }
    progress_begin(&call.progress, request->progress, request->progress_then);
    CURLcode code = call.duplex ? perform_duplex(c, &call) : c->api->easy_perform(c->curl);
    progress_end(&call.progress);
    /* A server may refuse a body before it has read it: then its answer counts, not the break. */
    if (code && !(code == CURLE_SEND_ERROR && call.head.status >= 400))
        rc = transport_error(c, &call, code, why, e);
    else
        rc = finish(c, &call, ret_json, e);
    if (ret_head)
        *ret_head = call.head;
out:
    c->api->slist_free_all(fields);
    free(text);
    buf_done(&call.collected);
    buf_done(&url);
    return rc;
}

enum err_code client_list(struct client *c, const struct client_request *request, size_t most,
                          json_t **ret_json, struct err *e)
{
    enum { PAGE = 100, SLOT = 15 /* of `query`, for the cursor; 14 is for the limit */ };
    struct client_request page = *request;
    json_t *all = json_array(), *answer = NULL;
    char limit[24];
    enum err_code rc;
    for (;;) {
        size_t have = json_array_size(all), want = most && most - have < PAGE ? most - have : PAGE;
        snprintf(limit, sizeof limit, "%zu", want);
        page.query[SLOT - 1] = (struct client_pair){"limit", limit};
        json_t *next = NULL;
        rc = client_call(c, &page, &next, NULL, e);
        json_decref(answer); /* the cursor in use was in it */
        answer = next;
        if (rc)
            break;
        json_t *items = json_object_get(answer, "items");
        const char *cursor = answer_text(answer, "next");
        json_array_extend(all, items);
        /* A page may be empty and still not the last: searches look at a bounded number of rows. */
        if (!*cursor || (most && json_array_size(all) >= most)) {
            *ret_json = json_pack("{s:O,s:s?}", "items", all, "next", *cursor ? cursor : NULL);
            rc = *ret_json ? ERR_OK : err_set(e, ERR_MEMORY, "out of memory");
            break;
        }
        page.query[SLOT] = (struct client_pair){"cursor", cursor};
    }
    json_decref(answer);
    json_decref(all);
    return rc;
}

int client_once(const char *project, const struct client_request *request, long most,
                json_t **ret_json)
{
    struct client *c = NULL;
    struct err e;
    enum err_code rc = client_open(project, &c, &e);
    if (rc == ERR_OK && most == CLIENT_ONE)
        rc = client_call(c, request, ret_json, NULL, &e);
    else if (rc == ERR_OK)
        rc = client_list(c, request, (size_t)most, ret_json, &e);
    client_close(c);
    return rc ? client_fail(request, &e) : 0;
}

const char *answer_text(const json_t *object, const char *name)
{
    const char *s = json_string_value(json_object_get(object, name));
    return s ? s : "";
}

uint64_t answer_count(const json_t *object, const char *name)
{
    json_int_t n = json_integer_value(json_object_get(object, name));
    return n > 0 ? (uint64_t)n : 0;
}
