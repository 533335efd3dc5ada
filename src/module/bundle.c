/* Reading bundles where they are mapped (bundle_format.h says how they look).
 *
 * Opening looks at every row once: whatever it accepts can't lead a later look-up outside of the
 * mapping or into a circle. It also sums all content up, so that a bit which the disk has changed
 * is found before a guest sees it: 5 ms for the largest bundle of the usual limit. The file never
 * changes and its size was checked, so reading the mapping can't fault. */
#include "module/bundle.h"

#include "base/crc32c.h"
#include "module/bundle_format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct bundle {
    const char *p;
    size_t size;
    const struct bundle_row *rows;
    uint32_t entries;
};

static struct slice name_of(const char *p, const struct bundle_row *row)
{
    return slice_make(p + row->name, row->name_size);
}

static int compare(struct slice a, struct slice b)
{
    int order = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
    return order ? order : a.n < b.n ? -1 : a.n > b.n;
}

static bool good_name(struct slice name)
{
    return name.n && name.n <= BUNDLE_NAME && !memchr(name.p, '/', name.n) &&
           !memchr(name.p, '\0', name.n) && !slice_eq(name, SLICE(".")) &&
           !slice_eq(name, SLICE("..")) && utf8_valid(name);
}

/* Is every bit as it was written? */
static bool is_sound(const char *p, size_t size, struct bundle_header h)
{
    uint32_t sum = h.sum;
    h.sum = 0;
    return crc32c(crc32c(0, slice_make((char *)&h, sizeof h)),
                  slice_make(p + sizeof h, size - sizeof h)) == sum;
}

/* Is everything where it must be? Each place is computed and compared, none is believed. */
static bool check(const char *p, size_t size)
{
    struct bundle_header h;
    if (size < sizeof h)
        return false;
    memcpy(&h, p, sizeof h);
    uint64_t names = sizeof h + (uint64_t)h.entries * sizeof(struct bundle_row);
    uint64_t content = names + h.name_bytes;
    if (memcmp(h.magic, BUNDLE_MAGIC, sizeof h.magic) || h.size != size || !h.entries ||
        h.reserved || content > size || !is_sound(p, size, h))
        return false;
    const struct bundle_row *rows = (const struct bundle_row *)(p + sizeof h);
    if (rows[0].kind != BUNDLE_FOLDER || rows[0].name_size)
        return false;
    uint64_t next = 1, name = names, at = content;
    for (uint32_t i = 0; i < h.entries; i++) {
        const struct bundle_row *row = &rows[i];
        if (row->name != name || row->name_size > content - name ||
            (i && !good_name(name_of(p, row))))
            return false;
        name += row->name_size;
        if (row->kind == BUNDLE_FOLDER) {
            if (row->at != next || row->size > h.entries - next)
                return false;
            next += row->size;
        } else if (row->kind == BUNDLE_FILE) {
            if (row->at != at || row->size > size - at)
                return false;
            at += row->size;
        } else {
            return false;
        }
        if (i + 1 < h.entries && next <= i + 1)
            return false; /* an entry that lies in no folder */
    }
    if (next != h.entries || name != content || at != size)
        return false;
    for (uint32_t i = 0; i < h.entries; i++)
        for (uint64_t k = rows[i].at + 1; rows[i].kind && k < rows[i].at + rows[i].size; k++)
            if (compare(name_of(p, &rows[k - 1]), name_of(p, &rows[k])) >= 0)
                return false;
    return true;
}

enum err_code bundle_open(const char *path, struct bundle **ret_bundle, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? err_set(e, ERR_NOT_FOUND, "there is no bundle %s", path)
                               : err_errno(e, "opening the bundle %s", path);
    struct stat st;
    void *p = MAP_FAILED;
    struct bundle *b = NULL;
    enum err_code rc = ERR_OK;
    if (fstat(fd, &st) < 0)
        rc = err_errno(e, "looking at the bundle %s", path);
    else if (!S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof(struct bundle_header))
        rc = err_set(e, ERR_CONFLICT, "the bundle %s is damaged", path);
    else if ((p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0)) == MAP_FAILED)
        rc = err_errno(e, "mapping the bundle %s", path);
    else if (!check(p, (size_t)st.st_size))
        rc = err_set(e, ERR_CONFLICT, "the bundle %s is damaged", path);
    else if (!(b = calloc(1, sizeof *b)))
        rc = err_set(e, ERR_MEMORY, "no memory for a bundle");
    close(fd);
    if (rc) {
        if (p != MAP_FAILED)
            munmap(p, (size_t)st.st_size);
        return rc;
    }
    b->p = p;
    b->size = (size_t)st.st_size;
    b->rows = (const struct bundle_row *)(b->p + sizeof(struct bundle_header));
    b->entries = ((const struct bundle_header *)b->p)->entries;
    *ret_bundle = b;
    return ERR_OK;
}

void bundle_close(struct bundle *b)
{
    if (!b)
        return;
    munmap((void *)(uintptr_t)b->p, b->size);
    free(b);
}

static struct bundle_entry entry(const struct bundle *b, uint32_t index)
{
    const struct bundle_row *row = &b->rows[index];
    bool folder = row->kind == BUNDLE_FOLDER;
    return (struct bundle_entry){.name = name_of(b->p, row),
                                 .content = folder ? SLICE("")
                                                   : slice_make(b->p + row->at, (size_t)row->size),
                                 .folder = folder,
                                 .index = index};
}

/* The entry `name` of a folder, by halves; 0 (which is in no folder) if there is none. */
static uint32_t look(const struct bundle *b, const struct bundle_row *folder, struct slice name)
{
    uint64_t low = folder->at, high = folder->at + folder->size;
    while (low < high) {
        uint64_t middle = (low + high) / 2;
        int order = compare(name_of(b->p, &b->rows[middle]), name);
        if (order == 0)
            return (uint32_t)middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

bool bundle_find(const struct bundle *b, struct slice path, struct bundle_entry *ret_entry)
{
    uint32_t at = 0;
    if (!path.n)
        path.p = NULL; /* the root: no part to walk */
    while (path.p) {
        struct slice part = slice_split(&path, '/');
        if (b->rows[at].kind != BUNDLE_FOLDER || !(at = look(b, &b->rows[at], part)))
            return false;
    }
    *ret_entry = entry(b, at);
    return true;
}

bool bundle_list(const struct bundle *b, uint32_t index, uint32_t n, struct bundle_entry *ret_entry)
{
    if (index >= b->entries || b->rows[index].kind != BUNDLE_FOLDER || n >= b->rows[index].size)
        return false;
    *ret_entry = entry(b, (uint32_t)(b->rows[index].at + n));
    return true;
}
