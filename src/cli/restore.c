/* `wasmcloud restore`: a data folder from a backup, for `serve --data DIR`.
 *
 * The archive is unpacked into DIR/restore.part and judged as `backup verify` does; only then its
 * parts take their places, the database last. As long as there is a restore.part no server starts
 * on the folder (serve_from.c), and the next restore starts over. Images, the route table and the
 * first token are made again by the server's first start. */
#include "base/brand.h"
#include "cli/args.h"
#include "cli/backup_file.h"
#include "cli/show.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char part[] = RESTORE_PART;

/* What put_in_place() puts there, the database last. */
static const char *const places[] = {"blobs", "keys", "db.sqlite", NULL};

static bool is_of_backup(const char *name)
{
    for (const char *const *p = places; *p; p++)
        if (strcmp(*p, name) == 0)
            return true;
    return false;
}

/* Opens the folder, made if need be; it must be empty, but for what a restore has left that was
 * broken off (*ret_again). */
static enum err_code open_target(const char *path, bool *ret_made, int *ret_fd, bool *ret_again,
                                 struct err *e)
{
    *ret_made = mkdir(path, 0700) == 0;
    if (!*ret_made && errno != EEXIST)
        return err_errno(e, "can't make the folder %s", path);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int again = fd < 0 ? -1 : openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = again < 0 ? NULL : fdopendir(again);
    if (!d) {
        enum err_code rc = err_errno(e, "can't open the folder %s", path);
        if (fd >= 0)
            close(fd);
        return rc;
    }
    bool empty = true, foreign = false;
    *ret_again = false;
    for (struct dirent *f; (f = readdir(d));) {
        if (strcmp(f->d_name, ".") == 0 || strcmp(f->d_name, "..") == 0)
            continue;
        empty = false;
        if (strcmp(f->d_name, part) == 0)
            *ret_again = true;
        else if (!is_of_backup(f->d_name))
            foreign = true;
    }
    closedir(d);
    if (!empty && (!*ret_again || foreign)) {
        close(fd);
        return err_set(e, ERR_CONFLICT,
                       "the folder %s is not empty: restore into a new one, and keep the old one "
                       "until the new server answers",
                       path);
    }
    *ret_fd = fd;
    return ERR_OK;
}

/* ---- keys ---- */

static enum err_code copy_key(const char *from, int i, const struct backup_facts *f, int to,
                              struct err *e)
{
    uint8_t key[BACKUP_KEY_BYTES + 1], hash[BACKUP_HASH];
    char path[PATH_MAX], name[32];
    snprintf(name, sizeof name, "keys/%s", backup_keys[i]);
    if ((size_t)snprintf(path, sizeof path, "%s/%s", from, backup_keys[i]) >= sizeof path)
        return err_set(e, ERR_INVALID, "the folder's name is too long");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, "can't read the key %s", path);
    ssize_t n = read(fd, key, sizeof key);
    close(fd);
    enum err_code rc = ERR_OK;
    if (n == BACKUP_KEY_BYTES)
        crypto_hash_sha256(hash, key, BACKUP_KEY_BYTES);
    if (n != BACKUP_KEY_BYTES || memcmp(hash, f->fingerprints[i], sizeof hash) != 0)
        rc = err_set(e, ERR_INVALID, "%s is not the key of the server that was backed up", path);
    if (rc == ERR_OK) {
        fd = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0 || write(fd, key, BACKUP_KEY_BYTES) != BACKUP_KEY_BYTES)
            rc = err_errno(e, "writing %s", name);
        if (fd >= 0)
            close(fd);
    }
    sodium_memzero(key, sizeof key);
    return rc;
}

