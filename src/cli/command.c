#include "cli/command.h"

#include "base/brand.h"
#include "base/limits.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const struct command commands[] = {
    {.name = "version",
     .run = cmd_version,
     .usage = "[--json]",
     .summary = "print the program's version",
     .example = BRAND_COMMAND " version"},
    {0},
};

const struct command *command_find(struct slice name)
{
    for (const struct command *c = commands; c->name; c++)
        if (slice_eq(name, slice_str(c->name)))
            return c;
    return NULL;
}

int command_fail(const struct err *e)
{
    fprintf(stderr, "%s: %s\n", BRAND_COMMAND, e->text[0] ? e->text : err_title(e->code));
    return err_cli(e->code);
}

int command_usage(const char *verb, const char *fmt, ...)
{
    const struct command *c = command_find(slice_str(verb));
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "%s %s: ", BRAND_COMMAND, verb);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\nusage: %s %s %s\n", BRAND_COMMAND, verb, c && c->usage ? c->usage : "");
    return err_cli(ERR_USAGE);
}

int command_main(int argc, char **argv)
{
    const char *self = argc ? argv[0] : BRAND_COMMAND, *slash = strrchr(self, '/');
    if (strcmp(slash ? slash + 1 : self, BRAND_RUNNER) == 0 && command_find(SLICE("run")))
        return command_find(SLICE("run"))->run(argc, argv);
    const char *verb = argc > 1 ? argv[1] : "help";
    const struct command *c = command_find(slice_str(verb));
    if (c)
        return c->run(argc > 1 ? argc - 1 : argc, argc > 1 ? argv + 1 : argv);

    const char *names[128];
    size_t n = 0;
    for (c = commands; c->name && n < 128; c++)
        if (!c->hidden)
            names[n++] = c->name;
    const char *near = nearest_word(slice_str(verb), names, n);
    fprintf(stderr, "%s: there is no command \"%s\"%s%s%s; `%s help` lists them\n", BRAND_COMMAND,
            verb, near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "",
            BRAND_COMMAND);
    return err_cli(ERR_USAGE);
}
