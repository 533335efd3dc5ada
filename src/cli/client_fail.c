/* How commands that ask a server fail: what went wrong, and the command that helps. */
#include "base/brand.h"
#include "cli/client.h"
#include "cli/command.h"

#include <stdio.h>
#include <stdlib.h>

/* The commands to type next, first match wins. Not all that is missing has a code of its own: what
 * it is, the server's words say. */
static const struct hint {
    enum err_code code;
    const char *path; /* what was asked for begins with it, or … */
    const char *says; /* … the error has it in it; NULL: any */
    const char *next; /* each {} is the first of `at` */
} hints[] = {
    {ERR_UNAUTHORIZED, NULL, NULL, "login"},
    {ERR_FORBIDDEN, NULL, NULL, "whoami"},
    {ERR_NO_FUNCTION, NULL, "the API has", "context list"},
    {ERR_NO_FUNCTION, NULL, NULL, "list"},
    {ERR_NOT_FOUND, NULL, "no name has", "help"},
    {ERR_NOT_FOUND, NULL, "no project", "project list"},
    {ERR_NOT_FOUND, "{P}/functions/{}/undelete", NULL, "list --deleted"},
    {ERR_NOT_FOUND, NULL, "no function", "list"},
    {ERR_NOT_FOUND, "{P}/functions/{}/", NULL, "versions {}"},
    {ERR_NOT_FOUND, "{P}/runs", NULL, "runs"},
    {ERR_NOT_FOUND, "{P}/secrets", NULL, "secret list"},
    {ERR_NOT_FOUND, "tokens", NULL, "token list"},
    {ERR_MODULE_LIMIT, NULL, NULL, "limits"},
    {ERR_QUOTA, NULL, NULL, "limits"},
};

static bool hint_fits(const struct hint *h, const struct client_request *request,
                      const struct err *e)
{
    const char *path = request ? request->path : "";
    return h->code == e->code && (!h->path || strncmp(path, h->path, strlen(h->path)) == 0) &&
           (!h->says || strstr(e->text, h->says)) &&
           (!strstr(h->next, "{}") || (request && request->at[0]));
}

int client_fail(const struct client_request *request, const struct err *e)
{
    int status = command_fail(e);
    const char *token = getenv(BRAND_ENV "TOKEN");
    if (e->code == ERR_UNAUTHORIZED && token && *token) { /* a login would change nothing */
        fputs("next: unset " BRAND_ENV "TOKEN, or set it to another token\n", stderr);
        return status;
    }
    for (size_t i = 0; i < sizeof hints / sizeof *hints; i++)
        if (hint_fits(&hints[i], request, e)) {
            const char *rest = strstr(hints[i].next, "{}");
            size_t n = rest ? (size_t)(rest - hints[i].next) : strlen(hints[i].next);
            fprintf(stderr, "next: " BRAND_COMMAND " %.*s%s\n", (int)n, hints[i].next,
                    rest ? request->at[0] : "");
            break;
        }
    return status;
}
