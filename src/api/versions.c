/* Versions of a function, and making new ones. */
#include "api/versions.h"

#include "api/secrets.h"
#include "base/clock.h"

#include <stdlib.h>

enum {
    PAGE = 50,
    PAGE_BYTES = 1 << 20, /* a page ends early when environments are large */
    HOUR_MS = 3600 * 1000
};

/* ---- listing ---- */

struct page {
    const struct api *api;
    json_t *items;
    uint64_t last;
    size_t bytes;
    bool cut;
};

static enum err_code add(void *arg, const struct store_version *v, struct err *e)
{
    struct page *page = arg;
    page->cut |= page->bytes > PAGE_BYTES;
    if (page->cut)
        return ERR_OK;
    json_t *o = shape_version(page->api, v, e);
    if (!o)
        return e->code;
    json_array_append_new(page->items, o);
    page->bytes += v->env.n + v->limits.n + v->policy.n + 512;
    page->last = v->number;
    return ERR_OK;
}

void versions_list(struct api_request *r)
{
    struct err e;
    uint32_t limit = (uint32_t)api_number(r, "limit", PAGE);
    uint64_t before = api_number(r, "cursor", 0);
    struct page page = {.api = r->api, .items = json_array()};
    if (store_versions(r->api->store, r->function.id, before, limit, add, &page, &e)) {
        json_decref(page.items);
        api_fail(r, &e);
        return;
    }
    bool more = (page.cut || json_array_size(page.items) == limit) && page.last > 1;
    json_t *next = more ? json_sprintf("%llu", (unsigned long long)page.last) : NULL;
    api_answer(r, 200, shape_list(page.items, next));
}

/* ---- one ---- */

static enum err_code read_shape(void *arg, const struct store_version *v, struct err *e)
{
    struct page *page = arg;
    page->items = shape_version(page->api, v, e);
    return page->items ? ERR_OK : e->code;
}

void versions_get(struct api_request *r)
{
    struct page page = {.api = r->api};
    if (versions_find(r, read_shape, &page))
        api_answer(r, 200, page.items);
}

/* ---- making ---- */

bool versions_may(struct api_request *r)
{
    const struct limits *l = &r->api->options->limits;
    struct err e;
    uint64_t deploys = 0;
    if (uuid_is_zero(r->function.id)) {
        if (name_check(r->function_text, &e)) {
            api_refuse_field(r, "name", "%s", e.text);
            return false;
        }
        if (!functions_room(r))
            return false;
    }
    /* An operator's import brings a project's whole past at once. */
    bool import = json_object_get(r->json, "number") && strcmp(r->user.role, "operator") == 0;
    if (l->v[LIMIT_DEPLOYS] && !import) {
        uint64_t since = clock_real_us() / 1000 - HOUR_MS;
        if (store_deploys_since(r->api->store, r->project.id, since, &deploys, &e)) {
            api_fail(r, &e);
            return false;
        }
        if (deploys >= l->v[LIMIT_DEPLOYS]) {
            api_refuse(r, ERR_RATE, "the project had %llu deploys within the hour",
                       (unsigned long long)deploys);
            return false;
        }
    }
    return true;
}

struct base {
    const struct api *api;
    struct version_settings *settings;
    uint8_t digest[DIGEST_BYTES];
};

static enum err_code read_base(void *arg, const struct store_version *v, struct err *e)
{
    struct base *b = arg;
    memcpy(b->digest, v->digest, sizeof b->digest);
    settings_done(b->settings);
    return settings_read(b->settings, v, b->api->secrets, e);
}

enum err_code versions_base(struct api_request *r, struct version_settings *s,
                            uint8_t digest[DIGEST_BYTES], bool *has, struct err *e)
{
    struct base b = {.api = r->api, .settings = s};
    const struct store_function *f = &r->function;
    enum err_code rc = ERR_NOT_FOUND;
    settings_init(s);
    if (!uuid_is_zero(f->live))
        rc = store_version(r->api->store, f->live, read_base, &b, e);
    else if (!uuid_is_zero(f->id))
        rc = store_version_newest(r->api->store, f->id, read_base, &b, e);
    if (has)
        *has = rc == ERR_OK;
    if (digest && rc == ERR_OK)
        memcpy(digest, b.digest, sizeof b.digest);
    return rc == ERR_NOT_FOUND ? ERR_OK : rc;
}

void versions_drop(struct deployment *d)
{
    settings_done(&d->settings);
    free(d);
}

