/* Lock-down: what each role gives up before it sees a byte that others wrote.
 *
 * A fence is one thing that the kernel refuses from then on. Some are required: without them
 * `serve` doesn't run guests (unless `isolation: relaxed`). The others are raised where the
 * machine allows it. tables/fences.def lists them; `doctor` prints them.
 *
 * The order for an exec is:
 *   lockdown_exec_start()   namespaces, an empty root, no capability, Landlock
 *   engine up               (it would read what /proc says of CPU quotas, again and again)
 *   the CPU timer is made   (it needs timer_create, which seccomp refuses)
 *   lockdown_exec_seal()    rlimits; seccomp: a call that isn't on the list kills the process
 *   … blank, waiting for BIND …
 *   lockdown_exec_bind()    Landlock for one project's images; a tighter seccomp filter
 *
 * Nothing can be undone. One process, one thread, each function once. */
#pragma once

#include "base/err.h"
#include "base/limits.h"

enum fence_id {
#define FENCE(id, ...) FENCE_##id,
#include "tables/fences.def"
#undef FENCE
    FENCE_COUNT
};

struct fence {
    const char *name; /* "landlock" */
    bool required;
    const char *protects; /* what it keeps guest code from */
    const char *remedy;   /* what to do when it is missing */
};
extern const struct fence fences[FENCE_COUNT];

/* Users of exec processes when serve is started as root: a range that no distribution, container
 * manager or systemd hands out. */
enum { EXEC_USERS_FIRST = 0x70000000, EXEC_USERS = 65536 };

/* Can this machine and user raise it? Tries it in a child process. On false, `why` says what the
 * kernel answered. */
bool fence_probe(enum fence_id id, char why[128]);

/* 0 if the kernel has none. */
int landlock_abi(void);

/* All of an exec's fences but rlimits and seccomp, in the architecture's order. `images_fd` is the
 * folder DATA/images/ENGINE; it is replaced in place by the same folder inside the new root.
 * Missing required fences: ERR_NO_FENCE naming the first; with `relaxed` a warning is logged
 * instead. Needs the leash at ROLE_LEASH (roles.h): if the parent is gone already, the process
 * ends. */
enum err_code lockdown_exec_start(int images_fd, bool relaxed, struct err *e) MUST_CHECK;

/* rlimits, EXEC_MEMORY being what the process may have in all, the engine's part included; seccomp,
 * first filter. Any other call kills the process. */
enum err_code lockdown_exec_seal(const struct limits *limits, bool relaxed,
                                 struct err *e) MUST_CHECK;

/* One project for life: its folder below images_fd (the uuid as text) becomes the only thing
 * that can be opened, for reading, and the working directory: open images by their bare names.
 * Closes images_fd. ERR_NOT_FOUND if there is no such folder. */
enum err_code lockdown_exec_bind(int images_fd, const char *project, bool relaxed,
                                 struct err *e) MUST_CHECK;

/* A compile job: no files, no network, no new process; threads are allowed. Call when everything
 * is open. Memory and CPU limits come from `limits` (COMPILE_MEMORY, COMPILE_CPU). */
enum err_code lockdown_compile(const struct limits *limits, bool relaxed, struct err *e) MUST_CHECK;

/* An edge: no files but below the given folders, no sockets of its own making, no new process.
 * `folders` has `n` descriptors of folders that stay readable and writable. */
enum err_code lockdown_edge(const int *folders, int n, struct err *e) MUST_CHECK;

/* Control: files only below `data_fd`, no new process. */
enum err_code lockdown_control(int data_fd, struct err *e) MUST_CHECK;

/* Egress: TCP and UDP to wherever the network leads, and nothing else: no listening, no ports and
 * no Unix sockets of its own making, files only for reading and only those of the resolver and of
 * TLS, no new process, no new code: call it when every library is loaded. Threads are allowed.
 * `spool_fd` (-1: none) is a folder that stays writable. */
enum err_code lockdown_egress(int spool_fd, struct err *e) MUST_CHECK;
