/* `run --bench N`: what it costs to start and run a program, as a server would. */
#pragma once

#include "cli/image_cache.h"
#include "cli/runner.h"

enum { BENCH_MOST = 1000000 };

/* Compiles the module some times, opens its image some times, then runs N fresh instances one after
 * another in one exec, without input and output, and prints the distributions. A run that fails
 * ends it: *ret_end says how the last one ended. */
enum err_code run_bench(struct slice module, const struct image_cache *cache,
                        const struct runner_job *job, unsigned count, bool json,
                        struct runner_end *ret_end, struct err *e) MUST_CHECK;
