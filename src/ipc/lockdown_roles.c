/* The fences of the roles around exec.
 *
 * They hold more than an exec and are written by us alone, so they are fenced by what they must
 * not do instead of by a short list of what they may: no other program, no look into another
 * process, no mounting, no kernel interfaces with a history, files only where theirs are. A
 * compile job is the exception: it reads one hostile module and gets a short list, too. */
#include "ipc/lockdown_steps.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EDGE_FOLDERS = 2 };
static const uint32_t REFUSAL = SCMP_ACT_ERRNO(EPERM);

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
static bool no_new_process(scmp_filter_ctx f)
{
    return SANITIZED || (filter_rules(f, REFUSAL, "fork vfork") &&
                         filter_rules(f, SCMP_ACT_ERRNO(ENOSYS), "clone3") &&
                         seccomp_rule_add(f, REFUSAL, SCMP_SYS(clone), 1,
                                          SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0)) == 0);
}

/* Others may run as the same user: their limits and signals stay their own. */
static bool only_itself(scmp_filter_ctx f)
{
    return seccomp_rule_add(f, REFUSAL, SCMP_SYS(prlimit64), 1, SCMP_A0(SCMP_CMP_NE, 0)) == 0 &&
           seccomp_rule_add(f, REFUSAL, SCMP_SYS(tgkill), 1,
                            SCMP_A0(SCMP_CMP_NE, (scmp_datum_t)getpid())) == 0;
}

/* The steps that all of them share; takes the filter over (NULL: it could not be made). */
static enum err_code lock_role(const struct landlock_place *places, int n, enum landlock_net net,
                               scmp_filter_ctx (*filter)(void), struct err *e)
{
    if (!step_capabilities())
        return fence_missing(FENCE_CAPABILITIES, true, "capset", e);
    if (!step_no_new_privs())
        return fence_missing(FENCE_NO_NEW_PRIVS, true, "prctl", e);
    enum err_code rc = ERR_OK;
    if (!step_landlock(places, n, net))
        rc = fence_missing(FENCE_LANDLOCK, true, "landlock", e);
    if (rc == ERR_OK && !(step_limit(RLIMIT_CORE, 0) && step_not_dumpable()))
        rc = fence_missing(FENCE_DUMPABLE, true, "prctl", e);
    if (rc)
        return rc;
    return filter_load(filter()) ? ERR_OK : fence_missing(FENCE_SECCOMP, true, "seccomp", e);
}

/* What no role but master may. NULL on failure. */
static scmp_filter_ctx never_filter(const char *also)
{
    scmp_filter_ctx f = filter_new(SCMP_ACT_ALLOW);
    if (filter_rules(f, REFUSAL, never) && filter_rules(f, REFUSAL, also) && no_new_process(f) &&
        only_itself(f))
        return f;
    seccomp_release(f);
    return NULL;
}

static scmp_filter_ctx inner_filter(void)
{
    return never_filter(new_sockets);
}

enum err_code lockdown_edge(const int *folders, int n, struct err *e)
{
    struct landlock_place places[EDGE_FOLDERS];
    assert(n <= EDGE_FOLDERS);
    for (int i = 0; i < n; i++)
        places[i] = (struct landlock_place){folders[i], LANDLOCK_ALL};
#ifdef __SANITIZE_ADDRESS__
    int proc = n ? -1 : open("/proc", O_PATH | O_CLOEXEC);
    if (proc >= 0) /* it has no files, but is searched for leaks at its end */
        places[n++] = (struct landlock_place){proc, LANDLOCK_ALL};
    enum err_code rc = lock_role(places, n, LANDLOCK_NET_NONE, inner_filter, e);
    if (proc >= 0)
        close(proc);
    return rc;
#else
    return lock_role(places, n, LANDLOCK_NET_NONE, inner_filter, e);
#endif
}

enum err_code lockdown_control(int data_fd, struct err *e)
{
    const struct landlock_place data = {data_fd, LANDLOCK_ALL};
    return lock_role(&data, 1, LANDLOCK_NET_NONE, inner_filter, e);
}

/* Egress */

