/* `wasmcloud login` and `logout`: a server and a token, kept for the commands that follow.
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
