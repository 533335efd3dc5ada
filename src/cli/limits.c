/* `wasmcloud limits`: the table of limits, as it is in the program. */
#include "base/brand.h"
#include "base/limits.h"
#include "cli/args.h"

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
    printf(
        "\nfunction: `%s deploy --limit NAME=VALUE`; project and operator: the option `limits` of "
        "the server.\n",
        BRAND_COMMAND);
    return 0;
}
