/* `wasmcloud explain`: why a run ended as it did, what changed since it last went well, and what to
 * type next. The server knows; this shows it. */
#include "base/brand.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/diff.h"
#include "cli/show.h"

#include <stdlib.h>

/* "name   text", control bytes escaped on a terminal. */
static void print(const char *name, const char *text)
{
    printf("%-9s ", name);
    show_text(stdout, slice_str(text));
    putchar('\n');
}

static void print_changes(const json_t *changed)
{
    json_t *change;
    size_t i;
    const json_t *changes = json_object_get(changed, "changes");
    printf("\nversion %ju went well; since then %s\n", (uintmax_t)answer_count(changed, "from"),
           json_array_size(changes) ? "this has changed:" : "nothing has changed in the settings");
    json_array_foreach(changes, i, change) diff_print(change);
}

static void print_all(const json_t *x)
{
    json_t *value;
    size_t i;
    char at[24], request[400];
    bool colour = show_on_terminal() && !getenv("NO_COLOR");
    snprintf(request, sizeof request, "%s %s, %s, version %ju, %s", answer_text(x, "method"),
             answer_text(x, "path"), answer_text(x, "function"),
             (uintmax_t)answer_count(x, "version"), show_time(answer_text(x, "started_at"), at));
    print("run", request);
    json_array_foreach(json_object_get(x, "causes"), i, value)
    {
        printf("%s", i == 0 && colour ? "\033[1m" : "");
        print(i == 0 ? "cause" : "so that", answer_text(value, "sentence"));
        printf("%s", i == 0 && colour ? "\033[0m" : "");
        if (i == 0 && *answer_text(value, "hint"))
            print("hint", answer_text(value, "hint"));
    }
    const json_t *limit = json_object_get(x, "limit"), *rule = json_object_get(x, "rule");
    if (json_is_object(limit))
        printf("limit     %s is %s%s%s; the %s may change it\n", answer_text(limit, "name"),
               answer_text(limit, "value"), *answer_text(limit, "maximum") ? ", at most " : "",
               answer_text(limit, "maximum"), answer_text(limit, "who"));
    if (json_is_object(rule)) {
        print("refused", answer_text(rule, "url"));
        print("rule", answer_text(rule, "rule"));
    }
    json_array_foreach(json_object_get(x, "stack"), i, value)
        print(i == 0 ? "stack" : "", json_string_value(value));
    if (*answer_text(x, "last_call"))
        print("last call", answer_text(x, "last_call"));
    json_array_foreach(json_object_get(x, "log"), i, value)
        print(i == 0 ? "log" : "", answer_text(value, "text"));
    if (json_is_object(json_object_get(x, "changed")))
        print_changes(json_object_get(x, "changed"));
    uint64_t similar = answer_count(x, "similar_last_hour");
    if (strcmp(answer_text(x, "cause"), "ok") != 0)
        printf("\n%ju other run%s ended like this in the hour before; %ju of this version went "
               "well\n",
               (uintmax_t)similar, similar == 1 ? "" : "s",
               (uintmax_t)answer_count(x, "good_runs_of_version"));
    json_array_foreach(json_object_get(x, "next"), i, value)
    {
        printf(i == 0 ? "next: " : "  or: ");
        show_text(stdout, slice_str(json_string_value(value)));
        putchar('\n');
    }
}

int cmd_explain(int argc, char **argv)
{
    bool json = false;
    const char *project = NULL;
    const struct flag flags[] = {FLAG_PROJECT(project), FLAG_JSON(json), {0}};
    struct words words;
    int status = args_parse("explain", argc, argv, flags, &words, 1, 1);
    if (status >= 0)
        return status;
    json_t *answer = NULL;
    status = client_once(
        project, &(struct client_request){.path = "{P}/runs/{}/explain", .at = {words.at[0]}},
        CLIENT_ONE, &answer);
    if (status == 0 && json)
        show_json(answer);
    else if (status == 0)
        print_all(answer);
    json_decref(answer);
    return status;
}
