/* The way of a local run to the network: an egress process of its own.
 *
 * Started when the program opens something remote for the first time; plays the
 * edge to it: POLICY, then JOIN with egress's end of the exec's socket. Nothing
 * waits for it: what the exec has said by then lies in that socket. */
#pragma once

#include "base/options.h"
#include "ipc/channel.h"
#include "ipc/leash.h"
#include "ipc/spec.h"

struct runner_egress {
    struct leash leash;
    struct channel channel;
    pid_t pid; /* 0: it was not needed */
};

/* Takes `exec_end`. If it can't be started the exec's socket closes, as when egress dies. */
enum err_code runner_egress_start(struct runner_egress *g, struct loop *loop,
                                  const struct options *options, const struct version_load *load,
                                  struct uuid project, int exec_end, struct err *e) MUST_CHECK;
/* Ends it. Accepts a zeroed one. */
void runner_egress_done(struct runner_egress *g);
