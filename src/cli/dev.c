/* `wasmcloud dev`: one function served on this machine, built and deployed again on every change.
 *
 * Nothing is imitated: a server of our own runs on a data folder in .wasmcloud/dev with free ports,
 * `deploy` and `logs -f` are the commands that everybody types, pointed at it. So engine, limits,
 * policy, checks and messages are those of a server. A build or a check that fails changes nothing:
 * the last good version goes on answering.
 *
 * One loop waits for three things: signals (Ctrl-C; a child has ended), inotify, and the end of a
 * short pause after the last change. The server is in a process group of its own, so that a Ctrl-C
 * reaches it by us and not by the terminal, and it ends when we do. */
#include "base/brand.h"
#include "base/clock.h"
#include "cli/args.h"
#include "cli/build.h"
#include "cli/client.h"
#include "cli/dev_secrets.h"
#include "cli/manifest.h"
#include "cli/namegen.h"
#include "cli/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEV_FOLDER ".wasmcloud/dev"

enum {
    PAUSE_MS = 100, /* after the last change: editors save in several steps */
    READY_MOST = 4096,
    READY_FD = 3,
};

struct dev {
    const char *listen;
    bool json;
    sigset_t inherited; /* the signal mask that children get */
    char state[PATH_MAX], config[PATH_MAX];
    char name[NAME_MOST + 1];
    struct context server;
    struct watch *watch;
    int signals;
    pid_t serve, logs, deploy; /* 0: not running */
    uint64_t due_us;           /* when to look for a change; 0: nothing has happened */
    bool ending;
};

/* ---- children ---- */

/* argv[0] is our own program; `ready`: its descriptor for the ready line, -1 for commands. Children
 * find the server by its local.json, and no other. Returns 0 after a message. */
static pid_t start(const struct dev *d, const char *const *argv, int ready)
{
    pid_t us = getpid(), pid = fork();
    if (pid < 0)
        fprintf(stderr, "%s: can't start %s: %s\n", BRAND_COMMAND, argv[1], strerror(errno));
    if (pid != 0)
        return pid < 0 ? 0 : pid;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != us)
        _exit(125);
    sigprocmask(SIG_SETMASK, &d->inherited, NULL);
    setenv("XDG_STATE_HOME", d->state, 1);
    setenv("XDG_CONFIG_HOME", d->config, 1);
    unsetenv(BRAND_ENV "URL");
    unsetenv(BRAND_ENV "TOKEN");
    unsetenv(BRAND_ENV "PROJECT");
    int null = open("/dev/null", O_RDWR);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0)
        _exit(125);
    if (ready >= 0) {
        setpgid(0, 0);
        if (dup2(null, STDOUT_FILENO) < 0 || dup2(ready, READY_FD) < 0)
            _exit(125);
    }
    execv("/proc/self/exe", (char **)(uintptr_t)argv);
    _exit(125);
}

static void stop(pid_t pid)
{
    if (pid && kill(pid, SIGTERM) == 0)
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
}

/* ---- the server ---- */

/* Where data and state lie; nothing of it is for a repository. */
static enum err_code make_folders(struct dev *d, struct err *e)
{
    static const char *const folders[] = {".wasmcloud", DEV_FOLDER};
    char here[PATH_MAX - 64];
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (mkdir(folders[i], i ? 0700 : 0777) && errno != EEXIST)
            return err_errno(e, "can't make the folder %s", folders[i]);
    int fd =
        open(DEV_FOLDER "/.gitignore", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0 || write(fd, "*\n", 2) != 2 || close(fd))
        return err_errno(e, "can't write " DEV_FOLDER "/.gitignore");
    if (!getcwd(here, sizeof here))
        return err_errno(e, "can't find the folder's path");
    snprintf(d->state, sizeof d->state, "%s/" DEV_FOLDER "/state", here);
    snprintf(d->config, sizeof d->config, "%s/" DEV_FOLDER "/config", here);
    return ERR_OK;
}

