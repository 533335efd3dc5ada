/* Who the token is. */
#include "api/request.h"

struct first {
    char name[STORE_NAME + 1];
};

static void keep_first(void *arg, const struct store_project *p)
{
    struct first *first = arg;
    if (!first->name[0])
        memcpy(first->name, p->name, sizeof first->name);
}

void whoami_get(struct api_request *r)
{
    /* The project that commands use when none is named: "default" if the user is in it. */
    struct store_project p;
    struct first first = {""};
    struct err e;
    enum err_code rc = store_project(r->api->store, r->user.id, SLICE("default"), &p, &e);
    if (rc == ERR_OK)
        keep_first(&first, &p);
    else
        rc = store_projects(r->api->store, r->user.id, SLICE(""), 1, keep_first, &first, &e);
    if (rc) {
        api_fail(r, &e);
        return;
    }
    json_t *user =
        json_pack("{s:o, s:s, s:s, s:o, s:o}", "id", shape_uuid(r->user.id), "name", r->user.name,
                  "role", r->user.role, "created_at", shape_time(r->user.created_ms), "updated_at",
                  shape_time(r->user.updated_ms));
    json_t *token = json_pack("{s:o, s:s, s:o, s:o}", "id", shape_uuid(r->token.id), "name",
                              r->token.name, "scopes", shape_scopes(r->token.scopes), "expires_at",
                              shape_time(r->token.expires_ms));
    api_answer(r, 200,
               json_pack("{s:o, s:o, s:o}", "user", user, "token", token, "project",
                         first.name[0] ? json_string(first.name) : json_null()));
}
