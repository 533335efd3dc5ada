/* Splits: a function's requests shared out among versions, by percent.
 *
 * The live version is one of them: it stays the one that deploys start from and
 * that everything goes back to when the split is over. */
#include "api/request.h"
#include "api/secrets.h"

#include <ctype.h>

static void answer(struct api_request *r)
{
    struct err e;
    char id[UUID_TEXT + 1];
    uuid_text(r->function.id, id);
    json_t *shape = NULL;
    if (store_function(r->api->store, r->project.id, slice_str(id), &r->function, &e) ||
        shape_function_split(r->api, &r->function, &shape, &e))
        api_fail(r, &e);
    else
        api_answer(r, 200, shape);
}

static void put_split(struct api_request *r, const struct store_share *shares, uint32_t n)
{
    struct store *st = r->api->store;
    struct store_actor who = api_actor(r);
    char detail[64] = "off";
    struct err e;
    size_t at = 0;
    for (uint32_t i = 0; i < n; i++)
        at += (size_t)snprintf(detail + at, sizeof detail - at, "%s%u=%u", i ? " " : "",
                               shares[i].number, shares[i].percent);
    enum err_code rc = store_begin(st, &e);
    if (rc == ERR_OK) {
        rc = store_split(st, r->function.id, shares, n, &e);
        if (rc == ERR_OK)
            rc = store_audit(st, &who, r->project.id, "function.split", slice_str(r->function.name),
                             slice_str(detail), &e);
        rc = store_end(st, rc, &e);
    }
    if (rc)
        api_fail(r, &e);
    else
        answer(r);
}

struct sharing {
    struct api_request *r;
    struct store_share *share;
};

static enum err_code note_share(void *arg, const struct store_version *v, struct err *e)
{
    struct sharing *s = arg;
    s->share->version = v->id;
    return v->disabled_ms
               ? err_set(e, ERR_DISABLED, "version %u is disabled: enable it first", v->number)
               : secrets_judge_version(s->r->api, v, s->r->field, e);
}

static enum err_code read_shares(struct api_request *r, struct store_share *shares, uint32_t *ret_n,
                                 struct err *e)
{
    const struct store_function *f = &r->function;
    uint32_t n = 0, sum = 0;
    bool live = false;
    const char *name;
    json_t *v;
    json_object_foreach(json_object_get(r->json, "versions"), name, v)
    {
        uint64_t number;
        snprintf(r->field, sizeof r->field, "versions.%.100s", name);
        if (!isdigit((unsigned char)name[0]) || name[0] == '0' ||
            !slice_u64(slice_str(name), &number) || number > UINT32_MAX)
            return err_set(e, ERR_INVALID, "a version is named by its number");
        struct store_share *s = &shares[n++]; /* the schema knows how many there may be */
        *s = (struct store_share){.number = (uint32_t)number,
                                  .percent = (uint32_t)json_integer_value(v)};
        struct sharing of = {.r = r, .share = s};
        enum err_code rc = store_version_numbered(r->api->store, f->id, number, note_share, &of, e);
        if (rc == ERR_NOT_FOUND)
            return err_set(e, ERR_INVALID, "\"%s\" has no version %s", f->name, name);
        if (rc)
            return rc;
        sum += s->percent;
        live |= uuid_eq(s->version, f->live);
    }
    snprintf(r->field, sizeof r->field, "versions");
    if (sum != 100)
        return err_set(e, ERR_INVALID, "the percents add up to %u, not to 100", sum);
    if (!live && uuid_is_zero(f->live))
        return err_set(e, ERR_CONFLICT, "no version is live yet: promote one first");
    if (!live)
        return err_set(e, ERR_INVALID,
                       "version %u is live: give it a share, or promote another one first",
                       f->live_number);
    *ret_n = n;
    return ERR_OK;
}

void versions_split(struct api_request *r)
{
    struct store_share shares[STORE_SHARES];
    uint32_t n = 0;
    struct err e;
    if (read_shares(r, shares, &n, &e))
        api_fail(r, &e);
    else
        put_split(r, shares, n == 1 ? 0 : n); /* all to the live one: that is no split */
}

void versions_unsplit(struct api_request *r)
{
    put_split(r, NULL, 0);
}
