/* `wasmcloud env`: the variables of a function's programs.
 *
 * They belong to a version, so that `set` and `unset` make a new one of the live
 * one's module with every other setting kept. A secret of the project is a
 * variable, too: its name belongs to the version, its value to the project. */
#include "base/brand.h"
#include "cli/args.h"
#include "cli/of_version.h"
#include "cli/pairs.h"
#include "cli/prompt.h"
#include "cli/settle.h"
#include "cli/show.h"

enum { VALUE_MOST = 64 << 10 };

static bool has_secret(const json_t *version, const char *name)
{
    json_t *v;
    size_t i;
    json_array_foreach(json_object_get(version, "secrets"), i, v)
    {
        if (strcmp(json_string_value(v), name) == 0)
            return true;
    }
    return false;
}

/* The value of a name that came without one: a file of several lines, say. */
static enum err_code read_value(const char *name, json_t *env, struct err *e)
{
    struct buf value;
    enum err_code rc;
    if (prompt_on_terminal())
        return err_set(e, ERR_USAGE,
                       "%s has no value: write %s=VALUE, or pipe one in (`… %s < file`)", name,
                       name, name);
    buf_init(&value, VALUE_MOST);
    rc = prompt_value(name, &value, e);
    if (rc == ERR_OK && buf_size(&value) == 0)
        rc = err_set(e, ERR_USAGE,
                     "%s has no value, and nothing came on standard input: write "
                     "%s=VALUE (or %s= for an empty one)",
                     name, name, name);
    if (rc == ERR_OK &&
        json_object_set_new(env, name, json_stringn(buf_data(&value), buf_size(&value))))
        rc = err_set(e, ERR_USAGE, "the value of %s is not UTF-8", name);
    buf_done(&value);
    return rc;
}

/* The words after the function's name as a merge patch. */
static enum err_code read_patch(const struct words *words, const struct words *secrets,
                                json_t *patch, struct err *e)
{
    json_t *env = json_object(), *names = json_object();
    struct words pairs = {0};
    const char *bare = NULL;
    enum err_code rc = ERR_OK;
    for (size_t i = 1; i < words->n && rc == ERR_OK; i++) {
        if (strchr(words->at[i], '='))
            pairs.at[pairs.n++] = words->at[i];
        else if (bare)
            rc =
                err_set(e, ERR_USAGE, "only one value can come from standard input: write %s=VALUE",
                        words->at[i]);
        else
            bare = words->at[i];
    }
    if (rc == ERR_OK)
        rc = pairs_to_json("env set", &pairs, env, e);
    if (rc == ERR_OK && bare)
        rc = read_value(bare, env, e);
    for (size_t i = 0; i < secrets->n; i++)
        json_object_set_new(names, secrets->at[i], json_true());
    if (json_object_size(env))
        json_object_set(patch, "env", env);
    if (json_object_size(names))
        json_object_set(patch, "secrets", names);
    json_decref(env);
    json_decref(names);
    return rc;
}

static int env_set(int argc, char **argv)
{
    struct settle to = {.by_member = true};
    struct words words, secrets = {0};
    const char *project = NULL;
    const struct flag flags[] = {
        {.name = "secret",
         .value = "NAME",
         .help = "a secret of the project as a variable; repeatable",
         .many = &secrets},
        FLAG_NO_PROMOTE(to.no_promote),
        FLAG_PROJECT(project),
        FLAG_JSON(to.json),
        {0},
    };
    int status = args_parse("env set", argc, argv, flags, &words, 1, WORDS_MAX);
    if (status >= 0)
        return status;
    if (words.n == 1 && !secrets.n)
        return command_usage("env set", "which variables? NAME=VALUE, or --secret NAME");
    struct client *c = NULL;
    struct err e;
    json_t *patch = json_object(), *base = NULL;
    to.name = words.at[0];
    if (read_patch(&words, &secrets, patch, &e)) {
        status = command_fail(&e);
    } else {
        enum err_code rc = client_open(project, &c, &e);
        if (rc == ERR_OK)
            rc = settle_base(c, &to, &base, &e);
        status = rc ? settle_fail(&e) : settle_patch(c, &to, patch);
    }
    json_decref(base);
    json_decref(patch);
    client_close(c);
    return status;
}

