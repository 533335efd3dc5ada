/* `wasmcloud serve`: reads the options and becomes master. */
#include "cli/args.h"

#include "base/brand.h"
#include "base/log.h"
#include "roles/config.h"
#include "roles/master.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* --config FILE decides what is read before the flags are; it is no option itself. Takes it out of
 * argv. */
static const char *take_config(int *argc, char **argv)
{
    const char *path = getenv(BRAND_ENV "CONFIG");
    for (int i = 1; i < *argc; i++) {
        int words = 0;
        if (strcmp(argv[i], "--config") == 0 && i + 1 < *argc) {
            path = argv[i + 1];
            words = 2;
        } else if (strncmp(argv[i], "--config=", 9) == 0) {
            path = argv[i] + 9;
            words = 1;
        }
        for (int j = i; words && j + words <= *argc; j++)
            argv[j] = argv[j + words];
        *argc -= words;
        i -= words > 0;
    }
    return path;
}

static enum err_code read_options(struct options *o, int argc, char **argv, struct err *e)
{
    int at = 1;
    const char *path = take_config(&argc, argv);
    enum err_code rc = config_read(o, path, e);
    if (rc == ERR_OK)
        rc = options_env(o, environ, e);
    if (rc == ERR_OK)
        rc = options_flags(o, argc, argv, &at, e);
    if (rc == ERR_OK && at < argc)
        rc = err_set(e, ERR_USAGE, "\"%s\" is not known here; options begin with --", argv[at]);
    return rc ? rc : options_finish(o, e);
}

/* The options are a table already: its rows as flags, for the help alone. */
static int help(void)
{
    struct flag flags[OPTION_COUNT + 2] = {
        {.name = "config", .value = "FILE", .help = "options as YAML; default: " BRAND_CONFIG}};
    for (int i = 0; i < OPTION_COUNT; i++)
        flags[i + 1] = (struct flag){
            .name = option_rows[i].name, .value = "VALUE", .help = option_rows[i].help};
    return args_help("serve", flags);
}

int cmd_serve(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return help();
    struct options options;
    struct err e = {0};
    options_init(&options);
    enum err_code rc = read_options(&options, argc, argv, &e);
    if (rc) {
        options_done(&options);
        return command_usage("serve", "%s", e.text);
    }
    /* On a terminal only what needs attention; the greeting says the rest. */
    if (option_is(&options, OPTION_LOG_LEVEL, "info") && isatty(STDERR_FILENO) &&
        options_set(&options, SLICE("log-level"), SLICE("warning"), &e))
        return command_fail(&e);
    options_log(&options, "master");
    int status = master_run(&options);
    options_done(&options);
    return status;
}
