/* Lock-down from the inside: each case runs in a child that locks itself as an exec does and then
 * tries one thing. How it ended is what is checked. roles/escape.c has the long list. */
#include "ipc/lockdown.h"

#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char base[] = "/tmp/lockdown-XXXXXX";
static int images;

static void make_file(const char *folder, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", base, folder);
    mkdir(path, 0755);
    snprintf(path, sizeof path, "%s/%s/%s", base, folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0444);
    CHECK(fd >= 0 && write(fd, "image", 5) == 5);
    close(fd);
}

/* Runs `attempt` in a locked child; its exit status, or minus the signal that ended it. */
static int locked(bool bound, int (*attempt)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        struct limits limits;
        struct err e = {0};
        limits_init(&limits, false);
        if (lockdown_exec_start(images, false, &e) || lockdown_exec_seal(&limits, false, &e) ||
            (bound && lockdown_exec_bind(images, "mine", false, &e))) {
            dprintf(2, "%s\n", e.text);
            _exit(200);
        }
        _exit(attempt());
    }
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int read_own(void)
{
    char text[8];
    int fd = open("digest", O_RDONLY | O_CLOEXEC);
    return fd >= 0 && read(fd, text, sizeof text) == 5 ? 0 : errno;
}
static int read_other(void)
{
    return open("../theirs/digest", O_RDONLY | O_CLOEXEC) >= 0 ? 0 : errno;
}
static int read_absolute(void)
{
    return open("/images/theirs/digest", O_RDONLY | O_CLOEXEC) >= 0 ? 0 : errno;
}
static int read_outside(void)
{
    return open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0 ? 0 : errno;
}
static int make_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM, 0);
}
static int create(void)
{
    return open("new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
}
static int writable_executable(void)
{
    mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return 0;
}
static int write_then_execute(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p != MAP_FAILED && mprotect(p, 4096, PROT_READ | PROT_EXEC) == 0 ? 0 : errno;
}
static int nothing(void)
{
    return 0;
}

static int end_well(void)
{
    exit(0); /* with all that libraries and sanitizers do then */
}

TEST(blank)
{
    CHECK(locked(false, nothing) == 0);
    CHECK(locked(true, end_well) == 0);
    CHECK(locked(false, make_socket) == -SIGSYS);
    CHECK(locked(false, read_outside) == ENOENT);
}

TEST(bound)
{
    CHECK(locked(true, nothing) == 0);
    CHECK(locked(true, read_own) == 0);
    CHECK(locked(true, read_other) == EACCES);
    CHECK(locked(true, read_absolute) == EACCES);
    CHECK(locked(true, read_outside) == ENOENT);
    CHECK(locked(true, create) == -SIGSYS);
    CHECK(locked(true, make_socket) == -SIGSYS);
    CHECK(locked(true, writable_executable) == -SIGSYS);
    CHECK(locked(true, write_then_execute) == 0);
}

static int bind_again(void)
{
    struct err e;
    return lockdown_exec_bind(images, "theirs", false, &e) ? 1 : 0;
}
TEST(bound_once)
{
    CHECK(locked(true, bind_again) != 0);
}

TEST(probes)
{
    for (int i = 0; i < FENCE_COUNT; i++) {
        char why[128];
        bool there = fence_probe((enum fence_id)i, why);
        if (fences[i].required && !there)
            fprintf(stderr, "%s: %s\n", fences[i].name, why);
        CHECK(there || !fences[i].required);
        CHECK(there == (why[0] == '\0'));
    }
}

/* Egress: what it must be able to do, then what it must not. Each answers 0 if it could. */

static struct sockaddr_in listener; /* of this program, on loopback */
static char abstract[32];           /* … and an abstract Unix socket */

static int failed(long rc)
{
    return rc < 0 ? errno : 0;
}
static int egress_connects(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    if (connect(fd, (struct sockaddr *)&listener, sizeof listener) < 0 && errno != EINPROGRESS)
        return errno;
    return poll(&p, 1, 60000) == 1 && !(p.revents & POLLERR) ? 0 : ETIMEDOUT;
}
static int egress_asks(void)
{
    struct sockaddr_in to = listener;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return failed(sendto(fd, "?", 1, 0, (struct sockaddr *)&to, sizeof to));
}
static int egress_six(void)
{
    int why = failed(socket(AF_INET6, SOCK_STREAM, 0));
    return why == EAFNOSUPPORT ? 0 : why; /* a machine without IPv6 */
}
static int egress_pair(void)
{
    int fds[2];
    return failed(socketpair(AF_UNIX, SOCK_STREAM, 0, fds)) ? errno : failed(eventfd(0, 0));
}
static void *in_thread(void *arg)
{
    return arg;
}
static int egress_thread(void)
{
    pthread_t t;
    int rc = pthread_create(&t, NULL, in_thread, NULL);
    return rc ? rc : pthread_join(t, NULL);
}
static int egress_resolver(void)
{
    return failed(open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC));
}
static int egress_spool(void)
{
    int fd = openat(images, "mine/ring", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    void *p = fd >= 0 && ftruncate(fd, 4096) == 0
                  ? mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
                  : MAP_FAILED;
    return p == MAP_FAILED ? errno : failed(unlinkat(images, "mine/ring", 0));
}

static int egress_unix(void)
{
    return failed(socket(AF_UNIX, SOCK_STREAM, 0));
}
static int egress_netlink(void)
{
    return failed(socket(AF_NETLINK, SOCK_RAW, 0));
}
static int egress_packet(void)
{
    return failed(socket(AF_PACKET, SOCK_DGRAM, 0));
}
static int egress_vsock(void)
{
    return failed(socket(AF_VSOCK, SOCK_STREAM, 0));
}
static int egress_raw(void)
{
    return failed(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
}
static int egress_ping(void)
{
    return failed(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
}
static int egress_sctp(void)
{
    return failed(socket(AF_INET, SOCK_STREAM, 132));
}
static int egress_binds(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET};
    return failed(bind(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&any, sizeof any));
}
static int egress_listens(void)
{
    return failed(listen(socket(AF_INET, SOCK_STREAM, 0), 1));
}
static int egress_accepts(void)
{
    return failed(accept4(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), NULL, NULL, 0));
}
static int egress_abstract(void)
{
    /* by a descriptor that it was given: it makes none itself */
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    memcpy(to.sun_path, abstract, sizeof abstract);
    return failed(connect(200, (struct sockaddr *)&to,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + sizeof abstract)));
}
static int egress_reads_passwd(void)
{
    return failed(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
}
static int egress_reads_data(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/theirs/digest", base);
    return failed(open(path, O_RDONLY | O_CLOEXEC));
}
static int egress_writes_resolver(void)
{
    return failed(open("/etc/resolv.conf", O_WRONLY | O_CLOEXEC));
}
static int egress_creates(void)
{
    return failed(open("/tmp/egress-was-here", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}
static int egress_execs(void)
{
    char *argv[] = {(char[]){"true"}, NULL};
    return failed(execv("/bin/true", argv));
}
static int egress_kills(void)
{
    return failed(kill(getppid(), 0));
}
#ifndef __SANITIZE_ADDRESS__
static int egress_reads_proc(void)
{
    return failed(open("/proc/1/environ", O_RDONLY | O_CLOEXEC));
}
static int egress_forks(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return failed(pid);
}
static int egress_traces(void)
{
    return failed(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
}
#endif
static int egress_code(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? EINVAL : failed(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}
static int egress_maps_code(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
               ? errno
               : 0;
}
static int egress_rights(void)
{
    return failed(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 0, 0, 0));
}

static int locked_egress(int (*attempt)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        struct err e = {0};
        int folder = openat(images, "mine", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        dup2(socket(AF_UNIX, SOCK_STREAM, 0), 200);
        if (folder < 0 || lockdown_egress(folder, &e)) {
            dprintf(2, "%s\n", e.text);
            _exit(200);
        }
        _exit(attempt());
    }
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(egress)
{
    static const struct {
        const char *name;
        int (*attempt)(void);
    } may[] = {{"connect", egress_connects},  {"ask", egress_asks},      {"six", egress_six},
               {"pair", egress_pair},         {"thread", egress_thread}, {"spool", egress_spool},
               {"resolver", egress_resolver}, {"end", end_well}},
      may_not[] = {{"unix", egress_unix},
                   {"netlink", egress_netlink},
                   {"packet", egress_packet},
                   {"vsock", egress_vsock},
                   {"raw", egress_raw},
                   {"ping", egress_ping},
                   {"sctp", egress_sctp},
                   {"bind", egress_binds},
                   {"listen", egress_listens},
                   {"accept", egress_accepts},
                   {"passwd", egress_reads_passwd},
                   {"data", egress_reads_data},
                   {"resolver", egress_writes_resolver},
                   {"create", egress_creates},
                   {"exec", egress_execs},
                   {"kill", egress_kills},
                   {"protect", egress_code},
                   {"code", egress_maps_code},
#ifndef __SANITIZE_ADDRESS__ /* the search for leaks needs these */
                   {"proc", egress_reads_proc},
                   {"fork", egress_forks},
                   {"trace", egress_traces},
#endif
                   {"rights", egress_rights}};
    socklen_t size = sizeof listener;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    listener =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK(bind(fd, (struct sockaddr *)&listener, sizeof listener) == 0 && listen(fd, 8) == 0 &&
          getsockname(fd, (struct sockaddr *)&listener, &size) == 0);
    for (size_t i = 0; i < sizeof may / sizeof *may; i++) {
        int rc = locked_egress(may[i].attempt);
        if (rc)
            fprintf(stderr, "%s: %d\n", may[i].name, rc);
        CHECK(rc == 0);
    }
    for (size_t i = 0; i < sizeof may_not / sizeof *may_not; i++) {
        int rc = locked_egress(may_not[i].attempt);
        if (rc != EPERM && rc != EACCES)
            fprintf(stderr, "%s: %d\n", may_not[i].name, rc);
        CHECK(rc == EPERM || rc == EACCES);
    }
    close(fd);

    if (landlock_abi() >= 6) {
        struct sockaddr_un name = {.sun_family = AF_UNIX};
        snprintf(abstract + 1, sizeof abstract - 1, "lockdown-%d", (int)getpid());
        memcpy(name.sun_path, abstract, sizeof abstract);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(bind(fd, (struct sockaddr *)&name,
                   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + sizeof abstract)) == 0 &&
              listen(fd, 1) == 0);
        CHECK(locked_egress(egress_abstract) == EPERM);
        close(fd);
    }
}

static void setup(void)
{
    CHECK(mkdtemp(base) != NULL);
    chmod(base, 0700); /* as a home that others can't enter */
    make_file("mine", "digest");
    make_file("theirs", "digest");
    images = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);
    CHECK(images >= 0);
}

static void teardown(void)
{
    static const char *const names[] = {"mine/digest", "theirs/digest", "mine", "theirs", "."};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", base, names[i]);
        remove(path);
    }
    rmdir(base);
    close(images);
}

int main(void)
{
    static const struct test_case cases[] = {CASE(blank), CASE(bound), CASE(bound_once),
                                             CASE(egress), CASE(probes)};
    setup();
    int rc = test_main(cases, sizeof cases / sizeof *cases);
    teardown();
    return rc;
}
