/* Judging by schemas: each rule, what it calls the place, and the schemas of the API themselves. */
#include "api/request.h"
#include "test.h"

static const struct schema number = {.type = SCHEMA_INTEGER, .least = 1, .most = 9};
static const struct schema flag = {.type = SCHEMA_BOOL};
static const char *const colours[] = {"red", "green", NULL};
static const struct schema colour = {.type = SCHEMA_TEXT, .words = colours, .nullable = true};
static const struct schema label = {.type = SCHEMA_TEXT, .least = 1, .most = 3};
static const struct schema labels = {.type = SCHEMA_LIST, .items = &label, .most = 2};

static enum err_code judge_lower(struct slice s, struct err *e)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < 'a' || s.p[i] > 'z')
            return err_set(e, ERR_INVALID, "small letters only");
    return ERR_OK;
}
static const struct schema map = {
    .type = SCHEMA_MAP, .items = &number, .judge = judge_lower, .most = 2};
static const struct schema *const forms[] = {&number, &label, NULL};
static const struct schema either = {.type = SCHEMA_EITHER, .either = forms};
static const struct schema ratio = {.type = SCHEMA_NUMBER};
static const struct schema any = {.type = SCHEMA_ANY};
static const struct schema_field inner_fields[] = {{"flag", &flag, true, NULL}, {0}};
static const struct schema inner = {.name = "Inner", .type = SCHEMA_OBJECT, .fields = inner_fields};
static const struct schema_field fields[] = {
    {"n", &number, true, "how many"},
    {"colour", &colour, false, NULL},
    {"labels", &labels, false, NULL},
    {"map", &map, false, NULL},
    {"either", &either, false, NULL},
    {"ratio", &ratio, false, NULL},
    {"any", &any, false, NULL},
    {"inner", &inner, false, NULL},
    {0},
};
static const struct schema outer = {.name = "Outer", .type = SCHEMA_OBJECT, .fields = fields};

static bool judged(const char *json, const char *want_field, const char *want_text)
{
    char field[128];
    struct err e = {0};
    json_t *v = json_loads(json, JSON_DECODE_ANY, NULL);
    CHECK(v);
    enum err_code rc = schema_check(&outer, v, field, &e);
    json_decref(v);
    if (!want_field)
        return rc == ERR_OK;
    CHECK(rc == ERR_INVALID);
    CHECK_STR(field, want_field);
    if (!strstr(e.text, want_text))
        printf("# %s: %s\n", json, e.text);
    return strstr(e.text, want_text) != NULL;
}

