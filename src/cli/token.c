/* `wasmcloud token`: the keys of scripts and of other people. */
#include "base/brand.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/show.h"

/* "read,deploy" and repeated flags into one list. */
static json_t *scope_list(const struct words *scopes)
{
    json_t *list = json_array();
    for (size_t i = 0; i < scopes->n; i++)
        for (struct slice rest = slice_str(scopes->at[i]); rest.p;) {
            struct slice scope = slice_trim(slice_split(&rest, ','));
            if (scope.n)
                json_array_append_new(list, json_stringn(scope.p, scope.n));
        }
    return list;
}

static int token_create(int argc, char **argv)
{
    bool json = false;
    struct words words, scopes = {0};
    const char *expires = NULL, *project = NULL;
    const struct flag flags[] = {
        {.name = "scope",
         .value = "SCOPE,…",
         .help = "of read deploy invoke logs secrets admin (default: read)",
         .many = &scopes},
        {.name = "expires", .value = "TIME", .help = "30d, 12h, 90m (30d)", .text = &expires},
        {.name = "project", .value = "PROJECT", .help = "good for this one only", .text = &project},
        FLAG_JSON(json),
        {0},
    };
    int status = args_parse("token create", argc, argv, flags, &words, 1, 1);
    if (status >= 0)
        return status;
    uint64_t seconds = 0;
    if (expires && (!args_duration(expires, &seconds) || seconds == 0 || seconds > INT64_MAX))
        return command_usage("token create", "\"%s\" is not a time: write 30d, 12h or 90m",
                             expires);
    if (scopes.n == 0)
        scopes.at[scopes.n++] = "read";
    json_t *answer = NULL,
           *body = json_pack("{s:s,s:o}", "name", words.at[0], "scopes", scope_list(&scopes));
    if (!body)
        return command_usage("token create", "the name is not text");
    if (project)
        json_object_set_new(body, "project", json_string(project));
    if (expires)
        json_object_set_new(body, "expires_in", json_integer((json_int_t)seconds));
    status = client_once(NULL,
                         &(struct client_request){.method = "POST", .path = "tokens", .json = body},
                         CLIENT_ONE, &answer);
    if (status == 0 && json) {
        show_json(answer);
    } else if (status == 0) {
        if (show_on_terminal())
            printf("id %s; the token is shown this once:\n", answer_text(answer, "id"));
        printf("%s\n", answer_text(answer, "token"));
    }
    json_decref(answer);
    json_decref(body);
    return status;
}

static int token_list(int argc, char **argv)
{
    static const char *const head[] = {"NAME", "SCOPES", "CREATED", "EXPIRES", "ID", NULL};
    bool json = false;
    const struct flag flags[] = {FLAG_JSON(json), {0}};
    struct words words;
    int status = args_parse("token list", argc, argv, flags, &words, 0, 0);
    if (status >= 0)
        return status;
    json_t *answer = NULL, *t, *scope;
    status = client_once(NULL, &(struct client_request){.path = "tokens"}, 0, &answer);
    struct show_table table = {0};
    size_t i, j;
    if (status == 0 && json) {
        show_json(answer);
    } else if (status == 0) {
        json_array_foreach(json_object_get(answer, "items"), i, t)
        {
            char created[24], expires[24], scopes[128] = "";
            json_array_foreach(json_object_get(t, "scopes"), j, scope)
            {
                size_t n = strlen(scopes);
                snprintf(scopes + n, sizeof scopes - n, "%s%s", n ? "," : "",
                         json_string_value(scope));
            }
            show_row(&table, head,
                     (const char *const[]){answer_text(t, "name"), scopes,
                                           show_time(answer_text(t, "created_at"), created),
                                           show_time(answer_text(t, "expires_at"), expires),
                                           answer_text(t, "id")});
        }
        show_table(&table, "No tokens.");
    }
    json_decref(answer);
    return status;
}

static int token_revoke(int argc, char **argv)
{
    bool json = false;
    const struct flag flags[] = {FLAG_JSON(json), {0}};
    struct words words;
    int status = args_parse("token revoke", argc, argv, flags, &words, 1, 1);
    if (status >= 0)
        return status;
    json_t *answer = NULL;
    status = client_once(
        NULL,
        &(struct client_request){.method = "DELETE", .path = "tokens/{}", .at = {words.at[0]}},
        CLIENT_ONE, &answer);
    if (status == 0 && json)
        printf("{\"revoked\":\"%s\"}\n", words.at[0]);
    else if (status == 0 && show_on_terminal())
        printf("revoked: no request with it is answered any more\n");
    json_decref(answer);
    return status;
}

const struct command token_commands[] = {
    {.name = "create",
     .run = token_create,
     .usage = "NAME [--scope SCOPE,…] [--expires TIME] [--project P] [--json]",
     .summary = "make a token and print it",
     .example = BRAND_COMMAND " token create ci --scope read,deploy --expires 30d"},
    {.name = "list",
     .run = token_list,
     .usage = "[--json]",
     .summary = "your tokens, without their secret part",
     .example = BRAND_COMMAND " token list"},
    {.name = "revoke",
     .run = token_revoke,
     .usage = "ID [--json]",
     .summary = "end a token at once",
     .example = BRAND_COMMAND " token revoke 0199c3de-…"},
    {0},
};
