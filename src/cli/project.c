/* `wasmcloud project`: the tenants of a server, and which one commands work in. */
#include "base/brand.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/show.h"

static int project_create(int argc, char **argv)
{
    bool json = false;
    const struct flag flags[] = {FLAG_JSON(json), {0}};
    struct words words;
    int status = args_parse("project create", argc, argv, flags, &words, 1, 1);
    if (status >= 0)
        return status;
    json_t *body = json_pack("{s:s}", "name", words.at[0]), *answer = NULL;
    if (!body)
        return command_usage("project create", "the name is not text");
    status = client_once(
        NULL, &(struct client_request){.method = "POST", .path = "projects", .json = body},
        CLIENT_ONE, &answer);
    if (status == 0 && json)
        show_json(answer);
    else if (status == 0)
        printf("%s\n", answer_text(answer, "name"));
    json_decref(answer);
    json_decref(body);
    return status;
}

static int project_list(int argc, char **argv)
{
    static const char *const head[] = {"NAME", "CREATED", "ID", NULL};
    bool json = false;
    const struct flag flags[] = {FLAG_JSON(json), {0}};
    struct words words;
    int status = args_parse("project list", argc, argv, flags, &words, 0, 0);
    if (status >= 0)
        return status;
    json_t *answer = NULL, *p;
    status = client_once(NULL, &(struct client_request){.path = "projects"}, 0, &answer);
    if (status == 0 && json) {
        show_json(answer);
    } else if (status == 0) {
        struct show_table table = {0};
        size_t i;
        json_array_foreach(json_object_get(answer, "items"), i, p)
        {
            char created[24];
            show_row(&table, head,
                     (const char *const[]){answer_text(p, "name"),
                                           show_time(answer_text(p, "created_at"), created),
                                           answer_text(p, "id")});
        }
        show_table(&table, "No projects.");
    }
    json_decref(answer);
    return status;
}

static int project_use(int argc, char **argv)
{
    bool json = false;
    const struct flag flags[] = {FLAG_JSON(json), {0}};
    struct words words;
    int status = args_parse("project use", argc, argv, flags, &words, 1, 1);
    if (status >= 0)
        return status;
    json_t *answer = NULL;
    status = client_once(NULL, &(struct client_request){.path = "projects/{}", .at = {words.at[0]}},
                         CLIENT_ONE, &answer);
    struct err e;
    if (status == 0 && context_save_project(answer_text(answer, "name"), &e))
        status = client_fail(NULL, &e);
    else if (status == 0 && json)
        show_json(answer);
    else if (status == 0 && show_on_terminal())
        printf("commands now work in the project %s\n", answer_text(answer, "name"));
    json_decref(answer);
    return status;
}

const struct command project_commands[] = {
    {.name = "create",
     .run = project_create,
     .usage = "NAME [--json]",
     .summary = "make a project",
     .example = BRAND_COMMAND " project create shop"},
    {.name = "list",
     .run = project_list,
     .usage = "[--json]",
     .summary = "the projects you may see",
     .example = BRAND_COMMAND " project list"},
    {.name = "use",
     .run = project_use,
     .usage = "NAME [--json]",
     .summary = "work in this project from now on",
     .example = BRAND_COMMAND " project use shop"},
    {0},
};
