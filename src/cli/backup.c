/* `wasmcloud backup`: the whole server as one file, while it works; `backup verify`: is it one?
 *
 * The archive goes to FILE.part and gets its name when it is whole, judged and on disk: a file
 * called FILE is a backup, and an older one is never written over. */
#include "base/brand.h"
#include "cli/args.h"
#include "cli/backup_file.h"
#include "cli/client.h"
#include "cli/show.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void print_facts(const char *file, const struct backup_facts *f, bool json)
{
    if (json) {
        json_t *o = backup_facts_json(file, f);
        show_json(o);
        json_decref(o);
        return;
    }
    char size[24], database[24], blobs[24], at[24];
    printf("%s: %s, of %s: database %s, %ju modules and bundles %s, %s\n", file,
           show_bytes(f->bytes, size), show_time(f->created, at),
           show_bytes(f->database_bytes, database), (uintmax_t)f->blobs,
           show_bytes(f->blob_bytes, blobs), f->keys ? "with its keys" : "without its keys");
}

/* ---- backup ---- */

struct download {
    int fd;
    int broken; /* errno: why the file takes no more */
};

static bool on_body(void *ctx, const struct client_head *head, struct slice piece)
{
    struct download *d = ctx;
    (void)head;
    while (piece.n) {
        ssize_t n = write(d->fd, piece.p, piece.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            d->broken = errno;
            return false;
        }
        piece = slice_from(piece, (size_t)n);
    }
    return true;
}

static enum err_code fetch(const char *part, bool keys, struct err *e)
{
    struct download d = {
        .fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600)};
    struct client *c = NULL;
    if (d.fd < 0)
        return err_errno(e, "can't write %s", part);
    fchmod(d.fd, 0600); /* one that an earlier attempt has left */
    enum err_code rc = client_open(NULL, &c, e);
    if (rc == ERR_OK)
        rc = client_call(c,
                         &(struct client_request){.path = "backup",
                                                  .query = {{"keys", keys ? "1" : NULL}},
                                                  .on_body = on_body,
                                                  .ctx = &d},
                         NULL, NULL, e);
    client_close(c);
    errno = d.broken;
    if (d.broken)
        rc = err_errno(e, "can't write %s", part);
    if (rc == ERR_OK && fsync(d.fd) < 0)
        rc = err_errno(e, "can't write %s", part);
    close(d.fd);
    return rc;
}

/* The name becomes durable with its folder. */
static enum err_code keep(const char *part, const char *file, struct err *e)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(file, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - file) + 1 : 1,
             slash ? file : ".");
    if (renameat2(AT_FDCWD, part, AT_FDCWD, file, RENAME_NOREPLACE) < 0)
        return err_errno(e, "can't name the backup %s", file);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    return ERR_OK;
}

int cmd_backup(int argc, char **argv)
{
    bool json = false, keys = false;
    const struct flag flags[] = {
        {.name = "keys",
         .help = "with the server's keys: whoever has the file has every secret",
         .on = &keys},
        FLAG_JSON(json),
        {0},
    };
    struct words words;
    struct backup_facts facts;
    struct err e;
    char part[PATH_MAX];
    int status = args_parse("backup", argc, argv, flags, &words, 1, 1);
    if (status >= 0)
        return status;
    const char *file = words.at[0];
    if ((size_t)snprintf(part, sizeof part, "%s.part", file) >= sizeof part)
        return command_usage("backup", "the file's name is too long");
    if (access(file, F_OK) == 0) {
        err_set(&e, ERR_CONFLICT, "%s is there already: a backup is never written over", file);
        return command_fail(&e);
    }
    enum err_code rc = fetch(part, keys, &e);
    if (rc == ERR_OK)
        rc = backup_verify(part, &facts, &e);
    if (rc == ERR_OK)
        rc = keep(part, file, &e);
    if (rc) {
        unlink(part);
        return client_fail(NULL, &e);
    }
    print_facts(file, &facts, json);
    return 0;
}

/* ---- backup verify ---- */

static int verify_command(int argc, char **argv)
{
    bool json = false;
    const struct flag flags[] = {FLAG_JSON(json), {0}};
    struct words words;
    struct backup_facts facts;
    struct err e;
    int status = args_parse("backup verify", argc, argv, flags, &words, 1, 1);
    if (status >= 0)
        return status;
    if (backup_verify(words.at[0], &facts, &e))
        return command_fail(&e);
    print_facts(words.at[0], &facts, json);
    return 0;
}

const struct command backup_commands[] = {
    {.name = "verify",
     .run = verify_command,
     .usage = "FILE [--json]",
     .summary = "is this file a whole backup? Restores it into a temporary folder and compares",
     .example = BRAND_COMMAND " backup verify /backups/monday.tar"},
    {0},
};
