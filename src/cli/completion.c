/* `wasmcloud completion bash`: a script that completes commands, their verbs and flags, and names.
 *
 * It is made of the table of commands and of the flags that each command gives to args_parse, so it
 * can't lag behind them: one `case` row a command, with its words. Names (of functions, projects,
 * secrets) are asked for when they are needed, for a second at most; what takes a file completes
 * files, and a flag with few values these. `compgen -W` expands its words as a shell does, so of
 * what a server says only names get there. */
#include "base/brand.h"
#include "cli/args.h"
#include "cli/show.h"

#include <jansson.h>
#include <stdlib.h>

/* A row of the script: what may follow a path. */
struct row {
    json_t *words, *values, *choices; /* all that may follow; flags that want a value; of which */
};

static void add_flag(void *arg, const struct flag *f)
{
    struct row *row = arg;
    json_array_append_new(row->words, json_sprintf("--%s", f->name));
    if (f->on)
        return;
    json_array_append_new(row->values, json_sprintf("--%s", f->name));
    if (strchr(f->value, '|') && !strpbrk(f->value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
        json_object_set_new(row->choices, f->name, json_string(f->value));
}

/* Does the usage ask for such a word, by itself? */
static bool wants(const struct command *c, const char *word)
{
    size_t n = strlen(word);
    bool of_flag = false;
    for (struct slice rest = slice_str(c->usage); rest.n;) {
        struct slice piece = args_usage_piece(&rest);
        if (slice_eq(piece, SLICE("|"))) /* another way to call it */
            return false;
        if (slice_starts(piece, SLICE("[")))
            piece = slice_from(piece, 1);
        if (!of_flag && slice_starts(piece, slice_str(word)) &&
            (piece.n == n || strchr("]. |", piece.p[n])))
            return true;
        of_flag = slice_starts(piece, SLICE("--")) && piece.p[piece.n - 1] != ']';
    }
    return false;
}

/* The command that lists what its NAME may be, in the first column; "": what isn't there yet. */
static const char *names_of(const struct command *c, const char *path)
{
    static const struct {
        const char *path, *list; /* what it begins with */
    } rows[] = {{"create", ""},
                {"new", ""},
                {"project create", ""},
                {"token ", ""},
                {"project ", "project list"},
                {"export", "project list"},
                {"secret ", "secret list"},
                {"undelete", "list --deleted"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strncmp(path, rows[i].path, strlen(rows[i].path)) == 0)
            return c->run ? rows[i].list : "";
    return c->run && (wants(c, "NAME") || wants(c, "FUNCTION")) ? "list" : "";
}

static json_t *row_json(const struct command *c, const char *path)
{
    struct row row = {json_array(), json_array(), json_object()};
    const char *names = names_of(c, path);
    bool is_help = c->run == cmd_help; /* its word is a verb */
    for (const struct command *s = is_help ? commands : c->sub; s && s->name; s++)
        if (!s->hidden)
            json_array_append_new(row.words, json_string(s->name));
    if (is_help)
        json_array_append_new(row.words, json_string("--json"));
    else if (c->run)
        args_flags(c, path, add_flag, &row);
    return json_pack("{s:s, s:o, s:o, s:o, s:s, s:b, s:b}", "path", path, "words", row.words,
                     "values", row.values, "choices", row.choices, "names", names, "functions",
                     strcmp(names, "list") == 0, "files",
                     c->run && (wants(c, "FILE") || wants(c, "DIR")));
}

static json_t *all_rows(void)
{
    json_t *rows = json_array();
    for (const struct command *c = commands; c->name; c++) {
        if (!c->usage) /* the roles */
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

/* One row a path. */
static void print_case(const json_t *row)
{
    const char *flag, *names = json_string_value(json_object_get(row, "names"));
    json_t *values;
    printf("    '%s') words='", json_string_value(json_object_get(row, "path")));
    print_words(json_object_get(row, "words"));
    printf("' values=' ");
    print_words(json_object_get(row, "values"));
    printf(" ' choices='");
    json_object_foreach(json_object_get(row, "choices"), flag, values)
        printf(" --%s=%s", flag, json_string_value(values));
    printf("'");
    if (*names)
        printf(" names='%s'", names);
    printf("%s ;;\n", json_is_true(json_object_get(row, "files")) ? " files=1" : "");
}

/* The verbs below each verb, for `help`. */
static void print_help_verbs(void)
{
    printf("    case \"$path $COMP_CWORD ${COMP_WORDS[2]}\" in\n");
    for (const struct command *c = commands; c->name; c++) {
        if (!c->sub)
            continue;
        printf("    'help 3 %s') words='", c->name);
        for (const struct command *s = c->sub; s->name; s++)
            printf("%s%s", s == c->sub ? "" : " ", s->name);
        printf("' ;;\n");
    }
    printf("    'help '[3-9]*) words= ;;\n    esac\n");
}

static void print_bash(const json_t *rows)
{
    json_t *row;
    size_t i;
    printf("# Completion of " BRAND_COMMAND " for bash: source <(" BRAND_COMMAND
           " completion bash)\n"
           "_" BRAND_COMMAND "() {\n"
           "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
           "    local path=${COMP_WORDS[1]} words= values= choices= names= files=\n"
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
    json_array_foreach(rows, i, row) print_case(row);
    printf("    esac\n");
    print_help_verbs();
    printf("    case $choices in *\" $before=\"*)\n"
           "        words=${choices##*\" $before=\"} values= names= files=\n"
           "        words=${words%%%% *}\n"
           "        words=${words//|/ } ;;\n"
           "    esac\n"
           "    case \"$before $values\" in\n"
           "    '--project '*' --project '*) words= names='project list' files= ;;\n"
           "    '--secret '*' --secret '*) words= names='secret list' files= ;;\n"
           "    *\" $before \"*)\n"
           "        COMPREPLY=($(compgen -f -- \"$word\"))\n"
           "        return ;;\n"
           "    esac\n"
           "    case $word in\n"
           "    -*) ;;\n"
           "    *)\n"
           "        [ -z \"$names\" ] ||\n"
           "            words=\"$words $(timeout 1 " BRAND_COMMAND
           " $names 2>/dev/null | cut -f1 |\n"
           "            grep -x '[A-Za-z0-9_-]*')\"\n"
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
