/* Functions of a project: names that answer. */
#include "api/kept.h"
#include "api/secrets.h"

#include "base/steady.h"

enum { PAGE = 100, KEPT_DAYS = 30 };

struct page {
    const struct api *api;
    struct jot text;
    uint32_t count;
    char last[STORE_NAME + 1];
};

static void add(void *arg, const struct store_function *f)
{
    struct page *page = arg;
    jot_function(&page->text, page->api, f);
    page->count++;
    memcpy(page->last, f->name, sizeof page->last);
}

void functions_list(struct api_request *r)
{
    struct err e;
    struct slice text;
    api_drain(r);
    if (kept_answer(r))
        return;
    uint32_t limit = (uint32_t)api_number(r, "limit", PAGE);
    char cursor[STORE_NAME + 1] = "";
    api_query(r, "cursor", cursor, sizeof cursor);
    struct page page = {.api = r->api};
    jot_init(&page.text, (size_t)limit * FUNCTION_MOST + FUNCTION_MOST);
    (void)buf_reserve(&page.text.text, (size_t)limit * FUNCTION_USUAL); /* it grows from there */
    jot_open(&page.text, NULL, '{');
    jot_open(&page.text, "items", '[');
    enum err_code rc = store_functions(r->api->store, r->project.id, api_flag(r, "deleted"),
                                       slice_str(cursor), limit, add, &page, &e);
    jot_close(&page.text, ']');
    if (page.count == limit)
        jot_text(&page.text, "next", slice_str(page.last));
    else
        jot_null(&page.text, "next");
    jot_close(&page.text, '}');
    if (!rc && !jot_slice(&page.text, &text))
        rc = err_set(&e, ERR_MEMORY, "no memory for a list of functions");
    if (rc)
        api_fail(r, &e);
    else
        kept_new(r, text);
    jot_done(&page.text);
}

uint64_t functions_kept_since(void)
{
    return steady_ms() - (uint64_t)KEPT_DAYS * 86400000;
}

bool functions_room(struct api_request *r)
{
    uint64_t most = r->api->options->limits.v[LIMIT_FUNCTIONS];
    struct err e;
    bool full;
    if (store_functions_reach(r->api->store, r->project.id, most, &full, &e)) {
        api_fail(r, &e);
        return false;
    }
    if (full)
        api_refuse(r, ERR_QUOTA, "the project has %llu functions already",
                   (unsigned long long)most);
    return !full;
}

static void answer_function(struct api_request *r, int status)
{
    struct jot text;
    struct slice json;
    jot_init(&text, FUNCTION_MOST);
    jot_function(&text, r->api, &r->function);
    if (jot_slice(&text, &json))
        api_answer_text(r, status, json);
    else
        api_refuse(r, ERR_MEMORY, "no memory for a function");
    jot_done(&text);
}

void functions_create(struct api_request *r)
{
    struct store *st = r->api->store;
    struct store_actor who = api_actor(r);
    struct err e;
    struct slice name = api_text(r, "name");
    if (!functions_room(r))
        return;
    enum err_code rc = store_begin(st, &e);
    if (rc == ERR_OK) {
        rc = store_function_put(st, r->project.id, uuid_new(), name, functions_kept_since(), &e);
        if (rc == ERR_OK)
            rc = store_audit(st, &who, r->project.id, "function.create", name, SLICE(""), &e);
        if (rc == ERR_OK)
            rc = request_function(r, name, &e);
        rc = store_end(st, rc, &e);
    }
    if (rc)
        api_fail(r, &e);
    else
        answer_function(r, 201);
}

void functions_get(struct api_request *r)
{
    /* Counters are exact: what the edges have counted until now is added first. */
    struct err e;
    api_drain(r);
    json_t *shape = NULL;
    if (request_function_again(r, &e) || shape_function_split(r->api, &r->function, &shape, &e))
        api_fail(r, &e);
    else
        api_answer(r, 200, shape);
}

void functions_delete(struct api_request *r)
{
    struct store *st = r->api->store;
    struct store_actor who = api_actor(r);
    struct err e;
    enum err_code rc = store_begin(st, &e);
    if (rc == ERR_OK) {
        rc = store_function_delete(st, r->function.id, &e);
        if (rc == ERR_OK)
            rc = store_audit(st, &who, r->project.id, "function.delete",
                             slice_str(r->function.name), SLICE(""), &e);
        rc = store_end(st, rc, &e);
    }
    if (rc)
        api_fail(r, &e);
    else
        api_answer_empty(r, 204);
}

static enum err_code judge_live(void *arg, const struct store_version *v, struct err *e)
{
    struct api_request *r = arg;
    return secrets_judge_version(r->api, v, r->field, e);
}

void functions_undelete(struct api_request *r)
{
    struct store *st = r->api->store;
    struct store_actor who = api_actor(r);
    struct err e;
    if (!r->function.deleted_ms) {
        api_refuse(r, ERR_CONFLICT, "\"%s\" is not deleted", r->function.name);
        return;
    }
    enum err_code rc = store_begin(st, &e);
    if (rc == ERR_OK) {
        if (!uuid_is_zero(r->function.live)) /* its secrets may have been unset meanwhile */
            rc = store_version(st, r->function.live, judge_live, r, &e);
        if (rc == ERR_OK)
            rc = store_function_undelete(st, r->function.id, &e);
        if (rc == ERR_OK)
            rc = store_audit(st, &who, r->project.id, "function.undelete",
                             slice_str(r->function.name), SLICE(""), &e);
        if (rc == ERR_OK)
            rc = request_function_again(r, &e);
        rc = store_end(st, rc, &e);
    }
    if (rc)
        api_fail(r, &e);
    else
        answer_function(r, 200);
}
