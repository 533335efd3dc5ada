/* `wasmcloud version`: which program this is. */
#include "base/brand.h"
#include "cli/args.h"

#include <stdio.h>

int cmd_version(int argc, char **argv)
{
    bool json = false;
    const struct flag flags[] = {{.name = "json", .help = "print it as JSON", .on = &json}, {0}};
    struct words words;
    int status = args_parse("version", argc, argv, flags, &words, 0, 0);
    if (status >= 0)
        return status;
    printf(json ? "{\"name\":\"%s\",\"version\":\"%s\"}\n" : "%s %s\n", BRAND_COMMAND,
           BRAND_VERSION);
    return 0;
}
