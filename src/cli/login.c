/* `wasmcloud login`, `logout` and `context`: servers and tokens, kept for the commands that follow.
 *
 * The token comes from standard input or from a prompt that doesn't show it,
 * never from the command line, where every process of the machine could read
 * it. It is tried before it is saved. */
#include "base/brand.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/prompt.h"
#include "cli/show.h"

/* One line of standard input, without echo on a terminal. */
static enum err_code read_token(char *out, size_t cap, struct err *e)
{
    if (prompt_line("token", out, cap, e))
        return err_set(e, ERR_INVALID, "that is too long to be a token");
    if (!*out)
        return err_set(e, ERR_USAGE,
                       "no token came: give one line on standard input, as in "
                       "`" BRAND_COMMAND " login --token < token-file`");
    for (const char *p = out; *p; p++)
        if (*p <= ' ' || *p == 0x7f)
            return err_set(e, ERR_INVALID,
                           "that is not a token: it has blanks or control characters");
    return ERR_OK;
}

int cmd_login(int argc, char **argv)
{
    bool json = false, token = false;
    const struct flag flags[] = {
        {.name = "token", .help = "read a token from standard input (the default)", .on = &token},
        FLAG_JSON(json),
        {0},
    };
    struct words words;
    int status = args_parse("login", argc, argv, flags, &words, 0, 1);
    if (status >= 0)
        return status;

    struct context context;
    struct err e;
    struct client *c = NULL;
    json_t *answer = NULL;
    if (context_find(&context, &e) ||
        (words.n && context_url(words.at[0], context.url, sizeof context.url, &e)))
        return client_fail(NULL, &e);
    if (strncmp(context.url, "http://", 7) == 0 && !context_is_local(context.url))
        fprintf(stderr, "warning: %s is not encrypted: others on the way can read the token\n",
                context.url);
    if (read_token(context.token, sizeof context.token, &e) || client_open_as(&context, &c, &e) ||
        client_call(c, &(struct client_request){.path = "whoami"}, &answer, NULL, &e) ||
        context_save_login(context.url, context.token, &e))
        status = client_fail(NULL, &e);
    else if (json)
        show_json(answer), status = 0;
    else {
        if (show_on_terminal())
            printf("%s is logged in at %s\n", answer_text(json_object_get(answer, "user"), "name"),
                   context.url);
        status = 0;
    }
    explicit_bzero(&context, sizeof context);
    json_decref(answer);
    client_close(c);
    return status;
}

int cmd_logout(int argc, char **argv)
{
    bool json = false, was = false;
    const struct flag flags[] = {{.name = "json", .help = "print what was done", .on = &json}, {0}};
    struct words words;
    int status = args_parse("logout", argc, argv, flags, &words, 0, 0);
    if (status >= 0)
        return status;
    struct err e;
    if (context_forget(&was, &e))
        return client_fail(NULL, &e);
    if (json)
        printf("{\"logged_out\":%s}\n", was ? "true" : "false");
    else if (show_on_terminal())
        printf(was ? "logged out; the token itself lives on: `%s token revoke ID` ends one\n"
                   : "there was no login (`%s login` makes one)\n",
               BRAND_COMMAND);
    return 0;
}

/* ---- several servers ---- */

static void add_row(void *arg, const char *url, const char *project, bool in_use)
{
    static const char *const head[] = {"IN USE", "SERVER", "PROJECT", NULL};
    show_row(arg, head, (const char *const[]){in_use ? "*" : "", url, project});
}

static void add_object(void *arg, const char *url, const char *project, bool in_use)
{
    json_array_append_new(
        arg, json_pack("{s:s, s:s, s:b}", "url", url, "project", project, "in_use", in_use));
}

static int context_list(int argc, char **argv)
{
    bool json = false;
    const struct flag flags[] = {FLAG_JSON(json), {0}};
    struct words words;
    int status = args_parse("context list", argc, argv, flags, &words, 0, 0);
    if (status >= 0)
        return status;
    struct show_table table = {0};
    json_t *items = json_array();
    struct err e;
    enum err_code rc =
        json ? context_each(add_object, items, &e) : context_each(add_row, &table, &e);
    if (!rc && json) {
        json_t *all = json_pack("{s:O, s:n}", "items", items, "next");
        show_json(all);
        json_decref(all);
    } else if (!rc) {
        show_table(&table, "");
    }
    json_decref(items);
    return rc ? client_fail(NULL, &e) : 0;
}

static int context_use_command(int argc, char **argv)
{
    bool json = false;
    const struct flag flags[] = {FLAG_JSON(json), {0}};
    struct words words;
    int status = args_parse("context use", argc, argv, flags, &words, 1, 1);
    if (status >= 0)
        return status;
    struct context now;
    struct err e;
    if (context_use(words.at[0], &e) || context_find(&now, &e))
        return client_fail(NULL, &e);
    if (json)
        printf("{\"url\":\"%s\",\"project\":\"%s\"}\n", now.url, now.project);
    else if (show_on_terminal())
        printf("commands now go to %s, project %s\n", now.url, now.project);
    explicit_bzero(&now, sizeof now);
    return 0;
}

const struct command context_commands[] = {
    {.name = "list",
     .run = context_list,
     .usage = "[--json]",
     .summary = "the servers that you are logged in to",
     .example = BRAND_COMMAND " context list"},
    {.name = "use",
     .run = context_use_command,
     .usage = "SERVER [--json]",
     .summary = "work with this one from now on: its address, or a part of it",
     .example = BRAND_COMMAND " context use cloud.example"},
    {0},
};
