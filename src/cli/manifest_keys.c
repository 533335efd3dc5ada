/* The keys of function.yaml: one row each, and the schema that editors complete them by. */
#include "cli/manifest.h"

#include "api/request.h"
#include "api/settings.h"
#include "base/brand.h"

#include <stdlib.h>

static enum err_code judge_check(struct slice text, struct err *e)
{
    struct version_settings scratch = {0};
    return settings_check(&scratch, text, e);
}

static enum err_code judge_path(struct slice text, struct err *e)
{
    return text.n ? ERR_OK : err_set(e, ERR_INVALID, "a path is expected here");
}

#define OWN(member) .kind = MANIFEST_OWN, .offset = offsetof(struct manifest, member)
const struct manifest_key manifest_keys[] = {
    {.name = "name",
     OWN(name),
     .judge = name_check,
     .example = "hello",
     .help = "the function's name, and the first part of its address; without it, the module's"},
    {.name = "project",
     OWN(project),
     .judge = name_check,
     .example = "shop",
     .help = "the project that it belongs to; without it, the one in use"},
    {.name = "module",
     OWN(module),
     .judge = judge_path,
     .example = "hello.wasm",
     .help = "path of the WebAssembly module, as seen from this file"},
    {.name = "build",
     OWN(build),
     .judge = judge_path,
     .example = "make hello.wasm",
     .help = "command that makes the module: sh runs it in this folder, before each deploy"},
    {.name = "env",
     .kind = MANIFEST_VARIABLES,
     .example = "de",
     .help = "variables of its environment; null takes one away, others stay as they are"},
    {.name = "secrets",
     .kind = MANIFEST_NAMES,
     .example = "API_KEY",
     .help = "names of the project's secrets that become variables, too; the list is all of them"},
    {.name = "policy",
     .kind = MANIFEST_POLICY,
     .example = "policy.yaml",
     .help = "what it may open: allow, disallow, methods, on_violation; or the path of a file "
             "that says so"},
    {.name = "limits",
     .kind = MANIFEST_LIMITS,
     .example = "64MiB",
     .help = "limits that differ from the server's; null takes one back"},
    {.name = "assets",
     OWN(assets),
     .judge = judge_path,
     .example = "public",
     .help = "folder of read-only files, which the function sees below /"},
    {.name = "check",
     .kind = MANIFEST_SETTING,
     .judge = judge_check,
     .example = "GET /healthz",
     .help = "request that a new version has to answer before it goes live, \"GET /\" at first; "
             "none: it isn't asked"},
    {.name = "response",
     .kind = MANIFEST_SETTING,
     .words = response_words,
     .help = "cgi: header fields, an empty line, the body; text: all of the output is the body"},
    {.name = "timing",
     .kind = MANIFEST_SWITCH,
     .help = "answers carry CPU and wall time in Server-Timing"},
    {.name = "preview",
     .kind = MANIFEST_SETTING,
     .words = preview_words,
     .help = "who may see a version before it is promoted"},
    {.name = "capture",
     .kind = MANIFEST_SETTING,
     .words = capture_words,
     .help = "which runs are recorded, so that they can be played again"},
    {.name = "schedule",
     .kind = MANIFEST_LATER,
     .help = "the server has no schedules yet: take it out, and let cron run `" BRAND_COMMAND
             " invoke NAME`"},
    {0},
};

/* ---- the schema ---- */

static json_t *words_schema(const char *const *words)
{
    json_t *list = json_array();
    for (; *words; words++)
        json_array_append_new(list, json_string(*words));
    return json_pack("{s:s, s:o}", "type", "string", "enum", list);
}

static json_t *limits_schema(void)
{
    json_t *rows = json_object();
    for (int id = 0; id < LIMIT_COUNT; id++) {
        const struct limit_row *row = &limit_rows[id];
        if (row->who != LIMIT_WHO_FUNCTION)
            continue;
        char normal[32], most[32] = "";
        limit_format((enum limit_id)id, row->normal, normal);
        if (row->maximum)
            limit_format((enum limit_id)id, row->maximum, most);
        json_object_set_new(rows, row->name,
                            json_pack("{s:[sss], s:o}", "type", "string", "integer", "null",
                                      "description",
                                      json_sprintf("%s (default %s%s%s)", row->effect, normal,
                                                   *most ? ", at most " : "", most)));
    }
    return json_pack("{s:s, s:b, s:o}", "type", "object", "additionalProperties", 0, "properties",
                     rows);
}

static json_t *policy_schema(void)
{
    return json_pack(
        "{s:[{s:s, s:i}, {s:s, s:b, s:{s:o, s:o, s:{s:s, s:{s:s}}, s:{s:[ss]}, s:{s:s, s:i},"
        " s:{s:[ss]}}}]}",
        "anyOf", "type", "string", "minLength", 1, "type", "object", "additionalProperties", 0,
        "properties", "allow",
        json_pack("{s:s, s:{s:[{s:s}, {s:s, s:b, s:{s:{s:s}}, s:[s]}]}}", "type", "array", "items",
                  "anyOf", "type", "string", "type", "object", "additionalProperties", 0,
                  "properties", "regex", "type", "string", "required", "regex"),
        "disallow",
        json_pack("{s:s, s:{s:[{s:s}, {s:s, s:b, s:{s:{s:s}}, s:[s]}]}}", "type", "array", "items",
                  "anyOf", "type", "string", "type", "object", "additionalProperties", 0,
                  "properties", "regex", "type", "string", "required", "regex"),
        "methods", "type", "array", "items", "type", "string", "on_violation", "enum", "end",
        "error", "gas", "type", "integer", "minimum", 1, "memory", "type", "string", "integer");
}

static json_t *key_schema(const struct manifest_key *k)
{
    switch (k->kind) {
    case MANIFEST_OWN:
    case MANIFEST_SETTING:
        return k->words ? words_schema(k->words)
                        : json_pack("{s:s, s:i, s:[s]}", "type", "string", "minLength", 1,
                                    "examples", k->example);
    case MANIFEST_SWITCH:
        return json_pack("{s:s}", "type", "boolean");
    case MANIFEST_NAMES:
        return json_pack("{s:s, s:b, s:{s:s, s:s}}", "type", "array", "uniqueItems", 1, "items",
                         "type", "string", "pattern", "^[A-Za-z_][A-Za-z0-9_]*$");
    case MANIFEST_VARIABLES:
        return json_pack("{s:s, s:{s:s}, s:{s:[ssss]}}", "type", "object", "propertyNames",
                         "pattern", "^[A-Za-z_][A-Za-z0-9_]*$", "additionalProperties", "type",
                         "string", "number", "boolean", "null");
    case MANIFEST_LIMITS:
        return limits_schema();
    case MANIFEST_POLICY:
        return policy_schema();
    case MANIFEST_LATER:
        break;
    }
    return NULL;
}

json_t *manifest_schema(void)
{
    json_t *keys = json_object();
    for (const struct manifest_key *k = manifest_keys; k->name; k++) {
        json_t *schema = key_schema(k);
        if (schema && !json_object_set_new(schema, "description", json_string(k->help)))
            json_object_set_new(keys, k->name, schema);
    }
    return json_pack("{s:s, s:s, s:s, s:s, s:b, s:o}", "$schema",
                     "https://json-schema.org/draft/2020-12/schema", "title", MANIFEST_FILE,
                     "description", "A function of " BRAND_NAME ": what `deploy` makes of a folder",
                     "type", "object", "additionalProperties", 0, "properties", keys);
}
