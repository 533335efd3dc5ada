/* Previews: the address of a version before it is promoted.
 *
 * Asking for one opens it for a day to members with a link; the link is good for ten minutes, long
 * enough to be passed to a colleague, too short to be found in an old log. */
#include "api/secrets.h"
#include "api/versions.h"

#include "auth/preview.h"
#include "base/brand.h"
#include "base/clock.h"

#include <stdio.h>

enum {
    LINK_S = 600,
    OPEN_S = 24 * 3600,
    AGAIN_S = 3600 /* one that was opened so shortly before is left as it is: each opening writes
                      all previews of the function into the route table */
};

struct previewed {
    struct api_request *r;
    struct uuid version;
    uint32_t number;
    bool open, disabled;
    uint64_t until_s;
};

static enum err_code read_previewed(void *arg, const struct store_version *v, struct err *e)
{
    struct previewed *p = arg;
    *p = (struct previewed){.r = p->r,
                            .version = v->id,
                            .number = v->number,
                            .open = v->preview == PREVIEW_PUBLIC,
                            .disabled = v->disabled_ms != 0};
    return secrets_judge_version(p->r->api, v, p->r->field, e);
}

static json_t *shape_preview(const struct api_request *r, const struct previewed *p)
{
    char label[STORE_NAME + 16], url[256] = "", token[PREVIEW_TOKEN];
    snprintf(label, sizeof label, "%u--%s", p->number, r->function.name);
    api_function_url(r->api, label, url, sizeof url);
    if (p->open)
        return json_pack("{s:s, s:n, s:n}", "url", url, "expires_at", "until");
    uint64_t expires_s = clock_real_us() / 1000000 + LINK_S;
    preview_token(&r->api->keys,
                  &(struct preview_pass){
                      .function = r->function.id, .version = p->version, .until_s = expires_s},
                  token);
    return json_pack("{s:o, s:o, s:o}", "url",
                     json_sprintf("%s?" BRAND_COMMAND "-preview=%s", url, token), "expires_at",
                     shape_time(expires_s * 1000), "until", shape_time(p->until_s * 1000));
}

static enum err_code note_until(void *arg, const struct store_preview *open, struct err *e)
{
    struct previewed *p = arg;
    (void)e;
    if (uuid_eq(open->version, p->version))
        p->until_s = open->until_ms / 1000;
    return ERR_OK;
}

/* Opens it to members for a day, unless it is. */
static enum err_code open_preview(struct previewed *p, struct err *e)
{
    struct api_request *r = p->r;
    struct store *st = r->api->store;
    struct store_actor who = api_actor(r);
    uint64_t now_s = clock_real_us() / 1000000, until_s = now_s + OPEN_S;
    char number[16];
    enum err_code rc = store_previews(st, r->function.id, now_s * 1000, note_until, p, e);
    if (rc || p->until_s + AGAIN_S >= until_s)
        return rc;
    p->until_s = until_s;
    snprintf(number, sizeof number, "%u", p->number);
    rc = store_begin(st, e);
    if (rc)
        return rc;
    rc = store_preview_put(st, r->function.id, p->version, until_s * 1000, e);
    if (rc == ERR_OK)
        rc = store_audit(st, &who, r->project.id, "version.preview", slice_str(r->function.name),
                         slice_str(number), e);
    return store_end(st, rc, e);
}

void versions_preview(struct api_request *r)
{
    struct previewed p = {.r = r};
    struct err e;
    if (!versions_find(r, read_previewed, &p))
        return;
    if (p.disabled)
        api_refuse(r, ERR_DISABLED, "version %u is disabled: enable it first", p.number);
    else if (!p.open && open_preview(&p, &e))
        api_fail(r, &e);
    else
        api_answer(r, 200, shape_preview(r, &p));
}
