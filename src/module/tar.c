#include "module/tar.h"

#include "module/module.h"

#include <stdio.h>

/* The header's fields (struct of characters; numbers are octal text). */
static const struct place {
    uint16_t at, size;
} NAME = {0, 100}, SIZE = {124, 12}, SUM = {148, 8}, TYPE = {156, 1}, MAGIC = {257, 6},
  PREFIX = {345, 155};

enum { MOST_EXTRA = 65536 /* bytes of one pax header or long name */ };

struct tar tar_open(struct slice archive)
{
    return (struct tar){.rest = archive};
}

static struct slice field(struct slice block, struct place f)
{
    return slice_make(block.p + f.at, f.size);
}

/* What is before the first NUL; all if there is none. */
static struct slice text(struct slice s)
{
    return slice_make(s.p, strnlen(s.p, s.n));
}

static bool all_zero(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i])
            return false;
    return true;
}

/* Octal digits, spaces before, spaces and NULs behind; or, in a field of more than eight bytes,
 * GNU's binary form (high bit set). */
static bool number(struct slice s, uint64_t *ret_value)
{
    uint64_t value = 0;
    size_t i = 0;
    if (s.p[0] & 0x80) {
        if (s.n < 9 || (s.p[0] & 0x7f) || !all_zero(slice_make(s.p + 1, s.n - 9)))
            return false;
        for (i = s.n - 8; i < s.n; i++)
            value = value << 8 | (uint8_t)s.p[i];
        *ret_value = value;
        return true;
    }
    while (i < s.n && s.p[i] == ' ')
        i++;
    size_t begun = i;
    for (; i < s.n && s.p[i] >= '0' && s.p[i] <= '7'; i++)
        value = value << 3 | (uint64_t)(s.p[i] - '0'); /* 12 digits at most: 36 bits */
    if (i == begun)
        return false;
    for (; i < s.n; i++)
        if (s.p[i] && s.p[i] != ' ')
            return false;
    *ret_value = value;
    return true;
}

/* The sum of the block's bytes with the sum itself as spaces. */
static bool sum_fits(struct slice block)
{
    uint64_t found, sum = 0;
    if (!number(field(block, SUM), &found))
        return false;
    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += i >= SUM.at && i < SUM.at + SUM.size ? ' ' : (uint8_t)block.p[i];
    return sum == found;
}

/* What is known of the next entry before its own header comes. */
struct extra {
    struct slice path; /* p: NULL: not given */
    uint64_t size;
    bool has_size;
};

/* "LENGTH KEY=VALUE\n" again and again; LENGTH counts the whole record. */
static enum err_code read_pax(struct tar *t, struct slice records, bool global,
                              struct extra *ret_extra, struct err *e)
{
    while (records.n) {
        struct slice rest = records, digits = slice_split(&rest, ' ');
        uint64_t length;
        if (!rest.p || !slice_u64(digits, &length) || length > records.n || length < digits.n + 4 ||
            records.p[length - 1] != '\n')
            return err_set(e, ERR_INVALID, "the tar archive has a broken pax header at byte %zu",
                           t->at);
        struct slice value = slice_make(rest.p, (size_t)length - digits.n - 2);
        struct slice key = slice_split(&value, '=');
        if (!value.p)
            return err_set(e, ERR_INVALID, "the tar archive has a broken pax header at byte %zu",
                           t->at);
        records = slice_from(records, (size_t)length);
        bool path = slice_eq(key, SLICE("path")), size = slice_eq(key, SLICE("size"));
        if (slice_starts(key, SLICE("GNU.sparse.")) || (global && (path || size)))
            return err_set(e, ERR_INVALID,
                           "the tar archive uses \"%s\" at byte %zu, which is not taken: make it "
                           "with tar --format=ustar or --format=gnu, without --sparse",
                           quote(key).text, t->at);
        if (path) {
            ret_extra->path = value.n ? value : (struct slice){0};
        } else if (size) {
            ret_extra->has_size = value.n > 0;
            if (value.n && !slice_u64(value, &ret_extra->size))
                return err_set(e, ERR_INVALID,
                               "the tar archive has a size that is no number at byte %zu", t->at);
        }
    }
    return ERR_OK;
}

