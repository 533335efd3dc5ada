/* Tokens of the user who asks. */
#include "api/request.h"

#include "base/clock.h"

enum { PAGE = 100, NORMAL_SECONDS = 30 * 86400, MOST_SECONDS = 366 * 86400 };

struct page {
    json_t *items;
    struct uuid last;
};

static json_t *shape_token(const struct store_token *t)
{
    return json_pack("{s:o, s:s, s:o, s:o, s:o, s:o}", "id", shape_uuid(t->id), "name", t->name,
                     "scopes", shape_scopes(t->scopes), "created_at", shape_time(t->created_ms),
                     "updated_at", shape_time(t->updated_ms), "expires_at",
                     shape_time(t->expires_ms));
}

static void add(void *arg, const struct store_token *t)
{
    struct page *page = arg;
    json_array_append_new(page->items, shape_token(t));
    page->last = t->id;
}

void tokens_list(struct api_request *r)
{
    struct err e;
    uint32_t limit;
    char cursor[UUID_TEXT + 1];
    struct uuid after = {{0}};
    if (!api_known_query(r, (const char *const[]){"limit", "cursor", NULL}) ||
        !api_limit(r, PAGE, 1000, &limit))
        return;
    if (api_query(r, "cursor", cursor, sizeof cursor) && !uuid_parse(slice_str(cursor), &after)) {
        api_refuse_field(r, "cursor", "this is no cursor of this list");
        return;
    }
    struct page page = {.items = json_array()};
    if (store_tokens(r->api->store, r->user.id, after, limit, add, &page, &e)) {
        json_decref(page.items);
        api_fail(r, &e);
        return;
    }
    bool full = json_array_size(page.items) == limit;
    api_answer(r, 200, shape_list(page.items, full ? shape_uuid(page.last) : NULL));
}

/* The body's `scopes`; false and answered if they are not a list of names that the asker has. */
static bool read_scopes(struct api_request *r, uint32_t *ret_scopes)
{
    json_t *list = json_object_get(r->json, "scopes"), *v;
    size_t i;
    uint32_t scopes = 0;
    if (!json_is_array(list) || json_array_size(list) == 0) {
        api_refuse_field(r, "scopes",
                         "scopes is a list of some of read, deploy, invoke, logs, secrets, admin");
        return false;
    }
    json_array_foreach(list, i, v)
    {
        struct slice name = slice_make(json_string_value(v), json_string_length(v));
        uint32_t scope = json_is_string(v) ? scope_find(name) : 0;
        if (!scope) {
            api_refuse_field(r, "scopes", "scopes are read, deploy, invoke, logs, secrets, admin");
            return false;
        }
        scopes |= scope;
    }
    if (scopes & ~r->token.scopes) {
        api_refuse(r, ERR_FORBIDDEN, "a token can't give scopes that it does not have");
        return false;
    }
    *ret_scopes = scopes;
    return true;
}

void tokens_create(struct api_request *r)
{
    struct store *st = r->api->store;
    struct err e;
    struct slice name, project;
    uint64_t count, now = clock_real_us() / 1000000;
    struct store_token t = {.id = uuid_new(), .user = r->user.id, .project = r->token.project};
    json_int_t seconds = NORMAL_SECONDS;
    if (!api_known_fields(r,
                          (const char *const[]){"name", "scopes", "expires_in", "project", NULL}) ||
        !api_string(r, "name", &name) || !read_scopes(r, &t.scopes))
        return;
    if (name.n == 0 || !slice_copy(name, t.name, sizeof t.name)) {
        api_refuse_field(r, "name", "name has 1 to %d bytes", STORE_TEXT);
        return;
    }
    json_t *expires = json_object_get(r->json, "expires_in");
    if (expires)
        seconds = json_is_integer(expires) ? json_integer_value(expires) : 0;
    if (seconds < 1 || seconds > MOST_SECONDS) {
        api_refuse_field(r, "expires_in", "expires_in is a number of seconds, at most a year");
        return;
    }
    if (json_object_get(r->json, "project")) {
        struct store_project p;
        if (!api_string(r, "project", &project))
            return;
        enum err_code rc = store_project(st, r->user.id, project, &p, &e);
        if (rc == ERR_OK && !uuid_is_zero(r->token.project) && !uuid_eq(p.id, r->token.project))
            rc = ERR_NOT_FOUND;
        if (rc) {
            api_refuse(r, rc, "there is no project \"%.*s\"", SLICE_ARG(project));
            return;
        }
        t.project = p.id;
    }
    t.expires_ms = (now + (uint64_t)seconds) * 1000;
    if (store_token_count(st, r->user.id, &count, &e)) {
        api_fail(r, &e);
        return;
    }
    if (count >= r->api->options->limits.v[LIMIT_TOKENS]) {
        api_refuse(r, ERR_QUOTA, "there are %llu tokens already: revoke one first",
                   (unsigned long long)count);
        return;
    }

    struct store_actor who = api_actor(r);
    enum err_code rc = store_begin(st, &e);
    if (rc == ERR_OK) {
        rc = store_token_put(st, &t, &e);
        if (rc == ERR_OK)
            rc = store_audit(st, &who, t.project, "token.create", slice_str(t.name), SLICE(""), &e);
        if (rc == ERR_OK)
            rc = store_token(st, t.id, &t, &e);
        rc = store_end(st, rc, &e);
    }
    if (rc) {
        api_fail(r, &e);
        return;
    }
    char text[TOKEN_MOST];
    struct token_claims c = {.id = t.id,
                             .user = t.user,
                             .scopes = t.scopes,
                             .issued = now,
                             .expires = t.expires_ms / 1000};
    token_sign(&r->api->keys, &c, text);
    json_t *body = shape_token(&t);
    json_object_set_new(body, "token", json_string(text));
    api_answer(r, 201, body);
}

void tokens_revoke(struct api_request *r)
{
    struct store *st = r->api->store;
    struct store_actor who = api_actor(r);
    struct uuid id;
    struct err e;
    if (!uuid_parse(r->id_text, &id)) {
        api_refuse(r, ERR_NOT_FOUND, "there is no such token");
        return;
    }
    enum err_code rc = store_begin(st, &e);
    if (rc == ERR_OK) {
        rc = store_token_revoke(st, r->user.id, id, &e);
        if (rc == ERR_OK)
            rc = store_audit(st, &who, r->token.project, "token.revoke", r->id_text, SLICE(""), &e);
        rc = store_end(st, rc, &e);
    }
    if (rc == ERR_NOT_FOUND)
        api_refuse(r, rc, "there is no such token");
    else if (rc)
        api_fail(r, &e);
    else
        api_answer_empty(r, 204);
}
