/* The fences of the roles around exec.
 *
 * They hold more than an exec and are written by us alone, so they are fenced by what they must
 * not do instead of by a short list of what they may: no other program, no look into another
 * process, no mounting, no kernel interfaces with a history, files only where theirs are. A
 * compile job is the exception: it reads one hostile module and gets a short list, too. */
#include "ipc/lockdown_steps.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

static const char never[] =
    /* other programs, other processes */
    "execve execveat process_vm_readv process_vm_writev kcmp pidfd_open pidfd_getfd "
    "pidfd_send_signal process_madvise kill tkill rt_sigqueueinfo rt_tgsigqueueinfo "
#ifndef __SANITIZE_ADDRESS__ /* which look for leaks from a second process that traces this one */
    "ptrace "
#endif
    /* mounts and namespaces */
    "mount umount2 pivot_root chroot open_tree move_mount fsopen fsconfig fsmount fspick "
    "mount_setattr unshare setns "
    /* large interfaces, most of the kernel's holes */
    "bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register keyctl "
    "add_key request_key init_module finit_module delete_module kexec_load memfd_create "
    "memfd_secret personality lookup_dcookie "
    /* what only root does */
    "reboot swapon swapoff open_by_handle_at acct quotactl syslog "
    "setuid setresuid setgid setresgid setgroups";

/* What an edge needs is open: sockets come from master, connections from accept. */
static const char new_sockets[] = "socket connect bind listen";

/* Threads only: glibc, told that there is no clone3, takes clone, whose flags a filter can see. */
static bool no_new_process(scmp_filter_ctx f, uint32_t refusal)
{
    return SANITIZED || (filter_rules(f, refusal, "fork vfork") &&
                         filter_rules(f, SCMP_ACT_ERRNO(ENOSYS), "clone3") &&
                         seccomp_rule_add(f, refusal, SCMP_SYS(clone), 1,
                                          SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0)) == 0);
}

/* Others may run as the same user: their limits and signals stay their own. */
static bool only_itself(scmp_filter_ctx f, uint32_t refusal)
{
    return seccomp_rule_add(f, refusal, SCMP_SYS(prlimit64), 1, SCMP_A0(SCMP_CMP_NE, 0)) == 0 &&
           seccomp_rule_add(f, refusal, SCMP_SYS(tgkill), 1,
                            SCMP_A0(SCMP_CMP_NE, (scmp_datum_t)getpid())) == 0;
}

static enum err_code lock_role(const int *folders, int n, struct err *e)
{
    const uint32_t refusal = SCMP_ACT_ERRNO(EPERM);
    if (!step_capabilities())
        return fence_missing(FENCE_CAPABILITIES, true, "capset", e);
    if (!step_no_new_privs())
        return fence_missing(FENCE_NO_NEW_PRIVS, true, "prctl", e);
    enum err_code rc = ERR_OK;
    if (!step_landlock(folders, n, LANDLOCK_ALL, true))
        rc = fence_missing(FENCE_LANDLOCK, true, "landlock", e);
    if (rc == ERR_OK && !(step_limit(RLIMIT_CORE, 0) && step_not_dumpable()))
        rc = fence_missing(FENCE_DUMPABLE, true, "prctl", e);
    if (rc)
        return rc;
    scmp_filter_ctx f = filter_new(SCMP_ACT_ALLOW);
    if (!filter_rules(f, refusal, never) || !filter_rules(f, refusal, new_sockets) ||
        !no_new_process(f, refusal) || !only_itself(f, refusal)) {
        seccomp_release(f);
        f = NULL;
    }
    return filter_load(f) ? ERR_OK : fence_missing(FENCE_SECCOMP, true, "seccomp", e);
}

enum err_code lockdown_edge(const int *folders, int n, struct err *e)
{
    return lock_role(folders, n, e);
}

enum err_code lockdown_control(int data_fd, struct err *e)
{
    return lock_role(&data_fd, 1, e);
}

static const char compile_calls[] =
    /* the module, the image, the answer */
    "read pread64 write pwrite64 writev sendto sendmsg recvmsg close fstat newfstatat statx lseek "
    "ftruncate fallocate fsync fdatasync fchmod poll epoll_wait epoll_pwait epoll_ctl "
    /* memory and threads */
    "munmap mremap madvise brk membarrier futex set_robust_list rseq sched_yield "
    "sched_getaffinity "
    "rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack clock_gettime gettimeofday "
    "clock_nanosleep getrandom gettid getpid getrusage getrlimit restart_syscall exit exit_group";

/* Libraries that look for their settings are told that there are none. */
static const char compile_files[] = "openat readlink readlinkat access faccessat faccessat2";

static scmp_filter_ctx compile_filter(void)
{
    scmp_filter_ctx f = filter_new(SCMP_ACT_KILL_PROCESS);
    bool built = filter_rules(f, SCMP_ACT_ALLOW, compile_calls) &&
                 filter_rules(f, SCMP_ACT_ERRNO(EACCES), compile_files) && filter_memory(f) &&
                 /* glibc then takes clone(), whose flags a filter can see: threads only */
                 seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) == 0 &&
                 seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                                  SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD)) == 0 &&
                 seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
                                  SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME)) == 0 &&
                 seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                                  SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid())) == 0;
    if (built)
        return f;
    seccomp_release(f);
    return NULL;
}

/* SIGXCPU at the limit, which tells master what happened; SIGKILL a second later. */
static bool limit_cpu(rlim_t seconds)
{
    struct rlimit cpu = {.rlim_cur = seconds, .rlim_max = seconds + 1};
    return setrlimit(RLIMIT_CPU, &cpu) == 0;
}

enum err_code lockdown_compile(const struct limits *limits, bool relaxed, struct err *e)
{
    rlim_t cpu_s = (limits->v[LIMIT_COMPILE_CPU] + 999999) / 1000000;
    if (!step_capabilities())
        return fence_missing(FENCE_CAPABILITIES, relaxed, "capset", e);
    enum err_code rc = ERR_OK;
    if (!step_no_new_privs())
        rc = fence_missing(FENCE_NO_NEW_PRIVS, relaxed, "prctl", e);
    if (rc == ERR_OK && !step_landlock(NULL, 0, LANDLOCK_READ, true))
        rc = fence_missing(FENCE_LANDLOCK, relaxed, "landlock", e);
    if (rc == ERR_OK && !((SANITIZED || step_limit(RLIMIT_DATA, limits->v[LIMIT_COMPILE_MEMORY])) &&
                          limit_cpu(cpu_s) && step_limit(RLIMIT_CORE, 0)))
        rc = fence_missing(FENCE_RLIMITS, relaxed, "setrlimit", e);
    if (rc == ERR_OK && !step_not_dumpable())
        rc = fence_missing(FENCE_DUMPABLE, relaxed, "prctl", e);
    if (rc == ERR_OK && !filter_load(compile_filter()))
        rc = fence_missing(FENCE_SECCOMP, relaxed, "seccomp", e);
    return rc;
}
