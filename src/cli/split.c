/* `wasmcloud split`: a function's requests shared out among versions, by percent. */
#include "base/brand.h"
#include "cli/args.h"
#include "cli/opens.h"
#include "cli/show.h"

#include <stdio.h>

/* "3=90" … as {"versions": {"3": 90, …}}; NULL: it was said what is wrong. */
static json_t *shares(const struct words *words)
{
    json_t *versions = json_object();
    for (size_t i = 1; i < words->n; i++) {
        struct slice percent = slice_str(words->at[i]), number = slice_split(&percent, '=');
        uint64_t n, share;
        char key[16];
        if (percent.n && percent.p[percent.n - 1] == '%')
            percent.n--;
        if (!slice_u64(number, &n) || !percent.p || !slice_u64(percent, &share) || share > 100 ||
            n > INT32_MAX) {
            command_usage("split", "a share is VERSION=PERCENT, as 3=90, not \"%s\"", words->at[i]);
            json_decref(versions);
            return NULL;
        }
        snprintf(key, sizeof key, "%u", (unsigned)n);
        json_object_set_new(versions, key, json_integer((json_int_t)share));
    }
    return json_pack("{s:o}", "versions", versions);
}

static void print_split(const json_t *function)
{
    const json_t *split = json_object_get(function, "split");
    const char *number;
    json_t *percent;
    if (!json_is_object(split))
        printf("%s\t100 %%\n", answer_text(function, "name"));
    json_object_foreach((json_t *)split, number, percent)
        printf("%s\t%jd %%\n", number, (intmax_t)json_integer_value(percent));
}

/* Each version that newly gets requests may open what the live one may, or somebody agrees. */
static enum err_code agree(struct client *c, const struct words *words, const json_t *body,
                           struct opens *typed, struct err *e)
{
    const char *number;
    json_t *percent;
    json_object_foreach(json_object_get(body, "versions"), number, percent)
    {
        enum err_code rc = opens_version_agreed(c, words->at[0], number, typed, e);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

int cmd_split(int argc, char **argv)
{
    struct opens typed = {.verb = "split", .argc = argc, .argv = argv};
    bool json = false, off = false;
    const char *project = NULL;
    const struct flag flags[] = {
        {.name = "off", .help = "the live version answers all again", .on = &off},
        {.name = "yes", .help = "agree to what a version newly opens", .on = &typed.yes},
        FLAG_PROJECT(project),
        FLAG_JSON(json),
        {0},
    };
    struct words words;
    int status = args_parse("split", argc, argv, flags, &words, 1, 5);
    if (status >= 0)
        return status;
    if (off && words.n > 1)
        return command_usage("split", "--off takes no shares");
    json_t *body = words.n > 1 ? shares(&words) : NULL, *answer = NULL;
    if (words.n > 1 && !body)
        return err_cli(ERR_USAGE);
    struct client *c = NULL;
    struct err e;
    struct client_request request = {.method = body  ? "POST"
                                               : off ? "DELETE"
                                                     : "GET",
                                     .path = body || off ? "{P}/functions/{}/split"
                                                         : "{P}/functions/{}",
                                     .at = {words.at[0]},
                                     .json = body};
    enum err_code rc = client_open(project, &c, &e);
    if (rc == ERR_OK && body)
        rc = agree(c, &words, body, &typed, &e);
    if (rc == ERR_OK)
        rc = client_call(c, &request, &answer, NULL, &e);
    status = rc ? opens_fail(&request, &typed, &e) : 0;
    if (status == 0 && json)
        show_json(answer);
    else if (status == 0)
        print_split(answer);
    json_decref(answer);
    json_decref(body);
    client_close(c);
    return status;
}
