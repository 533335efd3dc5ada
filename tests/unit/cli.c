/* The command line's own logic: arguments, addresses, names, error texts, exit statuses. */
#include "cli/args.h"
#include "cli/client.h"
#include "cli/context.h"
#include "cli/exit.h"
#include "cli/namegen.h"
#include "cli/show.h"

#include "test.h"

#include <ctype.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* The program talks on stderr about what it refuses; the tests look at statuses only. */
static int parse(struct words *words, bool *json, const char **name, struct words *env,
                 const char *const *argv)
{
    const struct flag flags[] = {
        {.name = "json", .letter = 'j', .help = "", .on = json},
        {.name = "name", .letter = 'n', .value = "NAME", .help = "", .text = name},
        {.name = "env", .value = "N=V", .help = "", .many = env},
        {0},
    };
    int argc = 0;
    while (argv[argc])
        argc++;
    *json = false, *name = NULL, *env = (struct words){0};
    return args_parse("deploy", argc, (char **)argv, flags, words, 1, 2);
}
#define PARSE(...) parse(&words, &json, &name, &env, (const char *[]){"deploy", __VA_ARGS__, NULL})

TEST(arguments)
{
    struct words words, env;
    bool json;
    const char *name;
    CHECK(PARSE("a", "--json", "b") == -1 && json && words.n == 2 && !strcmp(words.at[1], "b"));
    CHECK(PARSE("--name", "x", "a") == -1 && !strcmp(name, "x") && words.n == 1);
    CHECK(PARSE("--name=x=y", "a") == -1 && !strcmp(name, "x=y"));
    CHECK(PARSE("--name=", "a") == -1 && !strcmp(name, ""));
    CHECK(PARSE("-n", "x", "-j", "a") == -1 && !strcmp(name, "x") && json);
    CHECK(PARSE("-", "--", "--json") == -1 && words.n == 2 && !json && !strcmp(words.at[0], "-"));
    CHECK(PARSE("--env", "A=1", "--env=B=2", "a") == -1 && env.n == 2 && !strcmp(env.at[1], "B=2"));
}

TEST(wrong_arguments)
{
    struct words words, env;
    bool json;
    const char *name;
    CHECK(PARSE("--json") == 2);      /* a word is missing */
    CHECK(PARSE("a", "b", "c") == 2); /* one too many */
    CHECK(PARSE("a", "--jsno") == 2); /* misspelt */
    CHECK(PARSE("a", "-x") == 2);
    CHECK(PARSE("a", "-jn") == 2);        /* short ones don't join */
    CHECK(PARSE("a", "--json=yes") == 2); /* a switch */
    CHECK(PARSE("a", "--name") == 2);     /* no value */
    CHECK(PARSE("a", "--name", "x", "--name", "y") == 2);
}

TEST(durations)
{
    uint64_t s = 0;
    CHECK(args_duration("90", &s) && s == 90);
    CHECK(args_duration("90s", &s) && s == 90);
    CHECK(args_duration("10m", &s) && s == 600);
    CHECK(args_duration("2h", &s) && s == 7200);
    CHECK(args_duration("30d", &s) && s == 30 * 86400);
    CHECK(!args_duration("", &s) && !args_duration("m", &s) && !args_duration("-1s", &s));
    CHECK(!args_duration("1w", &s) && !args_duration("99999999999999999999d", &s));
    CHECK(!args_duration("18446744073709551615d", &s));
}

TEST(every_command_explains_itself)
{
    for (const struct command *c = commands; c->name; c++) {
        CHECK(c->run || c->sub);
        CHECK(c->hidden || (c->usage && c->summary && c->example));
        CHECK(c->hidden == (c->group == GROUP_NONE)); /* else `help` would not list it */
        for (const struct command *s = c->sub; s && s->name; s++)
            CHECK(s->run && s->usage && s->summary && s->example);
    }
    CHECK(command_find(SLICE("token create")) == token_commands);
    CHECK(!command_find(SLICE("token nothing")) && !command_find(SLICE("deploy x")));
    CHECK(!command_find(SLICE("")));
}

