/* Lock-down from the inside: each case runs in a child that locks itself as an exec does and then
 * tries one thing. How it ended is what is checked. roles/escape.c has the long list. */
#include "ipc/lockdown.h"

#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
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
        if (lockdown_exec_start(images, &limits, false, &e) || lockdown_exec_seal(false, &e) ||
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
                                             CASE(probes)};
    setup();
    int rc = test_main(cases, sizeof cases / sizeof *cases);
    teardown();
    return rc;
}
