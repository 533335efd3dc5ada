/* Bundles: the read-only assets of a version, one file that is mapped where they are read.
 *
 * Uploaded as a tar archive (POSIX ustar and pax, GNU long names; links and devices are refused),
 * turned into a bundle by a compile job, named by the SHA-256 of the bundle (equal folders make
 * equal bundles: entries are sorted by path, times are not kept). A reader trusts nothing in it:
 * every offset and length is checked when it is opened. */
#pragma once

#include "base/buf.h"
#include "base/limits.h"

struct bundle;

enum { BUNDLE_PATH = 1024 /* bytes of a path */ };

/* Judges the archive and appends the bundle. ERR_INVALID saying which entry is wrong, ERR_TOO_LARGE
 * naming the limit (assets, asset-files). */
enum err_code bundle_make(struct slice tar, const struct limits *limits, struct buf *out,
                          uint32_t *ret_files, struct err *e) MUST_CHECK;

/* Appends the archive of a folder on this machine, sorted, without times and owners: what `--assets
 * DIR` uploads. Symbolic links are followed only inside it; sockets and devices are errors. */
enum err_code bundle_pack(const char *folder, const struct limits *limits, struct buf *out,
                          struct err *e) MUST_CHECK;

/* Appends an archive of which bundle_make() makes this bundle again. */
enum err_code bundle_unmake(const struct bundle *b, struct buf *out, struct err *e) MUST_CHECK;

/* Maps the file `path`. ERR_NOT_FOUND; ERR_CONFLICT if it is damaged. */
enum err_code bundle_open(const char *path, struct bundle **ret_bundle, struct err *e) MUST_CHECK;
void bundle_close(struct bundle *b); /* accepts NULL */

struct bundle_entry {
    struct slice name;    /* the last part of its path */
    struct slice content; /* of a file */
    bool folder;
    uint32_t index; /* its number: stable, unique in the bundle; the root has 0 */
};

/* The entry at a normalised path without a slash in front ("" is the root); false if there is none.
 */
bool bundle_find(const struct bundle *b, struct slice path, struct bundle_entry *ret_entry);
/* The `n`th entry of the folder `index`, from 0, in the order of their names; false after the last.
 */
bool bundle_list(const struct bundle *b, uint32_t index, uint32_t n,
                 struct bundle_entry *ret_entry);
