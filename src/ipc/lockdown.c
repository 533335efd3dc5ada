#include "ipc/lockdown_steps.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

const struct fence fences[FENCE_COUNT] = {
#define FENCE(id, name_, required_, protects_, remedy_)                                            \
    [FENCE_##id] = {.name = name_, .required = required_, .protects = protects_, .remedy = remedy_},
#include "tables/fences.def"
#undef FENCE
};

enum err_code fence_missing(enum fence_id id, bool relaxed, const char *step, struct err *e)
{
    const struct fence *f = &fences[id];
    int why = errno;
    if (f->required && !relaxed)
        return err_set(e, ERR_NO_FENCE, "the fence %s is missing (%s: %s): %s", f->name, step,
                       strerror(why), f->remedy);
    log_line(f->required ? LOG_WARNING : LOG_DEBUG, "fence_missing",
             "fence=%s step=%s error=\"%s\"", f->name, step, strerror(why));
    return ERR_OK;
}

bool step_capabilities(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}};
    for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
        prctl(PR_CAPBSET_DROP, cap, 0, 0, 0); /* needs CAP_SETPCAP; role_start() did it for root */
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return syscall(SYS_capset, &head, none) == 0;
}

bool step_no_new_privs(void)
{
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

bool step_not_dumpable(void)
{
    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
}

bool step_limit(int resource, rlim_t most)
{
    struct rlimit now;
    if (getrlimit((__rlimit_resource_t)resource, &now) < 0)
        return false;
    if (now.rlim_max != RLIM_INFINITY && now.rlim_max < most)
        most = now.rlim_max;
    struct rlimit wanted = {.rlim_cur = most, .rlim_max = most};
    return setrlimit((__rlimit_resource_t)resource, &wanted) == 0;
}

static bool has_admin(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct caps[2];
    return syscall(SYS_capget, &head, caps) == 0 && (caps[0].effective & (1u << CAP_SYS_ADMIN));
}

#ifdef __SANITIZE_ADDRESS__
/* The search for leaks at exit is made by a second process that traces this one: behind a filter
 * it can't be made. Called by the sanitizer. */
static bool filtered;
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return filtered;
}
#endif

static bool write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return done;
}

bool step_become_admin(void)
{
    if (has_admin())
        return true;
    char uids[64], gids[64];
    snprintf(uids, sizeof uids, "%u %u 1", geteuid(), geteuid());
    snprintf(gids, sizeof gids, "%u %u 1", getegid(), getegid());
    return unshare(CLONE_NEWUSER) == 0 && write_file("/proc/self/setgroups", "deny") &&
           write_file("/proc/self/uid_map", uids) && write_file("/proc/self/gid_map", gids);
}

/* Landlock. Its header is as old as the system's; what later versions added is spelled out. */

int landlock_abi(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return abi > 0 ? (int)abi : 0;
}

#ifdef __SANITIZE_ADDRESS__
static bool allow_proc(int set)
{
    struct landlock_path_beneath_attr below = {
        .allowed_access = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
        .parent_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC),
    };
    long rc = syscall(SYS_landlock_add_rule, set, LANDLOCK_RULE_PATH_BENEATH, &below, 0);
    close(below.parent_fd);
    return rc == 0;
}
#endif

bool step_landlock(const struct landlock_place *places, int n, enum landlock_net net)
{
    struct {
        uint64_t fs, tcp, scopes;
    } rules = {0};
    int abi = landlock_abi();
    if (abi == 0) {
        errno = ENOSYS;
        return false;
    }
    /* Rights on files: 13 in version 1, then REFER, TRUNCATE and IOCTL_DEV. */
    int rights = abi == 1 ? 13 : abi == 2 ? 14 : abi < 5 ? 15 : 16;
    rules.fs = (1ull << rights) - 1;
    if (net != LANDLOCK_NET_ANY && abi >= 4)
        rules.tcp = net == LANDLOCK_NET_NONE ? 3 : 1; /* bind is 1, connect 2 */
    if (net != LANDLOCK_NET_ANY && abi >= 6)
        rules.scopes = 3; /* abstract sockets, signals */
    size_t size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
    int set = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);
    bool done = set >= 0, all = false;
    for (int i = 0; i < n && done; i++) {
        struct landlock_path_beneath_attr below = {
            .allowed_access =
                places[i].access == LANDLOCK_ALL ? rules.fs : LANDLOCK_ACCESS_FS_READ_FILE,
            .parent_fd = places[i].fd,
        };
        all = all || places[i].access == LANDLOCK_ALL;
        done = syscall(SYS_landlock_add_rule, set, LANDLOCK_RULE_PATH_BENEATH, &below, 0) == 0;
    }
#ifdef __SANITIZE_ADDRESS__
    if (done && (all || n == 0)) /* a process that is searched for leaks at its end */
        done = allow_proc(set);
