/* Assets: the input is an archive, and after that a bundle as it would lie in a file.
 *
 * What bundle_make() accepts must open, and every entry of what opens must be found under the path
 * that leads to it. The bundle is looked at through a file in memory, as a reader would map it. */
#include "fuzz.h"

#include "base/crc32c.h"
#include "module/bundle.h"
#include "fuzz_tar.h"
#include "module/bundle_format.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static unsigned walk(const struct bundle *b, uint32_t index, char *path, size_t n)
{
    struct bundle_entry entry, found;
    unsigned count = 1;
    for (uint32_t i = 0; bundle_list(b, index, i, &entry); i++) {
        MUST(entry.name.n && entry.index > index);
        size_t slash = n > 0;
        if (n + slash + entry.name.n > BUNDLE_PATH)
            continue; /* deeper than an archive can make it */
        path[n] = '/';
        memcpy(path + n + slash, entry.name.p, entry.name.n);
        size_t size = n + slash + entry.name.n;
        MUST(bundle_find(b, slice_make(path, size), &found) && found.index == entry.index);
        volatile char last = entry.content.n ? entry.content.p[entry.content.n - 1] : 0;
        (void)last;
        count += entry.folder ? walk(b, entry.index, path, size) : 1;
    }
    return count;
}

static bool look(struct slice bytes)
{
    static int fd = -1;
    static char name[32], path[BUNDLE_PATH + 1];
    struct bundle *b;
    struct err e;
    if (fd < 0) {
        fd = memfd_create("bundle", MFD_CLOEXEC);
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    }
    MUST(ftruncate(fd, 0) == 0 && pwrite(fd, bytes.p, bytes.n, 0) == (ssize_t)bytes.n);
    if (bundle_open(name, &b, &e))
        return false;
    walk(b, 0, path, 0);
    bundle_close(b);
    return true;
}

/* As fuzz_sums(), for what may be a bundle. */
static void add_sum(uint8_t *p, size_t n)
{
    struct bundle_header h;
    if (n < sizeof h)
        return;
    memcpy(&h, p, sizeof h);
    h.sum = 0;
    memcpy(p, &h, sizeof h);
    h.sum = crc32c(0, slice_make((char *)p, n));
    memcpy(p, &h, sizeof h);
}

FUZZ(bytes)
{
    struct limits limits;
    struct buf out;
    struct err e = {0};
    uint32_t files;
    limits_init(&limits, false);
    limits.v[LIMIT_ASSETS] = 4096;
    limits.v[LIMIT_ASSET_FILES] = 50;
    buf_init(&out, 1 << 20);
    uint8_t *archive = malloc(bytes.n + 1);
    memcpy(archive, bytes.p, bytes.n);
    fuzz_sums(archive, bytes.n);
    if (bundle_make(slice_make(archive, bytes.n), &limits, &out, &files, &e) == ERR_OK)
        MUST(files <= 50 && look(buf_slice(&out)));
    else
        MUST(e.text[0] && utf8_valid(slice_str(e.text)));
    buf_done(&out);
    look(bytes);
    memcpy(archive, bytes.p, bytes.n);
    add_sum(archive, bytes.n);
    look(slice_make(archive, bytes.n));
    free(archive);
}
