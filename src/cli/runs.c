/* `wasmcloud runs`: what happened, and what each run used. */
#include "base/brand.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/feed.h"
#include "cli/show.h"

enum { RUNS_SHOWN = 50, RUNS_MOST = 100000 };

static const char *const columns[] = {"STARTED", "FUNCTION", "REQUEST", "STATUS", "CAUSE",
                                      "CPU",     "WALL",     "RUN",     NULL};

static void add_run(struct show_table *table, const json_t *r)
{
    char started[24], request[80], status[24], cpu[24], wall[24];
    snprintf(request, sizeof request, "%s %s", answer_text(r, "method"), answer_text(r, "path"));
    snprintf(status, sizeof status, "%ju", (uintmax_t)answer_count(r, "status"));
    if (!answer_count(r, "status")) /* it failed before its head, and nobody waited for it */
        slice_copy(SLICE("-"), status, sizeof status);
    show_row(table, columns,
             (const char *const[]){
                 show_time(answer_text(r, "started_at"), started), answer_text(r, "function"),
                 request, status, answer_text(r, "cause"), show_us(answer_count(r, "cpu_us"), cpu),
                 show_us(answer_count(r, "wall_us"), wall), answer_text(r, "id")});
}

static void print_runs(const json_t *items)
{
    struct show_table table = {0};
    json_t *r;
    size_t i;
    json_array_foreach(items, i, r) add_run(&table, r);
    show_table(&table, "No runs are recorded.");
}

/* A row as it happens: its columns can't know how wide later ones are. */
static void print_row(const json_t *r)
{
    char started[24], cpu[24];
    printf("%s  %s  ", show_time(answer_text(r, "started_at"), started), answer_text(r, "id"));
    show_text(stdout, slice_str(answer_text(r, "function")));
    printf("  %ju  %s  %s  ", (uintmax_t)answer_count(r, "status"), answer_text(r, "cause"),
           show_us(answer_count(r, "wall_us"), cpu));
    show_text(stdout, slice_str(answer_text(r, "method")));
    putchar(' ');
    show_text(stdout, slice_str(answer_text(r, "path")));
    putchar('\n');
}

static void print_run(const json_t *r)
{
    char a[24];
    json_t *value;
    size_t i;
    printf("run       %s\n", answer_text(r, "id"));
    printf("function  %s, version %ju\n", answer_text(r, "function"),
           (uintmax_t)answer_count(r, "version"));
    printf("started   %s\n", show_time(answer_text(r, "started_at"), a));
    printf("request   ");
    show_text(stdout, slice_str(answer_text(r, "method")));
    putchar(' ');
    show_text(stdout, slice_str(answer_text(r, "path")));
    if (*answer_text(r, "client"))
        printf(" from %s", answer_text(r, "client"));
    printf("\nanswer    %ju\n", (uintmax_t)answer_count(r, "status"));
    printf("ended     %s, exit status %ju\n", answer_text(r, "cause"),
           (uintmax_t)answer_count(r, "exit_status"));
    if (*answer_text(r, "text")) {
        printf("          ");
        show_text(stdout, slice_str(answer_text(r, "text")));
        putchar('\n');
    }
    show_ledger(stdout, r);
    if (json_is_true(json_object_get(r, "captured")))
        printf("captured  " BRAND_COMMAND " runs pull %s\n", answer_text(r, "id"));
    json_array_foreach(json_object_get(r, "logs"), i, value)
    {
        printf("%-8s  ", answer_text(value, "level"));
        show_text(stdout, slice_str(answer_text(value, "text")));
        putchar('\n');
    }
}

