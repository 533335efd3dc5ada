/* Tar: a strict reader of archives of files and folders, and what a writer needs.
 *
 * POSIX ustar with pax records (`path`, `size`) and GNU long names (POSIX.1-2017, pax, "ustar
 * Interchange Format" and "pax Extended Header"). Whatever could mean something else to another
 * reader is refused: links, devices, sparse files, absolute paths, `..`, NULs, names that are not
 * UTF-8, sums that don't match, bytes after the end. */
#pragma once

#include "base/err.h"

struct tar {
    struct slice rest; /* not yet read */
    size_t at;         /* its place in the archive, for messages */
    const char *what;  /* "the backup", for messages; NULL: uploaded assets */
};

enum { TAR_BLOCK = 512 };

struct tar_entry {
    struct slice path;    /* as written, valid until the next tar_next() */
    struct slice content; /* of a file; borrows the archive */
    bool folder;
    char name[TAR_BLOCK]; /* where the path lies when the archive has it in pieces */
};

struct tar tar_open(struct slice archive);
/* The next entry; *ret_end: there are no more, and the archive ends as it must. ERR_INVALID says
 * which entry is wrong and why. */
enum err_code tar_next(struct tar *t, struct tar_entry *ret_entry, bool *ret_end,
                       struct err *e) MUST_CHECK;

/* ---- writing ---- */

/* The header block of an entry without times and owners (ustar; sizes from 8 GiB on in GNU's
 * binary form). `type` as in the format: '0' a file, '5' a folder, 'x' a pax record; of the name at
 * most 100 bytes are kept. After the content come tar_fill() zero bytes, after the last entry two
 * blocks of zeros. */
void tar_head(char out[TAR_BLOCK], char type, unsigned mode, struct slice name, uint64_t size);
static inline size_t tar_fill(uint64_t size)
{
    return (size_t)((TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK);
}