/* Its sockets are for TCP and UDP over IPv4 and IPv6. A filter compares one argument once, so what
 * isn't on the short list of allowed numbers is refused piece by piece. */
static bool refuse_others(scmp_filter_ctx f, unsigned argument, scmp_datum_t mask,
                          const scmp_datum_t *allowed, size_t n)
{
    scmp_datum_t most = allowed[n - 1];
    for (scmp_datum_t v = 0; v <= (mask ? mask : most); v++) {
        bool fine = false;
        for (size_t i = 0; i < n; i++)
            fine = fine || v == allowed[i];
        struct scmp_arg_cmp is = mask ? SCMP_CMP64(argument, SCMP_CMP_MASKED_EQ, mask, v)
                                      : SCMP_CMP64(argument, SCMP_CMP_EQ, v);
        if (!fine && seccomp_rule_add_array(f, REFUSAL, SCMP_SYS(socket), 1, &is) < 0)
            return false;
    }
    struct scmp_arg_cmp above = SCMP_CMP64(argument, SCMP_CMP_GT, most);
    return mask || seccomp_rule_add_array(f, REFUSAL, SCMP_SYS(socket), 1, &above) == 0;
}

/* What is loaded is all the code that it will ever have. */
static bool refuse_code(scmp_filter_ctx f)
{
    static const int calls[] = {SCMP_SYS(mmap), SCMP_SYS(mprotect), SCMP_SYS(pkey_mprotect)};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (seccomp_rule_add(f, REFUSAL, calls[i], 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC)) < 0)
            return false;
    return true;
}

static scmp_filter_ctx egress_filter(void)
{
    static const scmp_datum_t families[] = {AF_INET, AF_INET6};
    static const scmp_datum_t kinds[] = {SOCK_STREAM, SOCK_DGRAM};
    static const scmp_datum_t protocols[] = {0, IPPROTO_TCP, IPPROTO_UDP};
    enum { KIND_MASK = 0xf }; /* flags are above */
    scmp_filter_ctx f = never_filter("bind listen accept accept4");
    if (f && refuse_others(f, 0, 0, families, 2) && refuse_others(f, 1, KIND_MASK, kinds, 2) &&
        refuse_others(f, 2, 0, protocols, 3) && refuse_code(f))
        return f;
    if (f)
        seccomp_release(f);
    return NULL;
}

/* What a resolver and a TLS library may want to read again after they have started. */
static const char *const egress_files[] = {
    "/etc/resolv.conf",   "/etc/hosts",
    "/etc/nsswitch.conf", "/etc/services",
    "/etc/host.conf",     "/etc/gai.conf",
    "/etc/ssl/certs",     "/etc/ssl/openssl.cnf",
    "/etc/pki/tls",       "/usr/share/ca-certificates",
    "/etc/localtime",
};

enum err_code lockdown_egress(int spool_fd, struct err *e)
{
    enum { FILES = sizeof egress_files / sizeof *egress_files };
    struct landlock_place places[FILES + 1];
    int n = 0;
    for (int i = 0; i < FILES; i++) {
        int fd = open(egress_files[i], O_PATH | O_CLOEXEC);
        if (fd >= 0)
            places[n++] = (struct landlock_place){fd, LANDLOCK_READ};
    }
    int files = n;
    if (spool_fd >= 0)
        places[n++] = (struct landlock_place){spool_fd, LANDLOCK_ALL};
    enum err_code rc = lock_role(places, n, LANDLOCK_NET_CONNECT, egress_filter, e);
    for (int i = 0; i < files; i++)
        close(places[i].fd);
    return rc;
}

/* Compile jobs */

static const char compile_calls[] =
    /* the module, the image, the answer */
    "read pread64 write pwrite64 writev sendto sendmsg recvmsg close fstat newfstatat statx lseek "
    "ftruncate fallocate fsync fdatasync fchmod poll epoll_wait epoll_pwait epoll_ctl "
    /* memory and threads */
    "munmap mremap madvise brk membarrier futex set_robust_list rseq sched_yield "
    "sched_getaffinity sysinfo " /* qsort() asks how much memory there is */
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
    if (rc == ERR_OK && !step_landlock(NULL, 0, LANDLOCK_NET_NONE))
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
