#include "cli/args.h"

#include "base/brand.h"
#include "base/limits.h"

#include <stdio.h>

static const struct flag *find_flag(const struct flag *flags, struct slice name, bool is_short)
{
    for (const struct flag *f = flags; f->name; f++)
        if (is_short ? f->letter && name.n == 1 && f->letter == name.p[0]
                     : slice_eq(name, slice_str(f->name)))
            return f;
    return NULL;
}

static int unknown_flag(const char *verb, const struct flag *flags, struct slice name,
                        const char *arg)
{
    const char *names[64];
    size_t n = 0;
    names[n++] = "help";
    for (const struct flag *f = flags; f->name && n < 64; f++)
        names[n++] = f->name;
    const char *near = nearest_word(name, names, n);
    return command_usage(verb, "there is no flag \"%s\"%s%s%s", arg,
                         near ? ", did you mean \"--" : "", near ? near : "", near ? "\"?" : "");
}

/* Puts a flag's value where its row says; false after an error that was printed. */
static bool take(const char *verb, const struct flag *f, const char *value)
{
    if (f->on) {
        *f->on = true;
        return true;
    }
    if (f->many && f->many->n == WORDS_MAX) {
        command_usage(verb, "--%s was given more than %d times", f->name, (int)WORDS_MAX);
        return false;
    }
    if (f->many) {
        f->many->at[f->many->n++] = value;
        return true;
    }
    if (*f->text) {
        command_usage(verb, "--%s was given twice", f->name);
        return false;
    }
    *f->text = value;
    return true;
}

/* Of a command that has verbs, too, the first word may have been meant for one. */
static int too_many(const char *verb, const char *first, const char *arg)
{
    const struct command *c = command_find(slice_str(verb));
    const char *names[16], *near;
    size_t n = 0;
    for (const struct command *s = c ? c->sub : NULL; s && s->name && n < 16; s++)
        names[n++] = s->name;
    near = nearest_word(slice_str(first), names, n);
    return command_usage(verb, "\"%s\" is one word too many%s%s%s%s%s", arg,
                         near ? "; did you mean \"" : "", near ? verb : "", near ? " " : "",
                         near ? near : "", near ? "\"?" : "");
}

int args_parse(const char *verb, int argc, char **argv, const struct flag *flags,
               struct words *words, size_t least, size_t most)
{
    const int wrong = err_cli(ERR_USAGE);
    bool flags_ended = false;
    words->n = 0;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (flags_ended || arg[0] != '-' || arg[1] == '\0') {
            if (words->n == most || words->n == WORDS_MAX)
                return too_many(verb, words->n ? words->at[0] : "", arg);
            words->at[words->n++] = arg;
            continue;
        }
        if (strcmp(arg, "--") == 0) {
            flags_ended = true;
            continue;
        }
        if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0)
            return args_help(verb, flags);
        bool is_short = arg[1] != '-';
        struct slice value = slice_str(arg + (is_short ? 1 : 2)), name = value;
        if (is_short)
            value.p = NULL;
        else
            name = slice_split(&value, '=');
        const struct flag *f = find_flag(flags, name, is_short);
        if (!f)
            return unknown_flag(verb, flags, name, arg);
        if (f->on && value.p)
            return command_usage(verb, "--%s takes no value", f->name);
        if (!f->on && !value.p) {
            if (++i == argc)
                return command_usage(verb, "--%s needs its %s", f->name, f->value);
            value.p = argv[i];
        }
        if (!take(verb, f, value.p))
            return wrong;
    }
    if (words->n < least) {
        const struct command *c = command_find(slice_str(verb));
        struct slice missing = slice_str(c && c->usage ? c->usage : "argument");
        for (size_t i = 0; i <= words->n && missing.p; i++) {
            struct slice word = slice_split(&missing, ' ');
            if (i == words->n)
                return command_usage(verb, "%.*s is missing", SLICE_ARG(word));
        }
    }
    return -1;
}

/* Columns of a text in UTF-8 whose characters are all one wide. */
static size_t columns(struct slice text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++)
        n += ((unsigned char)text.p[i] & 0xc0) != 0x80;
    return n;
}

