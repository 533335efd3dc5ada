/* `wasmcloud list`: the functions of a project. */
#include "base/brand.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/show.h"

static void print_functions(const json_t *items)
{
    static const char *const head[] = {"NAME",   "STATE",   "VERSION", "RUNS",
                                       "FAILED", "UPDATED", "URL",     NULL};
    struct show_table table = {0};
    json_t *f;
    size_t i;
    json_array_foreach(items, i, f)
    {
        const json_t *counters = json_object_get(f, "counters");
        char version[24], runs[24], failed[24], updated[24];
        snprintf(version, sizeof version, "%ju", (uintmax_t)answer_count(f, "version"));
        snprintf(runs, sizeof runs, "%ju", (uintmax_t)answer_count(counters, "runs"));
        snprintf(failed, sizeof failed, "%ju", (uintmax_t)answer_count(counters, "failed"));
        show_row(&table, head,
                 (const char *const[]){answer_text(f, "name"), answer_text(f, "state"),
                                       answer_count(f, "version") ? version : "-", runs, failed,
                                       show_time(answer_text(f, "updated_at"), updated),
                                       answer_text(f, "url")});
    }
    show_table(&table, "No functions yet; `" BRAND_COMMAND " deploy FILE.wasm` makes one.");
}

int cmd_list(int argc, char **argv)
{
    bool json = false, deleted = false;
    const char *project = NULL;
    const struct flag flags[] = {
        {.name = "deleted", .help = "those that `undelete` can bring back", .on = &deleted},
        FLAG_PROJECT(project),
        FLAG_JSON(json),
        {0},
    };
    struct words words;
    int status = args_parse("list", argc, argv, flags, &words, 0, 0);
    if (status >= 0)
        return status;
    json_t *answer = NULL;
    status = client_once(project,
                         &(struct client_request){.path = "{P}/functions",
                                                  .query = {{"deleted", deleted ? "true" : NULL}}},
                         0, &answer);
    if (status == 0 && json)
        show_json(answer);
    else if (status == 0)
        print_functions(json_object_get(answer, "items"));
    json_decref(answer);
    return status;
}
