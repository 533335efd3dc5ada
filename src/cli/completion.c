/* `wasmcloud completion bash`: a script that completes commands, their verbs and flags, functions'
 * names.
 *
 * It is made of the table of commands and of the flags that each command gives to args_parse, so it
 * can't lag behind them: one `case` row a command, with its words. Names of functions are asked for
 * when they are needed, for a second at most; what takes a file completes files. `compgen -W`
 * expands its words as a shell does, so of what a server says only names get there. */
#include "base/brand.h"
#include "cli/args.h"
#include "cli/show.h"

#include <jansson.h>
#include <stdlib.h>

/* A row of the script: what may follow `path`. */
struct row {
    const char *path;
    json_t *words, *values; /* all that may follow; flags that want a value */
    bool functions, files;
};

static void add_flag(void *arg, const struct flag *f)
{
    struct row *row = arg;
    json_array_append_new(row->words, json_sprintf("--%s", f->name));
    if (!f->on)
        json_array_append_new(row->values, json_sprintf("--%s", f->name));
}

/* The first word that its usage asks for. */
static bool wants(const struct command *c, const char *word)
{
    struct slice usage = slice_str(c->usage), first = slice_split(&usage, ' ');
    if (slice_starts(first, SLICE("[")))
        first = slice_from(first, 1);
    return slice_starts(first, slice_str(word));
}

/* The NAME of these isn't that of a function which is there. */
static bool names_another(const char *path)
{
    static const char *const starts[] = {"create", "new", "project ", "secret ", "token "};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if (strncmp(path, starts[i], strlen(starts[i])) == 0)
            return true;
    return false;
}

static json_t *row_json(const struct command *c, const char *path)
{
    struct row row = {.path = path, .words = json_array(), .values = json_array()};
    bool is_help = c->run == cmd_help; /* its word is a verb */
    for (const struct command *s = is_help ? commands : c->sub; s && s->name; s++)
        if (!s->hidden)
            json_array_append_new(row.words, json_string(s->name));
    if (is_help)
        json_array_append_new(row.words, json_string("--json"));
    else if (c->run)
        args_flags(c, path, add_flag, &row);
    row.functions = c->run && ((wants(c, "NAME") && !names_another(path)) || wants(c, "FUNCTION"));
    row.files = c->run && (wants(c, "FILE") || wants(c, "DIR"));
    return json_pack("{s:s, s:o, s:o, s:b, s:b}", "path", path, "words", row.words, "values",
                     row.values, "functions", row.functions, "files", row.files);
}

static json_t *all_rows(void)
{
    json_t *rows = json_array();
    for (const struct command *c = commands; c->name; c++) {
        if (c->hidden)
            continue;
        json_array_append_new(rows, row_json(c, c->name));
        for (const struct command *s = c->sub; s && s->name; s++) {
            char path[64];
            snprintf(path, sizeof path, "%s %s", c->name, s->name);
            json_array_append_new(rows, row_json(s, path));
        }
    }
    return rows;
}

/* ---- as bash ---- */

static void print_words(const json_t *words)
{
    json_t *word;
    size_t i;
    json_array_foreach(words, i, word) printf("%s%s", i ? " " : "", json_string_value(word));
}

static void print_bash(const json_t *rows)
{
    json_t *row;
    size_t i;
    printf("# Completion of " BRAND_COMMAND " for bash: source <(" BRAND_COMMAND
           " completion bash)\n"
           "_" BRAND_COMMAND "() {\n"
           "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
           "    local path=${COMP_WORDS[1]} words= values= functions= files=\n"
           "    COMPREPLY=()\n"
           "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
           "        COMPREPLY=($(compgen -W '");
    for (const struct command *c = commands, *first = c; c->name; c++)
        if (!c->hidden)
            printf("%s%s", c == first ? "" : " ", c->name);
    printf("' -- \"$word\"))\n"
           "        return\n"
           "    fi\n"
           "    case \"$path ${COMP_WORDS[2]}\" in\n");
    const char *separator = "    ";
    json_array_foreach(rows, i, row)
    {
        const char *path = json_string_value(json_object_get(row, "path"));
        if (strchr(path, ' '))
            printf("%s'%s'", separator, path), separator = " | ";
    }
    printf(")\n"
           "        [ \"$COMP_CWORD\" -eq 2 ] || path=\"$path ${COMP_WORDS[2]}\" ;;\n"
           "    esac\n"
           "    case $path in\n");
    json_array_foreach(rows, i, row)
    {
        printf("    '%s') words='", json_string_value(json_object_get(row, "path")));
        print_words(json_object_get(row, "words"));
        printf("' values=' ");
        print_words(json_object_get(row, "values"));
        printf(" '%s%s ;;\n", json_is_true(json_object_get(row, "functions")) ? " functions=1" : "",
               json_is_true(json_object_get(row, "files")) ? " files=1" : "");
    }
    printf("    esac\n"
           "    case $values in *\" $before \"*)\n"
           "        COMPREPLY=($(compgen -f -- \"$word\"))\n"
           "        return ;;\n"
           "    esac\n"
           "    case $word in\n"
           "    -*) ;;\n"
           "    *)\n"
           "        [ -z \"$functions\" ] ||\n"
           "            words=\"$words $(timeout 1 " BRAND_COMMAND " list 2>/dev/null | cut -f1 |\n"
           "            grep -x '[a-z0-9-]*')\"\n"
           "        [ -z \"$files\" ] || COMPREPLY=($(compgen -f -- \"$word\")) ;;\n"
           "    esac\n"
           "    COMPREPLY+=($(compgen -W \"$words\" -- \"$word\"))\n"
           "}\n"
           "complete -o filenames -F _" BRAND_COMMAND " " BRAND_COMMAND "\n");
}

int cmd_completion(int argc, char **argv)
{
    bool json = false;
    const struct flag flags[] = {
        {.name = "json", .help = "the words as JSON, for another shell's script", .on = &json},
        {0},
    };
    struct words words;
    int status = args_parse("completion", argc, argv, flags, &words, 1, 1);
    if (status >= 0)
        return status;
    if (strcmp(words.at[0], "bash"))
        return command_usage("completion",
                             "there is a script for bash, not for \"%s\"; --json has "
                             "what another one needs",
                             words.at[0]);
    json_t *rows = all_rows();
    json_t *all = json_pack("{s:O}", "items", rows);
    if (json)
        show_json(all);
    else
        print_bash(rows);
    json_decref(all);
    json_decref(rows);
    return 0;
}
