/* The API's own logic: names, settings, the table of routes, heads of injected runs. */
#include "api/guest.h"
#include "api/record.h"
#include "api/request.h"
#include "auth/seal.h"
#include "test.h"

#include <ctype.h>

static enum err_code name(const char *text)
{
    struct err e;
    return name_check(slice_str(text), &e);
}

TEST(names)
{
    static const char *const good[] = {
        "a",   "0",     "hello", "a-b-c", "x0123456789012345678901234567890123456789" + 1,
        "1st", "a1-2-3"};
    static const char *const bad[] = {"",
                                      "-",
                                      "-a",
                                      "a-",
                                      "a--b",
                                      "A",
                                      "a_b",
                                      "a.b",
                                      "a b",
                                      "ü",
                                      "a/b",
                                      "www",
                                      "api",
                                      "localhost",
                                      "a\n",
                                      "..",
                                      "0123456789012345678901234567890123456789x",
                                      "01890a5d-ac96-774b-bcce-b302099a8057"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        CHECK(name(good[i]) == ERR_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(name(bad[i]) == ERR_INVALID);
}

TEST(urls)
{
    struct options o;
    struct api api = {.options = &o};
    struct err e;
    char url[128];
    options_init(&o);
    CHECK(api_function_url(&api, "shop", url, sizeof url));
    CHECK_STR(url, "http://shop.localhost:8080/");
    CHECK(options_set(&o, SLICE("public-functions"), SLICE("https://fn.example/"), &e) == ERR_OK);
    CHECK(api_function_url(&api, "shop", url, sizeof url));
    CHECK_STR(url, "https://shop.fn.example/");
    CHECK(!api_function_url(&api, "shop", url, 10));
    options_done(&o);
}

/* Every row can be reached, says what it is, and names no segment that nobody resolves. */
TEST(routes)
{
    size_t n = 0;
    for (const struct api_route *r = api_routes; r->method; r++, n++) {
        CHECK(r->path[0] == '/' && r->handler && r->summary && r->summary[0]);
        CHECK(isupper((unsigned char)r->method[0]));
        CHECK(!r->open || !r->scope);
        CHECK(!strstr(r->path, ":function") || strstr(r->path, ":project"));
        CHECK(r->takes != TAKES_WASM || r->body_limit == LIMIT_MODULE);
        CHECK(r->takes != TAKES_TAR || r->body_limit == LIMIT_ASSETS);
        for (const struct api_route *other = api_routes; other < r; other++)
            CHECK(strcmp(r->path, other->path) != 0 || strcmp(r->method, other->method) != 0);
    }
    CHECK(n >= 24);
}

/* ---- settings ---- */

static enum err_code patch(struct version_settings *s, const char *json, const char *want_field)
{
    char field[128];
    struct err e = {0};
    json_t *o = json_loads(json, 0, NULL);
    CHECK(o != NULL);
    enum err_code rc = settings_patch(s, o, field, &e);
    json_decref(o);
    if (rc && want_field)
        CHECK_STR(field, want_field);
    return rc;
}

TEST(settings)
{
    struct version_settings s;
    struct limits node, l;
    settings_init(&s);
    CHECK(patch(&s, "{\"env\":{\"A\":\"1\",\"B_2\":\"\"},\"response\":\"text\"}", NULL) == ERR_OK);
    CHECK(s.response == RESPONSE_TEXT && json_object_size(s.env) == 2);
    CHECK(patch(&s, "{\"env\":{\"A\":null,\"C\":\"3\"}}", NULL) == ERR_OK);
    CHECK(json_object_size(s.env) == 2 && !json_object_get(s.env, "A"));
    CHECK(s.response == RESPONSE_TEXT);
    CHECK(patch(&s, "{\"check\":\"GET /healthz?x=1\"}", NULL) == ERR_OK);
    CHECK_STR(s.check, "GET /healthz?x=1");
    CHECK(patch(&s, "{\"limits\":{\"memory\":\"64MiB\",\"cpu\":2}}", NULL) == ERR_OK);
    limits_init(&node, false);
    settings_limits(&s, &node, &l);
    CHECK(l.v[LIMIT_MEMORY] == 64 << 20 && l.v[LIMIT_CPU] == 2000000);
    CHECK(l.v[LIMIT_WALL] == node.v[LIMIT_WALL]);

    static const struct {
        const char *json, *field;
    } bad[] = {
        {"{\"response\":\"html\"}", "response"},
        {"{\"response\":1}", "response"},
        {"{\"check\":\"/\"}", "check"},
        {"{\"check\":\"get /\"}", "check"},
        {"{\"check\":\"GET x\"}", "check"},
        {"{\"check\":\"GET / x\"}", "check"},
        {"{\"env\":[]}", "env"},
        {"{\"timing\":1}", "timing"},
        {"{\"assets\":\"abc\"}", "assets"},
        {"{\"assets\":[]}", "assets"},
        {"{\"policy\":1}", "policy"},
        {"{\"policy\":{\"allow\":7}}", "policy"},
        {"{\"policy\":{\"alow\":[\"https://a.example/\"]}}", "policy"},
        {"{\"policy\":\"allow: [\"}", "policy"},
        {"{\"env\":{\"HTTP_X\":\"1\"}}", "env.HTTP_X"},
        {"{\"env\":{\"PATH_INFO\":\"1\"}}", "env.PATH_INFO"},
        {"{\"env\":{\"RUN_ID\":\"1\"}}", "env.RUN_ID"},
        {"{\"env\":{\"1A\":\"1\"}}", "env.1A"},
        {"{\"env\":{\"A=B\":\"1\"}}", "env.A=B"},
        {"{\"env\":{\"\":\"1\"}}", "env."},
        {"{\"env\":{\"A\":1}}", "env.A"},
        {"{\"limits\":{\"memory\":\"2GiB\"}}", "limits.memory"},
        {"{\"limits\":{\"memori\":\"2MiB\"}}", "limits.memori"},
        {"{\"limits\":{\"stack\":\"1MiB\"}}", "limits.stack"},
        {"{\"limits\":{\"memory\":true}}", "limits.memory"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        enum err_code rc = patch(&s, bad[i].json, bad[i].field);
        if (rc != ERR_INVALID)
            fprintf(stderr, "%s\n", bad[i].json);
        CHECK(rc == ERR_INVALID);
    }
    settings_done(&s);
}

TEST(environment_limits)
{
    struct version_settings s;
    char field[128];
    struct err e;
    json_t *env = json_object(), *patch_ = json_pack("{s:O}", "env", env);
    static char value[ENV_EACH + 1];
    memset(value, 'v', ENV_EACH);

    settings_init(&s);
    value[ENV_EACH - 1] = '\0';
    json_object_set_new(env, "A", json_string(value));
    CHECK(settings_patch(&s, patch_, field, &e) == ERR_OK); /* name and value: exactly 5 KiB */
    json_object_set_new(env, "AB", json_string(value));
    CHECK(settings_patch(&s, patch_, field, &e) == ERR_INVALID);
    CHECK_STR(field, "env.AB");
    json_object_clear(env);
    for (int i = 0; i < 13; i++) {
        char n[8];
        snprintf(n, sizeof n, "V%d", i);
        value[5040] = '\0';
        json_object_set_new(env, n, json_string(value));
    }
    CHECK(settings_patch(&s, patch_, field, &e) == ERR_INVALID);
    CHECK_STR(field, "env");
    settings_done(&s);

    settings_init(&s);
    json_object_clear(env);
    for (int i = 0; i < ENV_COUNT + 1; i++) {
        char n[8];
        snprintf(n, sizeof n, "V%d", i);
        CHECK(settings_patch(&s, patch_, field, &e) == ERR_OK);
        json_object_set_new(env, n, json_string("1"));
    }
    CHECK(settings_patch(&s, patch_, field, &e) == ERR_INVALID);
    settings_done(&s);
    json_decref(env);
    json_decref(patch_);
}

/* A policy is replaced as a whole, kept in its normal form, and wrong ones change nothing. */
TEST(settings_policy)
{
    struct version_settings s;
    struct limits node, l;
    struct err e = {0};
    char field[128];
    limits_init(&node, false);
    settings_init(&s);
    CHECK(patch(&s, "{\"policy\":{\"allow\":[\"https://b.example/**\",\"https://a.example/\"]}}",
                NULL) == ERR_OK);
    CHECK_STR(s.policy, "{\"allow\":[\"https://b.example/**\",\"https://a.example/\"]}");
    CHECK(patch(&s, "{\"response\":\"text\"}", NULL) == ERR_OK && s.policy);
    CHECK(patch(&s, "{\"policy\":\"disallow: [ 'random://**' ]\"}", NULL) == ERR_OK);
    CHECK_STR(s.policy, "{\"disallow\":[\"random://**\"]}");

    json_t *bad = json_pack("{s:{s:[s,[]]}}", "policy", "allow", "https://a.example/");
    CHECK(settings_patch(&s, bad, field, &e) == ERR_INVALID);
    CHECK_STR(field, "policy");
    CHECK(strstr(e.text, "line 4, column 5") != NULL);
    CHECK_STR(s.policy, "{\"disallow\":[\"random://**\"]}");
    json_decref(bad);

    /* What it says of memory and gas are limits; the smaller counts. */
    CHECK(settings_kind(&s, &node) == ENGINE_PLAIN);
    CHECK(patch(&s,
                "{\"limits\":{\"memory\":\"1MiB\"},\"policy\":{\"memory\":\"2MiB\","
                "\"gas\":500}}",
                NULL) == ERR_OK);
    settings_limits(&s, &node, &l);
    CHECK(l.v[LIMIT_MEMORY] == 1 << 20 && l.v[LIMIT_GAS] == 500);
    CHECK(settings_kind(&s, &node) == ENGINE_FUEL);
    CHECK(patch(&s, "{\"policy\":null}", NULL) == ERR_OK && !s.policy);
    CHECK(patch(&s, "{\"policy\":{}}", NULL) == ERR_OK && !s.policy);
    settings_done(&s);
}

TEST(settings_stored)
{
    const uint8_t key[32] = {9};
    struct version_settings s, back;
    struct buf plain, sealed;
    struct err e;
    settings_init(&s);
    CHECK(patch(&s, "{\"env\":{\"A\":\"1\",\"EMPTY\":\"\"},\"limits\":{\"wall\":\"5s\"}}", NULL) ==
          ERR_OK);
    buf_init(&plain, ENV_ALL + 1);
    buf_init(&sealed, ENV_ALL + 1 + SEAL_EXTRA);
    struct store_version v = {.id = uuid_new(),
                              .limits = SLICE("{\"wall\":\"5s\"}"),
                              .check = SLICE("none"),
                              .policy = SLICE("{\"allow\":[\"https://a.example/\"]}"),
                              .assets = {7},
                              .timing = true,
                              .secrets = SLICE("[\"A_KEY\",\"B\"]"),
                              .preview = PREVIEW_PUBLIC,
                              .capture = CAPTURE_FAILURES};
    CHECK(settings_env(&s, &plain) && seal(key, v.id, buf_slice(&plain), &sealed));
    v.env = buf_slice(&sealed);
    CHECK(settings_read(&back, &v, key, &e) == ERR_OK);
    CHECK(json_equal(s.env, back.env) && json_equal(s.limits, back.limits));
    CHECK_STR(back.check, "none");
    CHECK_STR(back.policy, "{\"allow\":[\"https://a.example/\"]}");
    CHECK(back.timing && settings_has_assets(&back) && back.assets[0] == 7);
    CHECK(patch(&s, "{\"secrets\":[\"B\",\"A_KEY\",\"B\"]}", NULL) == ERR_OK &&
          json_equal(s.secrets, back.secrets));
    CHECK(patch(&s, "{\"secrets\":{\"A_KEY\":null,\"Z\":true,\"NOT\":null}}", NULL) == ERR_OK &&
          json_array_size(s.secrets) == 2);
    CHECK_STR(json_string_value(json_array_get(s.secrets, 1)), "Z");
    CHECK(patch(&s, "{\"secrets\":{\"A\":1}}", "secrets.A") == ERR_INVALID);
    CHECK(patch(&s, "{\"secrets\":[\"1\"]}", "secrets[0]") == ERR_INVALID);
    CHECK(patch(&s, "{\"env\":{\"Z\":\"hunter2\"}}", "env.Z") == ERR_INVALID);
    CHECK(patch(&s, "{\"env\":{\"Z\":null},\"secrets\":[]}", NULL) == ERR_OK);
    CHECK(back.preview == PREVIEW_PUBLIC && back.capture == CAPTURE_FAILURES);
    settings_done(&back);
    v.id = uuid_new();
    CHECK(settings_read(&back, &v, key, &e) == ERR_INTERNAL);
    settings_done(&back);
    settings_done(&s);
    buf_done(&plain);
    buf_done(&sealed);
}

/* ---- records of runs ---- */

TEST(records)
{
    static struct ledger l;
    struct ledger_use opened = {.bytes_in = 5, .bytes_out = 6, .fd = 3, .requests = 2};
    struct ledger_use refused = {
        .fd = -1, .outcome = LEDGER_REFUSED, .operator_ = 1, .requests = 4};
    l.head =
        (struct ledger_head){.gas = 9, .opens = 1, .refused = 4, .egress_in = 5, .module = {1}};
    ledger_use_add(&l, &opened, SLICE("https://a.example/?…"), SLICE("allow https://**"));
    ledger_use_add(&l, &refused, SLICE("http://b\xff.example/"), SLICE("no rule allows it"));
    struct jot uses, sums;
    jot_init(&uses, RECORD_MOST);
    jot_init(&sums, RECORD_MOST);
    CHECK(record_uses(&l, &uses) && record_sums(&l, &sums));
    json_t *run = json_object();
    record_show(run, buf_slice(&uses.text), buf_slice(&sums.text));
    json_t *wanted = json_pack(
        "{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:o, s:n, s:[{s:i, s:s, s:i, s:i, s:i, s:s}],"
        " s:[{s:s, s:s, s:s, s:i}]}",
        "gas", 9, "opens", 1, "refused", 4, "uses_lost", 0, "egress_bytes_in", 5,
        "egress_bytes_out", 0, "start_ns", 0, "module", shape_digest(l.head.module), "policy",
        "descriptors", "fd", 3, "url", "https://a.example/?…", "bytes_in", 5, "bytes_out", 6,
        "requests", 2, "rule", "allow https://**", "refusals", "url",
        "http://b\xef\xbf\xbd.example/", "rule", "no rule allows it", "layer", "operator", "times",
        4);
    CHECK(json_equal(run, wanted));
    json_decref(run);
    json_decref(wanted);
    /* Records of before there were such columns. */
    run = json_object();
    record_show(run, SLICE(""), SLICE(""));
    CHECK(json_integer_value(json_object_get(run, "gas")) == 0);
    CHECK(json_array_size(json_object_get(run, "refusals")) == 0);
    json_decref(run);
    jot_done(&uses);
    jot_done(&sums);
}

/* ---- injected runs ---- */

TEST(guest_variables)
{
    struct options o;
    struct api api = {.options = &o};
    struct buf vars;
    options_init(&o);
    buf_init(&vars, GUEST_VARS);
    CHECK(guest_vars(&api, "shop", SLICE("GET"), SLICE("/a%20b%2?q=%20"), SLICE(""), UINT64_MAX,
                     &vars));
    const char *p = buf_data(&vars);
    size_t n = buf_size(&vars);
    CHECK(memmem(p, n, "PATH_INFO\0/a b%2\0", 17) != NULL);
    CHECK(memmem(p, n, "QUERY_STRING\0q=%20\0", 19) != NULL);
    CHECK(memmem(p, n, "SERVER_NAME\0shop.localhost\0", 27) != NULL);
    CHECK(memmem(p, n,
                 "SERVER_PORT\0"
                 "8080\0",
                 17) != NULL);
    CHECK(memmem(p, n, "CONTENT_LENGTH", 14) == NULL);
    buf_done(&vars);
    options_done(&o);
}

static enum err_code run_answer(uint8_t response, const char *output, enum err_code reason,
                                int status, struct guest_answer *a)
{
    static struct limits l;
    struct ledger ledger = {.head = {.reason = (uint16_t)reason, .status = status}};
    limits_init(&l, false);
    guest_answer_init(a, response, &l);
    for (size_t i = 0; output[i]; i++) {
        struct slice bytes = slice_make(output + i, 1);
        guest_answer_feed(a, &bytes);
    }
    enum err_code rc = guest_answer_end(a, &ledger, NULL);
    guest_answer_done(a);
    return rc;
}

TEST(guest_answers)
{
    struct guest_answer a;
    CHECK(run_answer(RESPONSE_CGI, "Content-Type: text/x\nStatus: 404 no\n\nbody", ERR_OK, 0, &a) ==
          ERR_OK);
    CHECK(a.ready && a.status == 404 && a.body_bytes == 4);
    CHECK_STR(a.type, "text/x");
    CHECK(run_answer(RESPONSE_CGI, "hello\n", ERR_OK, 0, &a) == ERR_BAD_CGI);
    CHECK(run_answer(RESPONSE_CGI, "Content-Type: x/y\n", ERR_OK, 0, &a) == ERR_BAD_CGI);
    CHECK(run_answer(RESPONSE_CGI, "", ERR_TRAP, 0, &a) == ERR_TRAP);
    CHECK(run_answer(RESPONSE_CGI, "", ERR_OK, 3, &a) == ERR_EXIT_STATUS);
    CHECK(run_answer(RESPONSE_TEXT, "hello\n", ERR_OK, 0, &a) == ERR_OK);
    CHECK(a.status == 200 && a.body_bytes == 6);
}

TEST_MAIN(CASE(names), CASE(urls), CASE(routes), CASE(settings), CASE(settings_policy),
          CASE(environment_limits), CASE(settings_stored), CASE(records), CASE(guest_variables),
          CASE(guest_answers))
