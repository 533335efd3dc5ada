#include "api/settings.h"

#include "auth/seal.h"
#include "cgi/meta.h"
#include "policy/policy.h"

#include <ctype.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

const char *const response_words[] = {[RESPONSE_CGI] = "cgi", [RESPONSE_TEXT] = "text", NULL};
const char *const preview_words[] = {
    [PREVIEW_MEMBERS] = "members", [PREVIEW_PUBLIC] = "public", NULL};
const char *const capture_words[] = {
    [CAPTURE_NONE] = "none", [CAPTURE_FAILURES] = "failures", [CAPTURE_ALL] = "all", NULL};

void settings_init(struct version_settings *s)
{
    *s = (struct version_settings){.response = RESPONSE_CGI,
                                   .env = json_object(),
                                   .limits = json_object(),
                                   .secrets = json_array()};
    snprintf(s->check, sizeof s->check, "GET /");
    if (!s->env || !s->limits || !s->secrets)
        abort();
}

void settings_done(struct version_settings *s)
{
    json_decref(s->env);
    json_decref(s->limits);
    json_decref(s->secrets);
    free(s->policy);
    *s = (struct version_settings){0};
}

/* ---- judging ---- */

/* The place of `word` among `words`. */
static enum err_code word_index(const char *field, const char *const *words, struct slice word,
                                uint8_t *ret_index, struct err *e)
{
    char list[128] = "";
    size_t n = 0;
    for (uint8_t i = 0; words[i]; i++) {
        if (slice_eq(word, slice_str(words[i]))) {
            *ret_index = i;
            return ERR_OK;
        }
        n += (size_t)snprintf(list + n, sizeof list - n, "%s\"%s\"",
                              !i             ? ""
                              : words[i + 1] ? ", "
                                             : " or ",
                              words[i]);
    }
    return err_set(e, ERR_INVALID, "%s is %s, not \"%.*s\"", field, list, SLICE_ARG(word));
}

enum err_code settings_response(struct version_settings *s, struct slice word, struct err *e)
{
    return word_index("response", response_words, word, &s->response, e);
}

enum err_code settings_check(struct version_settings *s, struct slice text, struct err *e)
{
    struct slice path = text, method = slice_split(&path, ' ');
    bool good = slice_eq(text, SLICE("none"));
    if (!good && path.p && path.n && path.p[0] == '/' && method.n && method.n < 16) {
        good = true;
        for (size_t i = 0; i < method.n; i++)
            good &= isupper((unsigned char)method.p[i]) != 0;
        for (size_t i = 0; i < path.n; i++)
            good &= path.p[i] > ' ' && path.p[i] < 0x7f && path.p[i] != '#';
    }
    if (!good || !slice_copy(text, s->check, sizeof s->check))
        return err_set(e, ERR_INVALID,
                       "check is \"none\" or a method and a path like \"GET /healthz\" of at most "
                       "%d bytes",
                       STORE_CHECK);
    return ERR_OK;
}

enum err_code settings_variable(struct slice name, struct err *e)
{
    bool good = name.n > 0 && !isdigit((unsigned char)name.p[0]);
    for (size_t i = 0; i < name.n; i++)
        good &= isalnum((unsigned char)name.p[i]) || name.p[i] == '_';
    if (!good)
        return err_set(e, ERR_INVALID,
                       "a variable's name has letters, digits and _ and starts with no digit");
    if (cgi_is_meta(name))
        return err_set(e, ERR_INVALID, "%.*s is set by the server for each request",
                       SLICE_ARG(name));
    return ERR_OK;
}

static struct slice json_slice(json_t *v)
{
    return slice_make(json_string_value(v), json_string_length(v));
}

