/* `wasmcloud delete` and `undelete`: a function goes, and comes back while its name is kept. */
#include "base/brand.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/show.h"

int cmd_delete(int argc, char **argv)
{
    bool json = false;
    const char *project = NULL;
    const struct flag flags[] = {FLAG_PROJECT(project), FLAG_JSON(json), {0}};
    struct words words;
    int status = args_parse("delete", argc, argv, flags, &words, 1, 1);
    if (status >= 0)
        return status;
    json_t *answer = NULL;
    status = client_once(project,
                         &(struct client_request){
                             .method = "DELETE", .path = "{P}/functions/{}", .at = {words.at[0]}},
                         CLIENT_ONE, &answer);
    if (status == 0 && json)
        printf("{\"deleted\":\"%s\"}\n", words.at[0]); /* a name the server knew needs no escapes */
    else if (status == 0 && show_on_terminal())
        printf("%s is deleted; `%s undelete %s` brings it back within 30 days\n", words.at[0],
               BRAND_COMMAND, words.at[0]);
    json_decref(answer);
    return status;
}

int cmd_undelete(int argc, char **argv)
{
    bool json = false;
    const char *project = NULL;
    const struct flag flags[] = {FLAG_PROJECT(project), FLAG_JSON(json), {0}};
    struct words words;
    int status = args_parse("undelete", argc, argv, flags, &words, 1, 1);
    if (status >= 0)
        return status;
    json_t *answer = NULL;
    status =
        client_once(project,
                    &(struct client_request){
                        .method = "POST", .path = "{P}/functions/{}/undelete", .at = {words.at[0]}},
                    CLIENT_ONE, &answer);
    if (status == 0 && json)
        show_json(answer);
    else if (status == 0)
        printf("%s\n", answer_text(answer, "url"));
    json_decref(answer);
    return status;
}
