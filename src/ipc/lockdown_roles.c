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

static const int never[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(kcmp),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(process_madvise),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(open_tree),
    SCMP_SYS(move_mount),
    SCMP_SYS(fsopen),
    SCMP_SYS(fsconfig),
    SCMP_SYS(fsmount),
    SCMP_SYS(fspick),
    SCMP_SYS(mount_setattr),
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register),
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(reboot),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(memfd_create),
    SCMP_SYS(memfd_secret),
    SCMP_SYS(personality),
    SCMP_SYS(setuid),
    SCMP_SYS(setresuid),
    SCMP_SYS(setgid),
    SCMP_SYS(setresgid),
    SCMP_SYS(setgroups),
    SCMP_SYS(acct),
    SCMP_SYS(quotactl),
    SCMP_SYS(lookup_dcookie),
    SCMP_SYS(syslog),
};

static const int new_sockets[] = {SCMP_SYS(socket), SCMP_SYS(connect), SCMP_SYS(bind),
                                  SCMP_SYS(listen)};

/* Sanitizers look for leaks at exit from a second process that traces this one. */
static bool spared(int call)
{
    return SANITIZED && call == SCMP_SYS(ptrace);
}

static bool refuse(scmp_filter_ctx f, const int *calls, size_t n)
{
    for (size_t i = 0; f && i < n; i++)
        if (!spared(calls[i]) && seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), calls[i], 0) < 0)
            return false;
    return f != NULL;
}

static enum err_code lock_role(const int *folders, int n, bool sockets, struct err *e)
{
    if (!step_capabilities())
        return fence_missing(FENCE_CAPABILITIES, true, "capset", e);
    if (!step_no_new_privs())
        return fence_missing(FENCE_NO_NEW_PRIVS, true, "prctl", e);
    enum err_code rc = ERR_OK;
    if (!step_landlock(folders, n, LANDLOCK_ALL, !sockets))
        rc = fence_missing(FENCE_LANDLOCK, true, "landlock", e);
    if (rc == ERR_OK && !(step_limit(RLIMIT_CORE, 0) && step_not_dumpable()))
        rc = fence_missing(FENCE_DUMPABLE, true, "prctl", e);
    if (rc)
        return rc;
    scmp_filter_ctx f = filter_new(SCMP_ACT_ALLOW);
    if (!refuse(f, never, sizeof never / sizeof *never) ||
        (!sockets && !refuse(f, new_sockets, sizeof new_sockets / sizeof *new_sockets))) {
        seccomp_release(f);
        f = NULL;
    }
    return filter_load(f) ? ERR_OK : fence_missing(FENCE_SECCOMP, true, "seccomp", e);
}

enum err_code lockdown_edge(const int *folders, int n, struct err *e)
{
    return lock_role(folders, n, false, e);
}

enum err_code lockdown_control(int data_fd, struct err *e)
{
    return lock_role(&data_fd, 1, false, e);
}

static const int compile_calls[] = {
    SCMP_SYS(read),
    SCMP_SYS(pread64),
    SCMP_SYS(write),
    SCMP_SYS(pwrite64),
    SCMP_SYS(writev),
    SCMP_SYS(sendto),
    SCMP_SYS(sendmsg),
    SCMP_SYS(recvmsg),
    SCMP_SYS(close),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(statx),
    SCMP_SYS(lseek),
    SCMP_SYS(ftruncate),
    SCMP_SYS(fallocate),
    SCMP_SYS(fsync),
    SCMP_SYS(fdatasync),
    SCMP_SYS(fchmod),
    SCMP_SYS(poll),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(brk),
    SCMP_SYS(membarrier),
    SCMP_SYS(futex),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(getrandom),
    SCMP_SYS(gettid),
    SCMP_SYS(getpid),
    SCMP_SYS(getrusage),
    SCMP_SYS(getrlimit),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
};

static scmp_filter_ctx compile_filter(void)
{
    /* Libraries that look for their settings are told that there are none. */
    static const int files[] = {SCMP_SYS(openat), SCMP_SYS(readlink),  SCMP_SYS(readlinkat),
                                SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2)};
    scmp_filter_ctx f = filter_new(SCMP_ACT_KILL_PROCESS);
    bool built = filter_allow(f, compile_calls, sizeof compile_calls / sizeof *compile_calls) &&
                 filter_memory(f) &&
                 /* glibc then takes clone(), whose flags a filter can see: threads only */
                 seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) == 0 &&
                 seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                                  SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD)) == 0 &&
                 seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
                                  SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME)) == 0 &&
                 seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                                  SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid())) == 0;
    for (size_t i = 0; built && i < sizeof files / sizeof *files; i++)
        built = seccomp_rule_add(f, SCMP_ACT_ERRNO(EACCES), files[i], 0) == 0;
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
