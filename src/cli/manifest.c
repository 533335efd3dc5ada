#include "cli/manifest.h"

#include "api/settings.h"
#include "base/brand.h"
#include "base/limits.h"
#include "cli/files.h"
#include "cli/policy_file.h"
#include "policy/events.h"

#include <stdio.h>
#include <stdlib.h>

enum { KEYS_MOST = 32, NOT_NAMED = 0 };

struct reader {
    struct events y;
    struct manifest *m;
    policy_note note;
    void *arg;
};

#define AT(r, ...) EVENT_AT(&(r)->y, __VA_ARGS__)

/* ---- events ---- */

static bool is_null(const struct reader *r)
{
    return events_plain(&r->y) && (slice_eq(events_text(&r->y), SLICE("null")) ||
                                   slice_eq(events_text(&r->y), SLICE("~")));
}

/* A text that fits where C's strings are used. */
static enum err_code plain_text(const struct reader *r, const char *what)
{
    if (!events_scalar(&r->y))
        return AT(r, "%s is one text, not a %s", what,
                  r->y.event.type == YAML_MAPPING_START_EVENT ? "mapping" : "list");
    if (events_missing(&r->y) || is_null(r))
        return AT(r, "%s has no value: write one, or take the line away", what);
    if (memchr(r->y.event.data.scalar.value, '\0', r->y.event.data.scalar.length))
        return AT(r, "%s has a NUL byte in it", what);
    return ERR_OK;
}

/* A judge's reason, at the current event. */
static enum err_code judged(const struct reader *r, enum err_code rc, const struct err *why)
{
    return rc ? AT(r, "%s", why->text) : ERR_OK;
}

/* ---- values, by kind ---- */

static enum err_code no_memory(const struct reader *r)
{
    return err_set(r->y.err, ERR_MEMORY, "no memory for %s", r->m->file);
}

static enum err_code judge_text(const struct manifest_key *k, struct slice text, struct err *e)
{
    char list[128] = "";
    size_t n = 0, used = 0;
    if (k->judge && k->judge(text, e))
        return e->code;
    for (; k->words && k->words[n]; n++) {
        if (slice_eq(text, slice_str(k->words[n])))
            return ERR_OK;
        used +=
            (size_t)snprintf(list + used, sizeof list - used, "%s%s", n ? ", " : "", k->words[n]);
    }
    const char *near = nearest_word(text, k->words, n);
    return n ? err_set(e, ERR_INVALID, "%s is one of %s%s%s%s", k->name, list,
                       near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "")
             : ERR_OK;
}

enum err_code manifest_judge(const char *key, struct slice text, struct err *e)
{
    for (const struct manifest_key *k = manifest_keys; k->name; k++)
        if (strcmp(k->name, key) == 0)
            return judge_text(k, text, e);
    return ERR_OK;
}

static enum err_code read_text(struct reader *r, const struct manifest_key *k)
{
    struct err why = {0};
    enum err_code rc = plain_text(r, k->name);
    struct slice text = events_text(&r->y);
    if (rc == ERR_OK)
        rc = judged(r, judge_text(k, text, &why), &why);
    if (rc)
        return rc;
    if (k->kind == MANIFEST_SETTING)
        return json_object_set_new(r->m->settings, k->name, json_stringn(text.p, text.n))
                   ? no_memory(r)
                   : ERR_OK;
    char **slot = (char **)(void *)((char *)r->m + k->offset);
    *slot = strndup(text.p, text.n);
    return *slot ? ERR_OK : no_memory(r);
}

static enum err_code read_switch(struct reader *r, const struct manifest_key *k)
{
    bool yes = events_plain(&r->y) && slice_eq(events_text(&r->y), SLICE("true"));
    if (!yes && !(events_plain(&r->y) && slice_eq(events_text(&r->y), SLICE("false"))))
        return AT(r, "%s is true or false", k->name);
    return json_object_set_new(r->m->settings, k->name, json_boolean(yes)) ? no_memory(r) : ERR_OK;
}

static enum err_code read_names(struct reader *r, const struct manifest_key *k)
{
    json_t *names = json_array();
    if (json_object_set_new(r->m->settings, k->name, names))
        return no_memory(r);
    if (r->y.event.type != YAML_SEQUENCE_START_EVENT)
        return AT(r, "%s is a list of names: [%s], or each on a line of its own after \"- \"",
                  k->name, k->example);
    for (;;) {
        struct err why = {0};
        enum err_code rc = events_next(&r->y);
        if (rc || r->y.event.type == YAML_SEQUENCE_END_EVENT)
            return rc;
        if ((rc = plain_text(r, "the name of a secret")) ||
            (rc = judged(r, settings_variable(events_text(&r->y), &why), &why)))
            return rc;
        struct slice name = events_text(&r->y);
        size_t at = 0; /* sorted, as the API shows them */
        int order = 1;
        while (at < json_array_size(names) &&
               (order = strcmp(json_string_value(json_array_get(names, at)), (char *)name.p)) < 0)
            at++;
        if (at < json_array_size(names) && order == 0)
            return AT(r, "%.*s is in the list already", SLICE_ARG(name));
        if (json_array_size(names) == ENV_COUNT)
            return AT(r, "at most %d secrets", ENV_COUNT);
        if (json_array_insert_new(names, at, json_stringn(name.p, name.n)))
            return no_memory(r);
    }
}