enum err_code versions_limits(struct api_request *r, struct limits *ret_limits, struct err *e)
{
    struct version_settings s = {0};
    enum err_code rc = versions_base(r, &s, NULL, NULL, e);
    if (rc == ERR_OK)
        settings_limits(&s, &r->api->options->limits, ret_limits);
    settings_done(&s);
    return rc;
}

static void deploying_gone(struct api_request *r)
{
    struct deployment *d = r->state;
    d->owner = NULL; /* it goes on to its end all the same */
}

static json_t *shape_held(const struct deployment *d)
{
    static const char *const codes[] = {
        [HELD_UNASKED] = "not_asked", [HELD_CHECK] = "check_failed", [HELD_COST] = "too_costly"};
    return d->held ? json_pack("{s:s, s:s}", "code", codes[d->held], "text", d->why) : json_null();
}

static json_t *shape_before(const struct deployment *d)
{
    return d->before.runs ? json_pack("{s:I, s:o}", "version", (json_int_t)d->before_number,
                                      "price", shape_price(&d->before, false))
                          : json_null();
}

static void on_deployed(struct deployment *d, const struct err *failure)
{
    struct api_request *r = d->owner;
    struct err e;
    if (r) {
        char url[256] = "";
        struct page page = {.api = r->api};
        r->state = NULL;
        r->on_gone = NULL;
        if (failure) {
            api_fail(r, failure);
        } else if (store_version(r->api->store, d->version, read_shape, &page, &e)) {
            api_fail(r, &e);
        } else {
            api_function_url(r->api, d->name, url, sizeof url);
            api_answer(r, d->made ? 201 : 200,
                       json_pack("{s:o, s:s, s:b, s:b, s:o, s:o, s:o}", "version", page.items,
                                 "url", url, "unchanged", !d->made, "promoted", d->promoted, "held",
                                 shape_held(d), "check", shape_check(&d->check), "before",
                                 shape_before(d)));
        }
    }
    versions_drop(d);
}

struct deployment *versions_deployment(struct api_request *r)
{
    struct deployment *d = calloc(1, sizeof *d);
    if (!d) {
        api_refuse(r, ERR_MEMORY, "no memory for the deploy");
        return NULL;
    }
    d->project = r->project.id;
    d->who = api_actor(r);
    d->function = r->function.id;
    if (uuid_is_zero(d->function))
        slice_copy(r->function_text, d->name, sizeof d->name);
    else
        memcpy(d->name, r->function.name, sizeof d->name);
    d->matched = request_held(r);
    d->generation = r->function.generation;
    d->last_number = r->function.last_number;
    d->on_done = on_deployed;
    return d;
}

bool versions_deploy(struct api_request *r, struct deployment *d)
{
    struct err e;
    if (secrets_judge(r->api, r->project.id, &d->settings, r->field, &e)) {
        api_fail(r, &e);
        versions_drop(d);
        return false;
    }
    d->owner = r;
    r->state = d;
    r->on_gone = deploying_gone;
    r->api->backend->deploy(r->api, d);
    return true;
}

enum err_code version_cost(struct slice text, uint32_t *ret_percent, uint64_t *ret_us,
                           struct err *e)
{
    struct limits scratch;
    struct err ignored;
    uint64_t n;
    if (text.n > 2 && text.p[0] == '+' && text.p[text.n - 1] == '%') {
        if (slice_u64(slice_make(text.p + 1, text.n - 2), &n) && n <= 100000) {
            *ret_percent = (uint32_t)n + 100;
            return ERR_OK;
        }
    } else {
        limits_init(&scratch, false);
        if (limits_set(&scratch, SLICE("cpu"), text, LIMIT_WHO_FUNCTION, &ignored) == ERR_OK &&
            scratch.v[LIMIT_CPU]) {
            *ret_us = scratch.v[LIMIT_CPU];
            return ERR_OK;
        }
    }
    return err_set(e, ERR_INVALID,
                   "max_cpu is how much more than the live version it may cost (\"+20%%\"), or a "
                   "time (\"2ms\")");
}

/* A member of the body, or of the query: is it `word`? */
static bool says(const struct api_request *r, const char *name, bool word)
{
    char text[8];
    json_t *v = json_object_get(r->json, name);
    if (r->json)
        return word ? json_is_true(v) : json_is_false(v);
    return api_query(r, name, text, sizeof text) && api_flag(r, name) == word;
}

