/* `wasmcloud help`: every verb on a line, by what it is for, or one verb with its flags and an
 * example. */
#include "base/brand.h"
#include "cli/args.h"
#include "cli/show.h"

#include <jansson.h>
#include <stdio.h>

static const char *const titles[GROUP_COUNT] = {
    [GROUP_START] = "start",     [GROUP_LOCAL] = "on this machine", [GROUP_SHIP] = "ship",
    [GROUP_LOOK] = "look",       [GROUP_SHAPE] = "shape",           [GROUP_REMOVE] = "remove",
    [GROUP_SESSION] = "session", [GROUP_PEOPLE] = "people",         [GROUP_OPERATE] = "operate",
};

static void print_group(enum command_group group)
{
    printf("\n%s:\n", titles[group]);
    for (const struct command *c = commands; c->name; c++)
        if (!c->hidden && c->group == group)
            printf("  %-11s %s\n", c->name, c->summary);
}

static json_t *command_json(const struct command *c)
{
    return json_pack("{s:s, s:s, s:s}", "name", c->name, "usage", c->usage, "summary", c->summary);
}

/* Every command, with the verbs below it. */
static int print_json(void)
{
    json_t *items = json_array();
    for (const struct command *c = commands; c->name; c++) {
        if (c->hidden)
            continue;
        json_t *item = command_json(c), *below = json_array();
        for (const struct command *s = c->sub; s && s->name; s++)
            json_array_append_new(below, command_json(s));
        json_object_set_new(item, "group", json_string(titles[c->group]));
        json_object_set_new(item, "commands", below);
        json_array_append_new(items, item);
    }
    json_t *all = json_pack("{s:o}", "items", items);
    show_json(all);
    json_decref(all);
    return 0;
}

/* Of a verb, or of one below it. */
static int help_of(const struct words *words)
{
    char path[128] = "", verb[64], flag[] = "--help", *argv[] = {verb, flag, NULL};
    const struct command *c = NULL, *found;
    for (size_t i = 0; i < words->n; i++, c = found) {
        size_t n = strlen(path);
        snprintf(path + n, sizeof path - n, "%s%s", i ? " " : "", words->at[i]);
        found = command_find(slice_str(path));
        if (!found || !found->usage) /* roles have none; `ls` and the like do */
            return command_unknown(c, words->at[i]);
    }
    snprintf(verb, sizeof verb, "%s", c->name);
    return c->run ? c->run(2, argv) : args_help(path, NULL);
}

int cmd_help(int argc, char **argv)
{
    bool json = false;
    const struct flag flags[] = {
        {.name = "json", .help = "print all commands as JSON", .on = &json}, {0}};
    struct words words;
    int status = args_parse("help", argc, argv, flags, &words, 0, 2);
    if (status >= 0)
        return status;
    if (words.n)
        return help_of(&words);
    if (json)
        return print_json();
    printf("%s runs WebAssembly programs behind HTTP.\n", BRAND_NAME);
    for (int group = GROUP_NONE + 1; group < GROUP_COUNT; group++)
        print_group((enum command_group)group);
    printf("\n`%s help VERB` shows its flags and an example.\n", BRAND_COMMAND);
    return 0;
}
