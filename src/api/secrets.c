/* Secrets of a project: set, listed by name, unset; never shown.
 *
 * A value comes in as JSON, is sealed with the secrets key (project and name
 * bound in) and kept. Setting one takes the next generation for every function
 * that has a version answering with it, so that the route table has the value
 * when the answer is out: the next request sees it, no version is made, and no
 * rollback brings an old one back. */
#include "api/secrets.h"

#include "api/request.h"
#include "auth/seal.h"
#include "base/brand.h"

#include <sodium.h>
#include <stdio.h>

enum {
    PAGE = 100,
    USES_SHOWN = 100, /* functions listed with a secret */
    VALUE_SEALED = ENV_EACH + SEAL_EXTRA
};

static struct slice text_of(const json_t *v)
{
    return slice_make(json_string_value(v), json_string_length(v));
}

/* ---- for versions ---- */

struct adding {
    struct api *api;
    struct buf *env;
    uint16_t count;
    crypto_generichash_state revisions;
};

static enum err_code add_one(void *arg, const struct store_secret *s, struct err *e)
{
    struct adding *a = arg;
    if (!buf_add(a->env, s->name.p, s->name.n) || !buf_add(a->env, "", 1))
        return err_set(e, ERR_MEMORY, "the environment is too large");
    enum err_code rc = unseal_named(a->api->secrets, s->project, s->name, s->value, a->env, e);
    if (rc == ERR_OK && !buf_add(a->env, "", 1))
        rc = err_set(e, ERR_MEMORY, "the environment is too large");
    a->count++;
    crypto_generichash_update(&a->revisions, s->revision.b, sizeof s->revision.b);
    return rc;
}

enum err_code secrets_add(struct api *api, struct uuid project, const json_t *names,
                          struct buf *env, uint16_t *ret_count, struct uuid *ret_revision,
                          struct err *e)
{
    struct adding a = {.api = api, .env = env};
    json_t *name;
    size_t i;
    *ret_revision = (struct uuid){0};
    *ret_count = 0;
    if (json_array_size(names) == 0)
        return ERR_OK;
    crypto_generichash_init(&a.revisions, NULL, 0, sizeof ret_revision->b);
    json_array_foreach(names, i, name)
    {
        enum err_code rc = store_secret(api->store, project, text_of(name), add_one, &a, e);
        if (rc && rc != ERR_NOT_FOUND)
            return rc;
    }
    crypto_generichash_final(&a.revisions, ret_revision->b, sizeof ret_revision->b);
    *ret_count = a.count;
    return ERR_OK;
}

/* What a variable takes of ENV_ALL. */
static uint64_t room_of(struct slice name, uint64_t sealed)
{
    return name.n + 1 + (sealed - SEAL_EXTRA) + 1;
}

static enum err_code add_room(void *arg, const struct store_secret *s, struct err *e)
{
    (void)e;
    *(uint64_t *)arg += room_of(s->name, s->value.n);
    return ERR_OK;
}

enum err_code secrets_judge(struct api *api, struct uuid project, const struct version_settings *s,
                            char field[128], struct err *e)
{
    const char *key;
    json_t *v;
    size_t i;
    uint64_t room = 0;
    json_object_foreach(s->env, key, v) room += strlen(key) + 1 + json_string_length(v) + 1;
    json_array_foreach(s->secrets, i, v)
    {
        enum err_code rc = store_secret(api->store, project, text_of(v), add_room, &room, e);
        if (rc == ERR_NOT_FOUND) {
            snprintf(field, 128, "secrets[%zu]", i);
            return err_set(e, ERR_INVALID, "the project has no secret %.*s: `%s secret set %.*s`",
                           SLICE_ARG(text_of(v)), BRAND_COMMAND, SLICE_ARG(text_of(v)));
        }
        if (rc)
            return rc;
    }
    if (room <= ENV_ALL)
        return ERR_OK;
    snprintf(field, 128, "env");
    return err_set(e, ERR_INVALID, "the variables and secrets are over 64 KiB in all");
}