static enum err_code bring_keys(const char *from, const struct backup_facts *f, int to,
                                struct err *e)
{
    enum err_code rc = ERR_OK;
    if (f->keys)
        return ERR_OK;
    if (!from)
        return err_set(e, ERR_USAGE,
                       "the backup has no keys, without which no environment, no secret and no "
                       "token of it is worth anything: --keys-from FOLDER names the folder keys/ "
                       "of the server that was backed up, or a copy of it");
    for (int i = 0; i < BACKUP_KEYS && rc == ERR_OK; i++)
        rc = copy_key(from, i, f, to, e);
    return rc;
}

/* ---- places ---- */

static enum err_code put_in_place(int part_fd, int data, struct err *e)
{
    if (syncfs(part_fd) < 0)
        return err_errno(e, "writing to disk");
    for (const char *const *p = places; *p; p++)
        if (renameat(part_fd, *p, data, *p) < 0)
            return err_errno(e, "putting %s in its place", *p);
    if (unlinkat(data, part, AT_REMOVEDIR) < 0 || fsync(data) < 0)
        return err_errno(e, "writing to disk");
    return ERR_OK;
}

/* The folder restore.part, ours alone while its descriptor is open; what an earlier restore has
 * left goes. */
static enum err_code open_part(int target, const char *data, bool again, int *ret_fd, struct err *e)
{
    if (!again && mkdirat(target, part, 0700) < 0)
        return err_errno(e, "can't write to the folder %s", data);
    int fd = openat(target, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, "can't write to the folder %s", data);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        close(fd);
        return err_set(e, ERR_CONFLICT, "another restore is filling the folder %s", data);
    }
    if (again) {
        backup_unpack_remove(fd);
        backup_unpack_remove(target);
    }
    *ret_fd = fd;
    return ERR_OK;
}

static enum err_code restore(const char *file, const char *data, const char *keys,
                             struct backup_facts *ret_facts, struct err *e)
{
    char path[PATH_MAX];
    int target = -1, folder = -1;
    bool made = false, again = false;
    if ((size_t)snprintf(path, sizeof path, "%s/%s", data, part) >= sizeof path)
        return err_set(e, ERR_INVALID, "the folder's name is too long");
    enum err_code rc = open_target(data, &made, &target, &again, e);
    if (rc)
        return rc;
    rc = open_part(target, data, again, &folder, e);
    bool ours = rc == ERR_OK;
    if (rc == ERR_OK)
        rc = backup_unpack(file, folder, path, ret_facts, e);
    if (rc == ERR_OK)
        rc = bring_keys(keys, ret_facts, folder, e);
    if (rc == ERR_OK)
        rc = put_in_place(folder, target, e);
    if (rc && ours) {
        backup_unpack_remove(folder);
        backup_unpack_remove(target);
        unlinkat(target, part, AT_REMOVEDIR);
    }
    if (folder >= 0)
        close(folder);
    close(target);
    if (rc && made)
        rmdir(data);
    return rc;
}

int cmd_restore(int argc, char **argv)
{
    bool json = false;
    const char *data = NULL, *keys = NULL;
    const struct flag flags[] = {
        {.name = "data",
         .value = "DIR",
         .help = "the new data folder: empty or none yet",
         .text = &data},
        {.name = "keys-from",
         .value = "FOLDER",
         .help = "keys/ of the server that was backed up, for a backup without keys",
         .text = &keys},
        FLAG_JSON(json),
        {0},
    };
    struct words words;
    struct backup_facts facts;
    struct err e;
    int status = args_parse("restore", argc, argv, flags, &words, 1, 1);
    if (status >= 0)
        return status;
    if (!data)
        return command_usage("restore", "--data DIR says where the new data folder is to be");
    enum err_code rc = restore(words.at[0], data, keys, &facts, &e);
    if (rc)
        return command_fail(&e);
    if (json) {
        json_t *o = backup_facts_json(words.at[0], &facts);
        json_object_set_new(o, "data", json_string(data));
        show_json(o);
        json_decref(o);
        return 0;
    }
    printf("%s holds what the server had at %s\nnext: %s serve --data %s\n", data, facts.created,
           BRAND_COMMAND, data);
    return 0;
}
