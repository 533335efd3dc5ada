#include "cli/args.h"
#include "cli/exit.h"
#include "cli/show.h"

#include "base/brand.h"
#include "base/limits.h"
#include "roles/roles.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

const struct command commands[] = {
    {.name = "serve",
     .group = GROUP_OPERATE,
     .run = cmd_serve,
     .usage = "[--config FILE] [--from PROJECT.tar [--secrets FILE]] [--OPTION VALUE]…",
     .summary = "be the server",
     .example = BRAND_COMMAND " serve\n" BRAND_COMMAND
                              " serve --data /srv/wasmcloud --listen-functions 0.0.0.0:8080"},
    {.name = "login",
     .group = GROUP_SESSION,
     .run = cmd_login,
     .usage = "[URL] [--token] [--json]",
     .summary = "save a server's address and a token",
     .example = BRAND_COMMAND " login https://cloud.example --token < token-file"},
    {.name = "logout",
     .group = GROUP_SESSION,
     .run = cmd_logout,
     .usage = "[--json]",
     .summary = "forget the saved login",
     .example = BRAND_COMMAND " logout"},
    {.name = "whoami",
     .group = GROUP_SESSION,
     .run = cmd_whoami,
     .usage = "[--json]",
     .summary = "who the server takes you for",
     .example = BRAND_COMMAND " whoami"},
    {.name = "context",
     .group = GROUP_SESSION,
     .sub = context_commands,
     .usage = "list|use …",
     .summary = "which server commands go to, of those you are logged in to",
     .example = BRAND_COMMAND " context use cloud.example"},
    {.name = "token",
     .group = GROUP_SESSION,
     .sub = token_commands,
     .usage = "create|list|revoke …",
     .summary = "keys for scripts and other people",
     .example = BRAND_COMMAND " token create ci --scope read,deploy"},
    {.name = "project",
     .group = GROUP_PEOPLE,
     .sub = project_commands,
     .usage = "create|list|use …",
     .summary = "the units of isolation and accounting",
     .example = BRAND_COMMAND " project use shop"},
    {.name = "deploy",
     .group = GROUP_SHIP,
     .run = cmd_deploy,
     .usage =
         "[FILE.wasm|DIR] [--name NAME] [--dry-run] [--exact] [--no-build] [--response cgi|text] "
         "[--env NAME=VALUE]… "
         "[--limit NAME=VALUE]… [--policy FILE [--yes]] [--assets DIR] [--timing] "
         "[--secret NAME]… [--preview members|public] [--capture none|failures|all] "
         "[--check REQUEST|--no-check] [--no-promote] [--max-cpu +20%|TIME] [--project P] [--json]",
     .summary = "put a module behind a URL, or a new version of it",
     .example =
         BRAND_COMMAND " deploy hello.wasm\n" BRAND_COMMAND
                       " deploy            # what ./function.yaml says\n" BRAND_COMMAND
                       " deploy build/app.wasm --name shop --env LANG=de --limit memory=64MiB"},
    {.name = "update", .run = cmd_deploy, .usage = "[FILE.wasm|DIR]", .hidden = true},
    {.name = "create",
     .group = GROUP_SHIP,
     .run = cmd_create,
     .usage = "NAME [--project P] [--json]",
     .summary = "reserve a function's name",
     .example = BRAND_COMMAND " create shop"},
    {.name = "list",
     .group = GROUP_LOOK,
     .run = cmd_list,
     .usage = "[--deleted] [--project P] [--json]",
     .summary = "the functions of a project",
     .example = BRAND_COMMAND " list"},
    {.name = "ls", .run = cmd_list, .usage = "[--deleted]", .hidden = true},
    {.name = "get",
     .group = GROUP_LOOK,
     .run = cmd_get,
     .usage = "NAME [--project P] [--json]",
     .summary = "one function and what it used",
     .example = BRAND_COMMAND " get hello"},
    {.name = "versions",
     .group = GROUP_SHIP,
     .run = cmd_versions,
     .sub = versions_commands,
     .usage = "NAME [--project P] [--json] | disable|enable NAME VERSION",
     .summary = "what was deployed under a name",
     .example = BRAND_COMMAND " versions hello\n" BRAND_COMMAND " versions disable hello 3"},
    {.name = "diff",
     .group = GROUP_SHIP,
     .run = cmd_diff,
     .usage = "NAME [[FROM] VERSION] [--project P] [--json]",
     .summary = "what differs between two versions",
     .example = BRAND_COMMAND " diff hello 4\n" BRAND_COMMAND " diff hello 2 4"},
    {.name = "preview",
     .group = GROUP_SHIP,
     .run = cmd_preview,
     .usage = "NAME VERSION [--project P] [--json]",
     .summary = "a link to a version that is not live yet",
     .example = BRAND_COMMAND " preview hello 4"},
    {.name = "promote",
     .group = GROUP_SHIP,
     .run = cmd_promote,
     .usage = "NAME VERSION [--no-check] [--yes] [--project P] [--json]",
     .summary = "let a version answer, if it passes its check",
     .example = BRAND_COMMAND " promote hello 4"},
    {.name = "rollback",
     .group = GROUP_SHIP,
     .run = cmd_rollback,
     .usage = "NAME [VERSION] [--project P] [--json]",
     .summary = "go back to a version that was live before",
     .example = BRAND_COMMAND " rollback hello\n" BRAND_COMMAND " rollback hello 2"},
    {.name = "split",
     .group = GROUP_SHIP,
     .run = cmd_split,
     .usage = "NAME [VERSION=PERCENT… | --off] [--yes] [--project P] [--json]",
     .summary = "share the requests out among versions",
     .example = BRAND_COMMAND " split hello 3=90 4=10\n" BRAND_COMMAND " split hello --off"},
    {.name = "invoke",
     .group = GROUP_LOOK,
     .run = cmd_invoke,
     .exits = exit_help,
     .usage = "NAME [--method METHOD] [--path /PATH] [--type TYPE] [--project P] [--json]",
     .summary = "run a function once: standard input to standard output",
     .example = "echo hi | " BRAND_COMMAND " invoke hello"},
    {.name = "logs",
     .group = GROUP_LOOK,
     .run = cmd_logs,
     .usage = "[NAME] [-f] [--run ID] [--since 10m] [--until TIME] [--level LEVEL] [--grep TEXT] "
              "[--lines N] [--export] [--project P] [--json]",
     .summary = "what a function, or all of them, wrote to the log",
     .example = BRAND_COMMAND " logs hello -f"},
    {.name = "runs",
     .group = GROUP_LOOK,
     .run = cmd_runs,
     .sub = runs_commands,
     .usage = "[NAME] [-f] [--failed] [--status 5xx] [--cause CAUSE] [--since 10m] [--until TIME] "
              "[--version N] [--method METHOD] [--path /PATH] [--slower 250ms] [--lines N] "
              "[--export] [--project P] [--json] | show|pull ID",
     .summary = "the latest runs, and what one used",
     .example = BRAND_COMMAND " runs hello --failed\n" BRAND_COMMAND
                              " runs show 0199c3de-7c1f-7d5e-8b1c-3b1f5c0e9a42"},
    {.name = "explain",
     .run = cmd_explain,
     .group = GROUP_LOOK,
     .usage = "ID [--project P] [--json]",
     .summary = "why a run failed, what changed, and what to type next",
     .example = BRAND_COMMAND " explain 0199c3de-7c1f-7d5e-8b1c-3b1f5c0e9a42"},
    {.name = "usage",
     .group = GROUP_LOOK,
     .run = cmd_usage,
     .usage = "[NAME] [--from DAY] [--to DAY] [--by day|function] [--project P] [--json]",
     .summary = "what functions used, and what that would cost",
     .example = BRAND_COMMAND " usage --by function\n" BRAND_COMMAND
                              " usage hello --from 2026-11-01 --to 2026-11-30"},
    {.name = "top",
     .group = GROUP_LOOK,
     .run = cmd_top,
     .usage = "[--once] [--by cpu|requests] [--interval SECONDS] [--project P] [--json]",
     .summary = "which functions are busy now",
     .example = BRAND_COMMAND " top\n" BRAND_COMMAND " top --once --by requests"},
    {.name = "policy",
     .group = GROUP_SHAPE,
     .sub = policy_commands,
     .usage = "get|set|allow|learn|test|convert …",
     .summary = "what functions may open: see, change, try, learn",
     .example =
         BRAND_COMMAND " policy test policy.yaml https://api.example.com/v1/users\n" BRAND_COMMAND
                       " policy allow 'https://api.example.com/v1/**' hello"},
    {.name = "env",
     .group = GROUP_SHAPE,
     .sub = env_commands,
     .usage = "set|list|unset …",
     .summary = "the variables that a function's programs see",
     .example = BRAND_COMMAND " env set hello LANG=de GREETING='Guten Tag'"},
    {.name = "secret",
     .group = GROUP_SHAPE,
     .sub = secret_commands,
     .usage = "set|list|unset …",
     .summary = "values that functions get and nobody sees again",
     .example = BRAND_COMMAND " secret set API_KEY < key-file"},
    {.name = "audit",
     .group = GROUP_PEOPLE,
     .sub = audit_commands,
     .usage = "egress …",
     .summary = "an operator's answer to a report of abuse",
     .example = BRAND_COMMAND " audit egress --to 192.0.2.7 --at 2h"},
    {.name = "backup",
     .group = GROUP_OPERATE,
     .run = cmd_backup,
     .sub = backup_commands,
     .usage = "FILE [--keys] [--json] | verify FILE",
     .summary = "the whole server as one file, while it works (operators)",
     .example = BRAND_COMMAND " backup /backups/monday.tar --keys\n" BRAND_COMMAND
                              " backup verify /backups/monday.tar"},
    {.name = "restore",
     .group = GROUP_OPERATE,
     .run = cmd_restore,
     .usage = "FILE --data DIR [--keys-from FOLDER] [--json]",
     .summary = "a new data folder from a backup",
     .example = BRAND_COMMAND " restore /backups/monday.tar --data /srv/wasmcloud"},
    {.name = "config",
     .group = GROUP_OPERATE,
     .sub = config_commands,
     .usage = "init|check …",
     .summary = "the server's configuration file: write one, judge one",
     .example = BRAND_COMMAND " config init\n" BRAND_COMMAND " config check"},
    {.name = "gc",
     .group = GROUP_OPERATE,
     .run = cmd_gc,
     .usage = "[--dry-run] [--older-than DURATION] [--json]",
     .summary = "remove what nothing uses any more, now (operators)",
     .example = BRAND_COMMAND " gc --dry-run"},
    {.name = "migrate",
     .group = GROUP_OPERATE,
     .run = cmd_migrate,
     .usage = "[--data DIR] [--check] [--json]",
     .summary = "bring a stopped server's database up to date, after a copy of it",
     .example = BRAND_COMMAND " migrate --data /srv/wasmcloud --check"},
    {.name = "export",
     .group = GROUP_OPERATE,
     .run = cmd_export,
     .usage = "PROJECT FILE [--json]",
     .summary = "a project as one archive: functions, versions, settings, modules, assets",
     .example = BRAND_COMMAND " export shop shop.tar"},
    {.name = "import",
     .group = GROUP_OPERATE,
     .run = cmd_import,
     .usage = "FILE [--project P] [--secrets FILE] [--json]",
     .summary = "make an exported project again, with the same versions",
     .example = BRAND_COMMAND " import shop.tar\n" BRAND_COMMAND " serve --from shop.tar"},
    {.name = "delete",
     .group = GROUP_REMOVE,
     .run = cmd_delete,
     .usage = "NAME [--project P] [--json]",
     .summary = "take a function away",
     .example = BRAND_COMMAND " delete hello"},
    {.name = "rm", .run = cmd_delete, .usage = "NAME", .hidden = true},
    {.name = "undelete",
     .group = GROUP_REMOVE,
     .run = cmd_undelete,
     .usage = "NAME [--project P] [--json]",
     .summary = "bring a deleted function back",
     .example = BRAND_COMMAND " undelete hello"},
    {.name = "run",
     .group = GROUP_LOCAL,
     .run = cmd_run,
     .exits = exit_help,
     .usage =
         "[--policy FILE] [--assets DIR] [--cgi [METHOD] URL [-H FIELD]… [--body FILE]] "
         "[--env NAME=VALUE]… [--memory SIZE] [--cpu TIME] [--gas COUNT] "
         "[--limit NAME=VALUE]… [--ledger] [--trace] [--bench N] [--json] [--record FILE] FILE "
         "[ARGS]… | run --replay FILE [--env NAME=VALUE]… [FILE]",
     .summary = "run a module here: standard input and output, no server",
     .example = BRAND_COMMAND " run --ledger hello.wasm\n" BRAND_COMMAND
                              " run --cgi '/path?query' hello.wasm\n" BRAND_RUNNER
                              " hello.wasm --its --own=flags"},
    {.name = "dev",
     .group = GROUP_LOCAL,
     .run = cmd_dev,
     .usage = "[DIR] [--listen ADDRESS] [--json]",
     .summary = "serve a folder's function here, and build it again on every change",
     .example = BRAND_COMMAND " dev hello"},
    {.name = "validate",
     .group = GROUP_LOCAL,
     .run = cmd_validate,
     .usage = "FILE [--limit NAME=VALUE]… [--json]",
     .summary = "would a server take this module? Judged here, without one",
     .example = BRAND_COMMAND " validate hello.wasm"},
    {.name = "inspect",
     .group = GROUP_LOCAL,
     .run = cmd_inspect,
     .usage = "FILE [--policy FILE] [--limit NAME=VALUE]… [--json]",
     .summary = "what a module imports, exports, needs and could open",
     .example = BRAND_COMMAND " inspect hello.wasm"},
    {.name = "new",
     .group = GROUP_START,
     .run = cmd_new,
     .usage = "NAME --lang c|go|rust|text [--json]",
     .summary = "make a working folder for a function",
     .example = BRAND_COMMAND " new hello --lang c"},
    {.name = "templates",
     .group = GROUP_START,
     .run = cmd_templates,
     .usage = "[--json]",
     .summary = "the kinds of folders that `new` makes",
     .example = BRAND_COMMAND " templates"},
    {.name = "completion",
     .group = GROUP_OPERATE,
     .run = cmd_completion,
     .usage = "bash [--json]",
     .summary = "a script that completes commands, flags and names in a shell",
     .example = "source <(" BRAND_COMMAND " completion bash)"},
    {.name = "namegen",
     .group = GROUP_START,
     .run = cmd_namegen,
     .usage = "[--json]",
     .summary = "make up a name",
     .example = BRAND_COMMAND " deploy app.wasm --name $(" BRAND_COMMAND " namegen)"},
    {.name = "doctor",
     .group = GROUP_START,
     .run = cmd_doctor,
     .usage = "[--data DIR] [--config FILE] [--json]",
     .summary = "can this machine run guests safely?",
     .example = BRAND_COMMAND " doctor"},
    {.name = "limits",
     .group = GROUP_START,
     .run = cmd_limits,
     .sub = limits_commands,
     .usage = "[--json] | set …",
     .summary = "every limit, its default and its maximum; setting a function's",
     .example = BRAND_COMMAND " limits\n" BRAND_COMMAND " limits set hello memory=64MiB cpu=200ms"},
    {.name = "version",
     .group = GROUP_START,
     .run = cmd_version,
     .usage = "[--json]",
     .summary = "print the program's version",
     .example = BRAND_COMMAND " version"},
    {.name = "help",
     .group = GROUP_START,
     .run = cmd_help,
     .usage = "[VERB] [--json]",
     .summary = "this list, or a verb's flags and an example",
     .example = BRAND_COMMAND " help deploy"},
    {.name = "edge", .run = role_edge, .hidden = true},
    {.name = "exec", .run = role_exec, .hidden = true},
    {.name = "control", .run = role_control, .hidden = true},
    {.name = "egress", .run = role_egress, .hidden = true},
    {.name = "compile", .run = role_compile, .hidden = true},
    {.name = "--help", .run = cmd_help, .hidden = true},
    {.name = "-h", .run = cmd_help, .hidden = true},
    {.name = "--version", .run = cmd_version, .hidden = true},
    {0},
};

static const struct command *find_in(const struct command *table, struct slice name)
{
    for (const struct command *c = table; c && c->name; c++)
        if (slice_eq(name, slice_str(c->name)))
            return c;
    return NULL;
}

const struct command *command_find(struct slice name)
{
    const struct command *table = commands, *c = NULL;
    while (name.p) {
        c = find_in(table, slice_split(&name, ' '));
        if (!c)
            return NULL;
        table = c->sub;
    }
    return c;
}

int command_fail(const struct err *e)
{
    fprintf(stderr, "%s: ", BRAND_COMMAND);
    show_lines(stderr, slice_str(e->text[0] ? e->text : err_title(e->code)));
    fputc('\n', stderr);
    return err_cli(e->code);
}

int command_usage(const char *verb, const char *fmt, ...)
{
    const struct command *c = command_find(slice_str(verb));
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "%s %s: ", BRAND_COMMAND, verb);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    args_usage(stderr, verb, c);
    return err_cli(ERR_USAGE);
}

/* Verbs that the documents speak of and this version doesn't have. */
static const char *const later[] = {"application",    "domain",          "join",          "plan",
                                    "project invite", "project members", "project purge", "queue",
                                    "schedule",       "signup",          "upgrade",       "user"};

int command_unknown(const struct command *parent, const char *verb)
{
    char path[128];
    const char *names[128], *of = parent ? parent->name : "", *space = parent ? " " : "";
    size_t n = 0;
    snprintf(path, sizeof path, "%s%s%s", of, space, verb);
    for (size_t i = 0; i < sizeof later / sizeof *later; i++)
        if (strcmp(path, later[i]) == 0) {
            fprintf(stderr, "%s: \"%s\" is planned, but not in this version\nnext: %s help%s%s\n",
                    BRAND_COMMAND, path, BRAND_COMMAND, space, of);
            return err_cli(ERR_USAGE);
        }
    for (const struct command *c = parent ? parent->sub : commands; c && c->name && n < 128; c++)
        if (!c->hidden)
            names[n++] = c->name;
    const char *near = nearest_word(slice_str(verb), names, n);
    fprintf(stderr, "%s: there is no command \"%s\"%s%s%s\nnext: %s help%s%s\n", BRAND_COMMAND,
            path, near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "",
            BRAND_COMMAND, space, of);
    return err_cli(ERR_USAGE);
}

