#include "cli/settle.h"

#include "base/brand.h"
#include "cli/opens.h"
#include "cli/outcome.h"

int settle_patch(struct client *c, const struct settle *s, const json_t *patch)
{
    json_t *body = json_copy((json_t *)patch), *answer = NULL;
    struct err e;
    if (s->no_promote)
        json_object_set_new(body, "promote", json_false());
    const struct client_request request = {
        .method = "POST", .path = "{P}/functions/{}/versions", .at = {s->name}, .json = body};
    int status = client_call(c, &request, &answer, NULL, &e)
                     ? client_fail(&request, &e)
                     : outcome_print(c, s->name, answer, s->json);
    json_decref(answer);
    json_decref(body);
    return status;
}

enum err_code settle_base(struct client *c, const char *name, json_t **ret_version, struct err *e)
{
    bool live;
    enum err_code rc = opens_base(c, name, ret_version, &live, e);
    if (rc == ERR_OK && !*ret_version)
        rc = err_set(e, ERR_NO_VERSION,
                     "%s has no version yet that could change: `" BRAND_COMMAND
                     " deploy FILE.wasm --name %s` makes one",
                     name, name);
    return rc;
}

int settle_fail(const struct err *e)
{
    return client_fail(&(struct client_request){.path = "{P}/functions/"}, e);
}
