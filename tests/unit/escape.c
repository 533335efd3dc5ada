/* Escape: native code inside an exec, trying to get out.
 *
 * This program starts itself, one process an attempt, exactly as master starts an exec; each locks
 * itself down and binds as an exec does, then makes one attempt from escapes.def. Denied means an
 * error or death by SIGSYS. Then the same attempts run without any fence: one that fails there too
 * proves nothing, so enough of them must work.
 *
 * `test-escape NAME…` tries only those. It prints a line an attempt, `N attempted, N denied`, and
 * the count of the harness: one test for the fences, one for the attempts. */
#include "ipc/lockdown.h"
#include "ipc/role.h"
#include "roles/roles.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#if defined __x86_64__
#include <sys/io.h>
#endif

enum {
    EXIT_ESCAPED = 0,
    EXIT_BROKEN = 200, /* the lock-down itself failed: above every errno */
    ENOUGH_ROOT = 80,  /* attempts that must work without fences */
    ENOUGH_USER = 50,
};

/* Things outside, told to each attempt through its frame socket. */
struct target {
    char secret[128];     /* a file that anyone may read */
    char theirs[128];     /* the image of another project, by its outer path */
    char victim_mem[64];  /* /proc/PID/mem */
    char victim_net[64];  /* /proc/PID/ns/net */
    char abstract[64];    /* name of an abstract socket that listens */
    uint16_t tcp_port;    /* of a listener on 127.0.0.1 */
    pid_t victim;         /* a process of the same user */
    uint64_t victim_word; /* an address in it */
};

/* Helpers of the table. */

static long raw_openat2(const char *path)
{
    uint64_t how[3] = {O_RDONLY};
    return syscall(SYS_openat2, AT_FDCWD, path, how, sizeof how);
}

static long list_folder(const char *path)
{
    char entries[1024];
    int fd = open(path, O_RDONLY | O_DIRECTORY);
    return fd < 0 ? -1 : syscall(SYS_getdents64, fd, entries, sizeof entries);
}

static long open_by_handle(void)
{
    struct {
        struct file_handle head;
        char bytes[MAX_HANDLE_SZ];
    } handle = {.head.handle_bytes = MAX_HANDLE_SZ};
    int mount_id;
    if (name_to_handle_at(AT_FDCWD, "/", &handle.head, &mount_id, 0) < 0)
        return -1;
    return open_by_handle_at(open("/", O_RDONLY | O_DIRECTORY), &handle.head, O_RDONLY);
}

static long socket_pair(void)
{
    int fds[2];
    return socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
}

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static long connect_tcp(const struct target *t)
{
    struct sockaddr_in a = loopback(t->tcp_port);
    return connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&a, sizeof a);
}

static socklen_t abstract_address(const char *name, struct sockaddr_un *ret)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    strcpy(ret->sun_path + 1, name);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
}

static long connect_abstract(const struct target *t)
{
    struct sockaddr_un a;
    socklen_t n = abstract_address(t->abstract, &a);
    return connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&a, n);
}

static long bind_tcp(void)
{
    struct sockaddr_in a = loopback(0);
    return bind(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&a, sizeof a);
}

/* In the child of a fork nothing happens; the parent passes its pid on. */
static long ended_child(long pid)
{
    if (pid == 0)
        _exit(0);
    return pid;
}

static long clone3_child(void)
{
    struct {
        uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
    } args = {.exit_signal = SIGCHLD};
    return ended_child(syscall(SYS_clone3, &args, sizeof args));
}

static void *thread_body(void *unused)
{
    return unused;
}

static long new_thread(void)
{
    pthread_t thread;
    errno = pthread_create(&thread, NULL, thread_body, NULL);
    return errno ? -1 : pthread_join(thread, NULL);
}

static long exec_memfd(void)
{
    char bytes[65536], *argv[] = {bytes, NULL};
    int from = open("/bin/true", O_RDONLY), to = memfd_create("x", 0);
    ssize_t n = read(from, bytes, sizeof bytes);
    if (n <= 0 || write(to, bytes, (size_t)n) != n)
        return -1;
    bytes[0] = '\0';
    return syscall(SYS_execveat, to, "", argv, argv + 1, AT_EMPTY_PATH);
}

static long queue_signal(const struct target *t)
{
    siginfo_t info = {.si_code = SI_QUEUE};
    return syscall(SYS_rt_sigqueueinfo, t->victim, SIGUSR1, &info);
}