static const char *kind_text(char type)
{
    switch (type) {
    case '1':
        return "a hard link";
    case '2':
        return "a symbolic link";
    case '3':
    case '4':
        return "a device";
    case '6':
        return "a pipe";
    case 'S':
        return "a sparse file";
    default:
        return "of a kind that is not known here";
    }
}

/* Where the archive is compressed, or none at all, its first bytes say so. */
static enum err_code not_tar(const struct tar *t, struct slice block, struct err *e)
{
    if (t->what)
        return err_set(e, ERR_INVALID, "%s is no tar archive", t->what);
    static const struct {
        const char *magic, *what;
    } known[] = {{"\x1f\x8b", "compressed with gzip"},
                 {"BZh", "compressed with bzip2"},
                 {"\xfd"
                  "7zXZ",
                  "compressed with xz"},
                 {"\x28\xb5\x2f\xfd", "compressed with zstd"},
                 {"PK\3\4", "a zip archive"},
                 {"\0asm", "a WebAssembly module"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t n = known[i].magic[0] ? strlen(known[i].magic) : 4;
        if (slice_starts(block, slice_make(known[i].magic, n)))
            return err_set(e, ERR_INVALID,
                           "the assets are %s: send a plain tar archive (tar -cf FILE -C DIR .)",
                           known[i].what);
    }
    return err_set(e, ERR_INVALID,
                   "the assets are no tar archive: make one with tar -cf FILE -C DIR .");
}

/* Takes `size` bytes and what fills up their last block. */
static enum err_code take(struct tar *t, uint64_t size, struct slice *ret_bytes, struct err *e)
{
    uint64_t fill = (TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK;
    if (size > t->rest.n || fill > t->rest.n - size)
        return err_set(e, ERR_INVALID,
                       "the tar archive is cut short: an entry at byte %zu has "
                       "%llu bytes, %zu are left",
                       t->at, (unsigned long long)size, t->rest.n);
    *ret_bytes = slice_make(t->rest.p, (size_t)size);
    t->rest = slice_from(t->rest, (size_t)(size + fill));
    t->at += (size_t)(size + fill);
    return ERR_OK;
}

/* ustar's two pieces of a path; GNU and old archives have only the first. */
static struct slice own_path(struct slice block, char name[TAR_BLOCK])
{
    struct slice last = text(field(block, NAME)), prefix = text(field(block, PREFIX));
    if (memcmp(field(block, MAGIC).p, "ustar", 6) || !prefix.n)
        return last;
    memcpy(name, prefix.p, prefix.n);
    name[prefix.n] = '/';
    memcpy(name + prefix.n + 1, last.p, last.n);
    return slice_make(name, prefix.n + 1 + last.n);
}

/* Zeros up to the end, at least one block of them. */
static enum err_code at_end(struct tar *t, bool *ret_end, struct err *e)
{
    if (!all_zero(t->rest))
        return err_set(e, ERR_INVALID, "the tar archive goes on after its end (at byte %zu)",
                       t->at);
    *ret_end = true;
    return ERR_OK;
}

enum err_code tar_next(struct tar *t, struct tar_entry *ret_entry, bool *ret_end, struct err *e)
{
    struct extra extra = {0};
    enum err_code rc;
    for (;;) {
        struct slice block, body;
        uint64_t size;
        bool first = t->at == 0;
        if (t->rest.n < TAR_BLOCK)
            return first ? not_tar(t, t->rest, e)
                         : err_set(e, ERR_INVALID,
                                   "the tar archive is cut short: it has no end (at byte %zu)",
                                   t->at);
        if (all_zero(slice_make(t->rest.p, TAR_BLOCK))) {
            if (extra.path.p || extra.has_size)
                return err_set(e, ERR_INVALID,
                               "the tar archive ends with a header that has no entry");
            return at_end(t, ret_end, e);
        }
        rc = sum_fits(slice_make(t->rest.p, TAR_BLOCK)) ? take(t, TAR_BLOCK, &block, e)
             : first                                    ? not_tar(t, t->rest, e)
                     : err_set(e, ERR_INVALID, "the tar archive is damaged at byte %zu", t->at);
        if (rc)
            return rc;
        char type = *field(block, TYPE).p;
        if (!number(field(block, SIZE), &size))
            return err_set(e, ERR_INVALID,
                           "the tar archive has a size that is no number at byte "
                           "%zu",
                           t->at - TAR_BLOCK);
        if (type == 'x' || type == 'g' || type == 'L') {
            if (size > MOST_EXTRA)
                return err_set(e, ERR_INVALID,
                               "the tar archive has a name or header of %llu bytes at byte %zu",
                               (unsigned long long)size, t->at - TAR_BLOCK);
            rc = take(t, size, &body, e);
            if (rc)
                return rc;
            if (type == 'L')
                extra.path = text(body);
            else
                rc = read_pax(t, body, type == 'g', &extra, e);
            if (rc)
                return rc;
            continue;
        }
        struct slice path = extra.path.p ? extra.path : own_path(block, ret_entry->name);
        bool slash = path.n && path.p[path.n - 1] == '/';
        bool file = type == '0' || type == '\0' || type == '7';
        if (!file && type != '5' && t->what)
            return err_set(e, ERR_INVALID, "%s has an entry \"%s\", which is %s", t->what,
                           quote(path).text, kind_text(type));
        if (!file && type != '5')
            return err_set(e, ERR_INVALID,
                           "the asset \"%s\" is %s: assets are files and folders (tar -h "
                           "--hard-dereference packs what links point to)",
                           quote(path).text, kind_text(type));
        if (extra.has_size)
            size = extra.size;
        /* Before there was a type for folders, a slash at the end said so. */
        ret_entry->folder = type == '5' || slash;
        if (ret_entry->folder && size)
            return err_set(e, ERR_INVALID, "the %s \"%s\" is a folder with content",
                           t->what ? "entry" : "asset", quote(path).text);
        rc = take(t, size, &ret_entry->content, e);
        ret_entry->path = path;
        return rc;
    }
}

/* ---- writing ---- */

/* Octal with a NUL behind; what doesn't fit, as GNU does it: a high bit, and big-endian bytes. */
static void put_size(char out[12], uint64_t size)
{
    if (size < 1ull << 33) {
        snprintf(out, 12, "%011llo", (unsigned long long)size);
        return;
    }
    memset(out, 0, 12);
    out[0] = (char)0x80;
    for (int i = 11; i > 3; i--, size >>= 8)
        out[i] = (char)(size & 0xff);
}

void tar_head(char out[TAR_BLOCK], char type, unsigned mode, struct slice name, uint64_t size)
{
    unsigned sum = 0;
    memset(out, 0, TAR_BLOCK);
    memcpy(out, name.p, name.n < NAME.size ? name.n : NAME.size);
    snprintf(out + 100, 8, "%07o", mode & 07777);
    memcpy(out + 108, "0000000", 7);
    memcpy(out + 116, "0000000", 7);
    put_size(out + SIZE.at, size);
    memcpy(out + 136, "00000000000", 11);
    memset(out + SUM.at, ' ', SUM.size);
    out[TYPE.at] = type;
    memcpy(out + MAGIC.at,
           "ustar\0"
           "00",
           8);
    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += (uint8_t)out[i];
    snprintf(out + SUM.at, 8, "%06o", sum & 0777777);
}