struct slice args_usage_piece(struct slice *rest)
{
    size_t n = 0;
    for (int depth = 0; n < rest->n && (depth || rest->p[n] != ' '); n++)
        depth += (rest->p[n] == '[') - (rest->p[n] == ']');
    struct slice piece = slice_make(rest->p, n);
    *rest = slice_from(*rest, n < rest->n ? n + 1 : n);
    return piece;
}

void args_usage(FILE *f, const char *verb, const struct command *c)
{
    enum { WIDTH = 80, INDENT = sizeof "usage: " BRAND_COMMAND };
    size_t at = INDENT + columns(slice_str(verb));
    fprintf(f, "usage: " BRAND_COMMAND " %s", verb);
    for (struct slice rest = slice_str(c && c->usage ? c->usage : ""); rest.n;) {
        struct slice piece = args_usage_piece(&rest);
        bool fits = at + 1 + columns(piece) <= WIDTH;
        if (fits)
            fputc(' ', f);
        else
            fprintf(f, "\n%*s", INDENT, "");
        fprintf(f, "%.*s", SLICE_ARG(piece));
        at = (fits ? at + 1 : INDENT) + columns(piece);
    }
    fputc('\n', f);
}

static void print_lines(const char *title, const char *text)
{
    if (text)
        printf("\n%s:\n", title);
    for (struct slice rest = {text, text ? strlen(text) : 0}; rest.p;) {
        struct slice line = slice_split(&rest, '\n');
        printf("  %.*s\n", SLICE_ARG(line));
    }
}

/* Who wants the flags of the next command instead of its help. */
static struct {
    void (*each)(void *arg, const struct flag *f);
    void *arg;
} visitor;

void args_flags(const struct command *c, const char *verb,
                void (*each)(void *arg, const struct flag *f), void *arg)
{
    char word[64], help[] = "--help", *argv[] = {word, help, NULL};
    if (!slice_copy(slice_str(verb), word, sizeof word))
        return;
    visitor.each = each;
    visitor.arg = arg;
    c->run(2, argv);
    visitor.each = NULL;
}

int args_help(const char *verb, const struct flag *flags)
{
    if (visitor.each) {
        for (const struct flag *f = flags; f && f->name; f++)
            visitor.each(visitor.arg, f);
        return 0;
    }
    const struct command *c = command_find(slice_str(verb));
    if (!c)
        return 0;
    args_usage(stdout, verb, c);
    if (c->summary)
        printf("\n%s\n", c->summary);
    if (c->sub) {
        printf("\ncommands:\n");
        for (const struct command *s = c->sub; s->name; s++)
            if (!s->hidden)
                printf("  %-12s %s\n", s->name, s->summary);
    }
    if (flags) {
        printf("\nflags:\n");
        for (const struct flag *f = flags; f->name; f++) {
            char left[64], letter[8] = "    ";
            if (f->letter)
                snprintf(letter, sizeof letter, "-%c, ", f->letter);
            snprintf(left, sizeof left, "%s--%s%s%s", letter, f->name, f->value ? " " : "",
                     f->value ? f->value : "");
            size_t wide = columns(slice_str(left));
            printf("  %s%*s %s\n", left, wide < 28 ? (int)(28 - wide) : 0, "", f->help);
        }
        printf("  %-28s %s\n", "-h, --help", "this text");
    }
    print_lines("example", c->example);
    print_lines("exit status", c->exits);
    return 0;
}

bool args_duration(const char *text, uint64_t *ret_seconds)
{
    static const struct {
        char letter;
        uint64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    struct slice digits = slice_str(text);
    uint64_t factor = 1, n;
    for (size_t i = 0; i < sizeof units / sizeof *units && digits.n; i++)
        if (digits.p[digits.n - 1] == units[i].letter) {
            factor = units[i].seconds;
            digits.n--;
            break;
        }
    return slice_u64(digits, &n) && !__builtin_mul_overflow(n, factor, ret_seconds);
}
