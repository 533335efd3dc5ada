/* `wasmcloud policy`: what functions may open. `test` and `convert` need no server. */
#include "base/brand.h"
#include "cli/args.h"
#include "cli/policy_commands.h"
#include "cli/policy_file.h"
#include "cli/show.h"

#include <stdlib.h>

/* ---- test ---- */

/* Decides about one URL; what is none is refused as a guest's would be. */
static void decide(const struct policy *p, const char *text, const char *method, struct url *url,
                   struct policy_decision *ret_decision)
{
    struct err e = {0};
    if (url_parse(slice_str(text), url, &e) == ERR_OK) {
        policy_decide(p, url, slice_str(method), ret_decision);
        return;
    }
    url->size = 0;
    ret_decision->allowed = false;
    snprintf(ret_decision->why, sizeof ret_decision->why, "not a URL: %.200s", e.text);
}

static int policy_test(int argc, char **argv)
{
    static const char *const head[] = {"DECISION", "URL", "RULE", NULL};
    bool json = false;
    const char *method = NULL;
    const struct flag flags[] = {
        {.name = "method",
         .value = "METHOD",
         .help = "of a request, not only the open",
         .text = &method},
        FLAG_JSON(json),
        {0},
    };
    struct words words;
    int status = args_parse("policy test", argc, argv, flags, &words, 2, WORDS_MAX);
    if (status >= 0)
        return status;
    struct err e;
    struct policy *p = NULL;
    if (policy_file(words.at[0], policy_file_note, (void *)words.at[0], &p, &e))
        return command_fail(&e);
    struct url *url = malloc(sizeof *url);
    struct show_table table = {0};
    json_t *items = json_array();
    status = url ? 0 : err_cli(ERR_MEMORY);
    for (size_t i = 1; i < words.n && url; i++) {
        struct policy_decision d;
        decide(p, words.at[i], method, url, &d);
        const char *shown = url->size ? url->text : words.at[i];
        if (!d.allowed)
            status = err_cli(ERR_POLICY);
        if (json)
            json_array_append_new(items,
                                  json_pack("{s:s, s:s, s:b, s:s}", "given", words.at[i], "url",
                                            shown, "allowed", d.allowed, "rule", d.why));
        else
            show_row(&table, head,
                     (const char *const[]){d.allowed ? "allowed" : "refused", shown, d.why});
    }
    if (json) {
        json_t *all = json_pack("{s:O}", "items", items);
        show_json(all);
        json_decref(all);
    } else {
        show_table(&table, "");
    }
    json_decref(items);
    free(url);
    policy_free(p);
    return status;
}

/* ---- convert ---- */

static int print_policy(const struct policy *p, bool json)
{
    struct buf text;
    buf_init(&text, 2 * POLICY_TEXT);
    bool ok = json ? policy_write(p, &text) : policy_print(p, &text);
    if (ok && json) {
        struct slice written = buf_size(&text) ? buf_slice(&text) : SLICE("{}");
        json_t *all = json_loadb(written.p, written.n, 0, NULL);
        show_json(all);
        json_decref(all);
    } else if (ok) {
        fwrite(buf_slice(&text).p, 1, buf_size(&text), stdout);
    }
    buf_done(&text);
    return ok ? 0 : err_cli(ERR_MEMORY);
}

static int policy_convert(int argc, char **argv)
{
    bool json = false;
    const struct flag flags[] = {FLAG_JSON(json), {0}};
    struct words words;
    int status = args_parse("policy convert", argc, argv, flags, &words, 1, 1);
    if (status >= 0)
        return status;
    const char *file = words.at[0];
    bool yaml = policy_file_ends(file, ".yaml") || policy_file_ends(file, ".yml") ||
                policy_file_ends(file, ".json");
    struct err e;
    struct policy *p = NULL;
    if (policy_file_as(file, yaml ? POLICY_YAML : POLICY_OLIN, policy_file_note, (void *)file, &p,
                       &e))
        return command_fail(&e);
    status = print_policy(p, json);
    policy_free(p);
    return status;
}

const struct command policy_commands[] = {
    {.name = "get",
     .run = policy_get,
     .usage = "NAME [--version NUMBER] [--project P] [--json]",
     .summary = "what a function may open",
     .example = BRAND_COMMAND " policy get hello > policy.yaml"},
    {.name = "set",
     .run = policy_set,
     .usage = "NAME FILE [--yes] [--no-promote] [--project P] [--json]",
     .summary = "give a function another policy: a new version",
     .example = BRAND_COMMAND " policy set hello policy.yaml"},
    {.name = "allow",
     .run = policy_allow_command,
     .usage = "URL NAME [--no-promote] [--project P] [--json] | URL --file FILE",
     .summary = "one more URL (or pattern) that a function may open",
     .example = BRAND_COMMAND " policy allow 'https://api.example.com/v1/**' hello\n" BRAND_COMMAND
                              " policy allow https://api.example.com/v1/users --file policy.yaml"},
    {.name = "learn",
     .run = policy_learn_command,
     .usage = "NAME [--runs N] [--project P] [--json] | FILE.wasm [ARGS]…",
     .summary = "the least policy that past runs, or a run here, would have needed",
     .example = BRAND_COMMAND " policy learn hello > policy.yaml\n" BRAND_COMMAND
                              " policy learn build/app.wasm < request.txt"},
    {.name = "test",
     .run = policy_test,
     .usage = "FILE URL… [--method METHOD] [--json]",
     .summary = "which rule decides about a URL; exit status 4 if one is refused",
     .example = BRAND_COMMAND " policy test policy.yaml https://api.example.com/v1/users"},
    {.name = "convert",
     .run = policy_convert,
     .usage = "FILE.policy [--json]",
     .summary = "one of Olin's policy files as YAML",
     .example = BRAND_COMMAND " policy convert olin.policy > policy.yaml"},
    {0},
};
