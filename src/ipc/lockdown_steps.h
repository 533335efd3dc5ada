/* Private to ipc/lockdown*.c: single steps from which the lock-downs are made.
 *
 * Each returns false with errno set when the kernel refuses. */
#pragma once

#include "ipc/lockdown.h"

#include <seccomp.h>
#include <sys/resource.h>

/* Judges a fence that could not be raised (errno says why): ERR_NO_FENCE if it is required, else
 * ERR_OK after a line in the log. */
enum err_code fence_missing(enum fence_id id, bool relaxed, const char *step, struct err *e);

bool step_capabilities(void); /* drops all of them, from every set */
bool step_no_new_privs(void);
bool step_not_dumpable(void);
bool step_limit(int resource, rlim_t most); /* soft and hard; never raises */

/* CAP_SYS_ADMIN, by what we have or by a user namespace of our own. */
bool step_become_admin(void);

enum landlock_access { LANDLOCK_READ, LANDLOCK_ALL };
enum landlock_net {
    LANDLOCK_NET_ANY,     /* as before */
    LANDLOCK_NET_CONNECT, /* TCP connects, but has no ports of its own */
    LANDLOCK_NET_NONE,
};
struct landlock_place {
    int fd; /* a folder with all below it, or with LANDLOCK_READ a file */
    enum landlock_access access;
};
/* One Landlock layer: files can be opened only in these places. Unless `net` is ANY, signals and
 * abstract sockets to the outside are refused, too, where the kernel knows how. */
bool step_landlock(const struct landlock_place *places, int n, enum landlock_net net);

/* Adds a rule with this answer for every call of the list, names with spaces between them. */
bool filter_rules(scmp_filter_ctx filter, uint32_t answer, const char *calls);
/* The two calls that change the protection of memory, unless it would be writable and executable
 * at once. */
bool filter_memory(scmp_filter_ctx filter);
/* Loads and releases; false also for NULL. */
bool filter_load(scmp_filter_ctx filter);
/* A filter with this answer to what no rule names; NULL on failure. */
scmp_filter_ctx filter_new(uint32_t otherwise);

#ifdef __SANITIZE_ADDRESS__
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif
