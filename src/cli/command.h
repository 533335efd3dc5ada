/* Commands: one row a verb, one file a verb.
 *
 * `wasmcloud VERB …` looks the verb up in the table of command.c and calls it
 * with what follows. A verb may have verbs of its own (`token create`): a second
 * table in its file. Usage errors exit with 2 and name the nearest verb. */
#pragma once

#include "base/err.h"

/* What a verb is for: `help` lists them by these, in this order. */
enum command_group {
    GROUP_NONE, /* verbs below a verb, hidden ones */
    GROUP_START,
    GROUP_LOCAL,
    GROUP_SHIP,
    GROUP_LOOK,
    GROUP_SHAPE,
    GROUP_REMOVE,
    GROUP_SESSION,
    GROUP_PEOPLE,
    GROUP_OPERATE,
    GROUP_COUNT
};

struct command {
    const char *name;
    enum command_group group;
    int (*run)(int argc, char **argv); /* argv[0] is the verb; returns the exit status */
    const char *usage;                 /* "FILE [--name NAME] …": what follows the verb */
    const char *summary;               /* one line for `help` */
    const char *example;               /* one or more lines for `help VERB` */
    const char *exits;                 /* its exit statuses, if they aren't those of all */
    const struct command *sub;         /* its own verbs; with `run` too, other words go there */
    bool hidden;                       /* roles and aliases: not listed by `help` */
};

extern const struct command commands[]; /* ends with name == NULL */
/* By one verb, or several with a space between: "token create". NULL if there is none. */
const struct command *command_find(struct slice name);

/* Runs the program: the role, verb or (as `pahi`) the runner that argv names. */
int command_main(int argc, char **argv);

/* "wasmcloud: WHAT" on standard error in the form all commands use; returns err_cli(e->code). */
int command_fail(const struct err *e);
/* Wrong usage: the text, then the verb's usage line; returns 2. `verb` as for command_find(). */
int command_usage(const char *verb, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* There is no such verb below `parent` (NULL: none at all): says so, with the nearest one; returns
 * 2. */
int command_unknown(const struct command *parent, const char *verb);

/* One prototype a row. */
int cmd_backup(int argc, char **argv);
int cmd_completion(int argc, char **argv);
int cmd_create(int argc, char **argv);
int cmd_delete(int argc, char **argv);
int cmd_deploy(int argc, char **argv);
int cmd_dev(int argc, char **argv);
int cmd_diff(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_export(int argc, char **argv);
int cmd_gc(int argc, char **argv);
int cmd_get(int argc, char **argv);
int cmd_help(int argc, char **argv);
int cmd_import(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_invoke(int argc, char **argv);
int cmd_limits(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_login(int argc, char **argv);
int cmd_logout(int argc, char **argv);
int cmd_logs(int argc, char **argv);
int cmd_migrate(int argc, char **argv);
int cmd_namegen(int argc, char **argv);
int cmd_new(int argc, char **argv);
int cmd_preview(int argc, char **argv);
int cmd_promote(int argc, char **argv);
int cmd_restore(int argc, char **argv);
int cmd_rollback(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_runs(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_usage(int argc, char **argv);
int runs_pull(int argc, char **argv);
int cmd_serve(int argc, char **argv);
int cmd_split(int argc, char **argv);
int cmd_templates(int argc, char **argv);
int cmd_undelete(int argc, char **argv);
int cmd_validate(int argc, char **argv);
int cmd_version(int argc, char **argv);
int cmd_versions(int argc, char **argv);
int cmd_whoami(int argc, char **argv);
extern const struct command audit_commands[], backup_commands[], config_commands[],
    context_commands[], env_commands[], limits_commands[], policy_commands[], project_commands[],
    runs_commands[], secret_commands[], token_commands[], versions_commands[];