static int run_command(int argc, char **argv)
{
    const char *self = argc ? argv[0] : BRAND_COMMAND, *slash = strrchr(self, '/');
    if (strcmp(slash ? slash + 1 : self, BRAND_RUNNER) == 0 && command_find(SLICE("run")))
        return command_find(SLICE("run"))->run(argc, argv);
    char help[] = "help", *alone[] = {help, NULL};
    if (argc > 1)
        argc--, argv++;
    else
        argc = 1, argv = alone;
    const struct command *c = find_in(commands, slice_str(argv[0]));
    if (!c)
        return command_unknown(NULL, argv[0]);
    const struct command *sub = argc > 1 ? find_in(c->sub, slice_str(argv[1])) : NULL;
    if (sub)
        return sub->run(argc - 1, argv + 1);
    if (c->run)
        return c->run(argc, argv);
    if (argc == 1 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return args_help(c->name, NULL);
    if (argv[1][0] == '-')
        return command_usage(c->name, "a command goes before \"%s\"", argv[1]);
    return command_unknown(c, argv[1]);
}

/* A standard stream that is closed would be the next file or socket that is opened. What stands in
 * for it can't be used either: to write to it is an error, as it should be. */
static void fill_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
            return;
}

int command_main(int argc, char **argv)
{
    fill_standard_streams();
    prctl(PR_SET_NAME, BRAND_COMMAND); /* else a role is called after the descriptor it came from */
    int status = run_command(argc, argv);
    /* What was printed may still wait in a buffer: a full disk must not look like success. */
    if ((fflush(stdout) || ferror(stdout)) && status == 0) {
        struct err e;
        err_errno(&e, "can't write to standard output");
        return command_fail(&e);
    }
    return status;
}
