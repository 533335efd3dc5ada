/* OpenAPI 3.1 of this server, made of the tables: routes, schemas, errors, scopes, limits.
 *
 * Nothing is written here that a row does not say, so that the document can't
 * be wrong about a route: a new one is in it, and in the tests that go by it.
 * It is made once a process, at the first request. */
#include "api/once.h"

#include "base/brand.h"

#include <ctype.h>
#include <stdio.h>

#define COMPONENTS "#/components/schemas/"

/* Every code of the table with its status. */
static const struct {
    const char *slug, *title;
    int status;
} errors[] = {
#define ERR(name, slug, http, cli, title) {slug, title, http},
#include "tables/errors.def"
#undef ERR
};
enum { ERRORS = sizeof errors / sizeof *errors };

/* ---- components ---- */

/* Adds the schema and those inside it, by their names. */
static void add_schema(json_t *schemas, const struct schema *s)
{
    if (!s || (s->name && json_object_get(schemas, s->name)))
        return;
    if (s->name)
        json_object_set_new(schemas, s->name, schema_json(s, COMPONENTS));
    for (const struct schema_field *f = s->fields; f && f->name; f++)
        add_schema(schemas, f->schema);
    for (size_t i = 0; s->either && s->either[i]; i++)
        add_schema(schemas, s->either[i]);
    add_schema(schemas, s->items);
}

static json_t *reference(const struct schema *s)
{
    return json_pack("{s:o}", "$ref", json_sprintf(COMPONENTS "%s", s->name));
}

static json_t *content(const char *type, json_t *schema)
{
    return json_pack("{s:{s:o}}", type, "schema", schema);
}

/* The answer with this status: one of its codes, each with its title. */
static json_t *problem_response(int status)
{
    json_t *codes = json_array();
    json_t *text = json_string("");
    for (size_t i = 0; i < ERRORS; i++) {
        if (errors[i].status != status)
            continue;
        const char *so_far = json_string_value(text);
        json_t *longer = json_sprintf("%s%s`%s`: %s", so_far, so_far[0] ? "; " : "", errors[i].slug,
                                      errors[i].title);
        json_decref(text);
        text = longer;
        json_array_append_new(codes, json_string(errors[i].slug));
    }
    json_t *schema =
        json_pack("{s:[o, {s:{s:{s:i}, s:{s:o}}}]}", "allOf", reference(&schema_problem),
                  "properties", "status", "const", status, "code", "enum", codes);
    json_t *response = json_pack("{s:o, s:o}", "description", text, "content",
                                 content("application/problem+json", schema));
    if (status == 401)
        json_object_set_new(
            response, "headers",
            json_pack("{s:{s:{s:s}}}", "WWW-Authenticate", "schema", "type", "string"));
    return response;
}

static json_t *responses_of_errors(void)
{
    json_t *o = json_object();
    for (size_t i = 0; i < ERRORS; i++) {
        char name[16];
        snprintf(name, sizeof name, "Problem%d", errors[i].status);
        if (!json_object_get(o, name))
            json_object_set_new(o, name, problem_response(errors[i].status));
    }
    return o;
}

/* ---- operations ---- */

static bool has_parameters(const struct api_route *route)
{
    return strchr(route->path, ':') != NULL;
}

static bool is_get(const struct api_route *route)
{
    return strcmp(route->method, "GET") == 0;
}

/* May the operation answer with this status of an error? */
static bool may_fail_with(const struct api_route *route, int status)
{
    switch (status) {
    case 401:
    case 403:
    case 429:
        return !route->open;
    case 404:
        return has_parameters(route) ||
               route->takes == TAKES_JSON; /* a body may name things, too */
    case 409:
        return !is_get(route) || has_parameters(route);
    case 411:
    case 415:
        return route->takes != TAKES_NOTHING;
    case 405: /* those are other operations */
    case 499: /* nobody is left to read it */
        return false;
    case 502:
    case 508: /* of a run */
        return route->scope == SCOPE_INVOKE || route->scope == SCOPE_DEPLOY;
    default: /* any request may be malformed, too large, or come at a bad time */
        return true;
    }
}

static void set_header(json_t *headers, const char *name, const char *help)
{
    json_object_set_new(
        headers, name,
        json_pack("{s:s, s:{s:s}}", "description", help, "schema", "type", "string"));
}

static const char *const tag_help[] = {
    [TAG_FUNCTION] = "of the function: for If-Match of what changes it",
    [TAG_SECRET] = "of the secret: for If-Match of what changes it"};

