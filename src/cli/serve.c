/* `wasmcloud serve`: reads the options and becomes master. */
#include "cli/args.h"
#include "cli/serve_from.h"

#include "base/brand.h"
#include "base/log.h"
#include "roles/config.h"
#include "roles/master.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The value of --NAME FILE, taken out of argv: what decides before the options are read is none
 * itself. */
static const char *take_flag(int *argc, char **argv, const char *flag)
{
    const char *value = NULL;
    size_t n = strlen(flag);
    for (int i = 1; i < *argc; i++) {
        int words = 0;
        if (strcmp(argv[i], flag) == 0 && i + 1 < *argc) {
            value = argv[i + 1];
            words = 2;
        } else if (strncmp(argv[i], flag, n) == 0 && argv[i][n] == '=') {
            value = argv[i] + n + 1;
            words = 1;
        }
        for (int j = i; words && j + words <= *argc; j++)
            argv[j] = argv[j + words];
        *argc -= words;
        i -= words > 0;
    }
    return value;
}

/* Where options come from. */
struct source {
    const char *path; /* of the file; NULL: the one that may be in the working folder */
    int argc;         /* flags */
    char **argv;
};

static enum err_code read_options(void *arg, struct options *o, struct err *e)
{
    const struct source *s = arg;
    int at = 1;
    enum err_code rc = config_read(o, s->path, e);
    if (rc == ERR_OK)
        rc = options_env(o, environ, e);
    if (rc == ERR_OK)
        rc = options_flags(o, s->argc, s->argv, &at, e);
    if (rc == ERR_OK && at < s->argc)
        rc = err_set(e, ERR_USAGE, "\"%s\" is not known here; options begin with --", s->argv[at]);
    return rc ? rc : options_finish(o, e);
}

/* The options are a table already: its rows as flags, for the help alone. */
static int help(void)
{
    struct flag flags[OPTION_COUNT + 4] = {
        {.name = "config", .value = "FILE", .help = "options as YAML; default: " BRAND_CONFIG},
        {.name = "from",
         .value = "FILE",
         .help = "begin with this exported project; data: a temporary folder"},
        {.name = "secrets", .value = "FILE", .help = "with --from: NAME=VALUE lines to set first"}};
    for (int i = 0; i < OPTION_COUNT; i++)
        flags[i + 3] = (struct flag){
            .name = option_rows[i].name, .value = "VALUE", .help = option_rows[i].help};
    return args_help("serve", flags);
}

int cmd_serve(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return help();
    struct options options;
    struct serve_from from = {.file = NULL};
    struct err e = {0};
    options_init(&options);
    struct source source = {.path = take_flag(&argc, argv, "--config")};
    if (!source.path)
        source.path = getenv(BRAND_ENV "CONFIG");
    from.file = take_flag(&argc, argv, "--from");
    from.secrets = take_flag(&argc, argv, "--secrets");
    source.argc = argc;
    source.argv = argv;
    enum err_code rc = read_options(&source, &options, &e);
    if (rc) {
        options_done(&options);
        return command_usage("serve", "%s", e.text);
    }
    /* On a terminal only what needs attention; the greeting says the rest. */
    if (option_is(&options, OPTION_LOG_LEVEL, "info") && isatty(STDERR_FILENO) &&
        options_set(&options, SLICE("log-level"), SLICE("warning"), &e))
        return command_fail(&e);
    options_log(&options, "master");
    if (serve_from_begin(&from, &options, &e)) {
        options_done(&options);
        return serve_from_end(&from, command_fail(&e));
    }
    int status =
        serve_from_end(&from, master_run(&options, &(struct master_source){read_options, &source}));
    options_done(&options);
    return status;
}
