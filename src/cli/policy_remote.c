/* `wasmcloud policy get`, `set` and `allow`: the policy of a function on the server.
 *
 * A policy belongs to a version, so that `set` and `allow` make a new version
 * of the live one's module with every other setting kept; it is checked and
 * promoted as any other. `allow --file` changes a file here instead. */
#include "base/brand.h"
#include "cli/args.h"
#include "cli/of_version.h"
#include "cli/opens.h"
#include "cli/policy_commands.h"
#include "cli/policy_file.h"
#include "cli/settle.h"
#include "cli/show.h"

#include <stdlib.h>

/* ---- get ---- */

int policy_show(const struct policy *p, bool json)
{
    struct buf text;
    struct err e;
    json_t *object = NULL;
    bool ok = true;
    buf_init(&text, 2 * POLICY_TEXT);
    if (json) {
        ok = opens_to_json(p, &object, &e) == ERR_OK;
        if (ok)
            show_json(object);
        json_decref(object);
    } else {
        ok = policy_print(p, &text);
        if (ok && buf_size(&text) == 0)
            puts("# the empty policy: null, zero, random, log and the standard streams only\n{}");
        else if (ok)
            fwrite(buf_data(&text), 1, buf_size(&text), stdout);
    }
    buf_done(&text);
    return ok ? 0 : err_cli(ERR_MEMORY);
}

static int show_policy(const json_t *version, bool json)
{
    struct policy *p = NULL;
    struct err e;
    int status = opens_of_version(version, &p, &e) ? command_fail(&e) : policy_show(p, json);
    policy_free(p);
    return status;
}

int policy_get(int argc, char **argv)
{
    return of_version("policy get", argc, argv, show_policy);
}

/* The policy that a change starts from. */
static enum err_code base_policy(struct client *c, struct settle *to, struct policy **ret_policy,
                                 struct err *e)
{
    json_t *base = NULL;
    enum err_code rc = settle_base(c, to, &base, e);
    if (rc == ERR_OK)
        rc = opens_of_version(base, ret_policy, e);
    json_decref(base);
    return rc;
}

/* ---- set ---- */

/* Makes the version and prints what came of it; the exit status. */
static int put_policy(struct client *c, struct settle *to, const struct policy *p)
{
    json_t *policy = NULL;
    struct err e;
    if (opens_to_json(p, &policy, &e))
        return settle_fail(&e);
    json_t *patch = json_pack("{s:o}", "policy", policy);
    int status = settle_patch(c, to, patch);
    json_decref(patch);
    return status;
}

int policy_set(int argc, char **argv)
{
    struct opens typed = {.verb = "policy set", .argc = argc, .argv = argv};
    struct settle to = {0};
    const char *project = NULL;
    const struct flag flags[] = {
        {.name = "yes", .help = "agree to what it newly opens", .on = &typed.yes},
        FLAG_NO_PROMOTE(to.no_promote),
        FLAG_PROJECT(project),
        FLAG_JSON(to.json),
        {0},
    };
    struct words words;
    int status = args_parse("policy set", argc, argv, flags, &words, 2, 2);
    if (status >= 0)
        return status;
    const char *name = to.name = words.at[0], *file = words.at[1];
    struct client *c = NULL;
    struct policy *p = NULL, *before = NULL;
    struct err e;
    if (policy_file(file, policy_file_note, (void *)file, &p, &e))
        return command_fail(&e);
    enum err_code rc = client_open(project, &c, &e);
    if (rc == ERR_OK)
        rc = base_policy(c, &to, &before, &e); /* there must be a version to change */
    if (rc == ERR_OK)
        rc = opens_agreed(c, name, p, &typed, &e);
    if (rc)
        status = opens_fail(&(struct client_request){.path = "{P}/functions/"}, &typed, &e);
    else
        status = put_policy(c, &to, p);
    policy_free(before);
    policy_free(p);
    client_close(c);
    return status;
}

/* ---- allow ---- */

static int allow_in_function(const char *project, struct settle *to, const char *url)
{
    struct client *c = NULL;
    struct policy *before = NULL, *after = NULL;
    struct err e;
    int status;
    enum err_code rc = client_open(project, &c, &e);
    if (rc == ERR_OK)
        rc = base_policy(c, to, &before, &e);
    if (rc == ERR_OK)
        rc = policy_allow(before, slice_str(url), &after, &e);
    if (rc) {
        status = settle_fail(&e);
    } else if (policy_opens(before, after, NULL, NULL) == 0) {
        fprintf(stderr, "%s: %s may open it already: nothing was changed\n", BRAND_COMMAND,
                to->name);
        status = 0;
    } else {
        status = put_policy(c, to, after);
    }
    policy_free(before);
    policy_free(after);
    client_close(c);
    return status;
}

int policy_allow_command(int argc, char **argv)
{
    struct settle to = {0};
    const char *project = NULL, *file = NULL;
    const struct flag flags[] = {
        {.name = "file",
         .value = "FILE",
         .help = "add it to this policy file, not to a function",
         .text = &file},
        FLAG_NO_PROMOTE(to.no_promote),
        FLAG_PROJECT(project),
        FLAG_JSON(to.json),
        {0},
    };
    struct words words;
    int status = args_parse("policy allow", argc, argv, flags, &words, 1, 2);
    if (status >= 0)
        return status;
    if ((words.n == 2) == (file != NULL))
        return command_usage("policy allow", "for which function? A NAME, or --file FILE");
    if (!file) {
        to.name = words.at[1];
        return allow_in_function(project, &to, words.at[0]);
    }
    struct err e;
    bool changed;
    if (policy_file_allow(file, words.at[0], &changed, &e))
        return command_fail(&e);
    if (to.json) {
        json_t *done = json_pack("{s:s, s:b}", "file", file, "changed", changed);
        show_json(done);
        json_decref(done);
    } else if (!changed && show_on_terminal()) {
        printf("%s allows it already\n", file);
    }
    return 0;
}
