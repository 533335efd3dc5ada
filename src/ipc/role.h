/* Starting a role: the same binary again, as another process with nothing inherited.
 *
 * fork and exec, never fork alone: a role begins with a fresh address space, so that what its
 * parent held (or a bug read) isn't in it. It gets the descriptors it is given, at the fixed
 * numbers of roles/roles.h, an empty environment, default signals, and a session of its own, so
 * that Ctrl-C on a terminal reaches master alone. It dies with the process that started it. */
#pragma once

#include "base/err.h"

#include <sys/types.h>

enum {
    ROLE_LEASH = 3, /* in every role: its leash to master (ipc/leash.h) */
    ROLE_FDS = 8,
};

struct role_start {
    const char *const *words; /* ROLE [WORD] [--option=…], NULL-terminated; borrowed */
    struct {
        int fd; /* the caller's; stays open there */
        int at; /* its number in the role, from 3 */
    } fds[ROLE_FDS];
    int fd_count;
    int stderr_fd; /* becomes standard error; -1: the caller's own. Standard input and output are
                      /dev/null. */
    uid_t uid;     /* user and group to become, needs root; 0: stay who we are */
    gid_t gid;
    bool sandbox; /* an exec: begins in a pid namespace (and, when not root, a user namespace) of
                     its own if the machine allows it, and keeps CAP_SYS_ADMIN, which
                     lockdown_exec_start() uses for the other namespaces and then drops */
};

/* Starts it. ERR_OK means that the exec happened. Not from a process with threads: the child of
 * the fork allocates nothing, but master and `run` are single-threaded anyway, and the role dies
 * with the thread that started it. *ret_pidfd (may be NULL: not wanted) is close-on-exec. */
enum err_code role_start(const struct role_start *start, pid_t *ret_pid, int *ret_pidfd,
                         struct err *e) MUST_CHECK;

/* Adds a descriptor to the list. */
static inline void role_give(struct role_start *s, int fd, int at)
{
    s->fds[s->fd_count].fd = fd;
    s->fds[s->fd_count++].at = at;
}
