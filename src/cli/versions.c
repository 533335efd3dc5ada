/* `wasmcloud versions`: what was deployed under a name. */
#include "cli/args.h"
#include "cli/client.h"
#include "cli/show.h"

static void print_versions(const json_t *items)
{
    static const char *const head[] = {"VERSION",  "CREATED", "PROMOTED", "SIZE",
                                       "RESPONSE", "CHECK",   "DIGEST",   NULL};
    struct show_table table = {0};
    json_t *v;
    size_t i;
    json_array_foreach(items, i, v)
    {
        char number[24], created[24], promoted[24], size[24];
        const char *check = answer_text(v, "check");
        snprintf(number, sizeof number, "%ju", (uintmax_t)answer_count(v, "number"));
        show_row(&table, head,
                 (const char *const[]){number, show_time(answer_text(v, "created_at"), created),
                                       show_time(answer_text(v, "promoted_at"), promoted),
                                       show_bytes(answer_count(v, "size"), size),
                                       answer_text(v, "response"), *check ? check : "none",
                                       answer_text(v, "digest")});
    }
    show_table(&table, "No versions yet.");
}

int cmd_versions(int argc, char **argv)
{
    bool json = false;
    const char *project = NULL;
    const struct flag flags[] = {FLAG_PROJECT(project), FLAG_JSON(json), {0}};
    struct words words;
    int status = args_parse("versions", argc, argv, flags, &words, 1, 1);
    if (status >= 0)
        return status;
    json_t *answer = NULL;
    status = client_once(
        project, &(struct client_request){.path = "{P}/functions/{}/versions", .at = {words.at[0]}},
        0, &answer);
    if (status == 0 && json)
        show_json(answer);
    else if (status == 0)
        print_versions(json_object_get(answer, "items"));
    json_decref(answer);
    return status;
}
