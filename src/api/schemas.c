/* The rows. What is said here of text is what its judge enforces: patterns are for readers of
 * OpenAPI, in the dialect of ECMA 262. */
#include "api/request.h"

#include "auth/seal.h"
#include "http/address.h"

/* A member that is there, one that may be. */
#define HAS(name, schema, ...)                                                                     \
    {                                                                                              \
        name, &(schema), true, __VA_ARGS__                                                         \
    }
#define MAY(name, schema, ...)                                                                     \
    {                                                                                              \
        name, &(schema), false, __VA_ARGS__                                                        \
    }

#define OBJECT(id, title, ...)                                                                     \
    static const struct schema_field id##_fields[] = {__VA_ARGS__, {0}};                           \
    const struct schema id = {.name = title, .type = SCHEMA_OBJECT, .fields = id##_fields}
#define QUERY(id, ...) const struct schema_field id[] = {__VA_ARGS__, {0}}

/* A page of a list (shape_list). */
#define PAGE_OF(id, title, item)                                                                   \
    static const struct schema id##_items = {.type = SCHEMA_LIST, .items = &(item)};               \
    OBJECT(id, title, HAS("items", id##_items, NULL),                                              \
           HAS("next", text_or_null, "the cursor of the next page; null: this is the last"))

/* What may be null of a schema with a name. */
#define OR_NULL(id, of)                                                                            \
    static const struct schema *const id##_either[] = {&(of), NULL};                               \
    static const struct schema id = {.type = SCHEMA_EITHER, .nullable = true, .either = id##_either}

/* ---- what many have ---- */

#define UUID_PATTERN "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
#define DIGEST_PATTERN "^[0-9a-f]{64}$"

static const struct schema text = {.type = SCHEMA_TEXT};
static const struct schema text_or_null = {.type = SCHEMA_TEXT, .nullable = true};
static const struct schema flag = {.type = SCHEMA_BOOL};
static const struct schema number = {.type = SCHEMA_INTEGER};
static const struct schema count = {.type = SCHEMA_INTEGER, .most = INT64_MAX};
static const struct schema count_or_null = {
    .type = SCHEMA_INTEGER, .most = INT64_MAX, .nullable = true};
static const struct schema uuid = {.type = SCHEMA_TEXT, .format = "uuid", .pattern = UUID_PATTERN};
static const struct schema uuid_or_null = {
    .type = SCHEMA_TEXT, .format = "uuid", .pattern = UUID_PATTERN, .nullable = true};
static const struct schema when = {.type = SCHEMA_TEXT, .format = "date-time"};
static const struct schema when_or_null = {
    .type = SCHEMA_TEXT, .format = "date-time", .nullable = true};
static const struct schema url = {.type = SCHEMA_TEXT, .format = "uri"};
static const struct schema digest = {.type = SCHEMA_TEXT, .pattern = DIGEST_PATTERN};
static const struct schema digest_or_null = {
    .type = SCHEMA_TEXT, .pattern = DIGEST_PATTERN, .nullable = true};

static enum err_code judge_digest(struct slice s, struct err *e)
{
    uint8_t ignored[DIGEST_BYTES];
    return digest_parse(s, ignored)
               ? ERR_OK
               : err_set(e, ERR_INVALID, "a digest is a SHA-256: 64 hexadecimal digits");
}
static const struct schema digest_named = {
    .type = SCHEMA_TEXT, .pattern = DIGEST_PATTERN, .judge = judge_digest};

static const struct schema name = {.type = SCHEMA_TEXT,
                                   .least = 1,
                                   .most = STORE_NAME,
                                   .pattern = "^[a-z0-9]+(-[a-z0-9]+)*$",
                                   .judge = name_check,
                                   .help = "a-z, 0-9 and single dashes inside; some are reserved"};

const struct schema schema_path_segment = {.type = SCHEMA_TEXT, .least = 1};

/* ---- members of queries ---- */

static enum err_code judge_uuid(struct slice s, struct err *e)
{
    struct uuid id;
    return uuid_parse(s, &id) && !uuid_is_zero(id)
               ? ERR_OK
               : err_set(e, ERR_INVALID, "\"%.*s\" is no id as answers here have them",
                         (int)(s.n < 64 ? s.n : 64), s.p);
}
static const struct schema uuid_named = {
    .type = SCHEMA_TEXT, .format = "uuid", .pattern = UUID_PATTERN, .judge = judge_uuid};

static enum err_code judge_time(struct slice s, struct err *e)
{
    uint64_t ignored;
    return api_time_parse(s, &ignored)
               ? ERR_OK
               : err_set(e, ERR_INVALID,
                         "a time is like 2026-01-31T12:00:00Z, or 15m, 2h, 1d ago, not \"%.*s\"",
                         (int)(s.n < 64 ? s.n : 64), s.p);
}
static const struct schema when_named = {
    .type = SCHEMA_TEXT,
    .judge = judge_time,
    .pattern =
        "^([0-9]{1,9}[smhd]?|"
        "2[0-9]{3}-(0[1-9]|1[0-2])-([01][1-9]|2[0-8])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
        "(\\.[0-9]{1,9})?Z)$",
    .help = "RFC 3339 in UTC, Unix seconds, or 30s, 15m, 2h, 1d ago"};

static const struct schema limit_1000 = {
    .type = SCHEMA_INTEGER, .least = 1, .most = 1000, .help = "items of a page"};
static const struct schema limit_500 = {
    .type = SCHEMA_INTEGER, .least = 1, .most = 500, .help = "items of a page"};
static const struct schema cursor_name = {
    .type = SCHEMA_TEXT, .most = STORE_NAME, .help = "`next` of the page before"};
static const struct schema cursor_uuid = {.type = SCHEMA_TEXT,
                                          .format = "uuid",
                                          .pattern = UUID_PATTERN,
                                          .judge = judge_uuid,
                                          .help = "`next` of the page before"};
static const struct schema cursor_number = {
    .type = SCHEMA_INTEGER, .least = 1, .most = INT64_MAX, .help = "`next` of the page before"};

/* ---- errors ---- */

static const struct schema field_messages = {
    .type = SCHEMA_MAP, .items = &text, .help = "by member: which rule is broken"};
static const struct schema http_status = {.type = SCHEMA_INTEGER, .least = 400, .most = 599};
static const char *const code_words[] = {
#define ERR(name, slug, ...) slug,
#include "tables/errors.def"
#undef ERR
    NULL};
static const struct schema error_code = {.type = SCHEMA_TEXT,
                                         .name = "ErrorCode",
                                         .words = code_words,
                                         .help = "stable; one row of the table of errors"};
OBJECT(schema_problem, "Problem", HAS("type", url, NULL), HAS("title", text, NULL),
       HAS("status", http_status, NULL), HAS("detail", text, "what happened, why, and what to do"),
       HAS("code", error_code, NULL), MAY("request_id", uuid, "not where HTTP itself was wrong"),
       MAY("contact", text, "of the operator"), MAY("fields", field_messages, NULL));

/* ---- the server, the token ---- */

static const char *const ok_words[] = {"ok", NULL};
static const struct schema ok_word = {.type = SCHEMA_TEXT, .words = ok_words};
OBJECT(schema_status, "Status", HAS("status", ok_word, NULL));

static const struct schema anything = {.type = SCHEMA_ANY};
const struct schema schema_openapi = {
    .name = "OpenAPI", .type = SCHEMA_MAP, .items = &anything, .help = "a document of OpenAPI 3.1"};

static const char *const scope_words[] = {"read",    "deploy", "invoke", "logs",
                                          "secrets", "admin",  NULL};
static const struct schema scope_word = {
    .name = "Scope", .type = SCHEMA_TEXT, .words = scope_words};
static const struct schema scopes = {.type = SCHEMA_LIST, .items = &scope_word};
OBJECT(user_shown, "User", HAS("id", uuid, NULL), HAS("name", text, NULL), HAS("role", text, NULL),
       HAS("created_at", when, NULL), HAS("updated_at", when, NULL));
OBJECT(token_asking, "TokenAsking", HAS("id", uuid, NULL), HAS("name", text, NULL),
       HAS("scopes", scopes, NULL), HAS("expires_at", when, NULL));
OBJECT(schema_whoami, "Whoami", HAS("user", user_shown, NULL), HAS("token", token_asking, NULL),
       HAS("project", text_or_null, "the one that is meant where none is named"));

/* ---- tokens ---- */

static const struct schema token_name = {.type = SCHEMA_TEXT, .least = 1, .most = STORE_TEXT};
static const struct schema scopes_wanted = {
    .type = SCHEMA_LIST, .items = &scope_word, .least = 1, .most = 16};
static const struct schema expires_in = {.type = SCHEMA_INTEGER,
                                         .least = 1,
                                         .most = 366 * 86400,
                                         .help = "seconds; 30 days unless it is said"};
static const struct schema project_named = {
    .type = SCHEMA_TEXT, .least = 1, .most = STORE_NAME, .help = "name or id"};
OBJECT(schema_token_create, "TokenCreate", HAS("name", token_name, NULL),
       HAS("scopes", scopes_wanted, NULL), MAY("expires_in", expires_in, NULL),
       MAY("project", project_named, "it reaches this project only"));

#define TOKEN                                                                                      \
    HAS("id", uuid, NULL), HAS("name", text, NULL), HAS("scopes", scopes, NULL),                   \
        HAS("created_at", when, NULL), HAS("updated_at", when, NULL),                              \
        HAS("expires_at", when, NULL)
OBJECT(token, "Token", TOKEN);
OBJECT(schema_token_made, "TokenMade", TOKEN, HAS("token", text, "its text, shown only here"));
PAGE_OF(schema_token_list, "TokenList", token);
QUERY(query_tokens, MAY("limit", limit_1000, NULL), MAY("cursor", cursor_uuid, NULL));

/* ---- projects ---- */

OBJECT(schema_project, "Project", HAS("id", uuid, NULL), HAS("name", text, NULL),
       HAS("created_at", when, NULL), HAS("updated_at", when, NULL));
OBJECT(schema_project_create, "ProjectCreate", HAS("name", name, NULL));
PAGE_OF(schema_project_list, "ProjectList", schema_project);
QUERY(query_projects, MAY("limit", limit_1000, NULL), MAY("cursor", cursor_name, NULL));

/* ---- modules and assets ---- */

OBJECT(schema_module, "Module", HAS("digest", digest, NULL), HAS("size", count, "bytes"));
OBJECT(schema_assets, "Assets", HAS("digest", digest, "of the bundle"),
       HAS("size", count, "bytes of the bundle"), HAS("files", count, NULL));

/* ---- secrets ---- */

#define VARIABLE_PATTERN "^[A-Za-z_][A-Za-z0-9_]*$"
static const struct schema variable = {.type = SCHEMA_TEXT,
                                       .least = 1,
                                       .most = ENV_EACH,
                                       .pattern = VARIABLE_PATTERN,
                                       .judge = settings_variable};
static const struct schema secret_value = {
    .type = SCHEMA_TEXT, .least = 1, .most = ENV_EACH, .help = "with its name at most 5 KiB"};
static const struct schema functions_using = {
    .type = SCHEMA_LIST, .items = &text, .help = "that answer with it, at most 100 names"};
OBJECT(schema_secret_put, "SecretPut", HAS("value", secret_value, NULL));
OBJECT(schema_secret, "Secret", HAS("name", text, NULL), HAS("functions", functions_using, NULL),
       HAS("etag", text, "for If-Match; changes with each value"), HAS("created_at", when, NULL),
       HAS("updated_at", when, NULL));
PAGE_OF(schema_secret_list, "SecretList", schema_secret);
static const struct schema cursor_secret = {
    .type = SCHEMA_TEXT, .most = SEAL_NAME, .help = "`next` of the page before"};
QUERY(query_secrets, MAY("limit", limit_1000, NULL), MAY("cursor", cursor_secret, NULL));

/* ---- functions ---- */

OBJECT(statuses, "StatusCounts", HAS("1xx", count, NULL), HAS("2xx", count, NULL),
       HAS("3xx", count, NULL), HAS("4xx", count, NULL), HAS("5xx", count, NULL));
OBJECT(counters, "Counters", HAS("runs", count, NULL), HAS("failed", count, NULL),
       HAS("cpu_us", count, NULL), HAS("wall_us", count, NULL),
       HAS("memory_mib_us", count, "MiB of memory times µs of the runs"),
       HAS("bytes_in", count, NULL), HAS("bytes_out", count, NULL),
       HAS("calls", count, "of the host"), HAS("log_lines", count, NULL),
       HAS("log_lost", count, NULL), HAS("receipts_lost", count, NULL),
       HAS("egress_bytes_in", count, NULL), HAS("egress_bytes_out", count, NULL),
       HAS("log_bytes", count, NULL), HAS("status", statuses, NULL));

static const char *const state_words[] = {"live", "no_version", "deleted", NULL};
static const char *const response_words_or_none[] = {"cgi", "text", NULL};
static const struct schema state = {.type = SCHEMA_TEXT, .words = state_words};
static const struct schema response_or_null = {
    .type = SCHEMA_TEXT, .words = response_words_or_none, .nullable = true};
#define FUNCTION                                                                                   \
    HAS("id", uuid, NULL), HAS("name", text, NULL), HAS("project", text, NULL),                    \
        HAS("url", text_or_null, NULL), HAS("state", state, NULL),                                 \
        HAS("version", count_or_null, "the number of the live one"),                               \
        HAS("response", response_or_null, NULL), HAS("digest", digest_or_null, "of its module"),   \
        HAS("size", count_or_null, "bytes of its module"), HAS("created_at", when, NULL),          \
        HAS("updated_at", when, NULL), HAS("deleted_at", when_or_null, NULL),                      \
        HAS("counters", counters, NULL)
OBJECT(schema_function, "Function", FUNCTION);
static const struct schema percent = {.type = SCHEMA_INTEGER, .least = 1, .most = 100};
static const struct schema shares = {.type = SCHEMA_MAP,
                                     .items = &percent,
                                     .nullable = true,
                                     .help =
                                         "percent of its requests by version; null: one has all"};
OBJECT(schema_function_shown, "FunctionShown", FUNCTION, HAS("split", shares, NULL));
static const struct schema shares_wanted = {.type = SCHEMA_MAP,
                                            .pattern = "^[1-9][0-9]{0,8}$",
                                            .items = &percent,
                                            .least = 1,
                                            .most = STORE_SHARES,
                                            .help = "by number of version; they add up to 100"};
OBJECT(schema_split, "Split", HAS("versions", shares_wanted, NULL));
OBJECT(schema_function_create, "FunctionCreate", HAS("name", name, NULL));
PAGE_OF(schema_function_list, "FunctionList", schema_function);
QUERY(query_functions, MAY("limit", limit_1000, NULL), MAY("cursor", cursor_name, NULL),
      MAY("deleted", flag, "true: those that are deleted"));

/* ---- versions ---- */

static enum err_code judge_check(struct slice s, struct err *e)
{
    struct version_settings ignored;
    return settings_check(&ignored, s, e);
}
static const struct schema response = {
    .type = SCHEMA_TEXT, .words = response_words, .help = "text: what it prints is the body"};
static const struct schema check = {.type = SCHEMA_TEXT,
                                    .most = STORE_CHECK,
                                    .pattern = "^(none|[A-Z]{1,15} /[!-\"$-~]*)$",
                                    .judge = judge_check,
                                    .help =
                                        "the request that a new version has to answer, or none"};
static const struct schema preview = {.type = SCHEMA_TEXT, .words = preview_words};
static const struct schema capture = {.type = SCHEMA_TEXT, .words = capture_words};

static const struct schema variable_value = {
    .type = SCHEMA_TEXT, .nullable = true, .help = "null takes it away"};
static const struct schema env_patch = {.type = SCHEMA_MAP,
                                        .pattern = VARIABLE_PATTERN,
                                        .judge = settings_variable,
                                        .items = &variable_value,
                                        .help = "variables of its environment: name and value "
                                                "have at most 5 KiB, all of them 64 KiB"};

static const struct schema limit_text = {
    .type = SCHEMA_TEXT, .least = 1, .most = 31, .pattern = "^[0-9]+[A-Za-z]*$"};
static const struct schema *const limit_values[] = {&limit_text, &count, NULL};
static const struct schema limit_value = {
    .type = SCHEMA_EITHER, .either = limit_values, .nullable = true};
static const struct schema limits_patch = {
    .type = SCHEMA_MAP,
    .items = &limit_value,
    .help = "\"64MiB\", \"2s\" or a number, by name; null takes it away"};

static const struct schema policy_object = {.type = SCHEMA_MAP, .items = &anything};
static const struct schema *const policy_forms[] = {&policy_object, &text, NULL};
static const struct schema policy_wanted = {
    .type = SCHEMA_EITHER,
    .either = policy_forms,
    .nullable = true,
    .help = "what it may open: an object, or its text as YAML; null: nothing"};
static const struct schema assets_named = {.type = SCHEMA_TEXT,
                                           .pattern = DIGEST_PATTERN,
                                           .judge = judge_digest,
                                           .nullable = true,
                                           .help = "the digest of files stored before"};
static const struct schema timing_wanted = {
    .type = SCHEMA_BOOL, .nullable = true, .help = "answers say what they took"};
static const struct schema secret_list = {
    .type = SCHEMA_LIST, .items = &variable, .most = ENV_COUNT, .help = "all of them"};
static const struct schema taken = {
    .type = SCHEMA_BOOL, .nullable = true, .help = "true takes it in, null takes it out"};
static const struct schema secret_patch = {
    .type = SCHEMA_MAP, .pattern = VARIABLE_PATTERN, .judge = settings_variable, .items = &taken};
static const struct schema *const secret_forms[] = {&secret_list, &secret_patch, NULL};
static const struct schema secrets_wanted = {.type = SCHEMA_EITHER,
                                             .either = secret_forms,
                                             .nullable = true,
                                             .help = "names of the project's secrets"};
static enum err_code judge_cost(struct slice s, struct err *e)
{
    uint32_t percent_ignored;
    uint64_t us_ignored;
    return version_cost(s, &percent_ignored, &us_ignored, e);
}
static const struct schema max_cpu = {
    .type = SCHEMA_TEXT,
    .pattern = "^(\\+[0-9]{1,5}%|[1-9][0-9]{0,6}(us|ms)|[1-9]s)$",
    .judge = judge_cost,
    .most = 31,
    .help = "what its check may cost to be promoted: \"+20%\" more than the live version's, or a "
            "time, \"2ms\""};
static const struct schema version_number = {.type = SCHEMA_INTEGER, .least = 1, .most = INT32_MAX};
OBJECT(schema_version_create, "VersionCreate",
       MAY("digest", digest_named, "of the module; the base's if it is left out"),
       MAY("response", response, NULL), MAY("check", check, NULL), MAY("env", env_patch, NULL),
       MAY("limits", limits_patch, NULL), MAY("policy", policy_wanted, NULL),
       MAY("assets", assets_named, NULL), MAY("timing", timing_wanted, NULL),
       MAY("secrets", secrets_wanted, NULL), MAY("preview", preview, NULL),
       MAY("capture", capture, NULL), MAY("number", version_number, "after all that there are"),
       MAY("promote", flag, "false: it is checked and kept"),
       MAY("skip_check", flag, "true: it is promoted unasked"), MAY("max_cpu", max_cpu, NULL));
OBJECT(schema_promote, "Promote", MAY("skip_check", flag, "true: it is promoted unasked"));
OBJECT(schema_rollback, "Rollback",
       MAY("version", version_number, "the one that was live before, if it is left out"));

OBJECT(regex_rule, "RegexRule", HAS("regex", text, NULL));
static const struct schema *const rule_forms[] = {&text, &regex_rule, NULL};
static const struct schema rule = {.type = SCHEMA_EITHER, .either = rule_forms};
static const struct schema rules = {.type = SCHEMA_LIST, .items = &rule};
static const struct schema methods = {.type = SCHEMA_LIST, .items = &text};
static const char *const violation_words[] = {"error", NULL};
static const struct schema violation = {.type = SCHEMA_TEXT, .words = violation_words};
OBJECT(policy, "Policy", MAY("allow", rules, NULL), MAY("disallow", rules, NULL),
       MAY("gas", count, NULL), MAY("memory", count, NULL), MAY("methods", methods, NULL),
       MAY("on_violation", violation, NULL));
OR_NULL(policy_or_null, policy);

OBJECT(checked, "CheckResult", HAS("run", uuid_or_null, "null: it did not start"),
       HAS("status", count_or_null, NULL), HAS("error", text_or_null, "null: it passed"),
       HAS("text", text, NULL));
OR_NULL(checked_or_null, checked);

static const char *const kind_words[] = {"plain", "fuel", NULL};
static const struct schema kind = {
    .type = SCHEMA_TEXT, .words = kind_words, .help = "fuel: it runs on an engine that counts gas"};
static const struct schema env = {.type = SCHEMA_MAP, .items = &text};
static const struct schema limits = {.type = SCHEMA_MAP, .items = &text};
static const struct schema secrets = {.type = SCHEMA_LIST, .items = &text};
OBJECT(price, "Price", HAS("cpu_us", count, NULL), HAS("memory_peak", count, "bytes"),
       HAS("calls", count, "of the host"), HAS("runs", count, "of which these are the medians"),
       HAS("over", flag, "more than max_cpu allowed: it was held back"));
OR_NULL(price_or_null, price);
static const char *const version_state_words[] = {"live", "split",    "held",
                                                  "kept", "disabled", NULL};
static const struct schema version_state = {
    .type = SCHEMA_TEXT,
    .words = version_state_words,
    .help = "held: never promoted, for it failed its check or costs too much"};
OBJECT(schema_version, "Version", HAS("id", uuid, NULL), HAS("number", count, NULL),
       HAS("digest", digest, "of its module"), HAS("size", count, "bytes of its module"),
       HAS("response", response, NULL), HAS("env", env, NULL), HAS("limits", limits, NULL),
       HAS("policy", policy_or_null, NULL), HAS("assets", digest_or_null, NULL),
       HAS("timing", flag, NULL), HAS("kind", kind, NULL), HAS("created_at", when, NULL),
       HAS("updated_at", when, NULL), HAS("promoted_at", when_or_null, NULL),
       HAS("check", text, NULL), HAS("checked", checked_or_null, "null: it was not"),
       HAS("secrets", secrets, NULL), HAS("preview", preview, NULL), HAS("capture", capture, NULL),
       HAS("disabled_at", when_or_null, NULL), HAS("price", price_or_null, "what its check cost"),
       HAS("state", version_state, NULL), HAS("percent", count, "of the function's requests"));
PAGE_OF(schema_version_list, "VersionList", schema_version);
QUERY(query_versions, MAY("limit", limit_1000, NULL), MAY("cursor", cursor_number, NULL));
QUERY(query_module_put, MAY("check", check, NULL), MAY("response", response, NULL),
      MAY("promote", flag, "false: it is checked and kept"),
      MAY("skip_check", flag, "true: it is promoted unasked"), MAY("max_cpu", max_cpu, NULL));

static const char *const held_words[] = {"not_asked", "check_failed", "too_costly", NULL};
static const struct schema held_code = {.type = SCHEMA_TEXT, .words = held_words};
OBJECT(held, "Held", HAS("code", held_code, NULL), HAS("text", text, NULL));
OR_NULL(held_or_null, held);
OBJECT(price_before, "PriceBefore", HAS("version", count, NULL), HAS("price", price, NULL));
OR_NULL(price_before_or_null, price_before);
OBJECT(schema_deployed, "Deployed", HAS("version", schema_version, NULL), HAS("url", url, NULL),
       HAS("unchanged", flag, "there was a version with this content: none was made"),
       HAS("promoted", flag, "it answers"),
       HAS("held", held_or_null, "why it was not promoted; null: it was"),
       HAS("check", checked_or_null, "null: none ran"),
       HAS("before", price_before_or_null, "what the version cost that was live"));

static const char *const changed_part_words[] = {
    "module", "imports",  "exports", "env",    "secrets", "policy",  "limits",
    "assets", "response", "check",   "timing", "preview", "capture", NULL};
static const struct schema changed_part = {.type = SCHEMA_TEXT, .words = changed_part_words};
OBJECT(version_change, "VersionChange", HAS("part", changed_part, NULL),
       HAS("name", text_or_null, "of a variable, a limit, a rule …; null: the part has one value"),
       HAS("from", anything, "null: it was not there"),
       HAS("to", anything, "null: it is not there"));
static const struct schema version_changes = {.type = SCHEMA_LIST, .items = &version_change};
OBJECT(schema_diff, "VersionDiff", HAS("from", count, NULL), HAS("to", count, NULL),
       HAS("interface", flag, "false: imports or exports of one of them are not known"),
       HAS("changes", version_changes, NULL));
QUERY(query_diff,
      MAY("from", version_number, "the live version; of that, the one that was live before"));
OBJECT(schema_preview, "PreviewLink", HAS("url", url, "for whoever has it: keep it to members"),
       HAS("expires_at", when_or_null, "the link; null: it is public"),
       HAS("until", when_or_null, "the preview, unless it is asked for again; null: it is public"));

/* ---- logs ---- */

static const char *const level_words[] = {"error", "warning", "info", NULL};
static const char *const source_words[] = {"stderr", "log", "platform", NULL};
static const struct schema level = {.type = SCHEMA_TEXT, .words = level_words};
static const struct schema source = {.type = SCHEMA_TEXT, .words = source_words};
OBJECT(log_line_shown, "LogLine", HAS("id", text, "grows"), HAS("at", when, NULL),
       HAS("level", level, NULL), HAS("source", source, NULL), HAS("run", uuid_or_null, NULL),
       HAS("function", text, NULL), HAS("text", text, NULL),
       MAY("lost", count, "a line of the platform: so many others were lost here"));
static const struct schema log_lines = {.type = SCHEMA_LIST, .items = &log_line_shown};
OBJECT(schema_log_list, "LogList", HAS("items", log_lines, NULL),
       HAS("next", text_or_null, "the cursor of earlier lines; null: there are none"),
       MAY("lost", count, "lines that the run which was asked for has lost"));
static const char *const format_words[] = {"json", "jsonl", NULL};
static const struct schema format = {
    .type = SCHEMA_TEXT, .words = format_words, .help = "jsonl: all of it, an object a line"};
static const struct schema part = {
    .type = SCHEMA_TEXT, .least = 1, .most = LOG_PART, .help = "bytes that the line contains"};
QUERY(query_logs, MAY("limit", limit_1000, NULL), MAY("cursor", cursor_number, NULL),
      MAY("since", when_named, NULL), MAY("until", when_named, NULL),
      MAY("level", level, "this one and worse"), MAY("run", uuid_named, "lines of this run"),
      MAY("text", part, NULL), MAY("format", format, NULL),
      MAY("follow", flag, "as server-sent events: a few past lines, then each new one"));

/* ---- runs ---- */

OBJECT(descriptor_shown, "DescriptorUse", HAS("fd", count_or_null, NULL), HAS("url", text, NULL),
       HAS("bytes_in", count, NULL), HAS("bytes_out", count, NULL), HAS("requests", count, NULL),
       HAS("rule", text_or_null, "of the policy, that allowed it"));
OBJECT(refusal_shown, "Refusal", HAS("url", text, NULL), HAS("rule", text_or_null, NULL),
       HAS("layer", text_or_null, "whose policy: function or operator"), HAS("times", count, NULL));
static const struct schema descriptors = {.type = SCHEMA_LIST, .items = &descriptor_shown};
static const struct schema refusals = {.type = SCHEMA_LIST, .items = &refusal_shown};
static const struct schema host_calls = {
    .type = SCHEMA_MAP, .items = &count, .help = "by function"};

#define RUN                                                                                        \
    HAS("id", uuid, NULL), HAS("function", text, NULL),                                            \
        HAS("version", count_or_null, "its number; null: it is not kept any more"),                \
        HAS("started_at", when, NULL), HAS("method", text, NULL),                                  \
        HAS("path", text, "without its query"), HAS("client", text, "cut to its network"),         \
        HAS("status", count_or_null, NULL), HAS("cause", text, "ok, or a code of the errors"),     \
        HAS("exit_status", number, NULL), HAS("cpu_us", count, NULL), HAS("wall_us", count, NULL), \
        HAS("memory_peak", count, "bytes"), HAS("bytes_in", count, NULL),                          \
        HAS("bytes_out", count, NULL), HAS("request_bytes", count, NULL),                          \
        HAS("response_bytes", count, NULL), HAS("host_calls", host_calls, NULL),                   \
        HAS("calls", count, NULL), HAS("log_lines", count, NULL), HAS("log_lost", count, NULL),    \
        HAS("text", text, NULL), HAS("sampled", flag, "others like it were not kept"),             \
        HAS("injected", flag, "by a check or invoke"), HAS("gas", count, NULL),                    \
        HAS("captured", flag, "its tape is there: `runs pull`"), HAS("opens", count, NULL),        \
        HAS("refused", count, NULL), HAS("uses_lost", count, "rows that are only in the sums"),    \
        HAS("egress_bytes_in", count, NULL), HAS("egress_bytes_out", count, NULL),                 \
        HAS("start_ns", count, NULL), HAS("module", digest_or_null, NULL),                         \
        HAS("policy", digest_or_null, NULL), HAS("descriptors", descriptors, NULL),                \
        HAS("refusals", refusals, NULL)
OBJECT(run_shown, "Run", RUN);
OBJECT(schema_run_shown, "RunWithLogs", RUN, HAS("logs", log_lines, NULL));
PAGE_OF(schema_run_list, "RunList", run_shown);

static enum err_code judge_status(struct slice s, struct err *e)
{
    uint64_t ignored[2];
    return runs_status(s, &ignored[0], &ignored[1])
               ? ERR_OK
               : err_set(e, ERR_INVALID, "status is like 503, or 5xx");
}
static enum err_code judge_slower(struct slice s, struct err *e)
{
    uint64_t ignored;
    return runs_slower(s, &ignored) ? ERR_OK
                                    : err_set(e, ERR_INVALID, "slower is a time like 250ms or 2s");
}
static enum err_code judge_cause(struct slice s, struct err *e)
{
    for (size_t i = 0; code_words[i]; i++)
        if (slice_eq(s, slice_str(code_words[i])) || slice_eq(s, SLICE("ok")))
            return ERR_OK;
    return err_set(e, ERR_INVALID, "cause is ok, or a code such as trap or cpu_limit");
}
static const struct schema run_cause = {
    .type = SCHEMA_TEXT, .pattern = "^[a-z_]{1,31}$", .judge = judge_cause};
static const struct schema run_status = {
    .type = SCHEMA_TEXT, .pattern = "^[1-5]([0-9][0-9]|xx)$", .judge = judge_status};
static const struct schema run_slower = {
    .type = SCHEMA_TEXT, .pattern = "^[0-9]{1,9}(us|ms|s)$", .judge = judge_slower};
static const struct schema run_method = {.type = SCHEMA_TEXT, .least = 1, .most = 15};
static const struct schema path_start = {.type = SCHEMA_TEXT, .least = 1, .most = RUN_PATH};
QUERY(query_runs, MAY("limit", limit_500, NULL), MAY("cursor", cursor_uuid, NULL),
      MAY("failed", flag, "true: only those that failed"),
      MAY("status", run_status, "503, or 5xx: of the answer"),
      MAY("cause", run_cause, "ok, or a code of the errors"), MAY("since", when_named, NULL),
      MAY("until", when_named, NULL), MAY("version", version_number, NULL),
      MAY("method", run_method, NULL), MAY("path", path_start, "how the path begins"),
      MAY("slower", run_slower, "250ms, 2s: wall time of at least this"),
      MAY("format", format, NULL),
      MAY("follow", flag, "as server-sent events: a few past runs, then each that is over"));

/* ---- explaining ---- */

OBJECT(cause_shown, "Cause", HAS("code", text, "of the errors, or missing_variable"),
       HAS("sentence", text, NULL), HAS("hint", text_or_null, NULL),
       HAS("command", text_or_null, NULL));
static const struct schema causes_shown = {.type = SCHEMA_LIST, .items = &cause_shown};
static const struct schema texts = {.type = SCHEMA_LIST, .items = &text};
OBJECT(limit_shown, "LimitReached", HAS("name", text, NULL), HAS("value", text, NULL),
       HAS("maximum", text_or_null, NULL), HAS("who", text, "may raise it"));
OR_NULL(limit_or_null, limit_shown);
OR_NULL(refusal_or_null, refusal_shown);
OBJECT(changed_shown, "ChangedSinceGood", HAS("from", count, "the last version that went well"),
       HAS("to", count_or_null, NULL), HAS("changes", version_changes, NULL));
OR_NULL(changed_or_null, changed_shown);
OBJECT(schema_explained, "Explained", HAS("run", uuid, NULL), HAS("function", text, NULL),
       HAS("version", count_or_null, NULL), HAS("started_at", when, NULL),
       HAS("method", text, NULL), HAS("path", text, NULL), HAS("status", count_or_null, NULL),
       HAS("cause", text, "as in its record"), HAS("causes", causes_shown, "the likeliest first"),
       HAS("why", text_or_null, "the runtime's words"), HAS("stack", texts, "innermost first"),
       HAS("last_call", text_or_null, "of the host"), HAS("rule", refusal_or_null, NULL),
       HAS("limit", limit_or_null, "that the first cause names"),
       HAS("changed", changed_or_null, "null: no other version has gone well"),
       HAS("similar_last_hour", count, "runs of the same cause"),
       HAS("good_runs_of_version", count, "that are kept"), HAS("next", texts, "commands"),
       HAS("log", log_lines, "the last lines"));

/* ---- usage ---- */

static enum err_code judge_day(struct slice s, struct err *e)
{
    uint64_t ignored;
    return usage_day(s, &ignored) ? ERR_OK
                                  : err_set(e, ERR_INVALID, "a day is like 2026-01-31 (UTC)");
}
static const struct schema day = {.type = SCHEMA_TEXT, .format = "date", .judge = judge_day};
static const char *const by_words[] = {"day", "function", NULL};
static const struct schema by = {.type = SCHEMA_TEXT, .words = by_words};
static const struct schema decimal = {.type = SCHEMA_TEXT, .pattern = "^[0-9]+\\.[0-9]+$"};
static const struct schema decimal_or_null = {
    .type = SCHEMA_TEXT, .pattern = "^[0-9]+\\.[0-9]+$", .nullable = true};
static const struct schema amounts = {
    .type = SCHEMA_MAP, .items = &decimal, .help = "by what has a price"};
#define USED                                                                                       \
    HAS("counters", counters, NULL), HAS("cpu_ms", decimal, "exact"),                              \
        HAS("gb_s", decimal, "10^9 bytes of memory for a second, to the billionth"),               \
        HAS("amounts", amounts, NULL),                                                             \
        HAS("amount", decimal_or_null, "their sum; null: the operator has named no prices")
OBJECT(usage_line, "UsageLine", MAY("day", day, "by day"), MAY("function", text, "by function"),
       MAY("function_id", uuid, "by function"), MAY("deleted", flag, "by function"), USED);
static const struct schema usage_lines = {.type = SCHEMA_LIST, .items = &usage_line};
OBJECT(usage_total, "UsageTotal", USED);
OBJECT(schema_usage, "Usage", HAS("from", day, NULL), HAS("to", day, NULL), HAS("by", by, NULL),
       HAS("currency", text_or_null, NULL), HAS("items", usage_lines, NULL),
       HAS("total", usage_total, "of all pages"), HAS("next", text_or_null, NULL));
QUERY(query_usage, MAY("from", day, "the first day; the first of the last day's month"),
      MAY("to", day, "the last day; today"), MAY("by", by, "what a line is of; day"),
      MAY("function", text, "of this function only, by its name or id"),
      MAY("limit", limit_1000, NULL), MAY("cursor", cursor_uuid, NULL));

/* ---- invoke ---- */

static enum err_code judge_path(struct slice s, struct err *e)
{
    bool good = s.n && s.p[0] == '/';
    for (size_t i = 0; good && i < s.n; i++)
        good = s.p[i] > ' ' && s.p[i] < 0x7f && s.p[i] != '#';
    return good ? ERR_OK
                : err_set(e, ERR_INVALID, "path is a path with an optional query, as /a?b=c");
}
static enum err_code judge_method(struct slice s, struct err *e)
{
    bool good = s.n && s.n < 16;
    for (size_t i = 0; good && i < s.n; i++)
        good = s.p[i] >= 'A' && s.p[i] <= 'Z';
    return good ? ERR_OK : err_set(e, ERR_INVALID, "method is a method such as GET");
}
static const struct schema invoke_path = {
    .type = SCHEMA_TEXT, .least = 1, .most = 240, .pattern = "^/[!-\"$-~]*$", .judge = judge_path};
static const struct schema invoke_method = {
    .type = SCHEMA_TEXT, .least = 1, .most = 15, .pattern = "^[A-Z]+$", .judge = judge_method};
QUERY(query_invoke, MAY("path", invoke_path, "of the function's request; /"),
      MAY("method", invoke_method, "of the function's request; POST"));

/* ---- the operator's questions ---- */

static enum err_code judge_address(struct slice s, struct err *e)
{
    struct http_address ignored;
    return address_parse(s, &ignored)
               ? ERR_OK
               : err_set(e, ERR_INVALID,
                         "to is the address that was reached, as 192.0.2.1 or 2001:db8::1");
}
static const struct schema address = {.type = SCHEMA_TEXT, .judge = judge_address, .most = 63};
static const struct schema port = {.type = SCHEMA_INTEGER, .least = 1, .most = 65535};
static const struct schema within = {.type = SCHEMA_INTEGER, .least = 1, .most = 31 * 86400};
OBJECT(connection_shown, "Connection", HAS("at", when, NULL), HAS("address", text, NULL),
       HAS("port", count, NULL), HAS("scheme", text, NULL), HAS("host", text, NULL),
       HAS("project", text_or_null, NULL), HAS("project_id", uuid_or_null, NULL),
       HAS("function", text_or_null, NULL), HAS("function_id", uuid_or_null, NULL),
       HAS("run", uuid_or_null, NULL), HAS("outcome", text, "ok, or a code of the errors"),
       HAS("sent", count, "bytes"), HAS("received", count, "bytes"));
PAGE_OF(schema_connection_list, "ConnectionList", connection_shown);
QUERY(query_audit_egress, HAS("to", address, "the address that was reached"),
      MAY("port", port, NULL), MAY("at", when_named, "when"),
      MAY("within", within, "seconds before and after; 300"), MAY("limit", limit_1000, NULL),
      MAY("cursor", cursor_number, NULL));

/* ---- operating ---- */

static const struct schema older_than = {
    .type = SCHEMA_INTEGER, .least = 0, .most = 31 * 86400, .help = "seconds"};
OBJECT(schema_gc, "Gc", MAY("dry_run", flag, "true: only say what would be removed"),
       MAY("older_than", older_than, "uploads that are younger stay; 600"));
OBJECT(gc_amount, "GcAmount", HAS("count", count, NULL), HAS("bytes", count, NULL));
OBJECT(schema_gc_done, "GcDone", HAS("dry_run", flag, NULL),
       HAS("modules", gc_amount, "that no version names, with their images"),
       HAS("assets", gc_amount, "that no version names"),
       HAS("blobs", gc_amount, "that nothing names"),
       HAS("functions", count, "deleted ones whose name is free again"));
QUERY(query_backup, MAY("keys", flag, "with the server's keys"));
