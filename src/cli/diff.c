/* `wasmcloud diff`: what differs between two versions of a function. */
#include "base/brand.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/diff.h"
#include "cli/show.h"

#include <stdlib.h>

static void put_value(const json_t *v)
{
    char *text = json_is_string(v) ? NULL : json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
    show_text(stdout, slice_str(json_is_string(v) ? json_string_value(v) : text ? text : ""));
    free(text);
}

/* "+ env COLOUR red", "- limits gas 100", "  check GET / -> GET /healthz" */
void diff_print(const json_t *change)
{
    const json_t *from = json_object_get(change, "from"), *to = json_object_get(change, "to");
    bool added = json_is_null(from), gone = json_is_null(to);
    printf("%c %-8s", added ? '+' : gone ? '-' : '~', answer_text(change, "part"));
    if (json_is_string(json_object_get(change, "name"))) {
        putchar(' ');
        show_text(stdout, slice_str(answer_text(change, "name")));
    }
    if (!added && !json_is_true(from)) {
        putchar(' ');
        put_value(from);
    }
    if (!added && !gone)
        fputs(" ->", stdout);
    if (!gone && !json_is_true(to)) {
        putchar(' ');
        put_value(to);
    }
    putchar('\n');
}

int cmd_diff(int argc, char **argv)
{
    bool json = false;
    const char *project = NULL;
    const struct flag flags[] = {FLAG_PROJECT(project), FLAG_JSON(json), {0}};
    struct words words;
    int status = args_parse("diff", argc, argv, flags, &words, 1, 3);
    if (status >= 0)
        return status;
    json_t *answer = NULL, *change;
    size_t i;
    status = client_once(
        project,
        &(struct client_request){.path = "{P}/functions/{}/versions/{}/diff",
                                 .at = {words.at[0], words.n > 1 ? words.at[words.n - 1] : "live"},
                                 .query = {{"from", words.n > 2 ? words.at[1] : NULL}}},
        CLIENT_ONE, &answer);
    if (status == 0 && json) {
        show_json(answer);
    } else if (status == 0) {
        if (show_on_terminal())
            printf("%s: from version %ju to version %ju\n", words.at[0],
                   (uintmax_t)answer_count(answer, "from"), (uintmax_t)answer_count(answer, "to"));
        json_array_foreach(json_object_get(answer, "changes"), i, change) diff_print(change);
        if (json_is_false(json_object_get(answer, "interface")))
            fprintf(stderr, "%s: what the modules import and export is not known of both\n",
                    BRAND_COMMAND);
    }
    json_decref(answer);
    return status;
}
