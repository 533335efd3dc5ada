#include "ipc/role.h"

#include "base/brand.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    WORDS = 160,  /* of a command line, argv[0] included */
    PARKED = 100, /* descriptors wait from here on until all fixed numbers are free */
};

/* What the child was doing when it failed: sent through a pipe that exec closes. */
struct failure {
    int error;
    char step[48];
};

static void fail(int pipe_fd, const char *step)
{
    struct failure f = {.error = errno};
    snprintf(f.step, sizeof f.step, "%s", step);
    ssize_t ignored = write(pipe_fd, &f, sizeof f);
    (void)ignored;
    _exit(127);
}

/* The program file, opened once: a path might be unreachable after a change of user, or lead to
 * another version by then. */
static int own_binary(struct err *e)
{
    static int fd = -1;
    if (fd < 0)
        fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);
    if (fd < 0)
        err_errno(e, "the program can't open itself (/proc/self/exe)");
    return fd;
}

static bool write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return done;
}

/* In a new user namespace: be there who we are outside. */
static void map_user(int pipe_fd, uid_t uid, gid_t gid)
{
    char map[64];
    if (!write_file("/proc/self/setgroups", "deny") && errno != ENOENT)
        fail(pipe_fd, "setgroups");
    snprintf(map, sizeof map, "%u %u 1", uid, uid);
    if (!write_file("/proc/self/uid_map", map))
        fail(pipe_fd, "uid_map");
    snprintf(map, sizeof map, "%u %u 1", gid, gid);
    if (!write_file("/proc/self/gid_map", map))
        fail(pipe_fd, "gid_map");
}

/* Become the given user, keeping of root's rights none, or with `admin` CAP_SYS_ADMIN as an
 * ambient capability, which survives the exec. */
static void become(int pipe_fd, uid_t uid, gid_t gid, bool admin)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct caps[2] = {{0}};
    const uint32_t bit = 1u << CAP_SYS_ADMIN;
    if (admin) {
        /* Nothing can be had again. What is to stay must be inheritable before the bounding set
         * is empty: later it can't become so. */
        if (syscall(SYS_capget, &head, caps) == 0) {
            caps[0].inheritable = bit;
            caps[1].inheritable = 0;
            syscall(SYS_capset, &head, caps);
        }
        for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
            prctl(PR_CAPBSET_DROP, cap, 0, 0, 0); /* refused without CAP_SETPCAP: an extra */
        if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
            fail(pipe_fd, "PR_SET_KEEPCAPS");
    }
    if (uid &&
        (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0))
        fail(pipe_fd, "setresuid");
    if (!admin)
        return;
    caps[0] =
        (struct __user_cap_data_struct){.effective = bit, .permitted = bit, .inheritable = bit};
    caps[1] = (struct __user_cap_data_struct){0};
    /* Who may not have it starts without: lockdown_exec_start() then tries a user namespace. */
    if (syscall(SYS_capset, &head, caps) == 0)
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN, 0, 0);
}

static void place_fds(int pipe_fd, const struct role_start *s)
{
    int parked[ROLE_FDS], parked_err = -1, last = 2;
    for (int i = 0; i < s->fd_count; i++)
        if ((parked[i] = fcntl(s->fds[i].fd, F_DUPFD_CLOEXEC, PARKED)) < 0)
            fail(pipe_fd, "F_DUPFD");
    if (s->stderr_fd >= 0 && (parked_err = fcntl(s->stderr_fd, F_DUPFD_CLOEXEC, PARKED)) < 0)
        fail(pipe_fd, "F_DUPFD");
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 ||
        (parked_err >= 0 && dup2(parked_err, 2) < 0))
        fail(pipe_fd, "/dev/null");
    if (syscall(SYS_close_range, 3u, ~0u, 1u << 2 /* CLOSE_RANGE_CLOEXEC */) < 0)
        fail(pipe_fd, "close_range");
    for (int i = 0; i < s->fd_count; i++) {
        if (dup2(parked[i], s->fds[i].at) < 0)
            fail(pipe_fd, "dup2");
        if (s->fds[i].at > last)
            last = s->fds[i].at;
    }
}

