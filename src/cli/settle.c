#include "cli/settle.h"

#include "base/brand.h"
#include "base/uuid.h"
#include "cli/opens.h"
#include "cli/outcome.h"

#include <stdio.h>
#include <unistd.h>

enum {
    TRIES = 100, /* of a patch that others come before */
    PAUSE_US = 50000
};

static enum err_code read_tag(struct client *c, struct settle *s, struct err *e)
{
    struct client_head head;
    enum err_code rc = client_call(
        c, &(struct client_request){.path = "{P}/functions/{}", .at = {s->name}}, NULL, &head, e);
    if (rc == ERR_OK)
        snprintf(s->tag, sizeof s->tag, "%s", head.tag);
    return rc;
}

/* Of those who come at once each waits another while. */
static void pause_a_little(void)
{
    uint32_t random;
    random_bytes(&random, sizeof random);
    usleep(random % PAUSE_US);
}

int settle_patch(struct client *c, struct settle *s, const json_t *patch)
{
    json_t *body = json_copy((json_t *)patch), *answer = NULL;
    struct err e;
    enum err_code rc;
    if (s->no_promote)
        json_object_set_new(body, "promote", json_false());
    const struct client_request request = {.method = "POST",
                                           .path = "{P}/functions/{}/versions",
                                           .at = {s->name},
                                           .field = {"If-Match", s->tag},
                                           .json = body};
    for (int tries = s->by_member ? TRIES : 1;; pause_a_little()) {
        rc = client_call(c, &request, &answer, NULL, &e);
        if (rc != ERR_PRECONDITION || --tries == 0 || (rc = read_tag(c, s, &e)))
            break;
    }
    int status = rc ? client_fail(&request, &e) : outcome_print(c, s->name, answer, s->json);
    json_decref(answer);
    json_decref(body);
    return status;
}

enum err_code settle_base(struct client *c, struct settle *s, json_t **ret_version, struct err *e)
{
    bool live;
    enum err_code rc = read_tag(c, s, e); /* before the version: it must not be newer */
    if (rc == ERR_OK)
        rc = opens_base(c, s->name, ret_version, &live, e);
    if (rc == ERR_OK && !*ret_version)
        rc = err_set(e, ERR_NO_VERSION,
                     "%s has no version yet that could change: `" BRAND_COMMAND
                     " deploy FILE.wasm --name %s` makes one",
                     s->name, s->name);
    return rc;
}

int settle_fail(const struct err *e)
{
    return client_fail(&(struct client_request){.path = "{P}/functions/"}, e);
}
