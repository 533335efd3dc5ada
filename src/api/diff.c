/* What differs between two versions: one list of changes, each of a part, a name and two values.
 *
 * A value of null says that the version doesn't have it. Imports and exports are
 * known of modules whose compile job has reported them. */
#include "api/versions.h"

#include "policy/policy.h"

#include <stdlib.h>

struct side {
    const struct api *api;
    struct uuid project, version;
    uint32_t number;
    uint8_t digest[DIGEST_BYTES];
    struct version_settings settings;
    struct policy *policy;
    json_t *interface; /* NULL: not known */
};

static void side_done(struct side *s)
{
    settings_done(&s->settings);
    policy_free(s->policy);
    json_decref(s->interface);
}

static enum err_code read_side(void *arg, const struct store_version *v, struct err *e)
{
    struct side *s = arg;
    s->project = v->project;
    s->version = v->id;
    s->number = v->number;
    memcpy(s->digest, v->digest, sizeof s->digest);
    return settings_read(&s->settings, v, s->api->secrets, e);
}

/* What isn't in its row. */
static enum err_code read_rest(struct side *s, struct err *e)
{
    struct buf text;
    struct slice policy = settings_policy(&s->settings);
    enum err_code rc = ERR_OK;
    buf_init(&text, 64 << 10);
    if (policy.n)
        rc = policy_parse(policy, POLICY_YAML, NULL, NULL, &s->policy, e);
    if (rc == ERR_OK)
        rc = store_interface(s->api->store, s->project, s->digest, &text, e);
    if (rc == ERR_OK && buf_size(&text))
        s->interface = json_loadb(buf_data(&text), buf_size(&text), 0, NULL);
    buf_done(&text);
    return rc;
}

/* ---- changes ---- */

/* Takes both references; nothing if they are equal. */
static void change(json_t *changes, const char *part, const char *name, json_t *from, json_t *to)
{
    if (json_equal(from, to)) {
        json_decref(from);
        json_decref(to);
        return;
    }
    json_array_append_new(changes, json_pack("{s:s, s:s?, s:o, s:o}", "part", part, "name", name,
                                             "from", from, "to", to));
}

static json_t *value_of(const json_t *object, const char *name)
{
    json_t *v = json_object_get(object, name);
    return v ? json_incref(v) : json_null();
}

static void compare_objects(json_t *changes, const char *part, json_t *from, json_t *to)
{
    const char *name;
    json_t *v;
    json_object_foreach(from, name, v)
        change(changes, part, name, json_incref(v), value_of(to, name));
    json_object_foreach(to, name, v) if (!json_object_get(from, name))
        change(changes, part, name, json_null(), json_incref(v));
}

/* A list of names as an object whose members are true. */
static json_t *as_set(const json_t *names)
{
    json_t *set = json_object(), *name;
    size_t i;
    json_array_foreach(names, i, name)
        json_object_set_new(set, json_string_value(name), json_true());
    return set;
}

static void compare_names(json_t *changes, const char *part, const json_t *from, const json_t *to)
{
    json_t *a = as_set(from), *b = as_set(to);
    compare_objects(changes, part, a, b);
    json_decref(a);
    json_decref(b);
}

struct rules {
    json_t *changes;
    bool opens;
};

static void add_rule(void *arg, const char *rule)
{
    struct rules *r = arg;
    change(r->changes, "policy", rule, r->opens ? json_null() : json_true(),
           r->opens ? json_true() : json_null());
}

static json_t *policy_json(const struct side *s)
{
    struct slice text = settings_policy(&s->settings);
    json_t *o = text.n ? json_loadb(text.p, text.n, 0, NULL) : NULL;
    return o ? o : json_null();
}

/* By the rules that open something; a change that opens nothing either way is shown as a whole. */
static void compare_policies(json_t *changes, const struct side *from, const struct side *to)
{
    struct rules r = {.changes = changes, .opens = true};
    unsigned n = policy_opens(from->policy, to->policy, add_rule, &r);
    r.opens = false;
    n += policy_opens(to->policy, from->policy, add_rule, &r);
    if (n == 0)
        change(changes, "policy", NULL, policy_json(from), policy_json(to));
}

