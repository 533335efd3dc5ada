/* `run --replay FILE`: a captured run again, with what it got then and without a network. */
#pragma once

#include "cli/args.h"
#include "cli/capture_file.h"
#include "cli/run_version.h"
#include "cli/runner.h"
#include "ipc/tape.h"

#include <jansson.h>

struct replay {
    struct capture_file file;
    struct tape tape;             /* borrows from it */
    char limits[LIMIT_COUNT][64]; /* "NAME=VALUE", as --limit takes them */
    const char *limit_at[LIMIT_COUNT];
    size_t limit_count;
};

/* Reads the file and what is in it. On success replay_done(). */
enum err_code replay_open(const char *path, struct replay *ret_replay, struct err *e) MUST_CHECK;
void replay_done(struct replay *r); /* accepts a zeroed one */

/* The version that ran, with these limits. `env` are NAME=VALUE: values of its secrets, which are
 * not in the file, or other values. A secret without a value has its name for one; says so on
 * standard error. *ret_version is set up in any case: run_version_done(). */
enum err_code replay_version(const struct replay *r, const struct words *env,
                             const struct limits *limits, struct run_version *ret_version,
                             struct err *e) MUST_CHECK;
/* Its assets, into the cache. */
enum err_code replay_assets(const struct replay *r, const struct image_cache *cache,
                            struct run_version *v, struct err *e) MUST_CHECK;

/* Compares the end and the output with the recorded ones: says on standard error, or, if `json`,
 * in *ret_json (a new reference, NULL otherwise), what came of it. false: it is not the same. */
bool replay_judge(const struct replay *r, const struct version_load *load,
                  const struct runner_end *end, bool json, json_t **ret_json);
