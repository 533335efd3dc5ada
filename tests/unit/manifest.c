/* Manifests: what function.yaml may say, and what is said about what it may not. */
#include "cli/manifest.h"

#include "base/limits.h"

#include "test.h"

#include <stdlib.h>
#include <unistd.h>

static struct manifest *parse(const char *text, struct err *e)
{
    struct manifest *m = NULL;
    *e = (struct err){0};
    enum err_code rc = manifest_parse(slice_str(text), "f/function.yaml", NULL, NULL, &m, e);
    return rc ? NULL : m;
}

TEST(everything)
{
    struct err e;
    struct manifest *m = parse("# yaml-language-server: $schema=x\n"
                               "name: hello\n"
                               "project: shop\n"
                               "module: out/hello.wasm\n"
                               "build: |\n"
                               "  set -e\n"
                               "  make\n"
                               "env: {LANG: de, PORT: 8080, EMPTY: '', GONE: null}\n"
                               "secrets: [B, A]\n"
                               "policy:\n"
                               "  allow: ['https://a.example/**']\n"
                               "limits:\n"
                               "  memory: 64MiB\n"
                               "  cpu: ~\n"
                               "assets: public\n"
                               "check: GET /healthz\n"
                               "response: text\n"
                               "timing: true\n"
                               "preview: public\n"
                               "capture: failures\n",
                               &e);
    CHECK(m);
    if (!m)
        return;
    CHECK(!strcmp(m->name, "hello") && !strcmp(m->project, "shop") && !strcmp(m->folder, "f"));
    CHECK(!strcmp(m->module, "out/hello.wasm") && !strcmp(m->build, "set -e\nmake\n"));
    CHECK(!strcmp(m->assets, "public") && !m->policy_path && m->policy);
    char *said = json_dumps(m->settings, JSON_COMPACT | JSON_SORT_KEYS);
    CHECK(!strcmp(said,
                  "{\"capture\":\"failures\",\"check\":\"GET /healthz\",\"env\":{\"EMPTY\":\"\","
                  "\"GONE\":null,\"LANG\":\"de\",\"PORT\":\"8080\"},\"limits\":{\"cpu\":null,"
                  "\"memory\":\"64MiB\"},\"preview\":\"public\",\"response\":\"text\","
                  "\"secrets\":[\"A\",\"B\"],\"timing\":true}"));
    free(said);
    char *at = manifest_at(m, "public"), *root = manifest_at(m, "/srv/public");
    CHECK(!strcmp(at, "f/public") && !strcmp(root, "/srv/public"));
    free(at);
    free(root);
    manifest_free(m);
}

TEST(nothing)
{
    static const char *const texts[] = {"", "# only this\n", "---\n", "{}\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct err e;
        struct manifest *m = parse(texts[i], &e);
        CHECK(m && !m->module && json_object_size(m->settings) == 0 && !m->policy);
        manifest_free(m);
    }
}