TEST(names_from_paths)
{
    static const struct {
        const char *path, *name;
    } cases[] = {
        {"hello.wasm", "hello"},
        {"dist/Hello World.wasm", "hello-world"},
        {"/a/b_c.d.WASM", "b-c-d"},
        {"--x--.wasm", "x"},
        {"a---b", "a-b"},
        {"-", NULL},
        {".wasm", "wasm"},
        {"\xc3\xa4.wasm", NULL},
        {"dir/", NULL},
        {"0123456789012345678901234567890123456789tail",
         "0123456789012345678901234567890123456789"},
        {"012345678901234567890123456789012345678 x", "012345678901234567890123456789012345678"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[NAME_MOST + 1];
        bool ok = name_from_path(cases[i].path, name);
        CHECK(ok == (cases[i].name != NULL));
        if (ok && cases[i].name)
            CHECK_STR(name, cases[i].name);
    }
}

TEST(made_names)
{
    for (int i = 0; i < 1000; i++) {
        char name[NAME_MOST + 1], again[NAME_MOST + 1];
        namegen(name);
        CHECK(strlen(name) >= 5 && !strstr(name, "--"));
        for (const char *p = name; *p; p++)
            CHECK(islower((unsigned char)*p) || isdigit((unsigned char)*p) || *p == '-');
        CHECK(name_from_path(name, again)); /* a valid name is left as it is */
        CHECK_STR(again, name);
    }
}

TEST(addresses)
{
    static const struct {
        const char *text, *url; /* NULL: refused */
    } cases[] = {
        {"http://127.0.0.1:8787", "http://127.0.0.1:8787"},
        {"https://cloud.example/", "https://cloud.example"},
        {"cloud.example", "https://cloud.example"},
        {"localhost:99", "http://localhost:99"},
        {"127.0.0.1", "http://127.0.0.1"},
        {"[::1]:8787", "http://[::1]:8787"},
        {"ftp://x", NULL},
        {"file:///etc/passwd", NULL},
        {"http://", NULL},
        {"", NULL},
        {"https://a b", NULL},
        {"https://user:secret@host", NULL},
        {"https://host?x", NULL},
        {"https://host\n.example", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char url[512];
        struct err e;
        bool ok = context_url(cases[i].text, url, sizeof url, &e) == ERR_OK;
        CHECK(ok == (cases[i].url != NULL));
        if (ok && cases[i].url)
            CHECK_STR(url, cases[i].url);
    }
    CHECK(context_is_local("http://localhost:1") && context_is_local("http://127.8.9.1/x"));
    CHECK(!context_is_local("http://localhost.evil.example") &&
          !context_is_local("http://127.evil"));
    CHECK(!context_is_local("http://[::2]"));
}

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    CHECK(f && fputs(text, f) >= 0);
    if (f)
        fclose(f);
}

static void note_context(void *arg, const char *url, const char *project, bool in_use)
{
    char *seen = arg;
    size_t n = strlen(seen);
    snprintf(seen + n, 512 - n, "%s%s %s;", in_use ? "*" : "", url, project);
}

/* A saved token goes only to the server it was saved for. */
TEST(context)
{
    char folder[] = "/tmp/cli-test-XXXXXX", path[128], text[256];
    struct context c;
    struct err e;
    bool was = false;
    CHECK(mkdtemp(folder) != NULL);
    unsetenv("WASMCLOUD_URL"), unsetenv("WASMCLOUD_TOKEN"), unsetenv("WASMCLOUD_PROJECT");
    setenv("XDG_CONFIG_HOME", folder, 1);
    setenv("XDG_STATE_HOME", folder, 1);

    CHECK(context_find(&c, &e) == ERR_OK);
    CHECK_STR(c.url, "http://127.0.0.1:8787");
    CHECK_STR(c.token, "");
    CHECK_STR(c.project, "default");

    CHECK(context_save_project("shop", &e) == ERR_OK); /* makes the folder */
    snprintf(path, sizeof path, "%s/wasmcloud/token", folder);
    put(path, "local-token\n");
    snprintf(text, sizeof text, "{\"url\":\"http://127.0.0.1:9\",\"token_file\":\"%s\"}", path);
    snprintf(path, sizeof path, "%s/wasmcloud/local.json", folder);
    put(path, text);
    CHECK(context_find(&c, &e) == ERR_OK);
    CHECK_STR(c.url, "http://127.0.0.1:9");
    CHECK_STR(c.token, "local-token");
    CHECK_STR(c.project, "shop");

    CHECK(context_save_login("https://cloud.example", "saved", &e) == ERR_OK);
    CHECK(context_find(&c, &e) == ERR_OK);
    CHECK_STR(c.url, "https://cloud.example");
    CHECK_STR(c.token, "saved");
    CHECK_STR(c.project, "default"); /* the other server's project is not this one's */
    struct stat st;
    snprintf(path, sizeof path, "%s/wasmcloud/login.json", folder);
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);

    setenv("WASMCLOUD_URL", "https://other.example", 1);
    CHECK(context_find(&c, &e) == ERR_OK);
    CHECK_STR(c.url, "https://other.example");
    CHECK_STR(c.token, "");
    setenv("WASMCLOUD_TOKEN", "given", 1);
    setenv("WASMCLOUD_PROJECT", "p", 1);
    CHECK(context_find(&c, &e) == ERR_OK);
    CHECK_STR(c.token, "given");
    CHECK_STR(c.project, "p");
    setenv("WASMCLOUD_URL", "http://127.0.0.1:9/", 1);
    unsetenv("WASMCLOUD_TOKEN");
    CHECK(context_find(&c, &e) == ERR_OK);
    CHECK_STR(c.token, "local-token");

    put(path, "{\"url\":\"x\",");
    CHECK(context_find(&c, &e) == ERR_INVALID && strstr(e.text, "login.json"));
    CHECK(context_forget(&was, &e) == ERR_OK && was);
    CHECK(context_forget(&was, &e) == ERR_OK && !was);

    /* Several logins: each keeps its token and project, the local server its file. */
    char seen[512] = "";
    unsetenv("WASMCLOUD_URL"), unsetenv("WASMCLOUD_TOKEN"), unsetenv("WASMCLOUD_PROJECT");
    CHECK(context_save_project("mine", &e) == ERR_OK);
    CHECK(context_save_login("https://one.example", "token-1", &e) == ERR_OK);
    CHECK(context_save_project("shop", &e) == ERR_OK);
    CHECK(context_save_login("https://two.example", "token-2", &e) == ERR_OK);
    CHECK(context_each(note_context, seen, &e) == ERR_OK);
    CHECK_STR(seen, "*https://two.example default;https://one.example shop;"
                    "http://127.0.0.1:9 mine;");
    CHECK(context_use("example", &e) == ERR_CONFLICT);
    CHECK(context_use("three", &e) == ERR_NOT_FOUND);
    CHECK(context_use("one.example", &e) == ERR_OK && context_find(&c, &e) == ERR_OK);
    CHECK_STR(c.token, "token-1");
    CHECK_STR(c.project, "shop");
    CHECK(context_use("http://127.0.0.1:9", &e) == ERR_OK && context_find(&c, &e) == ERR_OK);
    CHECK_STR(c.token, "local-token");
    CHECK_STR(c.project, "mine");
    CHECK(context_use("two", &e) == ERR_OK && context_forget(&was, &e) == ERR_OK && was);
    CHECK(context_find(&c, &e) == ERR_OK);
    CHECK_STR(c.url, "http://127.0.0.1:9");
    CHECK(context_use("one", &e) == ERR_OK && context_find(&c, &e) == ERR_OK);
    CHECK_STR(c.token, "token-1");
    snprintf(path, sizeof path, "rm -r %s", folder);
    CHECK(system(path) == 0);
}