static void compare_words(json_t *changes, const char *part, const char *from, const char *to)
{
    change(changes, part, NULL, json_string(from), json_string(to));
}

static json_t *compare(const struct side *from, const struct side *to)
{
    const struct version_settings *a = &from->settings, *b = &to->settings;
    json_t *changes = json_array();
    change(changes, "module", NULL, shape_digest(from->digest), shape_digest(to->digest));
    if (from->interface && to->interface) {
        static const char *const parts[] = {"imports", "exports"};
        for (int i = 0; i < 2; i++)
            compare_names(changes, parts[i], json_object_get(from->interface, parts[i]),
                          json_object_get(to->interface, parts[i]));
    }
    compare_objects(changes, "env", a->env, b->env);
    compare_names(changes, "secrets", a->secrets, b->secrets);
    compare_policies(changes, from, to);
    compare_objects(changes, "limits", a->limits, b->limits);
    change(changes, "assets", NULL, settings_has_assets(a) ? shape_digest(a->assets) : json_null(),
           settings_has_assets(b) ? shape_digest(b->assets) : json_null());
    compare_words(changes, "response", response_words[a->response], response_words[b->response]);
    compare_words(changes, "check", a->check, b->check);
    change(changes, "timing", NULL, json_boolean(a->timing), json_boolean(b->timing));
    compare_words(changes, "preview", preview_words[a->preview], preview_words[b->preview]);
    compare_words(changes, "capture", capture_words[a->capture], capture_words[b->capture]);
    return changes;
}

enum err_code versions_changes(const struct api *api, struct uuid from, struct uuid to,
                               json_t **ret_changes, struct err *e)
{
    struct side a = {.api = api}, b = {.api = api};
    enum err_code rc = store_version(api->store, from, read_side, &a, e);
    if (rc == ERR_OK)
        rc = store_version(api->store, to, read_side, &b, e);
    if (rc == ERR_OK)
        rc = read_rest(&a, e);
    if (rc == ERR_OK)
        rc = read_rest(&b, e);
    if (rc == ERR_OK)
        *ret_changes = compare(&a, &b);
    side_done(&a);
    side_done(&b);
    return rc;
}

/* ---- the request ---- */

/* The version that `to` is compared with: that of the query, else the live one; of the live one,
 * the one that was live before. */
static enum err_code find_from(struct api_request *r, const struct side *to, struct side *from,
                               struct err *e)
{
    struct store *st = r->api->store;
    const struct store_function *f = &r->function;
    uint64_t number = api_number(r, "from", 0);
    enum err_code rc = number ? store_version_numbered(st, f->id, number, read_side, from, e)
                       : uuid_is_zero(f->live) || uuid_eq(f->live, to->version)
                           ? store_version_before(st, f->id, read_side, from, e)
                           : store_version(st, f->live, read_side, from, e);
    if (rc == ERR_NOT_FOUND && number)
        err_set(e, rc, "\"%s\" has no version %llu", f->name, (unsigned long long)number);
    else if (rc == ERR_NOT_FOUND)
        rc = err_set(e, ERR_CONFLICT,
                     "no other version of \"%s\" was live: say which one to compare with", f->name);
    return rc;
}

void versions_diff(struct api_request *r)
{
    struct side from = {.api = r->api}, to = {.api = r->api};
    struct err e;
    if (!versions_find(r, read_side, &to))
        return;
    enum err_code rc = find_from(r, &to, &from, &e);
    if (rc == ERR_OK)
        rc = read_rest(&from, &e);
    if (rc == ERR_OK)
        rc = read_rest(&to, &e);
    bool same = memcmp(from.digest, to.digest, sizeof to.digest) == 0;
    if (rc)
        api_fail(r, &e);
    else
        api_answer(r, 200,
                   json_pack("{s:i, s:i, s:b, s:o}", "from", (int)from.number, "to", (int)to.number,
                             "interface", same || (from.interface && to.interface), "changes",
                             compare(&from, &to)));
    side_done(&from);
    side_done(&to);
}