enum err_code secrets_judge_version(struct api *api, const struct store_version *v, char field[128],
                                    struct err *e)
{
    struct version_settings s;
    enum err_code rc = settings_read(&s, v, api->secrets, e);
    if (rc)
        return rc;
    rc = secrets_judge(api, v->project, &s, field, e);
    settings_done(&s);
    return rc;
}

/* ---- shape ---- */

struct listing {
    json_t *uses; /* name → list of functions */
    json_t *items;
    json_t *last;
};

static enum err_code add_use(void *arg, const struct store_secret_use *u, struct err *e)
{
    struct listing *l = arg;
    json_t *list = json_object_getn(l->uses, u->secret.p, u->secret.n);
    (void)e;
    if (!list) {
        list = json_array();
        json_object_setn_new(l->uses, u->secret.p, u->secret.n, list);
    }
    size_t n = json_array_size(list);
    bool again = n && slice_eq(text_of(json_array_get(list, n - 1)), u->function);
    if (!again && n < USES_SHOWN)
        json_array_append_new(list, shape_text(u->function));
    return ERR_OK;
}

static enum err_code add_item(void *arg, const struct store_secret *s, struct err *e)
{
    struct listing *l = arg;
    json_t *uses = json_object_getn(l->uses, s->name.p, s->name.n);
    char tag[UUID_TEXT + 3];
    shape_revision(s->revision, tag);
    json_t *o = json_pack("{s:o, s:o, s:s, s:o, s:o}", "name", shape_text(s->name), "functions",
                          uses ? json_incref(uses) : json_array(), "etag", tag, "created_at",
                          shape_time(s->created_ms), "updated_at", shape_time(s->updated_ms));
    if (!o || json_array_append_new(l->items, o))
        return err_set(e, ERR_MEMORY, "no memory for the secrets");
    l->last = o;
    return ERR_OK;
}

void secrets_list(struct api_request *r)
{
    struct listing l = {.uses = json_object(), .items = json_array()};
    char cursor[SEAL_NAME + 1] = "";
    uint32_t limit = (uint32_t)api_number(r, "limit", PAGE);
    struct err e;
    api_query(r, "cursor", cursor, sizeof cursor);
    enum err_code rc = store_secret_uses(r->api->store, r->project.id, SLICE(""), add_use, &l, &e);
    if (rc == ERR_OK)
        rc =
            store_secrets(r->api->store, r->project.id, slice_str(cursor), limit, add_item, &l, &e);
    if (rc) {
        api_fail(r, &e);
        goto out;
    }
    json_t *next = json_array_size(l.items) == limit && l.last
                       ? json_incref(json_object_get(l.last, "name"))
                       : NULL;
    api_answer(r, 200, shape_list(json_incref(l.items), next));
out:
    json_decref(l.uses);
    json_decref(l.items);
}

/* ---- setting ---- */

struct setting {
    uint64_t had; /* room of the value that there was; 0: none */
    uint64_t room;
};

static enum err_code read_had(void *arg, const struct store_secret *s, struct err *e)
{
    (void)e;
    ((struct setting *)arg)->had = room_of(s->name, s->value.n);
    return ERR_OK;
}

/* Would an environment that has it still fit? */
static enum err_code judge_use(void *arg, const struct store_secret_use *u, struct err *e)
{
    struct setting *s = arg;
    uint64_t all = u->env - SEAL_EXTRA + u->names + u->values - u->named * (SEAL_EXTRA - 2);
    return all - s->had + s->room <= ENV_ALL
               ? ERR_OK
               : err_set(e, ERR_INVALID,
                         "the environment of %.*s (version %u) would be over 64 KiB",
                         SLICE_ARG(u->function), u->number);
}

