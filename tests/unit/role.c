/* Starting roles: this program starts itself as a role, which reports what it finds. */
#include "ipc/role.h"

#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REPORT = 5, GAP = 4 };

/* What the role sees of itself. */
struct report {
    int argc;
    char word[32];
    int pid, session_leader, variables;
    int gap_open, stray_open, stdin_null;
    int signals_blocked, sigpipe_ignored, death_signal;
};

static int count_variables(void)
{
    int n = 0;
    for (char **v = environ; *v; v++)
        n += strstr(*v, "SAN_OPTIONS=") == NULL;
    return n;
}

static int role_report(int argc, char **argv)
{
    struct report r = {.argc = argc, .pid = getpid(), .session_leader = getsid(0) == getpid()};
    char byte;
    sigset_t mask;
    struct sigaction pipe_action;
    snprintf(r.word, sizeof r.word, "%s", argv[argc - 1]);
    r.variables = count_variables();
    r.gap_open = fcntl(GAP, F_GETFD) >= 0;
    for (int fd = REPORT + 1; fd < 256; fd++)
        r.stray_open += fcntl(fd, F_GETFD) >= 0;
    r.stdin_null = read(0, &byte, 1) == 0;
    sigprocmask(SIG_BLOCK, NULL, &mask);
    for (int s = 1; s < 32; s++)
        r.signals_blocked += sigismember(&mask, s);
    sigaction(SIGPIPE, NULL, &pipe_action);
    r.sigpipe_ignored = pipe_action.sa_handler == SIG_IGN;
    prctl(PR_GET_PDEATHSIG, &r.death_signal);
    return write(REPORT, &r, sizeof r) == sizeof r ? 0 : 1;
}

/* Waits until the other end of its socket says something or is gone. */
static int role_wait(void)
{
    struct pollfd p = {.fd = REPORT, .events = POLLIN};
    if (write(REPORT, "up", 2) != 2)
        return 1;
    poll(&p, 1, -1);
    return 0;
}

/* Starts a role that waits, then dies itself. */
static int role_parent(void)
{
    const char *words[] = {"wait", NULL};
    struct role_start start = {.words = words, .stderr_fd = -1};
    struct err e;
    pid_t pid;
    char up[2];
    role_give(&start, REPORT, REPORT);
    if (role_start(&start, &pid, NULL, &e))
        return 1;
    /* its "up" goes to our parent; ours comes back when it has arrived */
    if (read(REPORT, up, sizeof up) <= 0)
        return 1;
    raise(SIGKILL);
    return 1;
}

static int pair[2];

static pid_t start(const char *const *words, bool sandbox, int *ret_pidfd)
{
    struct role_start s = {.words = words, .stderr_fd = -1, .sandbox = sandbox};
    struct err e = {0};
    pid_t pid = -1;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    role_give(&s, pair[1], REPORT);
    role_give(&s, pair[1], 3);
    if (role_start(&s, &pid, ret_pidfd, &e))
        fprintf(stderr, "%s\n", e.text);
    CHECK(pid > 0);
    close(pair[1]);
    return pid;
}

static int finish(pid_t pid)
{
    int status = -1;
    CHECK(waitpid(pid, &status, 0) == pid);
    close(pair[0]);
    return status;
}

TEST(clean)
{
    const char *words[] = {"report", "--option=value", NULL};
    struct report r = {0};
    sigset_t some;
    int pidfd = -1, stray = open("/dev/null", O_RDONLY); /* not close-on-exec */
    setenv("SECRET", "value", 1);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&some);
    sigaddset(&some, SIGUSR1);
    sigprocmask(SIG_BLOCK, &some, NULL);
    pid_t pid = start(words, false, &pidfd);
    CHECK(read(pair[0], &r, sizeof r) == sizeof r);
    CHECK(finish(pid) == 0);
    sigprocmask(SIG_UNBLOCK, &some, NULL);
    close(stray);
    CHECK(pidfd >= 0 && fcntl(pidfd, F_GETFD) == FD_CLOEXEC);
    close(pidfd);

    CHECK(r.argc == 3);
    CHECK_STR(r.word, "--option=value");
    CHECK(r.pid == pid && r.session_leader);
    CHECK(r.variables == 0);
    CHECK(!r.gap_open && !r.stray_open && r.stdin_null);
    CHECK(!r.signals_blocked && !r.sigpipe_ignored);
    CHECK(r.death_signal == SIGKILL);
}

TEST(sandbox)
{
    const char *words[] = {"report", NULL};
    struct report r = {0};
    pid_t pid = start(words, true, NULL);
    CHECK(read(pair[0], &r, sizeof r) == sizeof r);
    CHECK(finish(pid) == 0);
    CHECK(r.pid == 1); /* first of its own pid namespace */
    CHECK(r.death_signal == SIGKILL);
}

TEST(dies_with_parent)
{
    const char *words[] = {"parent", NULL};
    char up[2];
    pid_t pid = start(words, false, NULL);
    CHECK(read(pair[0], up, 2) == 2); /* the grandchild is up */
    CHECK(write(pair[0], "go", 2) == 2);
    struct pollfd p = {.fd = pair[0], .events = POLLIN};
    CHECK(poll(&p, 1, 60000) == 1 && (p.revents & POLLHUP)); /* and gone: nobody has the socket */
    CHECK(finish(pid) == SIGKILL);
}

TEST(failure)
{
    const char *words[] = {"report", NULL};
    struct role_start s = {.words = words, .stderr_fd = -1, .uid = (uid_t)-2, .gid = (gid_t)-2};
    struct err e = {0};
    pid_t pid = -1;
    role_give(&s, 999, 3); /* no such descriptor */
    CHECK(role_start(&s, &pid, NULL, &e) == ERR_IO);
    CHECK(strstr(e.text, "can't start `report`") != NULL);
    CHECK(pid == -1);
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD); /* nothing is left behind */
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {CASE(clean), CASE(sandbox), CASE(dies_with_parent),
                                             CASE(failure)};
    if (argc > 1 && strcmp(argv[1], "report") == 0)
        return role_report(argc, argv);
    if (argc > 1 && strcmp(argv[1], "wait") == 0)
        return role_wait();
    if (argc > 1 && strcmp(argv[1], "parent") == 0)
        return role_parent();
    return test_main(cases, sizeof cases / sizeof *cases);
}
