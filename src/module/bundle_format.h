/* The bytes of a bundle: for bundle.c, which reads them, and bundle_make.c, which writes them.
 *
 *   header    struct bundle_header
 *   entries   struct bundle_row each: the root first, then depth by depth. The entries of a folder
 *             lie together, sorted by name; groups are in the order of their folders
 *   names     the last parts of the paths, in the order of the entries
 *   content   of the files, in the order of the entries
 *
 * Nothing lies between these parts or after them, so a tree of files has exactly one encoding and
 * a reader needs no trust: every place follows from the rows before it. Numbers are little-endian.
 */
#pragma once

#include <stdint.h>

#define BUNDLE_MAGIC "WMBNDL2\n"

struct bundle_header {
    char magic[8];
    uint64_t size; /* bytes of the whole bundle */
    uint32_t entries, name_bytes;
    uint32_t sum; /* CRC-32C of the whole bundle with a 0 here */
    uint32_t reserved;
};

enum { BUNDLE_FILE = 0, BUNDLE_FOLDER = 1 };

struct bundle_row {
    uint64_t at;   /* of a file: where its content begins; of a folder: its first entry's index */
    uint64_t size; /* of a file: bytes; of a folder: entries */
    uint32_t name; /* where its name begins, from the start of the bundle */
    uint16_t name_size;
    uint16_t kind;
};
_Static_assert(sizeof(struct bundle_header) == 32 && sizeof(struct bundle_row) == 24,
               "without padding");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "rows are read where they lie");

enum { BUNDLE_NAME = 255 /* bytes of a name */ };