static enum err_code put(struct api_request *r, struct slice value, struct err *e)
{
    struct api *api = r->api;
    struct setting s = {.room = room_of(r->id_text, value.n + SEAL_EXTRA)};
    struct store_secret row = {
        .project = r->project.id, .name = r->id_text, .revision = uuid_new()};
    struct store_actor who = api_actor(r);
    struct buf sealed;
    uint64_t count = 0;
    enum err_code rc = store_secret(api->store, row.project, row.name, read_had, &s, e);
    if (rc == ERR_NOT_FOUND) {
        rc = store_secret_count(api->store, row.project, &count, e);
        if (rc == ERR_OK && count >= api->options->limits.v[LIMIT_SECRETS])
            rc = err_set(e, ERR_QUOTA, "the project has %llu secrets already: unset one first",
                         (unsigned long long)count);
    }
    if (rc == ERR_OK)
        rc = store_secret_uses(api->store, row.project, row.name, judge_use, &s, e);
    if (rc)
        return rc;
    buf_init(&sealed, VALUE_SEALED);
    if (!seal_named(api->secrets, row.project, row.name, value, &sealed)) {
        rc = err_set(e, ERR_MEMORY, "no memory for a secret");
    } else {
        row.value = buf_slice(&sealed);
        rc = store_secret_put(api->store, &row, e);
    }
    if (rc == ERR_OK)
        rc = store_secret_touch(api->store, row.project, row.name, e);
    if (rc == ERR_OK)
        rc = store_audit(api->store, &who, row.project, "secret.set", row.name, SLICE(""), e);
    buf_done(&sealed);
    return rc;
}

void secrets_put(struct api_request *r)
{
    struct store *st = r->api->store;
    struct slice value = api_text(r, "value");
    struct err e;
    if (settings_variable(r->id_text, &e)) {
        api_refuse_field(r, "name", "%s", e.text);
        return;
    }
    if (r->id_text.n > SEAL_NAME) {
        api_refuse_field(r, "name", "a secret's name has at most %d bytes", SEAL_NAME);
        return;
    }
    if (r->id_text.n + value.n > ENV_EACH) {
        api_refuse_field(r, "value", "a secret has at most 5 KiB with its name");
        return;
    }
    struct listing l = {.uses = json_object(), .items = json_array()};
    enum err_code rc = store_begin(st, &e);
    if (rc == ERR_OK) {
        rc = put(r, value, &e);
        if (rc == ERR_OK)
            rc = store_secret_uses(st, r->project.id, r->id_text, add_use, &l, &e);
        if (rc == ERR_OK)
            rc = store_secret(st, r->project.id, r->id_text, add_item, &l, &e);
        rc = store_end(st, rc, &e);
    }
    if (rc == ERR_INVALID)
        snprintf(r->field, sizeof r->field, "value");
    if (rc)
        api_fail(r, &e);
    else
        api_answer(r, 200, json_incref(json_array_get(l.items, 0)));
    json_decref(l.uses);
    json_decref(l.items);
}

/* ---- unsetting ---- */

static enum err_code refuse_use(void *arg, const struct store_secret_use *u, struct err *e)
{
    (void)arg;
    if (!u->live)
        return ERR_OK;
    return err_set(e, ERR_CONFLICT,
                   "%.*s uses it (version %u): `%s env unset %.*s %.*s` takes it out first",
                   SLICE_ARG(u->function), u->number, BRAND_COMMAND, SLICE_ARG(u->function),
                   SLICE_ARG(u->secret));
}

void secrets_delete(struct api_request *r)
{
    struct store *st = r->api->store;
    struct store_actor who = api_actor(r);
    struct err e;
    enum err_code rc = store_begin(st, &e);
    if (rc == ERR_OK) {
        rc = store_secret_uses(st, r->project.id, r->id_text, refuse_use, NULL, &e);
        if (rc == ERR_OK) /* previews lose it at once, too */
            rc = store_secret_touch(st, r->project.id, r->id_text, &e);
        if (rc == ERR_OK)
            rc = store_secret_delete(st, r->project.id, r->id_text, &e);
        if (rc == ERR_OK)
            rc = store_audit(st, &who, r->project.id, "secret.unset", r->id_text, SLICE(""), &e);
        rc = store_end(st, rc, &e);
    }
    if (rc == ERR_NOT_FOUND)
        api_refuse(r, rc, "the project has no secret \"%.*s\"",
                   (int)(r->id_text.n < SEAL_NAME ? r->id_text.n : SEAL_NAME), r->id_text.p);
    else if (rc)
        api_fail(r, &e);
    else
        api_answer_empty(r, 204);
}