static json_t *success(const struct api_route *route, int status)
{
    json_t *o = json_pack("{s:s}", "description", route->summary), *types = json_object();
    json_t *headers = json_object();
    if (route->tag && status != 204)
        set_header(headers, "ETag", tag_help[route->tag]);
    if (once_takes(route))
        set_header(headers, "Idempotency-Replayed", "true: the answer of the first request");
    if (json_object_size(headers))
        json_object_set(o, "headers", headers);
    json_decref(headers);
    if (route->answer && status != 204)
        json_object_set_new(types, "application/json",
                            json_pack("{s:o}", "schema", reference(route->answer)));
    struct slice streams = slice_str(route->streams ? route->streams : "");
    while (streams.n) {
        struct slice type = slice_split(&streams, ' ');
        json_object_setn_new(types, type.p, type.n, json_object());
    }
    if (json_object_size(types))
        json_object_set(o, "content", types);
    json_decref(types);
    return o;
}

static void set_status(json_t *responses, int status, json_t *response)
{
    char name[8];
    snprintf(name, sizeof name, "%d", status);
    json_object_set_new(responses, name, response);
}

static json_t *responses(const struct api_route *route)
{
    json_t *o = json_object();
    int status = route->status ? route->status : 200;
    set_status(o, status, success(route, status));
    if (route->also)
        set_status(o, route->also, success(route, route->also));
    for (size_t i = 0; i < ERRORS; i++)
        if (may_fail_with(route, errors[i].status))
            set_status(
                o, errors[i].status,
                json_pack("{s:o}", "$ref",
                          json_sprintf("#/components/responses/Problem%d", errors[i].status)));
    return o;
}

static json_t *parameter(const char *name, const char *in, bool required, json_t *schema,
                         const char *help)
{
    json_t *o = json_pack("{s:s, s:s, s:b, s:o}", "name", name, "in", in, "required", required,
                          "schema", schema);
    if (help)
        json_object_set_new(o, "description", json_string(help));
    return o;
}

/* Header fields that it looks at. */
static void add_fields(json_t *list, const struct api_route *route)
{
    if (once_takes(route))
        json_array_append_new(
            list, parameter("Idempotency-Key", "header", false,
                            json_pack("{s:s, s:s}", "type", "string", "pattern", "^[!-~]{1,128}$"),
                            "sent again within a day, the same request with the same key changes "
                            "nothing and gets the same answer"));
    if (route->tag && !is_get(route))
        json_array_append_new(list, parameter("If-Match", "header", false,
                                              json_pack("{s:s, s:s}", "type", "string", "pattern",
                                                        "^(\\*|\"[!#-+\\--~]{0,40}\")$"),
                                              "an ETag of it: 412 if it was changed since"));
}

/* What a parameter of a path is called: ":id" after "runs" is "run_id". False: it is none. */
static bool parameter_name(struct slice before, struct slice segment, char out[32])
{
    if (!slice_starts(segment, SLICE(":")))
        return false;
    if (slice_eq(segment, SLICE(":id")) && before.n)
        snprintf(out, 32, "%.*s_id", (int)before.n - 1, before.p);
    else
        snprintf(out, 32, "%.*s", (int)segment.n - 1, segment.p + 1);
    return true;
}

static json_t *parameters(const struct api_route *route)
{
    json_t *list = json_array();
    struct slice before = SLICE("");
    for (struct slice rest = slice_str(route->path); rest.p;) {
        struct slice segment = slice_split(&rest, '/'), last = before;
        char name[32];
        before = segment;
        if (!parameter_name(last, segment, name))
            continue;
        json_array_append_new(list, parameter(name, "path", true,
                                              schema_json(&schema_path_segment, COMPONENTS), NULL));
    }
    for (const struct schema_field *f = route->query; f && f->name; f++)
        json_array_append_new(list, parameter(f->name, "query", f->required,
                                              f->schema->name ? reference(f->schema)
                                                              : schema_json(f->schema, COMPONENTS),
                                              f->help ? f->help : f->schema->help));
    add_fields(list, route);
    return list;
}

static bool needs_member(const struct schema *s)
{
    for (const struct schema_field *f = s->fields; f->name; f++)
        if (f->required)
            return true;
    return false;
}