/* What is refused: where, and a part of the reason. */
TEST(refused)
{
    static const struct {
        const char *text, *where, *why;
    } rows[] = {
        {"modul: x\n", "1:1", "did you mean \"module\"?"},
        {"xyzzyxyzzy: x\n", "1:1", "there is no key \"xyzzyxyzzy\""},
        {"module: a\n\nmodule: b\n", "3:1", "is in line 1 already"},
        {"- a\n", "1:1", "lines of the form"},
        {"hello\n", "1:1", "lines of the form"},
        {"? [a]\n: b\n", "1:3", "a key is expected"},
        {"module: [a]\n", "1:9", "module is one text, not a list"},
        {"module:\n  a: b\n", "2:3", "module is one text, not a mapping"},
        {"module:\n", "1:8", "module has no value"},
        {"module: ~\n", "1:9", "module has no value"},
        {"module: \"\"\n", "1:9", "a path is expected"},
        {"module: \"a\\0b\"\n", "1:9", "NUL"},
        {"name: Hello\n", "1:7", "a-z"},
        {"name: www\n", "1:7", "reserved"},
        {"project: a--b\n", "1:10", "no --"},
        {"response: txt\n", "1:11", "did you mean \"text\"?"},
        {"response: 3\n", "1:11", "response is one of cgi, text"},
        {"preview: publik\n", "1:10", "did you mean \"public\"?"},
        {"capture: some\n", "1:10", "none, failures, all"},
        {"timing: yes\n", "1:9", "true or false"},
        {"timing: 'true'\n", "1:9", "true or false"},
        {"check: healthz\n", "1:8", "a method and a path"},
        {"env: [A]\n", "1:6", "`NAME: value`"},
        {"env:\n  A: 1\n  A: 2\n", "3:3", "A is in env already"},
        {"env:\n  A:\n", "2:5", "A has no value"},
        {"env:\n  9A: x\n", "2:3", "starts with no digit"},
        {"env:\n  REQUEST_METHOD: x\n", "2:3", "set by the server"},
        {"env:\n  A: [x]\n", "2:6", "A is one text, not a list"},
        {"env:\n  [A]: x\n", "2:3", "a name is expected"},
        {"secrets: A\n", "1:10", "a list of names"},
        {"secrets: [A, A]\n", "1:14", "A is in the list already"},
        {"secrets: [a b]\n", "1:11", "letters, digits"},
        {"secrets:\n  - A: b\n", "2:5", "one text, not a mapping"},
        {"limits:\n  memroy: 1MiB\n", "2:3", "did you mean \"memory\"?"},
        {"limits:\n  memory: lots\n", "2:11", "memory"},
        {"limits:\n  memory: 2GiB\n", "2:11", "1 GiB"},
        {"limits:\n  queue: 3\n", "2:3", "project"},
        {"limits: 64MiB\n", "1:9", "`NAME: value`"},
        {"schedule: '* * * * *'\n", "1:1", "no schedules yet"},
        {"policy: [a]\n", "1:9", "the path of a file"},
        {"policy:\n  allow:\n    - https://a b/\n", "3:7", "space"},
        {"env: {Ä: x}\n", "1:7", "letters, digits"},
        {"# ä€\npolicy: {allow: ['https://a b/']}\n", "2:18", "space"},
        {"policy:\n  alow: []\n", "2:3", "did you mean \"allow\"?"},
        {"policy:\n  allow:\n    - **\n", "3:7", "needs quotes"},
        {"policy:\n  allow: []\n  allow: []\n", "3:3", "is here already"},
        {"policy: {allow: [\nmodule: x\n", "2:1", "a rule is a URL pattern"},
        {"module: &a x\n", "1:9", "anchors"},
        {"module: *a\n", "1:9", "anchors"},
        {"module: !!str x\n", "1:9", "anchors"},
        {"module: x\n---\nmodule: y\n", "2:1", "a second document"},
        {"module: x\n bad\n y: [\n", "3:3", "not YAML"},
        {"a: \xff\n", "byte 3", "UTF-8"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err e;
        char where[64];
        struct manifest *m = parse(rows[i].text, &e);
        snprintf(where, sizeof where, "f/function.yaml:%s%s: ", rows[i].where[0] == 'b' ? " " : "",
                 rows[i].where);
        bool good = !m && strstr(e.text, where) && strstr(e.text, rows[i].why);
        if (!good)
            fprintf(stderr, "%s  said %s\n  not  %s… %s\n", rows[i].text, e.text, where,
                    rows[i].why);
        CHECK(good);
        manifest_free(m);
    }
}

TEST(files)
{
    char folder[] = "/tmp/manifest-XXXXXX", file[64], policy[64];
    struct err e = {0};
    struct manifest *m = NULL;
    CHECK(mkdtemp(folder));
    snprintf(file, sizeof file, "%s/function.yaml", folder);
    snprintf(policy, sizeof policy, "%s/p.yaml", folder);
    CHECK(manifest_read(file, &m, &e) == ERR_NOT_FOUND);
    FILE *f = fopen(file, "we");
    fputs("policy: p.yaml\n", f);
    fclose(f);
    CHECK(manifest_read(file, &m, &e) == ERR_INVALID && strstr(e.text, "p.yaml"));
    f = fopen(policy, "we");
    fputs("allow:\n  - https://a b/\n", f);
    fclose(f);
    CHECK(manifest_read(file, &m, &e) == ERR_INVALID && strstr(e.text, "p.yaml:2:5: "));
    f = fopen(policy, "we");
    fputs("allow: [https://a.example/]\n", f);
    fclose(f);
    CHECK(manifest_read(file, &m, &e) == ERR_OK && m->policy && !strcmp(m->policy_path, "p.yaml"));
    manifest_free(m);
    unlink(policy);
    unlink(file);
    rmdir(folder);
}

/* Every key but those that are refused is in the schema, with its help; so is every limit that a
 * function may set. */
TEST(schema)
{
    json_t *schema = manifest_schema();
    const json_t *keys = json_object_get(schema, "properties");
    size_t n = 0;
    CHECK(schema && json_is_false(json_object_get(schema, "additionalProperties")));
    for (const struct manifest_key *k = manifest_keys; k->name; k++) {
        const json_t *key = json_object_get(keys, k->name);
        CHECK((key != NULL) == (k->kind != MANIFEST_LATER));
        n += key != NULL;
        CHECK(!key || !strcmp(json_string_value(json_object_get(key, "description")), k->help));
    }
    CHECK(n == json_object_size(keys));
    const json_t *limits =
        json_object_get(json_object_get(json_object_get(keys, "limits"), "properties"), "memory");
    CHECK(strstr(json_string_value(json_object_get(limits, "description")), "128 MiB"));
    json_decref(schema);
}

TEST_MAIN(CASE(everything), CASE(nothing), CASE(refused), CASE(files), CASE(schema))
