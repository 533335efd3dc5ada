/* `wasmcloud help`: every verb on a line, or one verb with its flags and an example. */
#include "base/brand.h"
#include "cli/args.h"

#include <stdio.h>

int cmd_help(int argc, char **argv)
{
    if (argc > 1 && argv[1][0] != '-') {
        char word[] = "--help", *again[] = {argv[argc - 1], word, NULL}, path[128];
        snprintf(path, sizeof path, "%s%s%s", argv[1], argc > 2 ? " " : "",
                 argc > 2 ? argv[2] : "");
        const struct command *c = command_find(slice_str(path));
        if (c && !c->hidden && c->run)
            return c->run(2, again);
        if (c && !c->hidden)
            return args_help(path, NULL);
        return command_usage("help", "there is no command \"%s\"", path);
    }
    printf("%s runs WebAssembly programs behind HTTP.\n\ncommands:\n", BRAND_NAME);
    for (const struct command *c = commands; c->name; c++)
        if (!c->hidden)
            printf("  %-10s %s\n", c->name, c->summary);
    printf("\n`%s help VERB` shows its flags and an example.\n", BRAND_COMMAND);
    return 0;
}