/* Reads the ready line, unless a signal comes first or the server ends. */
static enum err_code await_ready(struct dev *d, int fd, struct err *e)
{
    char line[READY_MOST];
    size_t n = 0;
    while (n == 0 || line[n - 1] != '\n') {
        struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = d->signals, .events = POLLIN}};
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return err_errno(e, "can't wait for the server");
        ssize_t got = fds[0].revents ? read(fd, line + n, sizeof line - n) : 0;
        if (fds[0].revents && got <= 0)
            return err_set(e, ERR_INTERNAL, "the server did not start");
        if (!fds[0].revents && fds[1].revents)
            return err_set(e, ERR_CANCELLED, "stopped");
        n += (size_t)got;
    }
    json_t *ready = json_loadb(line, n, 0, NULL);
    FILE *file = fopen(answer_text(ready, "token_file"), "re");
    bool ok = slice_copy(slice_str(answer_text(ready, "platform")), d->server.url,
                         sizeof d->server.url) &&
              file && fgets(d->server.token, sizeof d->server.token, file);
    d->server.token[strcspn(d->server.token, "\n")] = '\0';
    if (file)
        fclose(file);
    json_decref(ready);
    slice_copy(SLICE("default"), d->server.project, sizeof d->server.project);
    return ok ? ERR_OK : err_set(e, ERR_INTERNAL, "the server left no token");
}

static enum err_code start_server(struct dev *d, struct err *e)
{
    const char *const argv[] = {BRAND_COMMAND,
                                "serve",
                                "--data",
                                DEV_FOLDER "/data",
                                "--listen-platform",
                                "127.0.0.1:0",
                                "--listen-functions",
                                d->listen,
                                "--edges",
                                "1",
                                "--ready-fd",
                                "3",
                                "--isolation",
                                "relaxed",
                                "--log-level",
                                "warning",
                                "--spool-size",
                                "4194304",
                                "--limits",
                                "deploys-per-hour=0,api-rate=0,drain=3s",
                                NULL};
    int ready[2];
    if (pipe2(ready, O_CLOEXEC))
        return err_errno(e, "can't start the server");
    d->serve = start(d, argv, ready[1]);
    close(ready[1]);
    enum err_code rc = d->serve ? await_ready(d, ready[0], e)
                                : err_set(e, ERR_INTERNAL, "the server did not start");
    close(ready[0]);
    return rc;
}

/* ---- building and deploying ---- */

static void give_up(const struct err *e)
{
    if (e)
        command_fail(e);
    fprintf(stderr, "%s: waiting for a change; what answered before still does\n", BRAND_COMMAND);
}

/* Follows the log of the function, which has to be there for that. */
static void follow(struct dev *d, const char *name)
{
    struct client *c = NULL;
    struct err e;
    if (d->logs && strcmp(name, d->name) == 0)
        return;
    stop(d->logs);
    d->logs = 0;
    snprintf(d->name, sizeof d->name, "%s", name);
    json_t *body = json_pack("{s:s}", "name", name);
    enum err_code rc = client_open_as(&d->server, &c, &e);
    if (rc == ERR_OK)
        rc = client_call(
            c, &(struct client_request){.method = "POST", .path = "{P}/functions", .json = body},
            NULL, NULL, &e);
    json_decref(body);
    client_close(c);
    if (rc && rc != ERR_CONFLICT)
        command_fail(&e);
    else
        d->logs = start(d,
                        (const char *const[]){BRAND_COMMAND, "logs", name, "-f", "--since", "0s",
                                              d->json ? "--json" : NULL, NULL},
                        -1);
}

/* What function.yaml says now: built, and on its way to the server. */
static void rebuild(struct dev *d)
{
    struct manifest *m = NULL;
    struct err e;
    char name[NAME_MOST + 1];
    if (manifest_read(MANIFEST_FILE, &m, &e)) {
        give_up(&e);
        return;
    }
    if (!slice_copy(slice_str(m->name), name, sizeof name) || !*name)
        if (!name_from_path(m->module ? m->module : "", name))
            snprintf(name, sizeof name, "dev");
    if (build_run(m)) {
        give_up(NULL);
    } else if (dev_secrets(&d->server, m, &e)) {
        give_up(&e);
    } else {
        follow(d, name);
        d->deploy = start(d,
                          (const char *const[]){BRAND_COMMAND, "deploy", "--no-build", "--exact",
                                                "--yes", "--project", "default", "--name", name,
                                                d->json ? "--json" : NULL, NULL},
                          -1);
    }
    manifest_free(m);
}

/* ---- the loop ---- */

