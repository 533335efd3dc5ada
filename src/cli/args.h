/* Arguments: one small parser for all commands.
 *
 * A command lists its flags in a table whose rows point at the variables to
 * fill. From the same rows come `--help` and the suggestion for a misspelt
 * flag. Flags may stand before, between and after the words; `--` ends them. */
#pragma once

#include "cli/command.h"

#include <stdio.h>

enum { WORDS_MAX = 128 };

struct words {
    const char *at[WORDS_MAX];
    size_t n;
};

struct flag {
    const char *name;  /* without its dashes */
    char letter;       /* short form, 0: none */
    const char *value; /* what follows it, for the help: "NAME=VALUE"; NULL: a switch */
    const char *help;
    bool *on;           /* one of these three: set to true, */
    const char **text;  /* set to the value (borrowed from argv), */
    struct words *many; /* or appended to */
};

/* Rows that most commands have. */
#define FLAG_JSON(variable)                                                                        \
    {                                                                                              \
        .name = "json", .help = "print the API's JSON", .on = &(variable)                          \
    }
#define FLAG_PROJECT(variable)                                                                     \
    {                                                                                              \
        .name = "project", .value = "PROJECT", .help = "instead of the one in use",                \
        .text = &(variable)                                                                        \
    }

/* Fills the variables of `flags` (ends with name == NULL) and `words`, of which there must be from
 * `least` to `most`. `verb` is the path in the command table: "deploy", "token create".
 * -1: go on; otherwise the exit status: 0 after --help, 2 after an error that was printed. */
int args_parse(const char *verb, int argc, char **argv, const struct flag *flags,
               struct words *words, size_t least, size_t most) MUST_CHECK;

/* The next piece of a usage line that belongs together: up to a space outside of brackets. */
struct slice args_usage_piece(struct slice *rest);
/* "usage: wasmcloud VERB …" on lines of at most 80 columns; `c` may be NULL. */
void args_usage(FILE *f, const char *verb, const struct command *c);

/* What `--help` prints: usage, summary, flags (may be NULL), verbs below it, example. Returns 0. */
int args_help(const char *verb, const struct flag *flags);

/* Visits the flags of a command, which are known to it alone: it is asked for its help. */
void args_flags(const struct command *c, const char *verb,
                void (*each)(void *arg, const struct flag *f), void *arg);

/* "10m", "90s", "2h", "30d" or plain seconds; false if it is none of these. */
bool args_duration(const char *text, uint64_t *ret_seconds);
