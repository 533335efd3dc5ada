/* `wasmcloud create`: reserves a name, which answers 503 `no_version` until its first deploy. */
#include "base/brand.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/show.h"

int cmd_create(int argc, char **argv)
{
    bool json = false;
    const char *project = NULL;
    const struct flag flags[] = {FLAG_PROJECT(project), FLAG_JSON(json), {0}};
    struct words words;
    int status = args_parse("create", argc, argv, flags, &words, 1, 1);
    if (status >= 0)
        return status;
    json_t *body = json_pack("{s:s}", "name", words.at[0]), *answer = NULL;
    if (!body)
        return command_usage("create", "the name is not text");
    status = client_once(
        project, &(struct client_request){.method = "POST", .path = "{P}/functions", .json = body},
        CLIENT_ONE, &answer);
    if (status == 0 && json) {
        show_json(answer);
    } else if (status == 0) {
        if (show_on_terminal())
            printf("%s is reserved; `%s deploy FILE.wasm --name %s` gives it a program\n",
                   words.at[0], BRAND_COMMAND, words.at[0]);
        printf("%s\n", answer_text(answer, "url"));
    }
    json_decref(answer);
    json_decref(body);
    return status;
}
