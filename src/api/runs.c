/* Receipts: what each run was and used. */
#include "api/request.h"

#include <stdlib.h>

enum {
    PAGE = 50,
    PAGE_BYTES = 1 << 20, /* a page ends early when runs opened much */
    LOGS = 1000           /* lines shown with one run */
};

struct page {
    json_t *items;
    struct uuid last;
    size_t bytes;
    bool cut;
};

static enum err_code add(void *arg, const struct store_run *r, struct err *e)
{
    struct page *page = arg;
    page->cut |= page->bytes > PAGE_BYTES;
    if (page->cut)
        return ERR_OK;
    json_array_append_new(page->items, shape_run(r));
    page->bytes += r->uses.n + r->host_calls.n + r->text.n + 1024;
    page->last = r->id;
    return ERR_OK;
}

static void list(struct api_request *r, struct uuid function)
{
    struct err e;
    uint32_t limit = (uint32_t)api_number(r, "limit", PAGE);
    struct uuid before = api_uuid(r, "cursor");
    struct page page = {.items = json_array()};
    api_drain(r);
    if (store_runs(r->api->store, r->project.id, function, before, api_flag(r, "failed"), limit,
                   add, &page, &e)) {
        json_decref(page.items);
        api_fail(r, &e);
        return;
    }
    bool full = page.cut || json_array_size(page.items) == limit;
    api_answer(r, 200, shape_list(page.items, full ? shape_uuid(page.last) : NULL));
}

void runs_of_function(struct api_request *r)
{
    list(r, r->function.id);
}

void runs_of_project(struct api_request *r)
{
    list(r, (struct uuid){{0}});
}

/* ---- one run ---- */

struct one {
    json_t *run, *logs;
    struct uuid function;
    char name[STORE_NAME + 1];
};

static enum err_code keep(void *arg, const struct store_run *r, struct err *e)
{
    struct one *one = arg;
    one->run = shape_run(r);
    one->function = r->function;
    slice_copy(r->function_name, one->name, sizeof one->name);
    return ERR_OK;
}

static enum err_code add_line(void *arg, const struct store_log *l, struct err *e)
{
    struct one *one = arg;
    json_array_append_new(one->logs, shape_log(l, one->name));
    return ERR_OK;
}

void runs_get(struct api_request *r)
{
    struct err e;
    struct uuid id;
    if (!uuid_parse(r->id_text, &id)) {
        api_refuse(r, ERR_NOT_FOUND, "there is no run \"%.*s\"",
                   (int)(r->id_text.n < 64 ? r->id_text.n : 64), r->id_text.p);
        return;
    }
    struct one one = {.logs = json_array()};
    api_drain(r);
    enum err_code rc = store_run(r->api->store, r->project.id, id, keep, &one, &e);
    if (rc == ERR_NOT_FOUND)
        err_set(&e, rc, "there is no run \"%.*s\" (records of runs are not kept for ever)",
                SLICE_ARG(r->id_text));
    if (rc == ERR_OK) {
        struct store_log_query q = {
            .function = one.function, .run = id, .level = UINT32_MAX, .limit = LOGS};
        rc = store_logs(r->api->store, &q, add_line, &one, &e);
    }
    if (rc) {
        json_decref(one.run);
        json_decref(one.logs);
        api_fail(r, &e);
        return;
    }
    json_object_set_new(one.run, "logs", one.logs);
    api_answer(r, 200, one.run);
}
