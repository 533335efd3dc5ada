/* The configuration file: values of each shape, and mistakes that name their line. */
#include "roles/config.h"

#include "test.h"

#include <stdlib.h>
#include <unistd.h>

static struct options options;
static struct err err;

/* Reads `text` as a configuration file. */
static enum err_code config(const char *text)
{
    char path[] = "/tmp/config-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    options_done(&options);
    options_init(&options);
    err = (struct err){0};
    enum err_code rc = config_read(&options, path, &err);
    if (rc == ERR_OK)
        rc = options_finish(&options, &err);
    unlink(path);
    return rc;
}

TEST(shapes)
{
    CHECK(config("") == ERR_OK);
    CHECK(config("# only a comment\n") == ERR_OK);
    CHECK(config("data: /srv/x\nedges: 3\nisolation: relaxed\n") == ERR_OK);
    CHECK_STR(option_text(&options, OPTION_DATA), "/srv/x");
    CHECK(option_number(&options, OPTION_EDGES) == 3);
    CHECK(option_is(&options, OPTION_ISOLATION, "relaxed"));
    CHECK(config("trusted-proxies:\n  - 10.0.0.0/8\n  - ::1/128\n") == ERR_OK);
    CHECK_STR(option_text(&options, OPTION_TRUSTED_PROXIES), "10.0.0.0/8,::1/128");
    CHECK(config("limits:\n  memory: 64MiB\n  cpu: 2s\n") == ERR_OK);
    CHECK_STR(option_text(&options, OPTION_LIMITS), "memory=64MiB,cpu=2s");
    CHECK(options.limits.v[LIMIT_MEMORY] == 64u << 20);
}

static void refused(const char *text, const char *line, const char *word)
{
    CHECK(config(text) != ERR_OK);
    CHECK(strstr(err.text, line) != NULL);
    CHECK(strstr(err.text, word) != NULL);
    if (!strstr(err.text, line) || !strstr(err.text, word))
        fprintf(stderr, "%s\n", err.text);
}

TEST(mistakes)
{
    refused("data: x\nlisten-platfrom: 127.0.0.1:1\n", "line 2", "listen-platform");
    refused("data: x\ndata: y\n", "line 2", "already");
    refused("edges: many\n", "line 1", "edges");
    refused("\nisolation: strickt\n", "line 2", "strict");
    refused("data: [a, b]\n", "line 1", "plain value");
    refused("trusted-proxies: {a: b}\n", "line 1", "plain value");
    refused("limits:\n  memory: {a: b}\n", "line 2", "plain");
    refused("- data\n", "line 1", "option: value");
    refused("data: \"x\nedges: 1\n", "line", "config-");
    refused("limits:\n  memroy: 1MiB\n", "line 2", "memory");
}

TEST(files)
{
    options_done(&options);
    options_init(&options);
    CHECK(config_read(&options, "/nowhere/wasmcloud.yaml", &err) != ERR_OK);
    CHECK(strstr(err.text, "/nowhere/wasmcloud.yaml") != NULL);
    /* without a path it may be absent: the tests' folder has none */
    CHECK(chdir("/") == 0 && config_read(&options, NULL, &err) == ERR_OK);
}

int main(void)
{
    static const struct test_case cases[] = {CASE(shapes), CASE(mistakes), CASE(files)};
    options_init(&options);
    int rc = test_main(cases, sizeof cases / sizeof *cases);
    options_done(&options);
    return rc;
}