/* The descriptors of the pipe and the binary, moved out of the way of the fixed numbers. */
static int park(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, PARKED);
}

static _Noreturn void child(const struct role_start *s, int pipe_fd, int binary, bool own_user,
                            uid_t uid, gid_t gid, char *const *argv, char *const *env)
{
    int high = park(pipe_fd);
    if (high < 0 || (binary = park(binary)) < 0)
        fail(pipe_fd, "F_DUPFD");
    pipe_fd = high;
    if (own_user)
        map_user(pipe_fd, uid, gid);
    setsid();
    for (int sig = 1; sig <= SIGRTMAX; sig++)
        signal(sig, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    place_fds(pipe_fd, s);
    become(pipe_fd, s->uid, s->gid, s->sandbox);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) /* last: a change of user clears it */
        fail(pipe_fd, "PR_SET_PDEATHSIG");
    syscall(SYS_execveat, binary, "", argv, env, AT_EMPTY_PATH);
    fail(pipe_fd, "execveat");
    abort();
}

/* One try with these namespaces. As fork() and exec, and waits until one of both has happened. */
static enum err_code attempt(const struct role_start *s, unsigned long namespaces,
                             char *const *argv, char *const *env, int binary, pid_t *ret_pid,
                             int *ret_pidfd, struct err *e)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    int report[2], pidfd = -1;
    if (pipe2(report, O_CLOEXEC) < 0)
        return err_errno(e, "no pipe for starting a role");

    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before); /* no handler of ours runs in the child */
    pid_t pid =
        (pid_t)syscall(SYS_clone, namespaces | CLONE_PIDFD | SIGCHLD, NULL, &pidfd, NULL, NULL);
    if (pid == 0)
        child(s, report[1], binary, namespaces & CLONE_NEWUSER, uid, gid, argv, env);
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(report[1]);
    if (pid < 0) {
        close(report[0]);
        return err_errno(e, "can't start `%s`", s->words[0]);
    }

    struct failure f;
    ssize_t got;
    while ((got = read(report[0], &f, sizeof f)) < 0 && errno == EINTR)
        ;
    close(report[0]);
    if (got == sizeof f) {
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
        close(pidfd);
        errno = f.error;
        return err_errno(e, "can't start `%s`: %.*s", s->words[0], (int)sizeof f.step, f.step);
    }
    *ret_pid = pid;
    if (ret_pidfd)
        *ret_pidfd = pidfd;
    else
        close(pidfd);
    return ERR_OK;
}

enum err_code role_start(const struct role_start *s, pid_t *ret_pid, int *ret_pidfd, struct err *e)
{
    const char *argv[WORDS] = {BRAND_COMMAND};
    for (int i = 0; s->words[i]; i++) {
        if (i == WORDS - 2)
            return err_set(e, ERR_INTERNAL, "too many words for a role");
        argv[i + 1] = s->words[i];
    }
    /* Sanitizers read their options from the environment; nothing else does. */
    char *env[4] = {NULL};
#ifdef __SANITIZE_ADDRESS__
    int vars = 0;
    for (char **v = environ; *v && vars < 3; v++)
        if (!strncmp(*v, "ASAN_OPTIONS=", 13) || !strncmp(*v, "LSAN_OPTIONS=", 13) ||
            !strncmp(*v, "UBSAN_OPTIONS=", 14))
            env[vars++] = *v;
#endif
    int binary = own_binary(e);
    if (binary < 0)
        return ERR_IO;

    /* As much as the machine allows: with CAP_SYS_ADMIN the first, else mostly the second. */
    static const unsigned long wishes[] = {CLONE_NEWPID, CLONE_NEWPID | CLONE_NEWUSER, 0};
    enum err_code rc = ERR_INTERNAL;
    for (int i = s->sandbox ? 0 : 2; i < 3 && rc; i++)
        rc = attempt(s, wishes[i], (char *const *)argv, env, binary, ret_pid, ret_pidfd, e);
    return rc;
}
