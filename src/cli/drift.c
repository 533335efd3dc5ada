#include "cli/drift.h"

#include "cli/client.h"
#include "cli/show.h"

#include <stdlib.h>

/* The settings of a version that are compared; of `env` and `limits` each member. What a new
 * version has without being told is nothing worth to mention. */
static const struct {
    const char *name, *normal; /* as JSON */
} settings[] = {
    {"digest", "null"},  {"response", "\"cgi\""},    {"check", "\"GET /\""},  {"env", NULL},
    {"secrets", "[]"},   {"policy", "{}"},           {"limits", NULL},        {"assets", "null"},
    {"timing", "false"}, {"preview", "\"members\""}, {"capture", "\"none\""},
};

static void add_change(json_t *drift, const char *setting, const json_t *from, const json_t *to)
{
    json_t *row = json_pack("{s:s, s:O?, s:O?}", "setting", setting, "from", from, "to", to);
    json_array_append_new(json_object_get(drift, "changes"), row);
}

static void add_kept(json_t *drift, const char *setting, const json_t *value)
{
    json_array_append_new(json_object_get(drift, "kept"),
                          json_pack("{s:s, s:O}", "setting", setting, "value", value));
}

static bool same(const json_t *a, const json_t *b)
{
    bool none_a = !a || json_is_null(a), none_b = !b || json_is_null(b);
    return none_a || none_b ? none_a == none_b : json_equal(a, b);
}

static void compare_members(json_t *drift, const char *setting, json_t *before, json_t *after)
{
    const char *name;
    json_t *value;
    char row[300];
    json_object_foreach(after, name, value)
    {
        snprintf(row, sizeof row, "%s.%s", setting, name);
        if (!same(json_object_get(before, name), value))
            add_change(drift, row, json_object_get(before, name), value);
    }
    json_object_foreach(before, name, value)
    {
        snprintf(row, sizeof row, "%s.%s", setting, name);
        if (!json_object_get(after, name))
            add_kept(drift, row, value);
    }
}

json_t *drift_find(const json_t *before, const json_t *after)
{
    json_t *drift = json_pack("{s:[], s:[]}", "changes", "kept");
    for (size_t i = 0; drift && i < sizeof settings / sizeof *settings; i++) {
        const char *name = settings[i].name;
        json_t *from = json_object_get(before, name), *to = json_object_get(after, name);
        if (!settings[i].normal) {
            compare_members(drift, name, from, to);
            continue;
        }
        json_t *normal = json_loads(settings[i].normal, JSON_DECODE_ANY, NULL);
        /* the API shows the empty policy as null */
        const json_t *was = from && !json_is_null(from) ? from : normal;
        const json_t *will = to && !json_is_null(to) ? to : normal;
        if (to && !same(was, will))
            add_change(drift, name, was, will);
        else if (!to && !same(was, normal) && strcmp(name, "digest"))
            add_kept(drift, name, was);
        json_decref(normal);
    }
    return drift;
}

void drift_take_away(json_t *drift, json_t *patch)
{
    json_t *kept = json_object_get(drift, "kept"), *row;
    size_t k;
    json_array_foreach(kept, k, row)
    {
        struct slice member = slice_str(answer_text(row, "setting"));
        struct slice setting = slice_split(&member, '.');
        json_t *to = json_null();
        for (size_t i = 0; i < sizeof settings / sizeof *settings && !member.p; i++)
            if (slice_eq(setting, slice_str(settings[i].name)))
                to = json_loads(settings[i].normal, JSON_DECODE_ANY, NULL);
        json_t *object = patch;
        if (member.p) {
            object = json_object_getn(patch, setting.p, setting.n);
            if (!object)
                json_object_setn_new(patch, setting.p, setting.n, object = json_object());
            setting = member;
        }
        json_object_setn(object, setting.p, setting.n, to);
        add_change(drift, answer_text(row, "setting"), json_object_get(row, "value"), to);
        json_decref(to);
    }
    json_array_clear(kept);
}

/* ---- for people ---- */

/* A new module is why one deploys: not worth a line by itself. */
static bool is_module_alone(const json_t *changes)
{
    return json_array_size(changes) == 1 &&
           strcmp(answer_text(json_array_get(changes, 0), "setting"), "digest") == 0;
}

enum { SHOWN = 60 /* bytes of a value */ };

static void show_value(FILE *f, const json_t *value)
{
    if (!value || json_is_null(value)) {
        fputs("-", f);
        return;
    }
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    struct slice all = slice_str(text);
    bool digest = all.n == 66 && strspn(all.p + 1, "0123456789abcdef") == 64;
    if (digest)
        show_text(f, slice_make(all.p + 1, 12));
    else if (all.n > SHOWN)
        show_text(f, slice_make(all.p, SHOWN)), fputs("…", f);
    else
        show_text(f, all);
    free(text);
}

void drift_show(const char *name, const json_t *drift, bool out)
{
    FILE *f = out ? stdout : stderr;
    const json_t *changes = json_object_get(drift, "changes"), *row;
    size_t i;
    json_array_foreach(changes, i, row)
    {
        if (!out && is_module_alone(changes))
            break;
        if (i == 0)
            fprintf(f, "%s: this deploy changes\n", name);
        fprintf(f, "  %-24s ", answer_text(row, "setting"));
        show_value(f, json_object_get(row, "from"));
        fputs(" -> ", f);
        show_value(f, json_object_get(row, "to"));
        fputc('\n', f);
    }
    json_array_foreach(json_object_get(drift, "kept"), i, row)
    {
        if (i == 0)
            fprintf(f, "%s: the server also has, and keeps, what isn't named here\n", name);
        fprintf(f, "  %-24s ", answer_text(row, "setting"));
        show_value(f, json_object_get(row, "value"));
        fputc('\n', f);
    }
}
