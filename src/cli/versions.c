/* `wasmcloud versions`: what was deployed under a name; `versions disable` and `enable`. */
#include "base/brand.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/show.h"

/* What it has that the version before it had not, "-" if nothing. */
static void changes(const json_t *v, const json_t *before, char *out, size_t cap)
{
    static const struct {
        const char *member, *word;
    } parts[] = {{"digest", "module"},     {"env", "env"},        {"limits", "limits"},
                 {"policy", "policy"},     {"assets", "assets"},  {"timing", "timing"},
                 {"response", "response"}, {"check", "check"},    {"secrets", "secrets"},
                 {"preview", "preview"},   {"capture", "capture"}};
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; before && i < sizeof parts / sizeof *parts; i++)
        if (n < cap && !json_equal(json_object_get(v, parts[i].member),
                                   json_object_get(before, parts[i].member)))
            n += (size_t)snprintf(out + n, cap - n, "%s%s", n ? "," : "", parts[i].word);
    if (n == 0)
        slice_copy(SLICE("-"), out, cap);
}

/* "live", "split 10 %", "held back" … */
static const char *state(const json_t *v, char out[24])
{
    const char *word = answer_text(v, "state");
    uint64_t percent = answer_count(v, "percent");
    if (percent && percent < 100)
        snprintf(out, 24, "split %ju %%", (uintmax_t)percent);
    else
        snprintf(out, 24, "%s", strcmp(word, "held") == 0 ? "held back" : word);
    return out;
}

static void print_versions(const json_t *items)
{
    static const char *const head[] = {"VERSION", "STATE",   "CREATED", "PROMOTED", "SIZE",
                                       "CHECK",   "CHANGED", "DIGEST",  NULL};
    struct show_table table = {0};
    json_t *v;
    size_t i;
    json_array_foreach(items, i, v)
    {
        char number[24], created[24], promoted[24], size[24], changed[80], word[24];
        const char *check = answer_text(v, "check");
        changes(v, json_array_get(items, i + 1), changed, sizeof changed);
        snprintf(number, sizeof number, "%ju", (uintmax_t)answer_count(v, "number"));
        show_row(&table, head,
                 (const char *const[]){number, state(v, word),
                                       show_time(answer_text(v, "created_at"), created),
                                       show_time(answer_text(v, "promoted_at"), promoted),
                                       show_bytes(answer_count(v, "size"), size),
                                       *check ? check : "none", changed, answer_text(v, "digest")});
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

static int switch_version(const char *verb, const char *path, int argc, char **argv)
{
    bool json = false;
    const char *project = NULL;
    const struct flag flags[] = {FLAG_PROJECT(project), FLAG_JSON(json), {0}};
    struct words words;
    int status = args_parse(verb, argc, argv, flags, &words, 2, 2);
    if (status >= 0)
        return status;
    json_t *version = NULL;
    status = client_once(
        project,
        &(struct client_request){.method = "POST", .path = path, .at = {words.at[0], words.at[1]}},
        CLIENT_ONE, &version);
    if (status == 0 && json)
        show_json(version);
    else if (status == 0 && show_on_terminal())
        printf("%s: version %ju is %s\n", words.at[0], (uintmax_t)answer_count(version, "number"),
               strcmp(answer_text(version, "state"), "disabled") == 0
                   ? "disabled: it has no preview and gets no requests"
                   : "enabled: it may be promoted and previewed");
    json_decref(version);
    return status;
}

static int disable(int argc, char **argv)
{
    return switch_version("versions disable", "{P}/functions/{}/versions/{}/disable", argc, argv);
}

static int enable(int argc, char **argv)
{
    return switch_version("versions enable", "{P}/functions/{}/versions/{}/enable", argc, argv);
}

const struct command versions_commands[] = {
    {.name = "disable",
     .run = disable,
     .usage = "NAME VERSION [--project P] [--json]",
     .summary = "end a version's preview and its share of the requests, at once",
     .example = BRAND_COMMAND " versions disable hello 3"},
    {.name = "enable",
     .run = enable,
     .usage = "NAME VERSION [--project P] [--json]",
     .summary = "allow it to be promoted and previewed again",
     .example = BRAND_COMMAND " versions enable hello 3"},
    {0},
};
