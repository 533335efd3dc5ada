/* `wasmcloud migrate`: brings a stopped server's database to the schema of this program, after a
 * copy of it. `serve` does it, too, without the copy; this is for those who want to see it done
 * first. */
#include "base/brand.h"
#include "base/log.h"
#include "cli/args.h"
#include "cli/show.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

/* The lock of a server (roles/master_data.c): none may be at work. */
static enum err_code take_lock(const char *data, int *ret_fd, struct err *e)
{
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof path, "%s/lock", data) >= sizeof path)
        return err_set(e, ERR_INVALID, "the folder's name is too long");
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == ENOENT ? err_set(e, ERR_NOT_FOUND, "there is no data folder %s", data)
                               : err_errno(e, "can't write to the data folder %s", data);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        close(fd);
        return err_set(e, ERR_CONFLICT, "a server uses the data folder %s: stop it first", data);
    }
    *ret_fd = fd;
    return ERR_OK;
}

struct outcome {
    uint32_t have, known;
    char copy[PATH_MAX]; /* "": none was made */
};

/* Whole or not at all: one of an attempt before stays until then. */
static enum err_code keep_copy(const char *path, const char *copy, struct err *e)
{
    char part[PATH_MAX + 8];
    snprintf(part, sizeof part, "%s.part", copy);
    unlink(part);
    enum err_code rc = store_save(path, part, e);
    if (rc == ERR_OK && rename(part, copy) < 0)
        rc = err_errno(e, "can't write %s", copy);
    return rc;
}

static enum err_code migrate(const char *data, bool check, struct outcome *o, struct err *e)
{
    char path[PATH_MAX];
    int lock = -1;
    if ((size_t)snprintf(path, sizeof path, "%s/db.sqlite", data) >= sizeof path ||
        (size_t)snprintf(o->copy, sizeof o->copy, "%s/db.sqlite.schema-XX", data) >=
            sizeof o->copy - 16)
        return err_set(e, ERR_INVALID, "the folder's name is too long");
    o->copy[0] = '\0';
    if (access(path, F_OK) < 0)
        return err_set(e, ERR_NOT_FOUND, "there is no database in %s: is it a data folder?", data);
    enum err_code rc = take_lock(data, &lock, e);
    if (rc)
        return rc;
    rc = store_schema(path, &o->have, &o->known, e);
    if (rc == ERR_OK && o->have > o->known)
        rc = err_set(e, ERR_CONFLICT,
                     "the database is of a newer " BRAND_COMMAND
                     " (schema %u, this one knows %u): use that one, or restore a backup",
                     o->have, o->known);
    if (rc == ERR_OK && !check && o->have < o->known) {
        snprintf(o->copy, sizeof o->copy, "%s/db.sqlite.schema-%u", data, o->have);
        rc = keep_copy(path, o->copy, e);
        if (rc == ERR_OK)
            rc = store_migrate(path, e);
    }
    close(lock);
    return rc;
}

int cmd_migrate(int argc, char **argv)
{
    bool json = false, check = false;
    const char *data = NULL;
    const struct flag flags[] = {
        {.name = "data", .value = "DIR", .help = "the data folder; " BRAND_DATA, .text = &data},
        {.name = "check",
         .help = "only say what would be done; status 1 if something would",
         .on = &check},
        FLAG_JSON(json),
        {0},
    };
    struct words words;
    struct outcome o;
    struct err e;
    int status = args_parse("migrate", argc, argv, flags, &words, 0, 0);
    if (status >= 0)
        return status;
    log_init("migrate", LOG_WARNING);
    if (migrate(data ? data : BRAND_DATA, check, &o, &e))
        return command_fail(&e);
    bool pending = check && o.have < o.known;
    if (json) {
        json_t *all =
            json_pack("{s:i, s:i, s:b, s:s?}", "from", (int)o.have, "to", (int)o.known, "migrated",
                      !check && o.have < o.known, "copy", o.copy[0] ? o.copy : NULL);
        show_json(all);
        json_decref(all);
    } else if (o.have == o.known) {
        printf("the database has schema %u already, the newest that this %s knows\n", o.have,
               BRAND_COMMAND);
    } else if (check) {
        printf("the database has schema %u: `%s migrate` makes it %u\n", o.have, BRAND_COMMAND,
               o.known);
    } else {
        printf("from schema %u to %u; the database as it was: %s\n", o.have, o.known, o.copy);
    }
    return pending ? 1 : 0;
}