/* What the value of a variable or a limit has to obey. */
typedef enum err_code judge_pair(struct slice name, struct slice value, bool is_name,
                                 struct err *e);

static enum err_code judge_variable(struct slice name, struct slice value, bool is_name,
                                    struct err *e)
{
    if (is_name)
        return settings_variable(name, e);
    return name.n + value.n > ENV_EACH
               ? err_set(e, ERR_INVALID, "name and value are over %d KiB", ENV_EACH >> 10)
               : ERR_OK;
}

static enum err_code judge_limit(struct slice name, struct slice value, bool is_name, struct err *e)
{
    struct limits scratch;
    enum limit_id id;
    limits_init(&scratch, false);
    /* limits_set() judges both; a known name is judged with a value that is always right */
    if (is_name && limit_find(name, &id) && limit_rows[id].who == LIMIT_WHO_FUNCTION)
        return ERR_OK;
    return limits_set(&scratch, name, is_name ? SLICE("1") : value, LIMIT_WHO_FUNCTION, e);
}

/* One name and its value, into `object`; the current event is the name. */
static enum err_code read_pair(struct reader *r, const struct manifest_key *k, judge_pair *judge,
                               json_t *object)
{
    struct err why = {0};
    char name[256];
    if (!events_scalar(&r->y) || events_missing(&r->y))
        return AT(r, "a name is expected here");
    if (!slice_copy(events_text(&r->y), name, sizeof name) || strlen(name) != events_text(&r->y).n)
        return AT(r, "a name in %s has at most %zu bytes, and no NUL", k->name, sizeof name - 1);
    if (json_object_get(object, name))
        return AT(r, "%s is in %s already", name, k->name);
    enum err_code rc = judged(r, judge(slice_str(name), SLICE(""), true, &why), &why);
    if (!rc)
        rc = events_next(&r->y);
    if (rc)
        return rc;
    if (events_missing(&r->y))
        return AT(r, "%s has no value: write \"\" for the empty text, null to take it away", name);
    if (is_null(r))
        return json_object_set_new(object, name, json_null()) ? no_memory(r) : ERR_OK;
    rc = plain_text(r, name);
    if (!rc)
        rc = judged(r, judge(slice_str(name), events_text(&r->y), false, &why), &why);
    if (!rc &&
        json_object_set_new(object, name, json_stringn(events_text(&r->y).p, events_text(&r->y).n)))
        rc = no_memory(r);
    return rc;
}

static enum err_code read_pairs(struct reader *r, const struct manifest_key *k)
{
    json_t *object = json_object();
    judge_pair *judge = k->kind == MANIFEST_LIMITS ? judge_limit : judge_variable;
    if (json_object_set_new(r->m->settings, k->name, object))
        return no_memory(r);
    if (r->y.event.type != YAML_MAPPING_START_EVENT)
        return AT(r, "%s is lines of the form `NAME: value` below it", k->name);
    for (;;) {
        enum err_code rc = events_next(&r->y);
        if (rc || r->y.event.type == YAML_MAPPING_END_EVENT)
            return rc;
        if (json_object_size(object) == ENV_COUNT)
            return AT(r, "%s has at most %d lines", k->name, ENV_COUNT);
        rc = read_pair(r, k, judge, object);
        if (rc)
            return rc;
    }
}

static enum err_code read_policy(struct reader *r, const struct manifest_key *k)
{
    if (events_scalar(&r->y)) {
        enum err_code rc = plain_text(r, k->name);
        if (!rc && !(r->m->policy_path = strndup(events_text(&r->y).p, events_text(&r->y).n)))
            rc = no_memory(r);
        return rc;
    }
    if (r->y.event.type != YAML_MAPPING_START_EVENT)
        return AT(r, "%s is \"allow:\" with a list of rules below it, or the path of a file",
                  k->name);
    return policy_read(&r->y, r->note, r->arg, &r->m->policy);
}

static enum err_code (*const readers[])(struct reader *r, const struct manifest_key *k) = {
    [MANIFEST_OWN] = read_text,        [MANIFEST_SETTING] = read_text,
    [MANIFEST_SWITCH] = read_switch,   [MANIFEST_NAMES] = read_names,
    [MANIFEST_VARIABLES] = read_pairs, [MANIFEST_LIMITS] = read_pairs,
    [MANIFEST_POLICY] = read_policy,
};

/* ---- the file ---- */

