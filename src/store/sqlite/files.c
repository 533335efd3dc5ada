/* How SQLite reaches its files: as always, but for two things.
 *
 * Paths stay as they are: SQLite would make each absolute, which fails or lies
 * when a parent folder may not be entered; the caller stands in the data folder.
 *
 * What goes to the end of the write-ahead log goes there at once. SQLite writes
 * each page as two pieces, a head of 24 bytes and the page, one system call
 * each; here they gather, and are one when SQLite syncs, or wants to read or to
 * know a length. Nobody misses them until then: other processes, too, read a
 * page from the log only after the sync of its COMMIT (synchronous=FULL). A
 * write that fails does so in the sync, which takes the COMMIT back as well. */
#include "store/sqlite/db.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROOM = 64 << 10 };

/* The log: what gathers, and behind this struct the file as the system's layer has it. */
struct log_file {
    sqlite3_file base;
    char *bytes;
    size_t n;
    sqlite3_int64 at; /* where they go */
};

static sqlite3_vfs *system_vfs;

static sqlite3_file *file_of(sqlite3_file *f)
{
    return (sqlite3_file *)((struct log_file *)f + 1);
}

static int write_out(sqlite3_file *f)
{
    struct log_file *l = (struct log_file *)f;
    size_t n = l->n;
    l->n = 0;
    return n ? file_of(f)->pMethods->xWrite(file_of(f), l->bytes, (int)n, l->at) : SQLITE_OK;
}

static int log_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
    struct log_file *l = (struct log_file *)f;
    int rc = SQLITE_OK;
    if (at != l->at + (sqlite3_int64)l->n || (size_t)n > ROOM - l->n)
        rc = write_out(f);
    if (rc != SQLITE_OK || n > ROOM)
        return rc ? rc : file_of(f)->pMethods->xWrite(file_of(f), p, n, at);
    if (!l->n)
        l->at = at;
    memcpy(l->bytes + l->n, p, (size_t)n);
    l->n += (size_t)n;
    return SQLITE_OK;
}

static int log_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
    int rc = write_out(f);
    return rc ? rc : file_of(f)->pMethods->xRead(file_of(f), p, n, at);
}

static int log_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    int rc = write_out(f);
    return rc ? rc : file_of(f)->pMethods->xTruncate(file_of(f), size);
}

static int log_sync(sqlite3_file *f, int flags)
{
    int rc = write_out(f);
    return rc ? rc : file_of(f)->pMethods->xSync(file_of(f), flags);
}

static int log_size(sqlite3_file *f, sqlite3_int64 *ret_size)
{
    int rc = write_out(f);
    return rc ? rc : file_of(f)->pMethods->xFileSize(file_of(f), ret_size);
}

static int log_close(sqlite3_file *f)
{
    int rc = write_out(f), closed = file_of(f)->pMethods->xClose(file_of(f));
    free(((struct log_file *)f)->bytes);
    return rc ? rc : closed;
}

static int log_control(sqlite3_file *f, int what, void *arg)
{
    return file_of(f)->pMethods->xFileControl(file_of(f), what, arg);
}

static int log_sector(sqlite3_file *f)
{
    return file_of(f)->pMethods->xSectorSize(file_of(f));
}

static int log_traits(sqlite3_file *f)
{
    return file_of(f)->pMethods->xDeviceCharacteristics(file_of(f));
}

/* A log is never locked: its database is. */
static const sqlite3_io_methods log_methods = {.iVersion = 1,
                                               .xClose = log_close,
                                               .xRead = log_read,
                                               .xWrite = log_write,
                                               .xTruncate = log_truncate,
                                               .xSync = log_sync,
                                               .xFileSize = log_size,
                                               .xFileControl = log_control,
                                               .xSectorSize = log_sector,
                                               .xDeviceCharacteristics = log_traits};

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *ret_flags)
{
    struct log_file *l = (struct log_file *)f;
    if (!(flags & SQLITE_OPEN_WAL))
        return system_vfs->xOpen(system_vfs, name, f, flags, ret_flags);
    *l = (struct log_file){.bytes = malloc(ROOM)};
    int rc =
        l->bytes ? system_vfs->xOpen(system_vfs, name, file_of(f), flags, ret_flags) : SQLITE_NOMEM;
    if (rc == SQLITE_OK)
        l->base.pMethods = &log_methods;
    else
        free(l->bytes);
    return rc;
}

static int plain_path(sqlite3_vfs *vfs, const char *name, int cap, char *out)
{
    (void)vfs;
    return snprintf(out, (size_t)cap, "%s", name) < cap ? SQLITE_OK : SQLITE_CANTOPEN;
}

const char *db_vfs(void)
{
    static sqlite3_vfs vfs;
    if (!vfs.zName) {
        system_vfs = sqlite3_vfs_find(NULL);
        vfs = *system_vfs;
        vfs.zName = "here";
        vfs.szOsFile += (int)sizeof(struct log_file);
        vfs.xOpen = open_file;
        vfs.xFullPathname = plain_path;
        vfs.pNext = NULL;
        sqlite3_vfs_register(&vfs, 0);
    }
    return vfs.zName;
}
