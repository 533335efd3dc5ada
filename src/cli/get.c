/* `wasmcloud get`: one function, with its exact counters. */
#include "cli/args.h"
#include "cli/client.h"
#include "cli/show.h"

static void print_function(const json_t *f)
{
    const json_t *c = json_object_get(f, "counters");
    char a[24], b[24];
    printf("name      %s\n", answer_text(f, "name"));
    printf("state     %s\n", answer_text(f, "state"));
    if (answer_count(f, "version"))
        printf("version   %ju: %s, %s, response %s\n", (uintmax_t)answer_count(f, "version"),
               answer_text(f, "digest"), show_bytes(answer_count(f, "size"), a),
               answer_text(f, "response"));
    printf("created   %s\n", show_time(answer_text(f, "created_at"), a));
    printf("updated   %s\n", show_time(answer_text(f, "updated_at"), a));
    if (*answer_text(f, "deleted_at"))
        printf("deleted   %s\n", show_time(answer_text(f, "deleted_at"), a));
    printf("runs      %ju, of which failed %ju\n", (uintmax_t)answer_count(c, "runs"),
           (uintmax_t)answer_count(c, "failed"));
    printf("used      %s of CPU, ", show_us(answer_count(c, "cpu_us"), a));
    printf("%s in, %s out, %ju host calls\n", show_bytes(answer_count(c, "bytes_in"), a),
           show_bytes(answer_count(c, "bytes_out"), b), (uintmax_t)answer_count(c, "calls"));
    printf("log       %ju lines, %ju lost\n", (uintmax_t)answer_count(c, "log_lines"),
           (uintmax_t)answer_count(c, "log_lost"));
    printf("%s\n", answer_text(f, "url"));
}

int cmd_get(int argc, char **argv)
{
    bool json = false;
    const char *project = NULL;
    const struct flag flags[] = {FLAG_PROJECT(project), FLAG_JSON(json), {0}};
    struct words words;
    int status = args_parse("get", argc, argv, flags, &words, 1, 1);
    if (status >= 0)
        return status;
    json_t *answer = NULL;
    status = client_once(project,
                         &(struct client_request){.path = "{P}/functions/{}", .at = {words.at[0]}},
                         CLIENT_ONE, &answer);
    if (status == 0 && json)
        show_json(answer);
    else if (status == 0)
        print_function(answer);
    json_decref(answer);
    return status;
}
