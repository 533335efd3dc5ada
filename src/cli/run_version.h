/* The version that `run` makes of its flags, as a deploy would make one. */
#pragma once

#include "cli/image_cache.h"

struct run_source {
    const char *file; /* argv[0] of the program */
    int argc;         /* its own arguments */
    char *const *argv;
    const char *const *env; /* NAME=VALUE each */
    size_t env_count;
    const char *policy; /* file; NULL: the empty policy */
    const char *assets; /* folder; NULL: none */
};

struct run_version {
    struct version_load load; /* borrows the buffers */
    struct buf strings, policy;
};

/* Reads the policy and takes the options' limits, lowered to what the policy says, for the version
 * and for judging its module. ERR_USAGE, and what policy_file() says. *ret_version is set up in any
 * case: run_version_done(). */
enum err_code run_version_make(const struct run_source *s, struct options *options,
                               struct run_version *ret_version, struct err *e) MUST_CHECK;
/* Packs its assets, if it has a folder of them, and makes sure that the cache has the bundle. */
enum err_code run_version_assets(const struct run_source *s, const struct image_cache *cache,
                                 const struct limits *limits, struct run_version *v,
                                 struct err *e) MUST_CHECK;
void run_version_done(struct run_version *v);