TEST(rules)
{
    static const struct {
        const char *json, *field, *text;
    } cases[] = {
        {"{\"n\": 1}", NULL, NULL},
        {"{\"n\": 9, \"colour\": null, \"labels\": [], \"map\": {}, \"ratio\": 0.5, \"any\": [1]}",
         NULL, NULL},
        {"{\"n\": 1, \"inner\": {\"flag\": true}, \"either\": \"abc\", \"ratio\": 2}", NULL, NULL},
        {"{\"n\": 1, \"labels\": [\"\\u00fc\\u00fc\\u00fc\"]}", NULL, NULL}, /* characters */
        {"[]", "", "the body is not an object"},
        {"null", "", "the body is not an object"},
        {"{}", "n", "n is missing"},
        {"{\"n\": 0}", "n", "from 1 to 9"},
        {"{\"n\": 10}", "n", "from 1 to 9"},
        {"{\"n\": 1.5}", "n", "n is not a number"},
        {"{\"n\": \"1\"}", "n", "n is not a number"},
        {"{\"n\": null}", "n", "n is not a number"},
        {"{\"n\": 1, \"color\": \"red\"}", "color", "did you mean \"colour\"?"},
        {"{\"n\": 1, \"zzzzzzzz\": 1}", "zzzzzzzz", "there is no field \"zzzzzzzz\" here"},
        {"{\"n\": 1, \"colour\": \"blue\"}", "colour", "\"red\" or \"green\", not \"blue\""},
        {"{\"n\": 1, \"colour\": 1}", "colour", "not a string"},
        {"{\"n\": 1, \"labels\": {}}", "labels", "not a list"},
        {"{\"n\": 1, \"labels\": [\"a\", \"b\", \"c\"]}", "labels", "0 to 2 items"},
        {"{\"n\": 1, \"labels\": [\"a\", \"\"]}", "labels[1]", "1 to 3 characters"},
        {"{\"n\": 1, \"labels\": [\"a\", null]}", "labels[1]", "not a string"},
        {"{\"n\": 1, \"map\": {\"a\": 1, \"b\": 2, \"c\": 3}}", "map", "0 to 2 members"},
        {"{\"n\": 1, \"map\": {\"A\": 1}}", "map.A", "small letters only"},
        {"{\"n\": 1, \"map\": {\"a\": false}}", "map.a", "not a number"},
        {"{\"n\": 1, \"either\": 10}", "either", "from 1 to 9"},
        {"{\"n\": 1, \"either\": \"abcd\"}", "either", "1 to 3 characters"},
        {"{\"n\": 1, \"either\": []}", "either", "not a number or a string"},
        {"{\"n\": 1, \"ratio\": \"1\"}", "ratio", "not a number"},
        {"{\"n\": 1, \"inner\": {}}", "inner.flag", "inner.flag is missing"},
        {"{\"n\": 1, \"inner\": {\"flag\": 1}}", "inner.flag", "not true or false"},
        {"{\"n\": 1, \"inner\": {\"flag\": true, \"flat\": 1}}", "inner.flat", "\"flag\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK(judged(cases[i].json, cases[i].field, cases[i].text));
}

/* The place never outgrows its bytes. */
TEST(long_names)
{
    char json[1200], field[128];
    struct err e;
    char name[1001];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    snprintf(json, sizeof json, "{\"n\": 1, \"%s\": 1}", name);
    json_t *v = json_loads(json, 0, NULL);
    CHECK(schema_check(&outer, v, field, &e) == ERR_INVALID);
    CHECK(strlen(field) == sizeof field - 1);
    json_decref(v);
}

TEST(text_values)
{
    static const struct {
        const struct schema *s;
        const char *text;
        bool good;
    } cases[] = {
        {&number, "1", true},    {&number, "9", true},
        {&number, "0", false},   {&number, "10", false},
        {&number, "", false},    {&number, "-1", false},
        {&number, "1x", false},  {&number, "99999999999999999999", false},
        {&flag, "true", true},   {&flag, "0", true},
        {&flag, "yes", false},   {&flag, "", false},
        {&colour, "red", true},  {&colour, "Red", false},
        {&label, "abc", true},   {&label, "", false},
        {&label, "abcd", false},
    };
    struct err e;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK((schema_check_text(cases[i].s, slice_str(cases[i].text), "q", &e) == ERR_OK) ==
              cases[i].good);
}

TEST(nesting)
{
    json_t *v = json_loads("{\"a\": [[{}], 1]}", 0, NULL);
    CHECK(schema_nested(v, 4) && !schema_nested(v, 3) && !schema_nested(v, 0));
    json_decref(v);
}

TEST(as_json_schema)
{
    json_t *o = schema_json(&outer, "#/x/");
    char *text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
    CHECK_STR(
        text,
        "{\"additionalProperties\":false,\"properties\":{\"any\":{},"
        "\"colour\":{\"enum\":[\"red\",\"green\",null],\"type\":[\"string\",\"null\"]},"
        "\"either\":{\"anyOf\":[{\"maximum\":9,\"minimum\":1,\"type\":\"integer\"},"
        "{\"maxLength\":3,\"minLength\":1,\"type\":\"string\"}]},"
        "\"inner\":{\"$ref\":\"#/x/Inner\"},"
        "\"labels\":{\"items\":{\"maxLength\":3,\"minLength\":1,\"type\":\"string\"},"
        "\"maxItems\":2,\"minItems\":0,\"type\":\"array\"},"
        "\"map\":{\"additionalProperties\":{\"maximum\":9,\"minimum\":1,\"type\":\"integer\"},"
        "\"maxProperties\":2,\"minProperties\":0,\"type\":\"object\"},"
        "\"n\":{\"description\":\"how many\",\"maximum\":9,\"minimum\":1,"
        "\"type\":\"integer\"},\"ratio\":{\"type\":\"number\"}},\"required\":[\"n\"],"
        "\"type\":\"object\"}");
    free(text);
    json_decref(o);
}

/* Every route says what comes and what goes. */
TEST(of_the_routes)
{
    for (const struct api_route *r = api_routes; r->method; r++) {
        size_t n = 0;
        CHECK((r->takes == TAKES_JSON) == (r->body != NULL));
        CHECK(!r->body || r->body->type == SCHEMA_OBJECT);
        CHECK(r->answer || r->streams || r->status == 204);
        CHECK(!r->answer || r->answer->name);
        CHECK(!r->status || (r->status >= 200 && r->status < 300));
        while (r->query && r->query[n].name)
            n++;
        CHECK(n <= 64); /* judge_query keeps a bit for each */
    }
}

/* The words of a token's scopes are those of auth/. */
TEST(scopes)
{
    char field[128];
    struct err e;
    for (const struct scope_name *s = scope_names; s->name; s++) {
        json_t *body = json_pack("{s:s, s:[s]}", "name", "t", "scopes", s->name);
        CHECK(schema_check(&schema_token_create, body, field, &e) == ERR_OK);
        json_decref(body);
    }
}

TEST_MAIN(CASE(rules), CASE(long_names), CASE(text_values), CASE(nesting), CASE(as_json_schema),
          CASE(of_the_routes), CASE(scopes))
