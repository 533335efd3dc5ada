#include "cli/of_version.h"

#include "cli/args.h"
#include "cli/client.h"

int of_version(const char *verb, int argc, char **argv,
               int (*show)(const json_t *version, bool json))
{
    bool json = false;
    const char *project = NULL, *number = NULL;
    const struct flag flags[] = {
        {.name = "version",
         .value = "NUMBER",
         .help = "of that version, not of the live one",
         .text = &number},
        FLAG_PROJECT(project),
        FLAG_JSON(json),
        {0},
    };
    struct words words;
    int status = args_parse(verb, argc, argv, flags, &words, 1, 1);
    if (status >= 0)
        return status;
    json_t *version = NULL;
    status = client_once(project,
                         &(struct client_request){.path = "{P}/functions/{}/versions/{}",
                                                  .at = {words.at[0], number ? number : "live"}},
                         CLIENT_ONE, &version);
    if (status == 0)
        status = show(version, json);
    json_decref(version);
    return status;
}
