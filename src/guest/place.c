#include "guest/place.h"

#include "guest/wasi.h"

#include <stdlib.h>

/* ---- descriptors ---- */

/* A folder's state; none: it is the root. */
struct folder {
    size_t n;
    char path[];
};

static struct slice folder_path(const struct descriptor *d)
{
    const struct folder *f = d->state;
    return f ? slice_make(f->path, f->n) : SLICE("");
}

static void free_state(struct guest *g, struct descriptor *d)
{
    (void)g;
    free(d->state);
    d->state = NULL;
}

static int32_t file_read(struct guest *g, struct descriptor *d, void *p, uint32_t n)
{
    struct file *f = d->state;
    (void)g;
    uint64_t left = f->at < f->entry.content.n ? f->entry.content.n - f->at : 0;
    if (!left)
        return RESOURCE_END;
    if (n > left)
        n = (uint32_t)left;
    memcpy(p, f->entry.content.p + f->at, n);
    f->at += n;
    return (int32_t)n;
}

static bool file_ready(struct guest *g, struct descriptor *d, bool to_write, uint64_t *ret_bytes,
                       bool *ret_end)
{
    const struct file *f = d->state;
    (void)g, (void)to_write;
    *ret_bytes = f->at < f->entry.content.n ? f->entry.content.n - f->at : 0;
    *ret_end = !*ret_bytes;
    return true;
}

const struct scheme scheme_root = {.folder = true, .close = free_state};
const struct scheme scheme_file = {.read = file_read, .ready = file_ready, .close = free_state};

bool place_open(struct descriptor *d, const struct place *place)
{
    if (place->kind == PLACE_FILE) {
        struct file *f = malloc(sizeof *f);
        if (!f)
            return false;
        *f = (struct file){.entry = place->entry};
        d->state = f;
        d->scheme = &scheme_file;
        return true;
    }
    struct folder *f = NULL;
    if (place->path.n) {
        f = malloc(sizeof *f + place->path.n);
        if (!f)
            return false;
        f->n = place->path.n;
        memcpy(f->path, place->path.p, f->n);
    }
    d->state = f;
    d->scheme = &scheme_root;
    return true;
}

/* ---- what there is ---- */

enum { INODE_ROOT = 1 };
static const uint64_t INODE_VIRTUAL = UINT64_C(1) << 33; /* above all of a bundle's */

static const struct {
    const char *name, *url;
} devices[] = {
    {"null", "null://"}, {"random", "random://"}, {"urandom", "random://"}, {"zero", "zero://"}};
enum { DEVICES = sizeof devices / sizeof *devices };

static bool is_virtual(struct slice path)
{
    struct slice first = slice_split(&path, '/');
    return slice_eq(first, SLICE("dev")) || slice_eq(first, SLICE("net"));
}

static struct place device(int i)
{
    return (struct place){.kind = PLACE_RESOURCE, .url = slice_str(devices[i].url)};
}

static struct place of_entry(const struct bundle_entry *entry, struct slice path)
{
    return (struct place){.kind = entry->folder ? PLACE_FOLDER : PLACE_FILE,
                          .path = path,
                          .entry = *entry,
                          .inode = INODE_ROOT + (uint64_t)entry->index};
}

/* What lies at a normalised path; an errno. */
static int look(const struct guest *g, struct slice path, struct place *ret_place)
{
    struct bundle_entry entry;
    if (is_virtual(path)) {
        struct slice rest = path;
        bool dev = slice_eq(slice_split(&rest, '/'), SLICE("dev"));
        if (!rest.p) {
            *ret_place = (struct place){
                .kind = PLACE_FOLDER, .path = path, .inode = INODE_VIRTUAL + (uint64_t)dev};
            return WASI_OK;
        }
        struct slice name = slice_split(&rest, '/');
        for (int i = 0; i < DEVICES && dev; i++)
            if (slice_eq(name, slice_str(devices[i].name))) {
                *ret_place = device(i);
                return rest.p ? WASI_ENOTDIR : WASI_OK;
            }
        return WASI_ENOENT;
    }
    if (g->assets && bundle_find(g->assets, path, &entry)) {
        *ret_place = of_entry(&entry, path);
        return WASI_OK;
    }
    if (!path.n) {
        *ret_place = (struct place){.kind = PLACE_FOLDER, .path = path, .inode = INODE_ROOT};
        return WASI_OK;
    }
    /* A file on the way? */
    struct slice above = path;
    while (g->assets && above.n && above.p[above.n - 1] != '/')
        above.n--;
    while (g->assets && above.n) {
        if (bundle_find(g->assets, slice_make(above.p, above.n - 1), &entry))
            return entry.folder ? WASI_ENOENT : WASI_ENOTDIR;
        for (above.n--; above.n && above.p[above.n - 1] != '/';)
            above.n--;
    }
    return WASI_ENOENT;
}

