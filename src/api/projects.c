/* Projects of the user who asks. */
#include "api/request.h"

enum { PAGE = 100, PER_USER = 5 };

struct page {
    const struct api_request *r;
    json_t *items;
    uint32_t seen; /* with those that the token doesn't reach */
    char last[STORE_NAME + 1];
};

static void add(void *arg, const struct store_project *p)
{
    struct page *page = arg;
    struct uuid only = page->r->token.project;
    if (uuid_is_zero(only) || uuid_eq(only, p->id))
        json_array_append_new(page->items, shape_project(p));
    memcpy(page->last, p->name, sizeof page->last);
    page->seen++;
}

void projects_list(struct api_request *r)
{
    struct err e;
    uint32_t limit = (uint32_t)api_number(r, "limit", PAGE);
    char cursor[STORE_NAME + 1] = "";
    api_query(r, "cursor", cursor, sizeof cursor);
    struct page page = {.r = r, .items = json_array()};
    if (store_projects(r->api->store, r->user.id, slice_str(cursor), limit, add, &page, &e)) {
        json_decref(page.items);
        api_fail(r, &e);
        return;
    }
    api_answer(r, 200, shape_list(page.items, page.seen == limit ? json_string(page.last) : NULL));
}

static void count(void *arg, const struct store_project *p)
{
    (void)p;
    ++*(unsigned *)arg;
}

void projects_create(struct api_request *r)
{
    struct store *st = r->api->store;
    struct store_actor who = api_actor(r);
    struct store_project p;
    struct err e;
    struct slice name = api_text(r, "name");
    unsigned have = 0;
    if (!uuid_is_zero(r->token.project)) {
        api_refuse(r, ERR_FORBIDDEN, "a token of one project can't make another");
        return;
    }
    if (store_projects(st, r->user.id, SLICE(""), PER_USER + 1, count, &have, &e)) {
        api_fail(r, &e);
        return;
    }
    if (have >= PER_USER && !option_is(r->api->options, OPTION_PLAN, "unlimited")) {
        api_refuse(r, ERR_QUOTA, "a user has at most %d projects", PER_USER);
        return;
    }
    struct uuid id = uuid_new();
    enum err_code rc = store_begin(st, &e);
    if (rc == ERR_OK) {
        rc = store_project_put(st, id, name, r->user.id, &e);
        if (rc == ERR_OK)
            rc = store_audit(st, &who, id, "project.create", name, SLICE(""), &e);
        if (rc == ERR_OK)
            rc = store_project(st, r->user.id, name, &p, &e);
        rc = store_end(st, rc, &e);
    }
    if (rc)
        api_fail(r, &e);
    else
        api_answer(r, 201, shape_project(&p));
}

void projects_get(struct api_request *r)
{
    api_answer(r, 200, shape_project(&r->project));
}