static enum err_code unknown_key(struct reader *r)
{
    const char *names[KEYS_MOST];
    size_t n = 0;
    for (const struct manifest_key *k = manifest_keys; k->name && n < KEYS_MOST; k++)
        names[n++] = k->name;
    struct slice name = events_text(&r->y);
    const char *near = nearest_word(name, names, n);
    return AT(r, "there is no key \"%.*s\"%s%s%s", name.n < 64 ? (int)name.n : 64, name.p,
              near ? ", did you mean \"" : "; docs/function-yaml.md lists them", near ? near : "",
              near ? "\"?" : "");
}

static enum err_code read_keys(struct reader *r)
{
    size_t seen[KEYS_MOST] = {NOT_NAMED}; /* the line of each key */
    for (;;) {
        enum err_code rc = events_next(&r->y);
        if (rc || r->y.event.type == YAML_MAPPING_END_EVENT)
            return rc;
        if (!events_scalar(&r->y))
            return AT(r, "a key is expected here, such as \"module\"");
        size_t i = 0;
        while (manifest_keys[i].name &&
               !slice_eq(events_text(&r->y), slice_str(manifest_keys[i].name)))
            i++;
        if (!manifest_keys[i].name)
            return unknown_key(r);
        if (seen[i] != NOT_NAMED)
            return AT(r, "\"%s\" is in line %zu already", manifest_keys[i].name, seen[i]);
        seen[i] = r->y.event.start_mark.line + 1;
        if (manifest_keys[i].kind == MANIFEST_LATER)
            return AT(r, "%s: %s", manifest_keys[i].name, manifest_keys[i].help);
        rc = events_next(&r->y);
        if (rc)
            return rc;
        if (events_missing(&r->y))
            return AT(r, "%s has no value: write one, or take the line away",
                      manifest_keys[i].name);
        rc = readers[manifest_keys[i].kind](r, &manifest_keys[i]);
        if (rc)
            return rc;
    }
}

static enum err_code read_root(void *arg)
{
    struct reader *r = arg;
    return r->y.event.type == YAML_MAPPING_START_EVENT
               ? read_keys(r)
               : AT(r, "lines of the form `key: value` are expected, such as `module: hello.wasm`");
}

static char *folder_of(const char *file)
{
    const char *slash = strrchr(file, '/');
    return slash ? strndup(file, slash == file ? 1 : (size_t)(slash - file)) : strdup(".");
}

enum err_code manifest_parse(struct slice text, const char *file, policy_note note, void *arg,
                             struct manifest **ret_manifest, struct err *e)
{
    struct manifest *m = calloc(1, sizeof *m);
    if (m)
        *m = (struct manifest){
            .file = strdup(file), .folder = folder_of(file), .settings = json_object()};
    struct reader r = {.y = {.what = "a manifest",
                             .file = file,
                             .starred = "what begins with * needs quotes: anchors (&), aliases (*) "
                                        "and tags (!) have no place here",
                             .err = e},
                       .m = m,
                       .note = note,
                       .arg = arg};
    if (!m || !m->file || !m->folder || !m->settings || events_begin(&r.y, text)) {
        manifest_free(m);
        return err_set(e, ERR_MEMORY, "no memory for reading %s", file);
    }
    enum err_code rc = events_document(&r.y, read_root, &r);
    events_end(&r.y);
    if (rc)
        manifest_free(m);
    else
        *ret_manifest = m;
    return rc;
}

enum err_code manifest_read(const char *file, struct manifest **ret_manifest, struct err *e)
{
    struct manifest *m = NULL;
    struct buf text;
    char *policy = NULL;
    buf_init(&text, MANIFEST_TEXT);
    enum err_code rc = file_read(file, &text, e);
    if (!rc)
        rc = manifest_parse(buf_slice(&text), file, policy_file_note, (void *)file, &m, e);
    if (!rc && m->policy_path) {
        policy = manifest_at(m, m->policy_path);
        rc = policy ? policy_file(policy, policy_file_note, policy, &m->policy, e)
                    : err_set(e, ERR_MEMORY, "no memory for reading %s", file);
        if (rc == ERR_NOT_FOUND) /* the manifest itself is there */
            rc =
                err_set(e, ERR_INVALID, "%s: there is no file \"%s\" for its policy", file, policy);
    }
    buf_done(&text);
    free(policy);
    if (rc)
        manifest_free(m);
    else
        *ret_manifest = m;
    return rc;
}

void manifest_free(struct manifest *m)
{
    if (!m)
        return;
    free(m->file);
    free(m->folder);
    free(m->name);
    free(m->project);
    free(m->build);
    free(m->module);
    free(m->assets);
    free(m->policy_path);
    json_decref(m->settings);
    policy_free(m->policy);
    free(m);
}

char *manifest_at(const struct manifest *m, const char *path)
{
    char *whole;
    if (path[0] == '/' || strcmp(m->folder, ".") == 0)
        return strdup(path);
    return asprintf(&whole, "%s/%s", m->folder, path) < 0 ? NULL : whole;
}
