/* Making a bundle from an archive: entries become a tree, the tree is written depth by depth.
 *
 * Archives name files in any order and may leave folders out; each path makes the folders above it
 * that are missing. Every file and folder counts against the limit before anything is allocated for
 * it, so memory stays proportional to the limit, however the archive is built. */
#include "module/bundle.h"

#include "base/map.h"
#include "base/crc32c.h"
#include "module/bundle_format.h"
#include "module/module.h"
#include "module/tar.h"

#include <stdlib.h>

struct node {
    struct slice path; /* its own memory, behind the struct */
    struct slice content;
    size_t depth; /* parts of its path */
    bool folder;
    uint64_t children;
};

struct tree {
    struct map paths;    /* of all nodes but the root */
    struct node **nodes; /* all; the root is the first */
    size_t count, cap;
    uint64_t bytes; /* of all files */
    const struct limits *limits;
};

static void tree_done(struct tree *t)
{
    for (size_t i = 0; i < t->count; i++)
        free(t->nodes[i]);
    free(t->nodes);
    map_done(&t->paths);
}

/* The path without empty and "." parts, into `out`; an error for what is not a path of ours. */
static enum err_code clean(struct slice path, char out[BUNDLE_PATH], struct slice *ret_path,
                           struct err *e)
{
    const char *wrong = NULL;
    struct slice rest = path;
    size_t n = 0;
    if (slice_starts(path, SLICE("/")))
        wrong = "an absolute path";
    else if (memchr(path.p, '\0', path.n))
        wrong = "a path with a NUL";
    else if (!utf8_valid(path))
        wrong = "a path that is not UTF-8";
    while (rest.p && !wrong) {
        struct slice part = slice_split(&rest, '/');
        if (!part.n || slice_eq(part, SLICE(".")))
            continue;
        if (slice_eq(part, SLICE("..")))
            wrong = "a path with \"..\"";
        else if (part.n > BUNDLE_NAME)
            wrong = "a name of more than 255 bytes";
        else if (n + 1 + part.n > BUNDLE_PATH)
            wrong = "a path of more than 1024 bytes";
        if (wrong)
            break;
        if (n)
            out[n++] = '/';
        memcpy(out + n, part.p, part.n);
        n += part.n;
    }
    if (wrong)
        return err_set(e, ERR_INVALID, "the asset \"%s\" has %s", quote(path).text, wrong);
    *ret_path = slice_make(out, n);
    return ERR_OK;
}

static enum err_code add(struct tree *t, struct node *parent, struct slice path, bool folder,
                         struct node **ret_node, struct err *e)
{
    uint64_t most = t->limits->v[LIMIT_ASSET_FILES];
    if (t->count > most) /* the root is none of them */
        return err_set(e, ERR_TOO_LARGE,
                       "the assets are over the limit \"%s\": allowed are %llu files and folders",
                       limit_rows[LIMIT_ASSET_FILES].name, (unsigned long long)most);
    if (t->count == t->cap) {
        size_t cap = t->cap ? 2 * t->cap : 64;
        struct node **nodes = realloc(t->nodes, cap * sizeof *nodes);
        if (!nodes)
            return err_set(e, ERR_MEMORY, "no memory to read the assets");
        t->nodes = nodes;
        t->cap = cap;
    }
    struct node *node = calloc(1, sizeof *node + path.n);
    char *own = (char *)(node + 1);
    if (!node)
        return err_set(e, ERR_MEMORY, "no memory to read the assets");
    memcpy(own, path.p, path.n);
    *node = (struct node){.path = slice_make(own, path.n), .folder = folder};
    if (parent) {
        node->depth = parent->depth + 1;
        if (!map_put(&t->paths, node->path, node)) {
            free(node);
            return err_set(e, ERR_MEMORY, "no memory to read the assets");
        }
        parent->children++;
    }
    t->nodes[t->count++] = node;
    *ret_node = node;
    return ERR_OK;
}

/* The folder at `path`, made with those above it if need be: from the top down, so that the depth
 * of a path costs no stack. */
static enum err_code folder_at(struct tree *t, struct slice path, struct node **ret_node,
                               struct err *e)
{
    struct node *at = map_get(&t->paths, path);
    size_t n = at ? path.n : 0;
    if (!at)
        at = t->nodes[0];
    while (n < path.n && at->folder) {
        struct node *parent = at;
        size_t from = n ? n + 1 : 0;
        const char *slash = memchr(path.p + from, '/', path.n - from);
        n = slash ? (size_t)(slash - path.p) : path.n;
        at = map_get(&t->paths, slice_make(path.p, n));
        if (!at) {
            enum err_code rc = add(t, parent, slice_make(path.p, n), true, &at, e);
            if (rc)
                return rc;
        }
    }
    if (!at->folder)
        return err_set(e, ERR_INVALID, "the assets have \"%s\" as a file and as a folder",
                       quote(at->path).text);
    *ret_node = at;
    return ERR_OK;
}

