/* The engine: Wasmtime with our settings, one a process.
 *
 * Compiling and running must agree on the settings, so both come from here and
 * their name is the name of the folder that images are kept in. engine/ is the
 * only folder that includes Wasmtime's headers. */
#pragma once

#include "base/limits.h"
#include "ipc/spec.h"

struct engine;

enum engine_use {
    ENGINE_TO_RUN,     /* a pool of places for instances, made at once */
    ENGINE_TO_RUN_ONE, /* one run: one place, of which nothing is kept for a next one */
    ENGINE_TO_COMPILE, /* no places; compiles on all cores that it is given */
};

/* "wasmtime-48.0.8-0123abcd": version, our settings and this machine's CPU features. Images of both
 * kinds are kept under it, each under its own name (ipc/spec.h): an engine of one kind can't open
 * the other's. */
const char *engine_name(void);

/* Uses the node's limits: STACK, and PROJECT_CONCURRENCY's maximum for the number of places of a
 * pool. About a millisecond. */
enum err_code engine_new(enum engine_kind kind, enum engine_use use, const struct limits *node,
                         struct engine **ret_engine, struct err *e) MUST_CHECK;
void engine_free(struct engine *engine);

/* The timer on this thread's CPU clock that preempts guests (engine/tick.c): call once, in the
 * thread that runs them, after exec and before seccomp. It is silent while the thread sleeps. */
enum err_code engine_tick_start(struct engine *engine, struct err *e) MUST_CHECK;
void engine_tick_stop(void);