static enum err_code patch_env(struct version_settings *s, json_t *patch, char field[128],
                               struct err *e)
{
    json_t *env = s->env, *v;
    const char *name;
    if (!json_is_object(patch))
        return err_set(e, ERR_INVALID, "env is not an object");
    json_object_foreach(patch, name, v)
    {
        snprintf(field, 128, "env.%s", name);
        enum err_code rc = settings_variable(slice_str(name), e);
        if (rc)
            return rc;
        if (json_is_null(v)) {
            json_object_del(env, name);
            continue;
        }
        if (!json_is_string(v))
            return err_set(e, ERR_INVALID, "the value of %s is not a string", name);
        if (strlen(name) + json_string_length(v) > ENV_EACH)
            return err_set(e, ERR_INVALID, "%s is over 5 KiB", name);
        if (json_object_set(env, name, v))
            return err_set(e, ERR_MEMORY, "no memory for the environment");
    }
    snprintf(field, 128, "env");
    size_t all = 0;
    json_object_foreach(env, name, v) all += strlen(name) + json_string_length(v) + 2;
    if (json_object_size(env) > ENV_COUNT)
        return err_set(e, ERR_INVALID, "more than %d variables", ENV_COUNT);
    if (all > ENV_ALL)
        return err_set(e, ERR_INVALID, "the variables are over 64 KiB in all");
    return ERR_OK;
}

static enum err_code patch_limits(struct version_settings *s, json_t *patch, char field[128],
                                  struct err *e)
{
    json_t *limits = s->limits, *v;
    const char *name;
    struct limits scratch;
    if (!json_is_object(patch))
        return err_set(e, ERR_INVALID, "limits is not an object");
    limits_init(&scratch, false);
    json_object_foreach(patch, name, v)
    {
        snprintf(field, 128, "limits.%s", name);
        if (json_is_null(v)) {
            json_object_del(limits, name);
            continue;
        }
        char number[32];
        struct slice text = json_slice(v);
        if (json_is_integer(v)) {
            snprintf(number, sizeof number, "%lld", (long long)json_integer_value(v));
            text = slice_str(number);
        } else if (!json_is_string(v) || text.n >= 32) {
            return err_set(e, ERR_INVALID, "a limit's value is a text like \"64MiB\" or \"2s\"");
        }
        enum err_code rc = limits_set(&scratch, slice_str(name), text, LIMIT_WHO_FUNCTION, e);
        if (rc)
            return rc;
        if (json_object_set_new(limits, name, json_stringn(text.p, text.n)))
            return err_set(e, ERR_MEMORY, "no memory for the limits");
    }
    return ERR_OK;
}

/* A limit that came with the policy: of it and the version's own the smaller counts. */
static enum err_code lower_limit(struct version_settings *s, enum limit_id id, uint64_t value,
                                 struct err *e)
{
    const struct limit_row *row = &limit_rows[id];
    struct limits own;
    struct err ignored;
    json_t *set = json_object_get(s->limits, row->name);
    limits_init(&own, false);
    if (row->maximum && value > row->maximum)
        value = row->maximum;
    if (value == 0 || (set &&
                       limits_set(&own, slice_str(row->name), json_slice(set), LIMIT_WHO_FUNCTION,
                                  &ignored) == ERR_OK &&
                       own.v[id] && own.v[id] <= value))
        return ERR_OK;
    return json_object_set_new(s->limits, row->name,
                               json_sprintf("%llu", (unsigned long long)value))
               ? err_set(e, ERR_MEMORY, "no memory for the limits")
               : ERR_OK;
}

/* Keeps the canonical form; the empty policy as nothing. */
static enum err_code keep_policy(struct version_settings *s, const struct policy *p, struct err *e)
{
    struct buf text;
    char *kept = NULL;
    enum err_code rc = lower_limit(s, LIMIT_MEMORY, policy_memory(p), e);
    if (rc == ERR_OK)
        rc = lower_limit(s, LIMIT_GAS, policy_gas(p), e);
    if (rc)
        return rc;
    buf_init(&text, POLICY_TEXT);
    if (!policy_write(p, &text))
        rc = err_set(e, ERR_INVALID, "its normal form is over %d KiB", POLICY_TEXT >> 10);
    else if (buf_size(&text) && !(kept = strndup(buf_data(&text), buf_size(&text))))
        rc = err_set(e, ERR_MEMORY, "no memory for the policy");
    buf_done(&text);
    if (rc)
        return rc;
    free(s->policy);
    s->policy = kept;
    return ERR_OK;
}

