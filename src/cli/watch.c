#include "cli/watch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CONTENT_MOST = 1 << 20, DEPTH_MOST = 32, PATH_ROOM = 4096 };

struct watch {
    char *folder;
    bool modules, looked;
    int fd;
    unsigned folders, files; /* of the look in progress */
    crypto_generichash_state hash;
    uint8_t last[crypto_generichash_BYTES];
};

enum err_code watch_open(const char *folder, bool modules, struct watch **ret_watch, struct err *e)
{
    struct watch *w = calloc(1, sizeof *w);
    bool changed;
    if (w)
        *w = (struct watch){.folder = strdup(folder), .modules = modules, .fd = -1};
    if (!w || !w->folder) {
        watch_close(w);
        return err_set(e, ERR_MEMORY, "out of memory");
    }
    w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    enum err_code rc =
        w->fd < 0 ? err_errno(e, "can't watch %s", folder) : watch_look(w, &changed, e);
    if (rc)
        watch_close(w);
    else
        *ret_watch = w;
    return rc;
}

void watch_close(struct watch *w)
{
    if (!w)
        return;
    if (w->fd >= 0)
        close(w->fd);
    free(w->folder);
    free(w);
}

int watch_fd(const struct watch *w)
{
    return w->fd;
}

void watch_take(struct watch *w)
{
    char events[4096];
    while (read(w->fd, events, sizeof events) > 0)
        ;
}

static void add(struct watch *w, const void *p, size_t n)
{
    crypto_generichash_update(&w->hash, p, n);
}

/* The size, and the content if it isn't large. A file that goes away meanwhile counts as empty. */
static void add_file(struct watch *w, const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st))
        st = (struct stat){0};
    add(w, &st.st_size, sizeof st.st_size);
    if (st.st_size > CONTENT_MOST)
        add(w, &st.st_mtim, sizeof st.st_mtim);
    char piece[16384];
    ssize_t n;
    while (fd >= 0 && st.st_size <= CONTENT_MOST && (n = read(fd, piece, sizeof piece)) > 0)
        add(w, piece, (size_t)n);
    if (fd >= 0)
        close(fd);
}

static bool is_left_out(const struct watch *w, const char *name)
{
    size_t n = strlen(name);
    return name[0] == '.' || strcmp(name, "target") == 0 || strcmp(name, "node_modules") == 0 ||
           (!w->modules && n > 5 && strcmp(name + n - 5, ".wasm") == 0);
}

static enum err_code add_folder(struct watch *w, const char *path, int depth, struct err *e);

static enum err_code add_entry(struct watch *w, const char *folder, const char *name, int depth,
                               struct err *e)
{
    char path[PATH_ROOM];
    struct stat st;
    int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    if (is_left_out(w, name) || n < 0 || (size_t)n >= sizeof path || lstat(path, &st))
        return ERR_OK;
    add(w, path, (size_t)n + 1);
    if (S_ISDIR(st.st_mode))
        return add_folder(w, path, depth + 1, e);
    if (++w->files > WATCH_FILES)
        return err_set(e, ERR_TOO_LARGE, "%s has more than %d files: too many to watch", w->folder,
                       (int)WATCH_FILES);
    if (S_ISREG(st.st_mode) || S_ISLNK(st.st_mode))
        add_file(w, path);
    return ERR_OK;
}

/* In the order of their names, so that equal folders are equal. */
static enum err_code add_folder(struct watch *w, const char *path, int depth, struct err *e)
{
    const uint32_t events = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
                            IN_ATTRIB | IN_ONLYDIR;
    struct dirent **entries;
    if (depth > DEPTH_MOST || ++w->folders > WATCH_FOLDERS)
        return err_set(e, ERR_TOO_LARGE,
                       "%s has more than %d folders, or %d in each other: too "
                       "many to watch",
                       w->folder, (int)WATCH_FOLDERS, (int)DEPTH_MOST);
    if (inotify_add_watch(w->fd, path, events) < 0 && errno != ENOENT)
        return err_errno(e, "can't watch %s", path);
    int n = scandir(path, &entries, NULL, alphasort);
    enum err_code rc = n < 0 && errno != ENOENT ? err_errno(e, "can't read %s", path) : ERR_OK;
    for (int i = 0; i < n; i++) {
        if (rc == ERR_OK)
            rc = add_entry(w, path, entries[i]->d_name, depth, e);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
    return rc;
}

enum err_code watch_look(struct watch *w, bool *ret_changed, struct err *e)
{
    uint8_t now[crypto_generichash_BYTES];
    w->folders = w->files = 0;
    crypto_generichash_init(&w->hash, NULL, 0, sizeof now);
    enum err_code rc = add_folder(w, w->folder, 0, e);
    crypto_generichash_final(&w->hash, now, sizeof now);
    if (rc)
        return rc;
    *ret_changed = w->looked && memcmp(now, w->last, sizeof now) != 0;
    memcpy(w->last, now, sizeof now);
    w->looked = true;
    return ERR_OK;
}
