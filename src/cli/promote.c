/* `wasmcloud promote` and `rollback`: which version answers.
 *
 * What a promoted version may open beyond the live one is shown and must be
 * agreed to, as at a deploy. A rollback goes back to what was live before, so
 * there is nothing to agree to. */
#include "base/brand.h"
#include "cli/args.h"
#include "cli/opens.h"
#include "cli/outcome.h"

/* Asks for it and prints what came of it; the exit status. */
static int settle(struct client *c, const struct client_request *request, bool json)
{
    json_t *answer = NULL;
    struct err e;
    int status = client_call(c, request, &answer, NULL, &e)
                     ? client_fail(request, &e)
                     : outcome_print(c, request->at[0], answer, json);
    json_decref(answer);
    return status;
}

int cmd_promote(int argc, char **argv)
{
    struct opens typed = {.verb = "promote", .argc = argc, .argv = argv};
    bool json = false, no_check = false;
    const char *project = NULL;
    const struct flag flags[] = {
        {.name = "yes", .help = "agree to what it newly opens", .on = &typed.yes},
        {.name = "no-check",
         .help = "don't ask its check, which it has not passed yet",
         .on = &no_check},
        FLAG_PROJECT(project),
        FLAG_JSON(json),
        {0},
    };
    struct words words;
    int status = args_parse("promote", argc, argv, flags, &words, 2, 2);
    if (status >= 0)
        return status;
    struct client *c = NULL;
    struct err e;
    json_t *body = json_pack("{s:b}", "skip_check", no_check);
    const struct client_request request = {.method = "POST",
                                           .path = "{P}/functions/{}/versions/{}/promote",
                                           .at = {words.at[0], words.at[1]},
                                           .json = body};
    enum err_code rc = client_open(project, &c, &e);
    if (rc == ERR_OK)
        rc = opens_version_agreed(c, words.at[0], words.at[1], &typed, &e);
    status = rc ? opens_fail(&request, &typed, &e) : settle(c, &request, json);
    json_decref(body);
    client_close(c);
    return status;
}

int cmd_rollback(int argc, char **argv)
{
    bool json = false;
    const char *project = NULL;
    const struct flag flags[] = {FLAG_PROJECT(project), FLAG_JSON(json), {0}};
    struct words words;
    uint64_t number = 0;
    int status = args_parse("rollback", argc, argv, flags, &words, 1, 2);
    if (status >= 0)
        return status;
    if (words.n == 2 && (!slice_u64(slice_str(words.at[1]), &number) || !number))
        return command_usage("rollback", "a version is named by its number, not \"%s\"",
                             words.at[1]);
    struct client *c = NULL;
    struct err e;
    json_t *body = json_object();
    if (number)
        json_object_set_new(body, "version", json_integer((json_int_t)number));
    const struct client_request request = {
        .method = "POST", .path = "{P}/functions/{}/rollback", .at = {words.at[0]}, .json = body};
    status = client_open(project, &c, &e) ? client_fail(&request, &e) : settle(c, &request, json);
    json_decref(body);
    client_close(c);
    return status;
}