/* Appends `path` to the `n` bytes in `out` without empty and "." parts, ".." taken back; false if
 * it leaves what was there. */
static bool normalise(struct slice path, char *out, size_t *n)
{
    size_t least = *n;
    while (path.p) {
        struct slice part = slice_split(&path, '/');
        if (!part.n || slice_eq(part, SLICE(".")))
            continue;
        if (slice_eq(part, SLICE(".."))) {
            if (*n == least)
                return false;
            while (*n > least && out[--*n] != '/')
                ;
            continue;
        }
        if (*n)
            out[(*n)++] = '/';
        memcpy(out + *n, part.p, part.n);
        *n += part.n;
    }
    return true;
}

/* SCHEME/REST of a path in /net: REST is taken as it is, "//" and ".." mean something else in
 * URLs. */
static bool net_url(struct slice path, char *text, struct slice *ret_url)
{
    struct slice rest = path, scheme = slice_split(&rest, '/');
    if (!scheme.n || !rest.p || scheme.p[0] == '.')
        return false;
    memcpy(text, scheme.p, scheme.n);
    memcpy(text + scheme.n, "://", 3);
    memcpy(text + scheme.n + 3, rest.p, rest.n);
    *ret_url = slice_make(text, scheme.n + 3 + rest.n);
    return true;
}

int place_find(const struct guest *g, const struct descriptor *from, struct slice path,
               char text[PLACE_TEXT], struct place *ret_place)
{
    struct slice base = folder_path(from);
    if (base.n > BUNDLE_PATH || path.n > PLACE_PATH)
        return WASI_ENAMETOOLONG;
    if (base.n && slice_starts(path, SLICE("/")))
        return WASI_ENOTCAPABLE;
    while (slice_starts(path, SLICE("/")) || slice_starts(path, SLICE("./")))
        path = slice_from(path, 1);
    bool net = slice_eq(base, SLICE("net"));
    if (net || (!base.n && slice_starts(path, SLICE("net/")))) {
        struct slice url;
        if (net_url(slice_from(path, net ? 0 : 4), text, &url)) {
            *ret_place = (struct place){.kind = PLACE_RESOURCE, .url = url};
            return WASI_OK;
        }
    }
    memcpy(text, base.p, base.n);
    size_t n = base.n;
    if (!normalise(path, text, &n))
        return WASI_ENOTCAPABLE;
    int error = look(g, slice_make(text, n), ret_place);
    if (!error && ret_place->kind != PLACE_FOLDER && path.n && path.p[path.n - 1] == '/')
        return WASI_ENOTDIR;
    return error;
}

struct place place_of(const struct guest *g, const struct descriptor *d)
{
    struct place place = {.kind = PLACE_RESOURCE};
    const struct file *f = file_of(d);
    if (f)
        return of_entry(&f->entry, SLICE(""));
    if (d->scheme->folder)
        look(g, folder_path(d), &place);
    return place;
}

/* ---- lists ---- */

bool place_list(const struct guest *g, const struct descriptor *folder, uint32_t at,
                struct slice *ret_name, struct place *ret_place, uint32_t *ret_next)
{
    struct place here = place_of(g, folder);
    enum { DOTS = 2 };
    *ret_next = at + 1;
    if (at < DOTS) {
        struct slice above = here.path;
        while (at && above.n && above.p[--above.n] != '/')
            ;
        *ret_name = at ? SLICE("..") : SLICE(".");
        return look(g, above, ret_place) == WASI_OK;
    }
    if (is_virtual(here.path)) {
        if (at - DOTS >= DEVICES || !slice_eq(here.path, SLICE("dev")))
            return false;
        *ret_name = slice_str(devices[at - DOTS].name);
        *ret_place = device((int)(at - DOTS));
        return true;
    }
    struct bundle_entry entry;
    for (; g->assets && bundle_list(g->assets, here.entry.index, at - DOTS, &entry); at++)
        if (here.path.n || !is_virtual(entry.name)) {
            *ret_name = entry.name;
            *ret_place = of_entry(&entry, SLICE(""));
            *ret_next = at + 1;
            return true;
        }
    return false;
}
