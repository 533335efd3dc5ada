/* Commands: one row a verb, one file a verb.
 *
 * `wasmcloud VERB …` looks the verb up in the table of command.c and calls it
 * with what follows. Usage errors exit with 2 and name the nearest verb. */
#pragma once

#include "base/err.h"

struct command {
    const char *name;
    int (*run)(int argc, char **argv); /* argv[0] is the verb; returns the exit status */
    const char *usage;                 /* "FILE [--name NAME] …": what follows the verb */
    const char *summary;               /* one line for `help` */
    const char *example;               /* one or more lines for `help VERB` */
    bool hidden;                       /* roles and aliases: not listed by `help` */
};

extern const struct command commands[]; /* ends with name == NULL */
const struct command *command_find(struct slice name); /* NULL if there is none */

/* Runs the program: the role, verb or (as `pahi`) the runner that argv names. */
int command_main(int argc, char **argv);

/* "wasmcloud: WHAT" on standard error in the form all commands use; returns err_cli(e->code). */
int command_fail(const struct err *e);
/* Wrong usage: the text, then the verb's usage line; returns 2. */
int command_usage(const char *verb, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* One prototype a row. */
int cmd_version(int argc, char **argv);