TEST(problems)
{
    struct err e;
    CHECK(client_problem(422,
                         SLICE("{\"code\":\"unknown_import\",\"detail\":\"env.foo is not offered\","
                               "\"title\":\"t\",\"fields\":{\"import\":\"env.foo\"}}"),
                         &e) == ERR_UNKNOWN_IMPORT);
    CHECK(strstr(e.text, "env.foo is not offered"));
    CHECK(client_problem(422,
                         SLICE("{\"code\":\"invalid\",\"title\":\"A field is not valid\","
                               "\"fields\":{\"limits.memory\":\"must be from 1 to 1 GiB\"}}"),
                         &e) == ERR_INVALID);
    CHECK_STR(e.text, "A field is not valid\n  limits.memory: must be from 1 to 1 GiB");
    CHECK(client_problem(503, SLICE("<html>"), &e) != ERR_OK && err_http(e.code) == 503);
    CHECK(client_problem(404, SLICE("{\"code\":\"a_new_one\",\"detail\":\"x\\u001b[31m\"}"), &e) ==
          ERR_NOT_FOUND);
    CHECK_STR(e.text, "x [31m"); /* nothing that a terminal obeys */
    CHECK(client_problem(418, SLICE("[]"), &e) == ERR_BAD_REQUEST);
    CHECK(client_problem(500,
                         SLICE("{\"code\":\"internal\",\"title\":\"T\",\"request_id\":\"r1\"}"),
                         &e) == ERR_INTERNAL);
    CHECK(strstr(e.text, "r1"));
}

TEST(ends_of_runs)
{
    CHECK(exit_of_run(ERR_OK, 0) == 0);
    CHECK(exit_of_run(ERR_EXIT_STATUS, 3) == 3);
    CHECK(exit_of_run(ERR_EXIT_STATUS, 256 + 7) == 7);
    CHECK(exit_of_run(ERR_TRAP, 0) == 134 && exit_of_run(ERR_CPU_LIMIT, 0) == 152);
    CHECK(exit_of_run(ERR_STACK_OVERFLOW, 0) == 139 && exit_of_run(ERR_MEMORY_LIMIT, 0) == 137);
    CHECK(exit_of_run(ERR_BUSY, 0) == EXIT_OWN_FAILURE);
    CHECK(exit_of_run(ERR_BAD_CGI, 0) == 1 && exit_of_run(ERR_BAD_CGI, 4) == 4);
}

TEST(units)
{
    char out[24];
    CHECK_STR(show_bytes(0, out), "0 B");
    CHECK_STR(show_bytes(1023, out), "1023 B");
    CHECK_STR(show_bytes(1536, out), "1.5 KiB");
    CHECK_STR(show_bytes(128ull << 20, out), "128 MiB");
    CHECK_STR(show_us(412, out), "412 µs");
    CHECK_STR(show_us(1250, out), "1.2 ms");
    CHECK_STR(show_us(3400000, out), "3.40 s");
    CHECK_STR(show_time("2026-11-22T14:53:55.123Z", out), "2026-11-22 14:53:55");
    CHECK_STR(show_time("", out), "-");
}

TEST_MAIN(CASE(arguments), CASE(wrong_arguments), CASE(durations),
          CASE(every_command_explains_itself), CASE(names_from_paths), CASE(made_names),
          CASE(addresses), CASE(context), CASE(problems), CASE(ends_of_runs), CASE(units))