#endif
    done = done && syscall(SYS_landlock_restrict_self, set, 0) == 0;
    int why = errno;
    if (set >= 0)
        close(set);
    errno = why;
    return done;
}

/* seccomp */

scmp_filter_ctx filter_new(uint32_t otherwise)
{
    scmp_filter_ctx f = seccomp_init(otherwise);
    if (!f)
        return NULL;
#ifdef __SANITIZE_ADDRESS__
    filtered = filtered || otherwise == SCMP_ACT_KILL_PROCESS;
#endif
    /* no_new_privs is set already, so loading needs no other call than seccomp itself */
    seccomp_attr_set(f, SCMP_FLTATR_CTL_NNP, 0);
    seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    return f;
}

bool filter_rules(scmp_filter_ctx f, uint32_t answer, const char *calls)
{
    struct slice rest = slice_str(calls);
    while (f && rest.p) {
        char name[32];
        struct slice word = slice_split(&rest, ' ');
        if (word.n == 0)
            continue;
        /* A call that this architecture doesn't have is a pseudo number and makes no rule. */
        int call = slice_copy(word, name, sizeof name) ? seccomp_syscall_resolve_name(name)
                                                       : __NR_SCMP_ERROR;
        if (call == __NR_SCMP_ERROR || seccomp_rule_add(f, answer, call, 0) < 0)
            return false;
    }
    return f != NULL;
}

bool filter_memory(scmp_filter_ctx f)
{
    static const int calls[] = {SCMP_SYS(mmap), SCMP_SYS(mprotect)};
    static const uint64_t allowed[] = {0, PROT_WRITE, PROT_EXEC};
    for (size_t c = 0; f && c < 2; c++)
        for (size_t i = 0; i < 3; i++)
            if (seccomp_rule_add(f, SCMP_ACT_ALLOW, calls[c], 1,
                                 SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_WRITE | PROT_EXEC, allowed[i])) <
                0)
                return false;
    return f != NULL;
}

bool filter_load(scmp_filter_ctx f)
{
    if (!f) {
        errno = ENOMEM;
        return false;
    }
    int rc = seccomp_load(f);
    seccomp_release(f);
    errno = rc < 0 ? -rc : 0;
    return rc == 0;
}

/* Probes: the step itself, tried in a child. */

static bool unshared(int flag)
{
    return step_become_admin() && unshare(flag) == 0;
}

static bool probe_pid(void)
{
    return step_become_admin() && unshare(CLONE_NEWPID) == 0;
}

static bool probe_landlock(int least)
{
    int abi = landlock_abi();
    if (abi >= least)
        return true;
    errno = abi ? EOPNOTSUPP : ENOSYS;
    return false;
}

static bool try_fence(enum fence_id id)
{
    switch (id) {
    case FENCE_USER:
        return unshare(CLONE_NEWUSER) == 0;
    case FENCE_PID:
        return probe_pid();
    case FENCE_NET:
        return unshared(CLONE_NEWNET);
    case FENCE_MOUNT:
        return unshared(CLONE_NEWNS);
    case FENCE_IPC:
        return unshared(CLONE_NEWIPC);
    case FENCE_UTS:
        return unshared(CLONE_NEWUTS);
    case FENCE_CGROUP:
        return unshared(CLONE_NEWCGROUP);
    case FENCE_UID:
        return setresuid(EXEC_USERS_FIRST, EXEC_USERS_FIRST, EXEC_USERS_FIRST) == 0;
    case FENCE_LANDLOCK:
        return step_no_new_privs() && step_landlock(NULL, 0, LANDLOCK_NET_NONE);
    case FENCE_LANDLOCK_TCP:
        return probe_landlock(4);
    case FENCE_LANDLOCK_SCOPES:
        return probe_landlock(6);
    case FENCE_CAPABILITIES:
        return step_capabilities();
    case FENCE_RLIMITS:
        return step_limit(RLIMIT_NPROC, 0) && step_limit(RLIMIT_FSIZE, 0);
    case FENCE_NO_NEW_PRIVS:
        return step_no_new_privs();
    case FENCE_DUMPABLE:
        return step_not_dumpable();
    case FENCE_SECCOMP:
        return step_no_new_privs() && filter_load(filter_new(SCMP_ACT_ALLOW));
    case FENCE_COUNT:
        break;
    }
    return false;
}

bool fence_probe(enum fence_id id, char why[128])
{
    why[0] = '\0';
    pid_t pid = fork();
    if (pid == 0) {
        errno = 0;
        _exit(try_fence(id) ? 0 : errno > 0 && errno < 255 ? errno : 255);
    }
    int status = 0;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    snprintf(why, 128, "%s",
             pid < 0               ? strerror(errno)
             : WIFSIGNALED(status) ? "the process was killed"
                                   : strerror(WEXITSTATUS(status)));
    return false;
}
