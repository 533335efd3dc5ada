/* Places: what a path below "/" names, and the descriptors of files and folders.
 *
 * There is no file system. "/" holds the version's assets (module/bundle.h), read-only; /dev/null,
 * zero, random and urandom and /net/SCHEME/REST are the resource SCHEME://REST, so that a program
 * in any language with plain file I/O can use every resource. `dev` and `net` win over assets of
 * these names and are not listed: who walks "/" finds the assets, not an endless /dev/zero.
 * Nothing here is a link, so a path means what its text says. */
#pragma once

#include "guest/resource.h"
#include "module/bundle.h"

enum {
    PLACE_PATH = 4096, /* a path that a guest passes is shorter */
    PLACE_TEXT = BUNDLE_PATH + PLACE_PATH + 8,
};

enum place_kind { PLACE_FOLDER, PLACE_FILE, PLACE_RESOURCE };

struct place {
    enum place_kind kind;
    struct slice path;         /* of a folder: normalised, without a slash in front */
    struct slice url;          /* of a resource */
    struct bundle_entry entry; /* of a file */
    uint64_t inode;            /* 0: a resource has none */
};

/* Finds `path`, from the folder that `from` is open on; the strings of *ret_place lie in `text` or
 * are static. An errno of WASI: ENOENT, ENOTDIR, ENOTCAPABLE if it leads out of the folder; EROFS
 * where only creating it was possible. */
int place_find(const struct guest *g, const struct descriptor *from, struct slice path,
               char text[PLACE_TEXT], struct place *ret_place);

/* The `at`th entry of the folder, from 0, beginning with "." and ".."; false after the last.
 * *ret_next is the number to go on with. */
bool place_list(const struct guest *g, const struct descriptor *folder, uint32_t at,
                struct slice *ret_name, struct place *ret_place, uint32_t *ret_next);

/* Opens a file or folder at an empty place of the table; false: no memory. */
bool place_open(struct descriptor *d, const struct place *place);

/* The place a folder's or file's descriptor is open on. Of a folder only kind, path, inode. */
struct place place_of(const struct guest *g, const struct descriptor *d);

/* Files alone have a position. */
struct file {
    struct bundle_entry entry;
    uint64_t at;
};
extern const struct scheme scheme_file;
static inline struct file *file_of(const struct descriptor *d)
{
    return d->scheme == &scheme_file ? d->state : NULL;
}
