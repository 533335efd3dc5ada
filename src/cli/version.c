/* `wasmcloud version`: which program this is. */
#include "cli/command.h"

#include "base/brand.h"

#include <stdio.h>

int cmd_version(int argc, char **argv)
{
    bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
    if (argc > 1 && !json)
        return command_usage("version", "\"%s\" is not known here", argv[1]);
    printf(json ? "{\"name\":\"%s\",\"version\":\"%s\"}\n" : "%s %s\n", BRAND_COMMAND,
           BRAND_VERSION);
    return 0;
}