static void child_ended(struct dev *d, pid_t pid, int status)
{
    bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (pid == d->deploy) {
        d->deploy = 0;
        if (!good && !d->ending)
            give_up(NULL);
    } else if (pid == d->logs) {
        d->logs = 0;
    } else if (pid == d->serve) {
        d->serve = 0;
        if (!d->ending)
            fprintf(stderr, "%s: the server ended\n", BRAND_COMMAND);
        d->ending = true;
    }
}

static void take_signals(struct dev *d)
{
    struct signalfd_siginfo s;
    pid_t pid;
    int status;
    while (read(d->signals, &s, sizeof s) == sizeof s)
        d->ending |= s.ssi_signo != SIGCHLD;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        child_ended(d, pid, status);
}

/* Something happened a moment ago: is anything different? */
static void look(struct dev *d)
{
    struct err e;
    bool changed = false;
    d->due_us = 0;
    if (watch_look(d->watch, &changed, &e))
        command_fail(&e);
    else if (changed)
        rebuild(d);
}

static void run(struct dev *d)
{
    rebuild(d);
    while (!d->ending) {
        /* a change during a deploy waits for its end */
        uint64_t now = clock_mono_us();
        bool waiting = d->due_us && !d->deploy;
        int timeout = !waiting ? -1 : d->due_us > now ? (int)((d->due_us - now) / 1000) + 1 : 0;
        struct pollfd fds[] = {{.fd = d->signals, .events = POLLIN},
                               {.fd = watch_fd(d->watch), .events = POLLIN}};
        int n = poll(fds, 2, timeout);
        if (n < 0 && errno != EINTR)
            break;
        if (n > 0 && fds[1].revents) {
            watch_take(d->watch);
            d->due_us = clock_mono_us() + PAUSE_MS * 1000;
        }
        if (n > 0 && fds[0].revents)
            take_signals(d);
        if (n == 0 && waiting)
            look(d);
    }
}

/* Signals come by a descriptor; children get the mask as it was. */
static enum err_code take_over_signals(struct dev *d, struct err *e)
{
    sigset_t ours;
    sigemptyset(&ours);
    sigaddset(&ours, SIGINT);
    sigaddset(&ours, SIGTERM);
    sigaddset(&ours, SIGHUP);
    sigaddset(&ours, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &ours, &d->inherited) ||
        (d->signals = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
        return err_errno(e, "can't wait for signals");
    return ERR_OK;
}

static int dev(struct dev *d, const char *folder)
{
    struct manifest *m = NULL;
    struct err e;
    enum err_code rc = ERR_OK;
    if (chdir(folder))
        rc = errno == ENOENT
                 ? err_set(&e, ERR_NOT_FOUND, "there is no folder %s: make one with `%s new NAME`",
                           folder, BRAND_COMMAND)
                 : err_errno(&e, "can't enter the folder %s", folder);
    else if ((rc = manifest_read(MANIFEST_FILE, &m, &e)) == ERR_NOT_FOUND)
        err_set(&e, rc, "there is no %s in %s: make a folder with `%s new NAME`", MANIFEST_FILE,
                folder, BRAND_COMMAND);
    if (!rc)
        rc = make_folders(d, &e);
    if (!rc)
        rc = watch_open(".", !m->build, &d->watch, &e);
    if (!rc)
        rc = take_over_signals(d, &e);
    if (!rc)
        rc = start_server(d, &e);
    if (!rc)
        run(d);
    bool died = !rc && !d->serve;
    d->ending = true;
    stop(d->deploy);
    stop(d->logs);
    stop(d->serve);
    watch_close(d->watch);
    manifest_free(m);
    if (d->signals >= 0)
        close(d->signals);
    if (rc == ERR_CANCELLED)
        return 0;
    return rc ? command_fail(&e) : died ? err_cli(ERR_INTERNAL) : 0;
}

int cmd_dev(int argc, char **argv)
{
    struct dev d = {.signals = -1};
    const struct flag flags[] = {
        {.name = "listen",
         .value = "ADDRESS",
         .help = "where the function answers (localhost:0, a free port)",
         .text = &d.listen},
        {.name = "json", .help = "deploys and log lines as JSON", .on = &d.json},
        {0},
    };
    struct words words;
    int status = args_parse("dev", argc, argv, flags, &words, 0, 1);
    if (status >= 0)
        return status;
    d.listen = d.listen ? d.listen : "localhost:0";
    return dev(&d, words.n ? words.at[0] : ".");
}