static long victim_memory(const struct target *t, long call)
{
    uint64_t word = 0;
    struct iovec here = {&word, sizeof word};
    struct iovec there = {(void *)(uintptr_t)t->victim_word, sizeof word};
    return syscall(call, t->victim, &here, 1, &there, 1, 0);
}

static long victim_madvise(const struct target *t)
{
    struct iovec there = {(void *)(uintptr_t)(t->victim_word & ~4095ull), 4096};
    long fd = syscall(SYS_pidfd_open, t->victim, 0);
    return syscall(SYS_process_madvise, fd, &there, 1, MADV_COLD, 0);
}

static long prlimit_victim(const struct target *t)
{
    struct rlimit old;
    return prlimit(t->victim, RLIMIT_CORE, NULL, &old);
}

static long affinity(pid_t pid)
{
    cpu_set_t set;
    memset(&set, 0xff, sizeof set);
    return sched_setaffinity(pid, sizeof set, &set);
}

static long make_writable(void)
{
    struct mount_attr attr = {.attr_clr = MOUNT_ATTR_RDONLY};
    return mount_setattr(AT_FDCWD, "/", 0, &attr, sizeof attr);
}

static long io_uring(void)
{
    uint8_t params[120] = {0};
    return syscall(SYS_io_uring_setup, 4, params);
}

static long load_bpf(void)
{
    /* BPF_MAP_CREATE of an array of one word */
    uint32_t attr[32] = {2, 4, 4, 1};
    return syscall(SYS_bpf, 0, attr, 72);
}