/* What the request wants of this deploy, beside settings; false: answered. */
static bool read_wishes(struct api_request *r, struct deployment *d)
{
    char most[32] = "";
    struct err e;
    d->unpromoted = says(r, "promote", false);
    d->unchecked = says(r, "skip_check", true);
    d->number = (uint32_t)json_integer_value(json_object_get(r->json, "number"));
    if (r->json)
        slice_copy(api_text(r, "max_cpu"), most, sizeof most);
    else
        api_query(r, "max_cpu", most, sizeof most);
    if (!most[0])
        return true;
    slice_copy(SLICE("max_cpu"), r->field, sizeof r->field);
    enum err_code rc = version_cost(slice_str(most), &d->most_percent, &d->most_cpu_us, &e);
    if (rc == ERR_OK && (d->unchecked || strcmp(d->settings.check, "none") == 0))
        rc = err_set(&e, ERR_INVALID,
                     "max_cpu: what a version costs is measured at its check, and it has none");
    if (rc)
        api_fail(r, &e);
    return rc == ERR_OK;
}

bool versions_make(struct api_request *r, const uint8_t digest[DIGEST_BYTES], uint64_t size,
                   struct version_settings *settings)
{
    struct deployment *d = versions_deployment(r);
    if (!d) {
        settings_done(settings);
        return false;
    }
    memcpy(d->digest, digest, sizeof d->digest);
    d->size = size;
    d->settings = *settings;
    if (read_wishes(r, d))
        return versions_deploy(r, d);
    versions_drop(d);
    return false;
}

struct own {
    struct uuid function;
    enum err_code (*each)(void *arg, const struct store_version *v, struct err *e);
    void *arg;
};

/* An id names versions of all functions. */
static enum err_code if_own(void *arg, const struct store_version *v, struct err *e)
{
    struct own *o = arg;
    return uuid_eq(v->function, o->function) ? o->each(o->arg, v, e) : ERR_NOT_FOUND;
}

bool versions_find(struct api_request *r,
                   enum err_code (*each)(void *arg, const struct store_version *v, struct err *e),
                   void *arg)
{
    const struct store_function *f = &r->function;
    struct own own = {f->id, each, arg};
    struct uuid id;
    uint64_t number;
    struct err e;
    enum err_code rc = ERR_NOT_FOUND;
    if (slice_eq(r->id_text, SLICE("live"))) {
        if (!uuid_is_zero(f->live))
            rc = store_version(r->api->store, f->live, each, arg, &e);
    } else if (slice_u64(r->id_text, &number) && number <= INT64_MAX) {
        rc = store_version_numbered(r->api->store, f->id, number, each, arg, &e);
    } else if (uuid_parse(r->id_text, &id)) {
        rc = store_version(r->api->store, id, if_own, &own, &e);
    }
    if (rc == ERR_NOT_FOUND)
        err_set(&e, rc,
                "\"%s\" has no version \"%.*s\": name one by its number, its id, or \"live\"",
                f->name, (int)(r->id_text.n < 64 ? r->id_text.n : 64), r->id_text.p);
    if (rc)
        api_fail(r, &e);
    return rc == ERR_OK;
}

void versions_create(struct api_request *r)
{
    struct version_settings s = {0};
    struct err e;
    uint8_t digest[DIGEST_BYTES];
    uint64_t size = 0;
    bool has = false;
    if (!versions_may(r))
        return;
    enum err_code rc = versions_base(r, &s, digest, &has, &e);
    if (rc == ERR_OK)
        rc = settings_patch(&s, r->json, r->field, &e);
    json_t *text = json_object_get(r->json, "digest");
    if (rc == ERR_OK && (text || !has)) {
        slice_copy(SLICE("digest"), r->field, sizeof r->field);
        if (!json_is_string(text) || !digest_parse(slice_str(json_string_value(text)), digest))
            rc = err_set(&e, ERR_INVALID,
                         "digest is the SHA-256 of an uploaded module, 64 hexadecimal digits");
    }
    if (rc == ERR_OK) {
        rc = store_module(r->api->store, r->project.id, digest, &size, &e);
        if (rc == ERR_NOT_FOUND)
            rc = err_set(&e, ERR_INVALID, "the project has no module with this digest: upload it");
    }
    if (rc == ERR_OK && settings_has_assets(&s)) {
        struct store_assets assets;
        slice_copy(SLICE("assets"), r->field, sizeof r->field);
        rc = store_assets(r->api->store, r->project.id, s.assets, &assets, &e);
        if (rc == ERR_NOT_FOUND)
            rc = err_set(&e, ERR_INVALID,
                         "the project has no assets with this digest: upload them to …/assets");
    }
    if (rc) {
        settings_done(&s);
        api_fail(r, &e);
        return;
    }
    versions_make(r, digest, size, &s);
}
