/* The fences of an exec process, in the order of the architecture.
 *
 * It starts with CAP_SYS_ADMIN (role_start() left it: root's own, or that of a user namespace) and
 * uses it for the namespaces and the empty root. Mounting goes through descriptors: the images
 * folder may lie below a folder that this user can't enter. */
#include "ipc/lockdown_steps.h"
#include "ipc/role.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { EXEC_FILES = 64 }; /* descriptors: sockets, the loop, an image being opened, remote opens */

/* The empty root: a tmpfs that holds nothing but a folder `images`, all read-only. Our working
 * directory is the images folder: that reference moved into the new mount namespace with us, the
 * descriptor did not. Returns the step that failed, or NULL. */
static const char *empty_root(int images_fd)
{
    struct mount_attr sealed = {.attr_set =
                                    MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return "make mounts private";

    /* Only ever adds attributes: those that an outer namespace locked stay. Not noexec: images are
     * mapped executable. */
    int images = open_tree(AT_FDCWD, ".", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (images < 0 ||
        mount_setattr(images, "", AT_EMPTY_PATH | AT_RECURSIVE, &sealed, sizeof sealed) < 0)
        return "bind the images";

    int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
    if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "size", "4k", 0) < 0 ||
        fsconfig(fs, FSCONFIG_SET_STRING, "mode", "0755", 0) < 0 ||
        fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return "make a tmpfs";
    int root =
        fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    close(fs);
    /* On top of "/", so that no folder for it has to exist. */
    if (root < 0 || move_mount(root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return "mount the new root";
    if (mkdirat(root, "images", 0755) < 0 ||
        move_mount(images, "", root, "images", MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return "mount the images";
    close(images);

    sealed.attr_set |= MOUNT_ATTR_NOEXEC;
    if (mount_setattr(root, "", AT_EMPTY_PATH, &sealed, sizeof sealed) < 0)
        return "make the root read-only";
    /* Old and new root in one place: the old one then lies on top and is unmounted. */
    if (fchdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 ||
        chdir("/") < 0)
        return "pivot_root";
    close(root);

    int inside = open("/images", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (inside < 0 || dup3(inside, images_fd, O_CLOEXEC) < 0)
        return "open the images";
    close(inside);
    return NULL;
}

static enum err_code namespaces(int images_fd, bool relaxed, struct err *e)
{
    static const struct {
        enum fence_id fence;
        int flag;
    } rows[] = {{FENCE_NET, CLONE_NEWNET},
                {FENCE_IPC, CLONE_NEWIPC},
                {FENCE_UTS, CLONE_NEWUTS},
                {FENCE_CGROUP, CLONE_NEWCGROUP},
                {FENCE_MOUNT, CLONE_NEWNS}};
    enum err_code rc = ERR_OK;
    if (!step_become_admin())
        rc = fence_missing(FENCE_USER, relaxed, "CLONE_NEWUSER", e);
    if (rc == ERR_OK && getpid() != 1) {
        errno = EPERM;
        rc = fence_missing(FENCE_PID, relaxed, "CLONE_NEWPID", e);
    }
    if (rc == ERR_OK && fchdir(images_fd) < 0)
        rc = err_errno(e, "can't enter the images folder");
    for (size_t i = 0; i < sizeof rows / sizeof *rows && rc == ERR_OK; i++) {
        if (unshare(rows[i].flag) < 0) {
            rc = fence_missing(rows[i].fence, relaxed, "unshare", e);
        } else if (rows[i].flag == CLONE_NEWNS) {
            const char *failed = empty_root(images_fd);
            if (failed)
                rc = fence_missing(FENCE_MOUNT, relaxed, failed, e);
        }
    }
    return rc;
}

static bool limit_all(const struct limits *limits)
{
    /* The sanitizers' shadow is private writable memory: it would be counted. */
    if (!SANITIZED && limits->v[LIMIT_EXEC_MEMORY] &&
        !step_limit(RLIMIT_DATA, limits->v[LIMIT_EXEC_MEMORY]))
        return false;
    return step_limit(RLIMIT_NPROC, 0) && step_limit(RLIMIT_FSIZE, 0) &&
           step_limit(RLIMIT_CORE, 0) && step_limit(RLIMIT_MEMLOCK, 0) &&
           step_limit(RLIMIT_MSGQUEUE, 0) && step_limit(RLIMIT_NOFILE, EXEC_FILES);
}

/* The parent may have died between our start and PR_SET_PDEATHSIG: then nobody holds the other
 * end of the leash. */
static bool dies_with_parent(void)
{
    struct pollfd leash = {.fd = ROLE_LEASH};
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return false;
    if (poll(&leash, 1, 0) == 1 && (leash.revents & POLLHUP))
        _exit(0);
    return true;
}

enum err_code lockdown_exec_start(int images_fd, bool relaxed, struct err *e)
{
    const struct landlock_place images = {images_fd, LANDLOCK_READ};
    enum err_code rc = namespaces(images_fd, relaxed, e);
    if (rc == ERR_OK && !step_capabilities())
        rc = fence_missing(FENCE_CAPABILITIES, relaxed, "capset", e);
    /* Landlock asks for this one first, now that no capability is left. */
    if (rc == ERR_OK && !step_no_new_privs())
        rc = fence_missing(FENCE_NO_NEW_PRIVS, relaxed, "prctl", e);
    if (rc == ERR_OK && !step_landlock(&images, 1, LANDLOCK_NET_NONE))
        rc = fence_missing(FENCE_LANDLOCK, relaxed, "landlock", e);
    if (rc == ERR_OK && !(step_not_dumpable() && dies_with_parent()))
        rc = fence_missing(FENCE_DUMPABLE, relaxed, "prctl", e);
    return rc;
}

/* What an exec calls while it serves. Whatever isn't here kills it. */
static const char exec_calls[] =
    /* sockets, log lines, the loop */
    "read write writev sendto recvfrom sendmsg recvmsg close epoll_wait epoll_pwait epoll_ctl poll "
    /* memory of guests and our own; mmap and mprotect have rules */
    "munmap mremap madvise brk membarrier "
    /* the epoch timer and traps */
    "timer_settime rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack "
    /* clocks, randomness, who am I */
    "clock_gettime gettimeofday getrandom gettid getpid futex sched_yield restart_syscall "
    "exit exit_group "
    /* opening an image; openat has a rule */
    "fstat newfstatat statx lseek pread64 "
#ifdef __SANITIZE_ADDRESS__
    "sched_getaffinity getrusage readlink ioctl "
#endif
    ;

/* Needed once, for binding; refused afterwards. */
static const char bind_calls[] =
    "landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp fchdir";

enum err_code lockdown_exec_seal(const struct limits *limits, bool relaxed, struct err *e)
{
    enum err_code rc =
        limit_all(limits) ? ERR_OK : fence_missing(FENCE_RLIMITS, relaxed, "setrlimit", e);
    if (rc)
        return rc;
    scmp_filter_ctx f = filter_new(SCMP_ACT_KILL_PROCESS);
    bool built = filter_rules(f, SCMP_ACT_ALLOW, exec_calls) &&
                 filter_rules(f, SCMP_ACT_ALLOW, bind_calls) && filter_memory(f) &&
                 /* for reading only */
                 seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
                                  SCMP_A2(SCMP_CMP_MASKED_EQ,
                                          O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND, 0)) == 0 &&
                 /* abort() */
                 seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                                  SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid())) == 0;
    if (!built) {
        seccomp_release(f);
        errno = ENOMEM;
        return fence_missing(FENCE_SECCOMP, relaxed, "build the filter", e);
    }
    return filter_load(f) ? ERR_OK : fence_missing(FENCE_SECCOMP, relaxed, "seccomp", e);
}

enum err_code lockdown_exec_bind(int images_fd, const char *project, bool relaxed, struct err *e)
{
    int folder = openat(images_fd, project, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0 && errno == ENOENT)
        return err_set(e, ERR_NOT_FOUND, "project %s has no images", project);
    if (folder < 0 || fchdir(folder) < 0)
        return err_errno(e, "can't enter the images of project %s", project);
    const struct landlock_place own = {folder, LANDLOCK_READ};
    enum err_code rc = ERR_OK;
    if (!step_landlock(&own, 1, LANDLOCK_NET_ANY))
        rc = fence_missing(FENCE_LANDLOCK, relaxed, "landlock", e);
    close(folder);
    close(images_fd);
    if (rc)
        return rc;

    scmp_filter_ctx f = filter_new(SCMP_ACT_ALLOW);
    if (!filter_rules(f, SCMP_ACT_KILL_PROCESS, bind_calls)) {
        seccomp_release(f);
        f = NULL;
    }
    return filter_load(f) ? ERR_OK : fence_missing(FENCE_SECCOMP, relaxed, "seccomp", e);
}