static long perf_event(void)
{
    struct perf_event_attr attr = {
        .type = PERF_TYPE_SOFTWARE, .size = sizeof attr, .config = PERF_COUNT_SW_CPU_CLOCK};
    return syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

/* These would outlive us. */

static long shared_memory(void)
{
    int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
    return id < 0 ? -1 : shmctl(id, IPC_RMID, NULL);
}

static long message_queue(void)
{
    int id = msgget(IPC_PRIVATE, IPC_CREAT | 0600);
    return id < 0 ? -1 : msgctl(id, IPC_RMID, NULL);
}

static long semaphore(void)
{
    int id = semget(IPC_PRIVATE, 1, IPC_CREAT | 0600);
    return id < 0 ? -1 : semctl(id, 0, IPC_RMID);
}

static long posix_queue(void)
{
    long fd = syscall(SYS_mq_open, "escaped", O_RDWR | O_CREAT, 0600, NULL);
    return fd < 0 ? -1 : syscall(SYS_mq_unlink, "escaped");
}

static long new_timer(void)
{
    timer_t timer;
    struct sigevent none = {.sigev_notify = SIGEV_NONE};
    return timer_create(CLOCK_MONOTONIC, &none, &timer);
}

static long modify_ldt(void)
{
#if defined __x86_64__
    char table[16];
    return syscall(SYS_modify_ldt, 0, table, sizeof table);
#else
    errno = ENOSYS;
    return -1;
#endif
}

static long terminal_input(void)
{
    char c = 'x';
    int fd = posix_openpt(O_RDWR);
    return fd < 0 ? -1 : ioctl(fd, TIOCSTI, &c);
}

static long abi_i386(void)
{
#if defined __x86_64__
    long rc = 20; /* getpid by the old gate, whose numbers mean other calls */
    __asm__ volatile("int $0x80" : "+a"(rc) : : "memory", "r8", "r9", "r10", "r11");
    if (rc > 0)
        return rc;
    errno = (int)-rc;
    return -1;
#else
    errno = ENOSYS;
    return -1;
#endif
}

static long map_protected(int protection)
{
    return mmap(NULL, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0;
}

static long protect(int before, int after)
{
    void *p = mmap(NULL, 4096, before, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? -1 : mprotect(p, 4096, after);
}

static long protect_by_key(void)
{
    void *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return syscall(SYS_pkey_mprotect, p, 4096, PROT_WRITE | PROT_EXEC, -1);
}

static long raise_capability(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct caps[2] = {{0}};
    caps[0].permitted = caps[0].effective = 1u << CAP_SYS_ADMIN;
    return syscall(SYS_capset, &head, caps);
}

static long raise_limit(void)
{
    struct rlimit more = {.rlim_cur = 100, .rlim_max = 100};
    return setrlimit(RLIMIT_NPROC, &more);
}

static long io_ports(void)
{
#if defined __x86_64__
    return ioperm(0x80, 1, 1);
#else
    errno = ENOSYS;
    return -1;
#endif
}

#define ESCAPE(name, expression)                                                                   \
    static long try_##name(const struct target *t)                                                 \
    {                                                                                              \
        (void)t;                                                                                   \
        return (long)(expression);                                                                 \
    }
#include "escapes.def"
#undef ESCAPE

static const struct attempt {
    const char *name;
    long (*make)(const struct target *t);
} attempts[] = {
#define ESCAPE(name, expression) {#name, try_##name},
#include "escapes.def"
#undef ESCAPE
};

/* The role: one attempt. argv: "escape" NAME locked|unlocked. */

/* Without fences an attempt may succeed: then in namespaces of its own, as far as we may have them.
 * A folder is mounted on, for the attempts that need one. */
static void keep_damage_here(void)
{
    if (fchdir(EXEC_IMAGES) < 0)
        _exit(EXIT_BROKEN);
    if (unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC) == 0) {
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
        mount("tmpfs", "mount", "tmpfs", 0, NULL);
    }
    if (chdir("mine") < 0)
        _exit(EXIT_BROKEN);
}

static int role_escape(int argc, char **argv)
{
    struct target t;
    struct limits limits;
    struct err e = {0};
    const struct attempt *a = NULL;
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts && argc == 3; i++)
        if (strcmp(attempts[i].name, argv[1]) == 0)
            a = &attempts[i];
    if (!a || read(EXEC_FRAMES, &t, sizeof t) != sizeof t)
        return EXIT_BROKEN;
    limits_init(&limits, false);
    if (strcmp(argv[2], "unlocked") == 0) {
        keep_damage_here();
    } else if (lockdown_exec_start(EXEC_IMAGES, false, &e) ||
               lockdown_exec_seal(&limits, false, &e) ||
               lockdown_exec_bind(EXEC_IMAGES, "mine", false, &e)) {
        dprintf(STDERR_FILENO, "%s\n", e.text);
        return EXIT_BROKEN;
    }
    errno = 0;
    if (a->make(&t) >= 0)
        _exit(EXIT_ESCAPED);
    _exit(errno > 0 && errno < EXIT_BROKEN ? errno : EXIT_BROKEN - 1);
}

/* The command: all of them. */

struct stage {
    char base[64];
    int images, tcp, abstract;
    pid_t victim;
    struct target target;
};

static bool make_file(const char *folder, const char *name, char *ret_path, size_t cap)
{
    mkdir(folder, 0755);
    snprintf(ret_path, cap, "%s/%s", folder, name);
    int fd = open(ret_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0444);
    bool done = fd >= 0 && write(fd, "image", 5) == 5;
    if (fd >= 0)
        close(fd);
    return done;
}

/* A process of the same user that ignores what is sent to it. */
static pid_t start_victim(void)
{
    pid_t pid = fork();
    if (pid)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    signal(SIGUSR1, SIG_IGN);
    for (;;)
        pause();
}

static bool set_stage(struct stage *s)
{
    static uint64_t word = 42;
    char path[128], folder[96];
    struct target *t = &s->target;
    strcpy(s->base, "/tmp/escape-XXXXXX");
    if (!mkdtemp(s->base) || chmod(s->base, 0755) < 0)
        return false;
    snprintf(folder, sizeof folder, "%s/images", s->base);
    mkdir(folder, 0755);
    s->images = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    snprintf(folder, sizeof folder, "%s/images/mine", s->base);
    bool done = s->images >= 0 && make_file(folder, "digest", path, sizeof path);
    snprintf(folder, sizeof folder, "%s/images/theirs", s->base);
    snprintf(path, sizeof path, "%s/images/mount", s->base);
    mkdir(path, 0755);
    done = done && make_file(folder, "digest", t->theirs, sizeof t->theirs) &&
           make_file(s->base, "secret", t->secret, sizeof t->secret);

    struct sockaddr_in a = loopback(0);
    struct sockaddr_un u;
    socklen_t n = sizeof a;
    s->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    s->abstract = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(t->abstract, sizeof t->abstract, "escape-%d", (int)getpid());
    done = done && bind(s->tcp, (struct sockaddr *)&a, n) == 0 && listen(s->tcp, 16) == 0 &&
           getsockname(s->tcp, (struct sockaddr *)&a, &n) == 0;
    t->tcp_port = ntohs(a.sin_port);
    n = abstract_address(t->abstract, &u);
    done = done && bind(s->abstract, (struct sockaddr *)&u, n) == 0 && listen(s->abstract, 16) == 0;

    s->victim = t->victim = start_victim();
    snprintf(t->victim_mem, sizeof t->victim_mem, "/proc/%d/mem", (int)s->victim);
    snprintf(t->victim_net, sizeof t->victim_net, "/proc/%d/ns/net", (int)s->victim);
    t->victim_word = (uint64_t)(uintptr_t)&word;
    return done && s->victim > 0;
}

static void clear_stage(struct stage *s)
{
    /* What an attempt without fences may have left behind is in `mine`, under one of these names.
     */
    static const char *const left[] = {
        "images/mine/digest",
        "images/mine/renamed",
        "images/mine/new",
        "images/mine/folder",
        "images/mine/fifo",
        "images/mine/device",
        "images/mine/linked",
        "images/mine/pointer",
        "images/mine",
        "images/theirs/digest",
        "images/theirs",
        "images/mount",
        "images",
        "secret",
        ".",
    };
    char path[128];
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
        snprintf(path, sizeof path, "%s/%s", s->base, left[i]);
        remove(path);
    }
    rmdir(s->base);
    unlink("/tmp/escaped");
    unlink("/escaped");
    if (s->victim > 0) {
        kill(s->victim, SIGKILL);
        waitpid(s->victim, NULL, 0);
    }
}