int cmd_runs(int argc, char **argv)
{
    bool json = false, failed = false, following = false, export = false;
    const char *project = NULL, *status_text = NULL, *cause = NULL, *since = NULL, *until = NULL,
               *version = NULL, *method = NULL, *path = NULL, *slower = NULL, *lines = NULL;
    const struct flag flags[] = {
        {.name = "follow", .letter = 'f', .help = "go on as runs end", .on = &following},
        {.name = "failed", .help = "only those that failed", .on = &failed},
        {.name = "status", .value = "503|5xx", .help = "of the answer", .text = &status_text},
        {.name = "cause", .value = "CAUSE", .help = "cpu_limit, trap, …, ok", .text = &cause},
        {.name = "since",
         .value = "TIME",
         .help = "10m, 2h, 1d: not older than this",
         .text = &since},
        {.name = "until", .value = "TIME", .help = "older than this", .text = &until},
        {.name = "version", .value = "N", .help = "of this version only", .text = &version},
        {.name = "method", .value = "METHOD", .help = "GET, POST, …", .text = &method},
        {.name = "path", .value = "/PATH", .help = "how the path begins", .text = &path},
        {.name = "slower", .value = "TIME", .help = "250ms, 2s: at least this", .text = &slower},
        {.name = "lines", .value = "N", .help = "the latest N (50)", .text = &lines},
        {.name = "export", .help = "all of them, one JSON object a line", .on = &export},
        FLAG_PROJECT(project),
        FLAG_JSON(json),
        {0},
    };
    struct words words;
    uint64_t most = RUNS_SHOWN;
    int status = args_parse("runs", argc, argv, flags, &words, 0, 1);
    if (status >= 0)
        return status;
    if (lines && (!slice_u64(slice_str(lines), &most) || most < 1 || most > RUNS_MOST))
        return command_usage("runs", "--lines is a number from 1 to %d", RUNS_MOST);
    if (following && export)
        return command_usage("runs", "either --follow or --export");
    struct client_request request = {.path = words.n ? "{P}/functions/{}/runs" : "{P}/runs",
                                     .query = {{"failed", failed ? "true" : NULL},
                                               {"status", status_text},
                                               {"cause", cause},
                                               {"since", since},
                                               {"until", until},
                                               {"version", version},
                                               {"method", method},
                                               {"path", path},
                                               {"slower", slower},
                                               {"follow", following ? "true" : NULL},
                                               {"limit", following ? lines : NULL}}};
    if (words.n)
        request.at[0] = words.at[0];
    if (following || export) {
        struct client *c = NULL;
        struct err e;
        if (client_open(project, &c, &e))
            return client_fail(NULL, &e);
        status =
            export ? feed_export(c, &request) : feed_follow(c, &request, json ? NULL : print_row);
        client_close(c);
        return status;
    }
    json_t *answer = NULL;
    status = client_once(project, &request, (long)most, &answer);
    if (status == 0 && json)
        show_json(answer);
    else if (status == 0)
        print_runs(json_object_get(answer, "items"));
    json_decref(answer);
    return status;
}

static int runs_show(int argc, char **argv)
{
    bool json = false;
    const char *project = NULL;
    const struct flag flags[] = {FLAG_PROJECT(project), FLAG_JSON(json), {0}};
    struct words words;
    int status = args_parse("runs show", argc, argv, flags, &words, 1, 1);
    if (status >= 0)
        return status;
    json_t *answer = NULL;
    status =
        client_once(project, &(struct client_request){.path = "{P}/runs/{}", .at = {words.at[0]}},
                    CLIENT_ONE, &answer);
    if (status == 0 && json)
        show_json(answer);
    else if (status == 0)
        print_run(answer);
    json_decref(answer);
    return status;
}

const struct command runs_commands[] = {
    {.name = "show",
     .run = runs_show,
     .usage = "ID [--project P] [--json]",
     .summary = "one run: its request, end, ledger and log",
     .example = BRAND_COMMAND " runs show 0199c3de-7c1f-7d5e-8b1c-3b1f5c0e9a42"},
    {.name = "pull",
     .run = runs_pull,
     .usage = "ID [-o FILE] [--project P] [--json]",
     .summary = "get a captured run, its module and assets as one file, for `run --replay`",
     .example = BRAND_COMMAND
     " runs pull 0199c3de-7c1f-7d5e-8b1c-3b1f5c0e9a42 -o bug.capture\n" BRAND_COMMAND
     " run --replay bug.capture"},
    {0},
};