static enum err_code patch_policy(struct version_settings *s, json_t *v, char field[128],
                                  struct err *e)
{
    struct policy *p = NULL;
    if (json_is_null(v)) {
        free(s->policy);
        s->policy = NULL;
        return ERR_OK;
    }
    char *printed = json_is_object(v) ? json_dumps(v, JSON_INDENT(2)) : NULL;
    if (!printed && !json_is_string(v))
        return err_set(e, ERR_INVALID, "policy is an object, its text, or null");
    struct err why;
    enum err_code rc = policy_parse(printed ? slice_str(printed) : json_slice(v), POLICY_YAML, NULL,
                                    NULL, &p, &why);
    if (rc == ERR_OK)
        rc = keep_policy(s, p, &why);
    if (rc)
        err_set(e, rc, "policy: %s", why.text);
    policy_free(p);
    free(printed);
    return rc;
}

static enum err_code patch_assets(struct version_settings *s, json_t *v, char field[128],
                                  struct err *e)
{
    if (json_is_null(v))
        memset(s->assets, 0, sizeof s->assets);
    else if (!json_is_string(v) || !digest_parse(json_slice(v), s->assets) ||
             !settings_has_assets(s))
        return err_set(e, ERR_INVALID,
                       "assets is the digest of uploaded assets, 64 hexadecimal digits, or null");
    return ERR_OK;
}

static enum err_code patch_timing(struct version_settings *s, json_t *v, char field[128],
                                  struct err *e)
{
    if (!json_is_boolean(v) && !json_is_null(v))
        return err_set(e, ERR_INVALID, "timing is true or false");
    s->timing = json_is_true(v);
    return ERR_OK;
}

static enum err_code patch_response(struct version_settings *s, json_t *v, char field[128],
                                    struct err *e)
{
    return json_is_string(v) ? settings_response(s, json_slice(v), e)
                             : err_set(e, ERR_INVALID, "response is not a string");
}

static enum err_code patch_check(struct version_settings *s, json_t *v, char field[128],
                                 struct err *e)
{
    return json_is_string(v) ? settings_check(s, json_slice(v), e)
                             : err_set(e, ERR_INVALID, "check is not a string");
}

static enum err_code patch_preview(struct version_settings *s, json_t *v, char field[128],
                                   struct err *e)
{
    return json_is_string(v) ? word_index("preview", preview_words, json_slice(v), &s->preview, e)
                             : err_set(e, ERR_INVALID, "preview is not a string");
}

