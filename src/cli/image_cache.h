/* The runner's images: compiled once for each user, kept in $XDG_CACHE_HOME/wasmcloud/images.
 *
 * Laid out as a server's: ENGINE/PROJECT/DIGEST, with one fixed project. Images
 * are native code that is trusted completely, so every folder on the way must
 * be the user's own and nobody else may write there. The most recent ones are
 * kept; adding one removes what is over that. */
#pragma once

#include "base/options.h"
#include "ipc/spec.h"
#include "module/module.h"

enum { IMAGE_CACHE_KEPT = 64 /* images of one engine */ };

struct image_cache {
    int engine_fd;  /* the folder ENGINE: what an exec gets */
    int project_fd; /* ENGINE/PROJECT */
};

/* The project that all local runs belong to. */
extern const struct uuid image_cache_project;

/* Judges the module, opens the user's cache and makes sure that the image is in it: compiles it, in
 * a job of its own, if it is not. `kind` is the engine's that will run it. Judged in every case: a
 * limit that was lowered holds for an image from the cache too. On success *ret_cache is the
 * caller's: image_cache_close(). */
enum err_code image_cache_find(struct slice module, enum engine_kind kind,
                               const struct options *options, struct image_cache *ret_cache,
                               uint8_t ret_digest[DIGEST_BYTES], struct verdict *ret_verdict,
                               struct err *e) MUST_CHECK;
void image_cache_close(struct image_cache *c); /* accepts {-1, -1} */

/* Makes sure that this bundle of assets lies in the project's folder `assets`, named by its digest.
 */
enum err_code image_cache_assets(const struct image_cache *c, struct slice bundle,
                                 uint8_t ret_digest[DIGEST_BYTES], struct err *e) MUST_CHECK;

/* Appends the bundle of this digest, which lies there. */
enum err_code image_cache_bundle(const struct image_cache *c, const uint8_t digest[DIGEST_BYTES],
                                 struct buf *out, struct err *e) MUST_CHECK;

/* Only compiles: a job whose image goes to the empty file `fd`. */
enum err_code image_cache_compile(struct slice module, enum engine_kind kind, int fd,
                                  const struct options *options, struct err *e) MUST_CHECK;

/* The next run compiles it again. */
void image_cache_drop(const struct image_cache *c, const uint8_t digest[DIGEST_BYTES],
                      enum engine_kind kind);

/* `words` (NULL-terminated) and the options as flags: the command line of a role, in one allocation
 * to be freed. */
const char **role_words(const char *const *words, const struct options *options);
