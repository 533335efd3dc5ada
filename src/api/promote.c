/* Which version answers: promotion, rollback, and versions that are not to answer any more.
 *
 * Promoting runs the version's check, unless it has passed it before: then it
 * has been seen to work, as a version has that was live. So a rollback, which
 * only goes back to such a one, asks nothing and is quick. Neither makes a
 * version, and neither touches secrets. */
#include "api/versions.h"

struct wanted {
    const struct api *api;
    struct deployment *d;
    bool passed, promoted, disabled, alone;
};

static enum err_code read_wanted(void *arg, const struct store_version *v, struct err *e)
{
    struct wanted *w = arg;
    struct deployment *d = w->d;
    json_t *check = v->result.n ? json_loadb(v->result.p, v->result.n, 0, NULL) : NULL;
    w->passed = check && json_is_null(json_object_get(check, "error"));
    w->promoted = v->promoted_ms != 0;
    w->disabled = v->disabled_ms != 0;
    w->alone = v->percent == 100;
    d->version = v->id;
    d->number = v->number;
    d->size = v->size;
    memcpy(d->digest, v->digest, sizeof d->digest);
    json_decref(check);
    return settings_read(&d->settings, v, w->api->secrets, e);
}

static bool refuse_disabled(struct api_request *r, const struct wanted *w)
{
    if (w->disabled)
        api_refuse(r, ERR_DISABLED, "version %u is disabled: enable it first", w->d->number);
    return w->disabled;
}

void versions_promote(struct api_request *r)
{
    struct deployment *d = versions_deployment(r);
    struct wanted w = {.api = r->api, .d = d};
    if (!d)
        return;
    if (!versions_find(r, read_wanted, &w) || refuse_disabled(r, &w)) {
        versions_drop(d);
        return;
    }
    d->unchecked = w.passed || json_is_true(json_object_get(r->json, "skip_check"));
    versions_deploy(r, d);
}

void versions_rollback(struct api_request *r)
{
    struct store *st = r->api->store;
    const struct store_function *f = &r->function;
    json_t *number = json_object_get(r->json, "version");
    struct store_share shares[STORE_SHARES];
    uint32_t split = 0;
    struct err e;
    struct deployment *d = versions_deployment(r);
    struct wanted w = {.api = r->api, .d = d};
    if (!d)
        return;
    enum err_code rc = store_shares(st, f->id, shares, &split, &e);
    if (rc == ERR_OK && number)
        rc = store_version_numbered(st, f->id, (uint64_t)json_integer_value(number), read_wanted,
                                    &w, &e);
    else if (rc == ERR_OK && split > 1) /* back to how it was before the split */
        rc = store_version(st, f->live, read_wanted, &w, &e);
    else if (rc == ERR_OK)
        rc = store_version_before(st, f->id, read_wanted, &w, &e);
    if (rc == ERR_NOT_FOUND && number)
        err_set(&e, rc, "\"%s\" has no version %lld", f->name,
                (long long)json_integer_value(number));
    else if (rc == ERR_NOT_FOUND)
        rc = err_set(&e, ERR_CONFLICT, "no other version of \"%s\" was ever live", f->name);
    if (rc == ERR_OK && !w.promoted && !w.disabled)
        rc = err_set(&e, ERR_CONFLICT,
                     "version %u was never live, so there is no way back to it: promote it",
                     d->number);
    if (rc) {
        api_fail(r, &e);
        versions_drop(d);
    } else if (refuse_disabled(r, &w)) {
        versions_drop(d);
    } else {
        d->unchecked = true;
        d->action = "version.rollback";
        versions_deploy(r, d);
    }
}

/* ---- disabling ---- */

struct switched {
    const struct api *api;
    struct uuid version;
    uint32_t number;
    bool live, disabled;
    json_t *shape;
};

static enum err_code read_switched(void *arg, const struct store_version *v, struct err *e)
{
    struct switched *s = arg;
    s->version = v->id;
    s->number = v->number;
    s->live = v->live;
    s->disabled = v->disabled_ms != 0;
    s->shape = shape_version(s->api, v, e);
    return s->shape ? ERR_OK : e->code;
}

static void switch_version(struct api_request *r, bool disabled)
{
    struct store *st = r->api->store;
    struct store_actor who = api_actor(r);
    struct switched s = {.api = r->api};
    char detail[16];
    struct err e;
    if (!versions_find(r, read_switched, &s))
        return;
    if (disabled == s.disabled) {
        api_answer(r, 200, s.shape);
        return;
    }
    json_decref(s.shape);
    s.shape = NULL;
    if (disabled && s.live) {
        api_refuse(
            r, ERR_CONFLICT,
            "version %u is live: promote another one first, or roll back; or delete the function",
            s.number);
        return;
    }
    snprintf(detail, sizeof detail, "%u", s.number);
    enum err_code rc = store_begin(st, &e);
    if (rc == ERR_OK) {
        rc = store_version_disable(st, r->function.id, s.version, disabled, &e);
        if (rc == ERR_OK)
            rc = store_audit(st, &who, r->project.id,
                             disabled ? "version.disable" : "version.enable",
                             slice_str(r->function.name), slice_str(detail), &e);
        if (rc == ERR_OK)
            rc = store_version(st, s.version, read_switched, &s, &e);
        rc = store_end(st, rc, &e);
    }
    if (rc) {
        json_decref(s.shape);
        api_fail(r, &e);
    } else {
        api_answer(r, 200, s.shape);
    }
}

void versions_disable(struct api_request *r)
{
    switch_version(r, true);
}

void versions_enable(struct api_request *r)
{
    switch_version(r, false);
}