static enum err_code patch_capture(struct version_settings *s, json_t *v, char field[128],
                                   struct err *e)
{
    return json_is_string(v) ? word_index("capture", capture_words, json_slice(v), &s->capture, e)
                             : err_set(e, ERR_INVALID, "capture is not a string");
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A list says all of them. */
static enum err_code list_secrets(json_t *list, json_t *set, char field[128], struct err *e)
{
    json_t *name;
    size_t i;
    json_array_foreach(list, i, name)
    {
        snprintf(field, 128, "secrets[%zu]", i);
        if (!json_is_string(name))
            return err_set(e, ERR_INVALID, "the name of a secret is not a string");
        enum err_code rc = settings_variable(json_slice(name), e);
        if (rc)
            return rc;
        json_object_set_new(set, json_string_value(name), json_true());
    }
    return ERR_OK;
}

/* An object takes some in and some out. */
static enum err_code change_secrets(json_t *changes, json_t *set, char field[128], struct err *e)
{
    const char *name;
    json_t *v;
    json_object_foreach(changes, name, v)
    {
        snprintf(field, 128, "secrets.%s", name);
        enum err_code rc = settings_variable(slice_str(name), e);
        if (rc)
            return rc;
        if (json_is_true(v))
            json_object_set(set, name, v);
        else if (json_is_null(v))
            json_object_del(set, name);
        else
            return err_set(e, ERR_INVALID, "true takes a secret in, null takes it out");
    }
    return ERR_OK;
}

static enum err_code patch_secrets(struct version_settings *s, json_t *v, char field[128],
                                   struct err *e)
{
    const char *names[ENV_COUNT], *name;
    size_t n = 0, i;
    json_t *set = json_object(), *sorted = NULL, *one;
    enum err_code rc;
    if (json_is_object(v)) {
        json_array_foreach(s->secrets, i, one)
            json_object_set_new(set, json_string_value(one), json_true());
        rc = change_secrets(v, set, field, e);
    } else if (json_is_array(v)) {
        rc = list_secrets(v, set, field, e);
    } else {
        rc = json_is_null(v) ? ERR_OK : err_set(e, ERR_INVALID, "secrets is not a list of names");
    }
    if (rc == ERR_OK && json_object_size(set) > ENV_COUNT)
        rc = err_set(e, ERR_INVALID, "more than %d secrets", ENV_COUNT);
    if (rc)
        goto out;
    json_object_foreach(set, name, one) names[n++] = name;
    qsort(names, n, sizeof *names, by_name);
    sorted = json_array();
    for (i = 0; i < n; i++)
        json_array_append_new(sorted, json_string(names[i]));
    json_decref(s->secrets);
    s->secrets = sorted;
out:
    json_decref(set);
    return rc;
}

/* A name has one value: that of the version or that of the project's secret. */
static enum err_code judge_names(const struct version_settings *s, json_t *patch, char field[128],
                                 struct err *e)
{
    json_t *name;
    size_t i;
    json_array_foreach(s->secrets, i, name)
    {
        const char *text = json_string_value(name);
        if (!json_object_get(s->env, text))
            continue;
        bool of_env = json_object_get(json_object_get(patch, "env"), text) != NULL;
        snprintf(field, 128, "%s%s", of_env ? "env." : "secrets", of_env ? text : "");
        return err_set(e, ERR_INVALID, "%s is %s", text,
                       of_env ? "a secret of this function: set its value as one, or take it out "
                                "of the secrets first"
                              : "a variable of this function: take it out of the environment "
                                "first");
    }
    return ERR_OK;
}

typedef enum err_code patch_one(struct version_settings *s, json_t *v, char field[128],
                                struct err *e);
static patch_one *const patches[] = {patch_response, patch_check,  patch_env,    patch_limits,
                                     patch_policy,   patch_assets, patch_timing, patch_secrets,
                                     patch_preview,  patch_capture};
const char *const settings_names[] = {"response", "check",   "env",    "limits",
                                      "policy",   "assets",  "timing", "secrets",
                                      "preview",  "capture", NULL};

enum err_code settings_patch(struct version_settings *s, json_t *patch, char field[128],
                             struct err *e)
{
    enum err_code rc = ERR_OK;
    for (size_t i = 0; settings_names[i] && rc == ERR_OK; i++) {
        json_t *v = json_object_get(patch, settings_names[i]);
        snprintf(field, 128, "%s", settings_names[i]);
        if (v)
            rc = patches[i](s, v, field, e);
    }
    return rc ? rc : judge_names(s, patch, field, e);
}

/* ---- to and from what is stored ---- */

bool settings_has_assets(const struct version_settings *s)
{
    static const uint8_t none[DIGEST_BYTES];
    return memcmp(s->assets, none, sizeof none) != 0;
}

bool settings_env(const struct version_settings *s, struct buf *out)
{
    const char *name;
    json_t *v;
    json_object_foreach(s->env, name, v)
    {
        if (!buf_add(out, name, strlen(name) + 1) ||
            !buf_add(out, json_string_value(v), json_string_length(v) + 1))
            return false;
    }
    return true;
}

enum err_code settings_read(struct version_settings *s, const struct store_version *v,
                            const uint8_t key[32], struct err *e)
{
    struct buf env;
    enum err_code rc;
    settings_init(s);
    buf_init_private(&env, ENV_ALL + 1);
    s->response = v->response;
    s->timing = v->timing;
    s->preview = v->preview;
    s->capture = v->capture;
    memcpy(s->assets, v->assets, sizeof s->assets);
    slice_copy(v->check, s->check, sizeof s->check);
    if (v->policy.n && !(s->policy = strndup(v->policy.p, v->policy.n))) {
        rc = err_set(e, ERR_MEMORY, "no memory for the policy");
        goto out;
    }
    json_t *limits = json_loadb(v->limits.p, v->limits.n, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(limits)) {
        json_decref(limits);
        rc = err_set(e, ERR_INTERNAL, "a version's limits are not readable");
        goto out;
    }
    json_decref(s->limits);
    s->limits = limits;
    json_t *secrets = json_loadb(v->secrets.p, v->secrets.n, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_array(secrets)) {
        json_decref(secrets);
        rc = err_set(e, ERR_INTERNAL, "a version's list of secrets is not readable");
        goto out;
    }
    json_decref(s->secrets);
    s->secrets = secrets;
    rc = unseal(key, v->id, v->env, &env, e);
    if (rc)
        goto out;
    for (struct slice rest = buf_slice(&env); rest.n;) {
        struct slice name = slice_split(&rest, '\0'), value = slice_split(&rest, '\0');
        if (!rest.p ||
            json_object_setn_new(s->env, name.p, name.n, json_stringn(value.p, value.n))) {
            rc = err_set(e, ERR_INTERNAL, "a version's environment is not readable");
            break;
        }
    }
out:
    buf_done(&env);
    if (rc)
        settings_done(s);
    return rc;
}

void settings_limits(const struct version_settings *s, const struct limits *node,
                     struct limits *ret_limits)
{
    const char *name;
    json_t *v;
    *ret_limits = *node;
    json_object_foreach(s->limits, name, v)
    {
        struct err ignored;
        if (limits_set(ret_limits, slice_str(name), json_slice(v), LIMIT_WHO_FUNCTION, &ignored))
            continue;
    }
}

enum engine_kind settings_kind(const struct version_settings *s, const struct limits *node)
{
    struct limits limits;
    settings_limits(s, node, &limits);
    return limits.v[LIMIT_GAS] ? ENGINE_FUEL : ENGINE_PLAIN;
}

/* "64MiB" and "67108864" are one limit. */
static json_t *plain_limits(const struct version_settings *s)
{
    json_t *plain = json_object(), *v;
    const char *name;
    json_object_foreach(s->limits, name, v)
    {
        struct limits scratch;
        struct err ignored;
        enum limit_id id;
        limits_init(&scratch, false);
        if (limit_find(slice_str(name), &id) && limits_set(&scratch, slice_str(name), json_slice(v),
                                                           LIMIT_WHO_FUNCTION, &ignored) == ERR_OK)
            json_object_set_new(plain, name, json_integer((json_int_t)scratch.v[id]));
        else
            json_object_set(plain, name, v);
    }
    return plain;
}

enum err_code settings_content(const struct version_settings *s, const uint8_t digest[DIGEST_BYTES],
                               const uint8_t key[32], uint8_t ret_content[DIGEST_BYTES],
                               struct err *e)
{
    char module[DIGEST_TEXT + 1], assets[DIGEST_TEXT + 1];
    digest_text(digest, module);
    digest_text(s->assets, assets);
    json_t *all = json_pack("{s:s, s:s, s:i, s:b, s:i, s:i, s:s, s:s, s:O, s:O, s:o}", "module",
                            module, "assets", assets, "response", (int)s->response, "timing",
                            s->timing, "preview", (int)s->preview, "capture", (int)s->capture,
                            "policy", s->policy ? s->policy : "", "check", s->check, "secrets",
                            s->secrets, "env", s->env, "limits", plain_limits(s));
    char *text = all ? json_dumps(all, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(all);
    if (!text)
        return err_set(e, ERR_MEMORY, "no memory for the settings");
    crypto_auth_hmacsha256(ret_content, (const unsigned char *)text, strlen(text), key);
    sodium_memzero(text, strlen(text));
    free(text);
    return ERR_OK;
}