static json_t *body(const struct api *api, const struct api_route *route)
{
    static const char *const types[] = {
        [TAKES_WASM] = "application/wasm",
        [TAKES_TAR] = "application/x-tar",
        [TAKES_ANY] = "*/*",
    };
    if (route->takes == TAKES_NOTHING)
        return NULL;
    if (route->takes == TAKES_JSON)
        return json_pack("{s:b, s:o}", "required", needs_member(route->body), "content",
                         content("application/json", reference(route->body)));
    json_t *o = json_pack("{s:b, s:{s:{}}}", "required", route->takes != TAKES_ANY, "content",
                          types[route->takes]);
    const struct limit_row *row = &limit_rows[route->body_limit];
    json_object_set_new(o, "x-limit",
                        json_pack("{s:s, s:I}", "name", row->name, "bytes",
                                  (json_int_t)api->options->limits.v[route->body_limit]));
    return o;
}

/* "get_v1_projects_project_functions": no two routes have the same. */
static json_t *operation_id(const struct api_route *route)
{
    char id[160];
    size_t n = 0;
    for (const char *c = route->method; *c && n < sizeof id - 1; c++)
        id[n++] = (char)tolower((unsigned char)*c);
    for (const char *c = route->path; *c && n < sizeof id - 1; c++)
        if (*c != ':')
            id[n++] = isalnum((unsigned char)*c) ? *c : '_';
    return json_stringn(id, n);
}

static json_t *operation(const struct api *api, const struct api_route *route)
{
    json_t *o =
        json_pack("{s:o, s:s, s:o, s:o}", "operationId", operation_id(route), "summary",
                  route->summary, "parameters", parameters(route), "responses", responses(route));
    json_t *takes = body(api, route), *scopes = shape_scopes(route->scope);
    if (takes)
        json_object_set_new(o, "requestBody", takes);
    json_object_set_new(o, "security",
                        route->open ? json_array() : json_pack("[{s:O}]", "token", scopes));
    json_decref(scopes);
    return o;
}

/* "/v1/projects/:project" as "/v1/projects/{project}"; false if it does not fit. */
static bool path_template(const char *path, char *out, size_t cap)
{
    size_t n = 0;
    struct slice before = SLICE("");
    for (struct slice rest = slice_str(path); rest.p;) {
        struct slice segment = slice_split(&rest, '/');
        char name[32];
        if (parameter_name(before, segment, name))
            n += (size_t)snprintf(out + n, cap - n, "{%s}", name);
        else
            n += (size_t)snprintf(out + n, cap - n, "%.*s", SLICE_ARG(segment));
        if (n + 1 >= cap)
            return false;
        if (rest.p)
            out[n++] = '/';
        out[n] = '\0';
        before = segment;
    }
    return true;
}

static json_t *paths(const struct api *api, json_t *schemas)
{
    json_t *o = json_object();
    for (const struct api_route *route = api_routes; route->method; route++) {
        char path[160], method[16] = "";
        if (!path_template(route->path, path, sizeof path))
            continue;
        for (size_t i = 0; route->method[i] && i < sizeof method - 1; i++)
            method[i] = (char)tolower((unsigned char)route->method[i]);
        json_t *item = json_object_get(o, path);
        if (!item)
            json_object_set_new(o, path, item = json_object());
        json_object_set_new(item, method, operation(api, route));
        add_schema(schemas, route->body);
        add_schema(schemas, route->answer);
        for (const struct schema_field *f = route->query; f && f->name; f++)
            add_schema(schemas, f->schema);
    }
    return o;
}

static json_t *document(const struct api *api)
{
    json_t *schemas = json_object();
    add_schema(schemas, &schema_problem);
    json_t *operations = paths(api, schemas);
    return json_pack(
        "{s:s, s:{s:s, s:s, s:s}, s:[{s:s}], s:[{s:[]}], s:o, s:{s:o, s:o, s:{s:{s:s, s:s, s:s}}}}",
        "openapi", "3.1.0", "info", "title", BRAND_NAME, "version", BRAND_VERSION, "description",
        "A platform for WebAssembly functions. Errors are problem+json (RFC 9457).", "servers",
        "url", "/", "security", "token", "paths", operations, "components", "schemas", schemas,
        "responses", responses_of_errors(), "securitySchemes", "token", "type", "http", "scheme",
        "bearer", "description", "A token: its scopes are named with each operation");
}

void openapi_get(struct api_request *r)
{
    struct api *api = r->api;
    if (!api->openapi && !(api->openapi = document(api)))
        api_refuse(r, ERR_MEMORY, "no memory for the document");
    else
        api_answer(r, 200, json_incref(api->openapi));
}