/* Each of the names must be there: a misspelt one would look removed. */
static enum err_code unset_patch(const json_t *base, const struct words *words, json_t *patch,
                                 struct err *e)
{
    json_t *env = json_object(), *secrets = json_object();
    enum err_code rc = ERR_OK;
    for (size_t i = 1; i < words->n && rc == ERR_OK; i++) {
        const char *name = words->at[i];
        if (json_object_get(json_object_get(base, "env"), name))
            json_object_set_new(env, name, json_null());
        else if (has_secret(base, name))
            json_object_set_new(secrets, name, json_null());
        else
            rc =
                err_set(e, ERR_NOT_FOUND,
                        "%s has no variable %s: `" BRAND_COMMAND " env list %s` shows those it has",
                        words->at[0], name, words->at[0]);
    }
    if (json_object_size(env))
        json_object_set(patch, "env", env);
    if (json_object_size(secrets))
        json_object_set(patch, "secrets", secrets);
    json_decref(env);
    json_decref(secrets);
    return rc;
}

static int env_unset(int argc, char **argv)
{
    struct settle to = {.by_member = true};
    const char *project = NULL;
    const struct flag flags[] = {
        FLAG_NO_PROMOTE(to.no_promote), FLAG_PROJECT(project), FLAG_JSON(to.json), {0}};
    struct words words;
    int status = args_parse("env unset", argc, argv, flags, &words, 2, WORDS_MAX);
    if (status >= 0)
        return status;
    struct client *c = NULL;
    struct err e;
    json_t *patch = json_object(), *base = NULL;
    to.name = words.at[0];
    enum err_code rc = client_open(project, &c, &e);
    if (rc == ERR_OK)
        rc = settle_base(c, &to, &base, &e);
    if (rc == ERR_OK)
        rc = unset_patch(base, &words, patch, &e);
    status = !rc                               ? settle_patch(c, &to, patch)
             : e.code == ERR_NOT_FOUND && base ? command_fail(&e)
                                               : settle_fail(&e);
    json_decref(base);
    json_decref(patch);
    client_close(c);
    return status;
}

static int print_variables(const json_t *version, bool json)
{
    bool terminal = show_on_terminal();
    const char *name;
    json_t *v;
    size_t i;
    if (json) {
        json_t *shown = json_pack("{s:O, s:O, s:O}", "version", json_object_get(version, "number"),
                                  "env", json_object_get(version, "env"), "secrets",
                                  json_object_get(version, "secrets"));
        show_json(shown);
        json_decref(shown);
        return 0;
    }
    json_object_foreach(json_object_get(version, "env"), name, v)
    {
        printf("%s=", name);
        show_text(stdout, slice_make(json_string_value(v), json_string_length(v)));
        putchar('\n');
    }
    json_array_foreach(json_object_get(version, "secrets"), i, v)
        printf(terminal ? "%s (a secret)\n" : "# %s is a secret\n", json_string_value(v));
    if (terminal && !json_object_size(json_object_get(version, "env")) && i == 0)
        puts("No variables.");
    return 0;
}

static int env_list(int argc, char **argv)
{
    return of_version("env list", argc, argv, print_variables);
}

const struct command env_commands[] = {
    {.name = "set",
     .run = env_set,
     .usage = "FUNCTION NAME=VALUE… [--secret NAME]… [--no-promote] [--project P] [--json]",
     .summary = "set variables: a new version; a NAME alone takes its value from standard input",
     .example = BRAND_COMMAND " env set hello LANG=de GREETING='Guten Tag'\n" BRAND_COMMAND
                              " env set hello --secret API_KEY\n" BRAND_COMMAND
                              " env set hello CERTIFICATE < cert.pem"},
    {.name = "list",
     .run = env_list,
     .usage = "FUNCTION [--version NUMBER] [--project P] [--json]",
     .summary = "the variables of the live version; values of secrets are never shown",
     .example = BRAND_COMMAND " env list hello"},
    {.name = "unset",
     .run = env_unset,
     .usage = "FUNCTION NAME… [--no-promote] [--project P] [--json]",
     .summary = "take variables or secrets out of the environment: a new version",
     .example = BRAND_COMMAND " env unset hello GREETING"},
    {0},
};
