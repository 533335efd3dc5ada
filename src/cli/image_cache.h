/* The runner's images: compiled once for each user, kept in $XDG_CACHE_HOME/wasmcloud/images.
 *
 * Laid out as a server's: ENGINE/PROJECT/DIGEST, with one fixed project. Images
 * are native code that is trusted completely, so every folder on the way must
 * be the user's own and nobody else may write there. The most recent ones are
 * kept; adding one removes what is over that. */
#pragma once

#include "base/options.h"
#include "ipc/compile.h"
#include "ipc/spec.h"

enum { IMAGE_CACHE_KEPT = 64 /* images of one engine */ };

struct image_cache {
    int engine_fd;  /* the folder ENGINE: what an exec gets */
    int project_fd; /* ENGINE/PROJECT */
};

/* The project that all local runs belong to. */
extern const struct uuid image_cache_project;

enum err_code image_cache_open(struct image_cache *ret_cache, struct err *e) MUST_CHECK;
void image_cache_close(struct image_cache *c);

/* Is it there? Then it counts as used now. */
bool image_cache_has(const struct image_cache *c, const uint8_t digest[DIGEST_BYTES]);

/* Compiles the module in a job of its own and keeps the image. Waits for it. */
enum err_code image_cache_add(const struct image_cache *c, const uint8_t digest[DIGEST_BYTES],
                              struct slice module, const struct options *options,
                              struct err *e) MUST_CHECK;
void image_cache_drop(const struct image_cache *c, const uint8_t digest[DIGEST_BYTES]);

/* `word` and the options as flags: the command line of a role, in one allocation to be freed. */
const char **role_words(const char *word, const struct options *options);