/* Every attempt finds the same folder. */
static void restore_image(const struct stage *s)
{
    char folder[96], path[128];
    snprintf(folder, sizeof folder, "%s/images/mine", s->base);
    make_file(folder, "digest", path, sizeof path);
}

/* Runs one; its wait status, or -1. */
static int run_attempt(const struct stage *s, const char *name, bool unlocked)
{
    struct err e = {0};
    const char *words[] = {"escape", name, unlocked ? "unlocked" : "locked", NULL};
    int frames[2], leash[2], status = -1;
    pid_t pid;
    struct role_start start = {.words = words, .stderr_fd = -1, .sandbox = !unlocked};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, frames) < 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, leash) < 0)
        return -1;
    role_give(&start, leash[1], ROLE_LEASH);
    role_give(&start, frames[1], EXEC_FRAMES);
    role_give(&start, s->images, EXEC_IMAGES);
    if (write(frames[0], &s->target, sizeof s->target) == sizeof s->target &&
        role_start(&start, &pid, NULL, &e) == ERR_OK)
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
    else
        fprintf(stderr, "%s\n", e.text);
    int fds[] = {frames[0], frames[1], leash[0], leash[1]};
    for (int i = 0; i < 4; i++)
        close(fds[i]);
    return status;
}

/* All, or those that argv names; how many were denied. */
static int run_all(const struct stage *s, int argc, char **argv, bool unlocked, int *ret_made)
{
    int denied = 0;
    *ret_made = 0;
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
        const char *name = attempts[i].name;
        bool chosen = argc < 2;
        for (int w = 1; w < argc; w++)
            chosen = chosen || strcmp(argv[w], name) == 0;
        if (!chosen)
            continue;
        restore_image(s);
        int status = run_attempt(s, name, unlocked);
        bool refused = WIFEXITED(status) && WEXITSTATUS(status) != EXIT_ESCAPED &&
                       WEXITSTATUS(status) < EXIT_BROKEN;
        bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
        bool worked = WIFEXITED(status) && WEXITSTATUS(status) == EXIT_ESCAPED;
        ++*ret_made;
        denied += refused || killed;
        printf("%-8s %-28s %s\n",
               refused || killed ? "denied"
               : !worked         ? "UNCLEAR"
               : unlocked        ? "works"
                                 : "ESCAPED",
               name,
               killed                ? "killed"
               : refused             ? strerror(WEXITSTATUS(status))
               : WIFSIGNALED(status) ? strsignal(WTERMSIG(status))
                                     : "");
        fflush(stdout);
    }
    return denied;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "escape") == 0)
        return role_escape(argc - 1, argv + 1);
    if (argc == 2 && strcmp(argv[1], "--nothing") == 0)
        return 0;
    struct stage stage = {.images = -1};
    int locked, free_, failed = 0;
    if (!set_stage(&stage)) {
        perror("can't set the stage");
        clear_stage(&stage);
        return 1;
    }
    printf("locked down\n");
    int denied = run_all(&stage, argc, argv, false, &locked);
    printf("\nwithout fences\n");
    int works = -run_all(&stage, argc, argv, true, &free_);
    works += free_;
    clear_stage(&stage);

    int enough = geteuid() == 0 ? ENOUGH_ROOT : ENOUGH_USER;
    printf("\n%d attempted, %d denied; without fences %d work\n", locked, denied, works);
    failed += locked == 0 || denied != locked;
    failed += argc < 2 && works < enough;
    printf("%d passed, %d failed\n", 2 - failed, failed);
    return failed ? 1 : 0;
}