static enum err_code add_file(struct tree *t, struct slice path, struct slice content,
                              struct err *e)
{
    struct node *parent, *node;
    const char *slash = memrchr(path.p, '/', path.n);
    if (!path.n)
        return err_set(e, ERR_INVALID, "the tar archive has a file without a name");
    if ((node = map_get(&t->paths, path)))
        return err_set(e, ERR_INVALID,
                       node->folder ? "the assets have \"%s\" as a file and as a folder"
                                    : "the assets have \"%s\" twice",
                       quote(path).text);
    enum err_code rc =
        folder_at(t, slice_make(path.p, slash ? (size_t)(slash - path.p) : 0), &parent, e);
    if (rc == ERR_OK)
        rc = add(t, parent, path, false, &node, e);
    if (rc)
        return rc;
    node->content = content;
    t->bytes += content.n;
    uint64_t most = t->limits->v[LIMIT_ASSETS];
    if (t->bytes > most) {
        char allowed[32];
        limit_format(LIMIT_ASSETS, most, allowed);
        return err_set(e, ERR_TOO_LARGE,
                       "the assets are over the limit \"%s\": all files together may have %s",
                       limit_rows[LIMIT_ASSETS].name, allowed);
    }
    return ERR_OK;
}

static enum err_code read_tree(struct tree *t, struct slice archive, struct err *e)
{
    struct tar tar = tar_open(archive);
    struct tar_entry entry;
    struct node *node;
    char name[BUNDLE_PATH];
    bool end = false;
    enum err_code rc = add(t, NULL, SLICE(""), true, &node, e);
    while (rc == ERR_OK) {
        struct slice path;
        rc = tar_next(&tar, &entry, &end, e);
        if (rc || end)
            break;
        rc = clean(entry.path, name, &path, e);
        if (rc == ERR_OK)
            rc = entry.folder ? folder_at(t, path, &node, e) : add_file(t, path, entry.content, e);
    }
    return rc;
}

/* By depth, then by path, with '/' before every other byte: so the entries of a folder lie
 * together, in the order of their names, and the groups in the order of the folders. */
static int in_order(const void *left, const void *right)
{
    const struct node *a = *(struct node *const *)left, *b = *(struct node *const *)right;
    if (a->depth != b->depth)
        return a->depth < b->depth ? -1 : 1;
    size_t n = a->path.n < b->path.n ? a->path.n : b->path.n, i = 0;
    while (i < n && a->path.p[i] == b->path.p[i])
        i++;
    if (i == n)
        return a->path.n < b->path.n ? -1 : a->path.n > b->path.n;
    unsigned char x = (unsigned char)a->path.p[i], y = (unsigned char)b->path.p[i];
    return (x == '/' ? 0 : x) < (y == '/' ? 0 : y) ? -1 : 1;
}

static struct slice last_part(const struct node *node)
{
    const char *slash = memrchr(node->path.p, '/', node->path.n);
    return slash ? slice_from(node->path, (size_t)(slash + 1 - node->path.p)) : node->path;
}

static bool write_tree(const struct tree *t, struct buf *out)
{
    struct bundle_header h = {.magic = BUNDLE_MAGIC, .entries = (uint32_t)t->count};
    size_t start = buf_size(out);
    uint64_t names = 0, next = 1, at = sizeof h + t->count * sizeof(struct bundle_row);
    for (size_t i = 1; i < t->count; i++)
        names += last_part(t->nodes[i]).n;
    if (at + names > UINT32_MAX)
        return false;
    uint64_t name = at, content = at + names;
    h.name_bytes = (uint32_t)names;
    h.size = content + t->bytes;
    bool ok = buf_add(out, &h, sizeof h);
    for (size_t i = 0; i < t->count && ok; i++) {
        const struct node *node = t->nodes[i];
        size_t name_size = i ? last_part(node).n : 0;
        struct bundle_row row = {.at = node->folder ? next : content,
                                 .size = node->folder ? node->children : node->content.n,
                                 .name = (uint32_t)name,
                                 .name_size = (uint16_t)name_size,
                                 .kind = node->folder ? BUNDLE_FOLDER : BUNDLE_FILE};
        *(node->folder ? &next : &content) += row.size;
        name += name_size;
        ok = buf_add(out, &row, sizeof row);
    }
    for (size_t i = 1; i < t->count && ok; i++)
        ok = buf_add(out, last_part(t->nodes[i]).p, last_part(t->nodes[i]).n);
    for (size_t i = 1; i < t->count && ok; i++)
        ok = buf_add(out, t->nodes[i]->content.p, t->nodes[i]->content.n);
    if (ok) {
        h.sum = crc32c(0, slice_make(buf_data(out) + start, buf_size(out) - start));
        memcpy(buf_data(out) + start, &h, sizeof h);
    }
    return ok;
}

enum err_code bundle_make(struct slice tar, const struct limits *limits, struct buf *out,
                          uint32_t *ret_files, struct err *e)
{
    struct tree t = {.limits = limits};
    enum err_code rc = read_tree(&t, tar, e);
    if (rc == ERR_OK) {
        qsort(t.nodes, t.count, sizeof *t.nodes, in_order);
        if (!write_tree(&t, out))
            rc = err_set(e, ERR_MEMORY, "no memory for the assets");
    }
    if (rc == ERR_OK) {
        uint32_t files = 0;
        for (size_t i = 1; i < t.count; i++)
            files += !t.nodes[i]->folder;
        *ret_files = files;
    }
    tree_done(&t);
    return rc;
}
