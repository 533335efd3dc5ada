/* `wasmcloud preview`: the address of a version that is not live. */
#include "cli/args.h"
#include "cli/client.h"
#include "cli/show.h"

int cmd_preview(int argc, char **argv)
{
    bool json = false;
    const char *project = NULL;
    const struct flag flags[] = {FLAG_PROJECT(project), FLAG_JSON(json), {0}};
    struct words words;
    int status = args_parse("preview", argc, argv, flags, &words, 2, 2);
    if (status >= 0)
        return status;
    json_t *answer = NULL;
    status = client_once(project,
                         &(struct client_request){.method = "POST",
                                                  .path = "{P}/functions/{}/versions/{}/preview",
                                                  .at = {words.at[0], words.at[1]}},
                         CLIENT_ONE, &answer);
    char expires[24], until[24];
    const char *end = answer_text(answer, "expires_at");
    if (status == 0 && json) {
        show_json(answer);
    } else if (status == 0) {
        if (show_on_terminal() && *end)
            printf(
                "the link is good until %s, the preview until %s (UTC); only members should have "
                "it\n",
                show_time(end, expires), show_time(answer_text(answer, "until"), until));
        else if (show_on_terminal())
            puts("this preview is public");
        printf("%s\n", answer_text(answer, "url"));
    }
    json_decref(answer);
    return status;
}
