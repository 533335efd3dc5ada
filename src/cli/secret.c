/* `wasmcloud secret`: values that functions get and nobody sees again.
 *
 * A value comes from standard input or from a prompt that doesn't show it,
 * never from the command line, where every process of the machine and the
 * shell's history have it. One that is typed there all the same is refused and
 * not repeated. */
#include "api/settings.h"
#include "base/brand.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/prompt.h"
#include "cli/show.h"

enum { VALUE_MOST = 64 << 10 };

/* One line for people: who sees it from now on. */
static void print_users(const json_t *secret)
{
    const json_t *functions = json_object_get(secret, "functions");
    const char *name = answer_text(secret, "name");
    json_t *f;
    size_t i;
    if (json_array_size(functions) == 0) {
        printf("%s is set; no function uses it yet: `%s env set FUNCTION --secret %s`\n", name,
               BRAND_COMMAND, name);
        return;
    }
    printf("%s is set; the next request has it in", name);
    json_array_foreach(functions, i, f) printf("%s %s", i ? "," : "", json_string_value(f));
    putchar('\n');
}

static int put(const char *project, const char *name, struct buf *value, bool json)
{
    json_t *answer = NULL, *body = json_pack("{s:s%}", "value", buf_data(value), buf_size(value));
    if (!body)
        return command_usage("secret set", "the value of %s is not UTF-8 text", name);
    int status =
        client_once(project,
                    &(struct client_request){
                        .method = "PUT", .path = "{P}/secrets/{}", .at = {name}, .json = body},
                    CLIENT_ONE, &answer);
    if (status == 0 && json)
        show_json(answer);
    else if (status == 0 && show_on_terminal())
        print_users(answer);
    json_decref(answer);
    json_decref(body);
    return status;
}

static int secret_set(int argc, char **argv)
{
    bool json = false;
    const char *project = NULL;
    const struct flag flags[] = {FLAG_PROJECT(project), FLAG_JSON(json), {0}};
    struct words words;
    int status = args_parse("secret set", argc, argv, flags, &words, 1, WORDS_MAX);
    if (status >= 0)
        return status;
    if (words.n > 1 || strchr(words.at[0], '='))
        return command_usage("secret set",
                             "a secret's value never comes on the command line, where other "
                             "processes and the shell's history see it; take this one as leaked, "
                             "and give the new one on standard input or at the prompt");
    struct buf value;
    struct err e;
    if (settings_variable(slice_str(words.at[0]), &e)) /* before anybody types a value for it */
        return command_usage("secret set", "%s", e.text);
    buf_init_private(&value, VALUE_MOST);
    if (prompt_value(words.at[0], &value, &e))
        status = command_fail(&e);
    else if (buf_size(&value) == 0)
        status = command_usage("secret set", "no value came: pipe it in, or type it at the prompt");
    else
        status = put(project, words.at[0], &value, json);
    buf_done(&value);
    return status;
}

static int secret_list(int argc, char **argv)
{
    static const char *const head[] = {"NAME", "UPDATED", "FUNCTIONS", NULL};
    bool json = false;
    const char *project = NULL;
    const struct flag flags[] = {FLAG_PROJECT(project), FLAG_JSON(json), {0}};
    struct words words;
    int status = args_parse("secret list", argc, argv, flags, &words, 0, 0);
    if (status >= 0)
        return status;
    json_t *answer = NULL, *s, *f;
    status = client_once(project, &(struct client_request){.path = "{P}/secrets"}, 0, &answer);
    struct show_table table = {0};
    size_t i, j;
    if (status == 0 && json) {
        show_json(answer);
    } else if (status == 0) {
        json_array_foreach(json_object_get(answer, "items"), i, s)
        {
            char updated[24], users[256] = "";
            size_t n = 0;
            json_array_foreach(json_object_get(s, "functions"), j, f) if (n < sizeof users) n +=
                (size_t)snprintf(users + n, sizeof users - n, "%s%s", j ? "," : "",
                                 json_string_value(f));
            show_row(&table, head,
                     (const char *const[]){answer_text(s, "name"),
                                           show_time(answer_text(s, "updated_at"), updated),
                                           *users ? users : "-"});
        }
        show_table(&table, "No secrets.");
    }
    json_decref(answer);
    return status;
}

static int secret_unset(int argc, char **argv)
{
    bool json = false;
    const char *project = NULL;
    const struct flag flags[] = {FLAG_PROJECT(project), FLAG_JSON(json), {0}};
    struct words words;
    int status = args_parse("secret unset", argc, argv, flags, &words, 1, 1);
    if (status >= 0)
        return status;
    json_t *answer = NULL;
    status = client_once(
        project,
        &(struct client_request){.method = "DELETE", .path = "{P}/secrets/{}", .at = {words.at[0]}},
        CLIENT_ONE, &answer);
    if (status == 0 && json)
        printf("{\"unset\":\"%s\"}\n", words.at[0]);
    else if (status == 0 && show_on_terminal())
        printf("%s is gone\n", words.at[0]);
    json_decref(answer);
    return status;
}

const struct command secret_commands[] = {
    {.name = "set",
     .run = secret_set,
     .usage = "NAME [--project P] [--json] < VALUE",
     .summary = "set a secret of the project; functions have it on their next request",
     .example = BRAND_COMMAND " secret set API_KEY < key-file\n" BRAND_COMMAND
                              " env set hello --secret API_KEY"},
    {.name = "list",
     .run = secret_list,
     .usage = "[--project P] [--json]",
     .summary = "names of secrets and who uses them; values are never shown",
     .example = BRAND_COMMAND " secret list"},
    {.name = "unset",
     .run = secret_unset,
     .usage = "NAME [--project P] [--json]",
     .summary = "forget a secret that no live version uses",
     .example = BRAND_COMMAND " secret unset API_KEY"},
    {0},
};
