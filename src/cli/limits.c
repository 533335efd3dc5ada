/* `wasmcloud limits`: the table of limits, as it is in the program. `limits set` gives a function
 * others: a new version of it. */
#include "base/brand.h"
#include "base/limits.h"
#include "cli/pairs.h"
#include "cli/settle.h"

#include <jansson.h>
#include <stdio.h>

static const char *const who_names[] = {
    [LIMIT_WHO_OPERATOR] = "operator",
    [LIMIT_WHO_PROJECT] = "project",
    [LIMIT_WHO_FUNCTION] = "function",
};
static const char *const unit_names[] = {
    [LIMIT_UNIT_BYTES] = "bytes",
    [LIMIT_UNIT_COUNT] = "count",
    [LIMIT_UNIT_TIME] = "microseconds",
};

static int print_json(void)
{
    json_t *items = json_array();
    for (int i = 0; i < LIMIT_COUNT; i++) {
        const struct limit_row *r = &limit_rows[i];
        json_array_append_new(
            items,
            json_pack("{s:s, s:s, s:I, s:o, s:s, s:s, s:s}", "name", r->name, "unit",
                      unit_names[r->unit], "default", (json_int_t)r->normal, "maximum",
                      r->maximum ? json_integer((json_int_t)r->maximum) : json_null(), "set_by",
                      who_names[r->who], "cause", err_slug(r->cause), "effect", r->effect));
    }
    json_t *all = json_pack("{s:o}", "items", items);
    json_dumpf(all, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(all);
    return 0;
}

int cmd_limits(int argc, char **argv)
{
    bool json = false;
    const struct flag flags[] = {FLAG_JSON(json), {0}};
    struct words words;
    int status = args_parse("limits", argc, argv, flags, &words, 0, 0);
    if (status >= 0)
        return status;
    if (json)
        return print_json();
    printf("%-20s %-10s %-10s %-9s %s\n", "NAME", "DEFAULT", "MAXIMUM", "SET BY", "WHAT HAPPENS");
    for (int i = 0; i < LIMIT_COUNT; i++) {
        const struct limit_row *r = &limit_rows[i];
        char normal[32], maximum[32] = "-";
        limit_format((enum limit_id)i, r->normal, normal);
        if (r->maximum)
            limit_format((enum limit_id)i, r->maximum, maximum);
        printf("%-20s %-10s %-10s %-9s %s\n", r->name, normal, maximum, who_names[r->who],
               r->effect);
    }
    printf("\nfunction: `%s limits set NAME LIMIT=VALUE`; project and operator: the option "
           "`limits` of "
           "the server.\n",
           BRAND_COMMAND);
    return 0;
}

/* "memory=" goes back to the server's own value. */
static int limits_set_command(int argc, char **argv)
{
    struct settle to = {.by_member = true};
    const char *project = NULL;
    const struct flag flags[] = {
        FLAG_NO_PROMOTE(to.no_promote), FLAG_PROJECT(project), FLAG_JSON(to.json), {0}};
    struct words words, set = {0};
    int status = args_parse("limits set", argc, argv, flags, &words, 2, WORDS_MAX);
    if (status >= 0)
        return status;
    struct client *c = NULL;
    struct err e;
    json_t *limits = json_object(), *patch = json_pack("{s:O}", "limits", limits), *base = NULL;
    to.name = words.at[0];
    for (size_t i = 1; i < words.n; i++) {
        size_t n = strlen(words.at[i]);
        if (n > 1 && words.at[i][n - 1] == '=')
            json_object_setn_new(limits, words.at[i], n - 1, json_null());
        else
            set.at[set.n++] = words.at[i];
    }
    enum err_code rc = pairs_to_limits("limits set", &set, limits, &e);
    if (rc) {
        status = command_fail(&e);
    } else {
        rc = client_open(project, &c, &e);
        if (rc == ERR_OK)
            rc = settle_base(c, &to, &base, &e);
        status = rc ? settle_fail(&e) : settle_patch(c, &to, patch);
    }
    json_decref(base);
    json_decref(patch);
    json_decref(limits);
    client_close(c);
    return status;
}

const struct command limits_commands[] = {
    {.name = "set",
     .run = limits_set_command,
     .usage = "NAME LIMIT=VALUE… [--no-promote] [--project P] [--json]",
     .summary = "give a function other limits: a new version; LIMIT= is the server's own again",
     .example = BRAND_COMMAND " limits set hello memory=64MiB cpu=200ms\n" BRAND_COMMAND
                              " limits set hello cpu="},
    {0},
};
