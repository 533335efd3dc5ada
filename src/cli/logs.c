/* `wasmcloud logs`: what a function, or all of a project, wrote; until now or as it happens. */
#include "base/brand.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/feed.h"
#include "cli/show.h"

#include <stdlib.h>

enum {
    LINES = 100, /* shown without --lines */
    LINES_MOST = 100000,
    PAGE = 1000,
    PAGES_MOST = 100000 /* a search may go through many that have nothing */
};

static bool of_project; /* then each line says which function it is of */

static void print_line(const json_t *line)
{
    const char *level = answer_text(line, "level");
    char at[24];
    if (!show_on_terminal()) {
        printf("%s\t%s\t%s\t", answer_text(line, "at"), level, answer_text(line, "run"));
    } else {
        bool colour = !getenv("NO_COLOR");
        const char *on = !colour                         ? ""
                         : strcmp(level, "error") == 0   ? "\033[31m"
                         : strcmp(level, "warning") == 0 ? "\033[33m"
                                                         : "";
        printf("%s  %s%-7s%s  ", show_time(answer_text(line, "at"), at), on, level,
               *on ? "\033[0m" : "");
    }
    if (of_project)
        printf("%s%s", answer_text(line, "function"), show_on_terminal() ? "  " : "\t");
    show_text(stdout, slice_str(answer_text(line, "text")));
    putchar('\n');
}

/* The latest lines that match, as one list, oldest first: pages are asked for from the last one
 * back, and one may be empty although earlier ones are not. */
static enum err_code latest(struct client *c, struct client_request *request, uint64_t most,
                            json_t **ret_json, struct err *e)
{
    char cursor[32] = "", limit[16];
    json_t *all = json_array(), *lost = NULL;
    size_t at = 0;
    enum err_code rc = ERR_OK;
    while (request->query[at].name)
        at++;
    for (int i = 0; i < PAGES_MOST && json_array_size(all) < most; i++) {
        json_t *answer = NULL;
        uint64_t left = most - json_array_size(all);
        snprintf(limit, sizeof limit, "%ju", (uintmax_t)(left < PAGE ? left : PAGE));
        request->query[at] = (struct client_pair){"limit", limit};
        if (*cursor)
            request->query[at + 1] = (struct client_pair){"cursor", cursor};
        rc = client_call(c, request, &answer, NULL, e);
        if (rc)
            break;
        json_t *items = json_object_get(answer, "items");
        json_array_extend(items, all);
        json_decref(all);
        all = json_incref(items);
        if (!lost)
            lost = json_incref(json_object_get(answer, "lost"));
        bool more = slice_copy(slice_str(answer_text(answer, "next")), cursor, sizeof cursor);
        json_decref(answer);
        if (!more || !*cursor)
            break;
    }
    *ret_json = json_pack("{s:o, s:n}", "items", all, "next");
    if (lost)
        json_object_set_new(*ret_json, "lost", lost);
    return rc;
}

int cmd_logs(int argc, char **argv)
{
    bool json = false, following = false, export = false;
    const char *project = NULL, *run = NULL, *since = NULL, *until = NULL, *level = NULL,
               *grep = NULL, *lines = NULL;
    const struct flag flags[] = {
        {.name = "follow", .letter = 'f', .help = "go on as lines are written", .on = &following},
        {.name = "run", .value = "ID", .help = "of one run only", .text = &run},
        {.name = "since",
         .value = "TIME",
         .help = "10m, 2h, 1d: not older than this",
         .text = &since},
        {.name = "until", .value = "TIME", .help = "older than this", .text = &until},
        {.name = "level",
         .value = "error|warning|info",
         .help = "this level and worse",
         .text = &level},
        {.name = "grep", .value = "TEXT", .help = "lines that contain this", .text = &grep},
        {.name = "lines", .value = "N", .help = "the latest N (100)", .text = &lines},
        {.name = "export", .help = "all of them, one JSON object a line", .on = &export},
        FLAG_PROJECT(project),
        FLAG_JSON(json),
        {0},
    };
    struct words words;
    uint64_t most = LINES;
    int status = args_parse("logs", argc, argv, flags, &words, 0, 1);
    if (status >= 0)
        return status;
    if (lines && (!slice_u64(slice_str(lines), &most) || most < 1 || most > LINES_MOST))
        return command_usage("logs", "--lines is a number from 1 to %d", LINES_MOST);
    if (following && export)
        return command_usage("logs", "either --follow or --export");
    struct client *c = NULL;
    struct err e;
    if (client_open(project, &c, &e))
        return client_fail(NULL, &e);
    of_project = words.n == 0;
    struct client_request request = {
        .path = words.n ? "{P}/functions/{}/logs" : "{P}/logs",
        .at = {words.n ? words.at[0] : NULL},
        .query = {{"since", since},
                  {"until", until},
                  {"run", run},
                  {"level", level},
                  {"text", grep},
                  {"follow", following ? "true" : NULL},
                  {"limit", following ? lines : NULL}},
    };
    json_t *answer = NULL;
    if (following) {
        status = feed_follow(c, &request, json ? NULL : print_line);
    } else if (export) {
        status = feed_export(c, &request);
    } else if (latest(c, &request, most, &answer, &e)) {
        status = client_fail(&request, &e);
    } else {
        json_t *items = json_object_get(answer, "items");
        for (size_t i = 0; i < json_array_size(items) && !json; i++)
            print_line(json_array_get(items, i));
        if (!json && show_on_terminal() && json_array_size(items) == 0)
            puts("No lines.");
        if (json)
            show_json(answer);
        else if (answer_count(answer, "lost"))
            fprintf(stderr,
                    "%ju lines of this run were lost: over log-lines or log-bytes, or "
                    "faster than lines can be stored\n",
                    (uintmax_t)answer_count(answer, "lost"));
        status = 0;
    }
    json_decref(answer);
    client_close(c);
    return status;
}
