/* Tokens of the user who asks. */
#include "api/request.h"

#include "base/clock.h"

enum { PAGE = 100, NORMAL_SECONDS = 30 * 86400 };

struct page {
    struct uuid project; /* zero: of all */
    json_t *items;
    struct uuid last;
    uint32_t seen;
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
    if (uuid_is_zero(page->project) || uuid_eq(page->project, t->project))
        json_array_append_new(page->items, shape_token(t));
    page->last = t->id;
    page->seen++;
}

void tokens_list(struct api_request *r)
{
    struct err e;
    uint32_t limit = (uint32_t)api_number(r, "limit", PAGE);
    struct uuid after = api_uuid(r, "cursor");
    struct page page = {.project = r->token.project, .items = json_array()};
    if (store_tokens(r->api->store, r->user.id, after, limit, add, &page, &e)) {
        json_decref(page.items);
        api_fail(r, &e);
        return;
    }
    api_answer(r, 200, shape_list(page.items, page.seen == limit ? shape_uuid(page.last) : NULL));
}

/* The body's `scopes`; false and answered if the asker lacks one of them. */
static bool read_scopes(struct api_request *r, uint32_t *ret_scopes)
{
    json_t *v;
    size_t i;
    uint32_t scopes = 0;
    json_array_foreach(json_object_get(r->json, "scopes"), i, v) scopes |=
        scope_find(slice_str(json_string_value(v)));
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
    struct slice name = api_text(r, "name"), project = api_text(r, "project");
    uint64_t count, now = clock_real_us() / 1000000;
    struct store_token t = {.id = uuid_new(), .user = r->user.id, .project = r->token.project};
    if (!read_scopes(r, &t.scopes))
        return;
    if (!slice_copy(name, t.name, sizeof t.name)) {
        api_refuse_field(r, "name", "name has 1 to %d bytes", STORE_TEXT);
        return;
    }
    json_t *expires = json_object_get(r->json, "expires_in");
    json_int_t seconds = expires ? json_integer_value(expires) : NORMAL_SECONDS;
    if (project.p) {
        struct store_project p;
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
    struct store_token token;
    struct uuid id;
    struct err e;
    enum err_code rc =
        uuid_parse(r->id_text, &id) ? store_token(st, id, &token, &e) : ERR_NOT_FOUND;
    /* A token of one project doesn't reach those of others, nor the user's for all. */
    if (rc == ERR_OK && !uuid_is_zero(r->token.project) &&
        !uuid_eq(r->token.project, token.project))
        rc = ERR_NOT_FOUND;
    if (rc == ERR_OK)
        rc = store_begin(st, &e);
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
