/* The import is done by a child process through the server's own API: master neither reads archives
 * nor speaks HTTP. The child judges archive and secrets before the server begins. Then it waits for
 * the ready line in place of whoever asked for it, imports, and passes the line on: ready then
 * means that the project answers. If the import fails, it says why and has the server end, and the
 * data folder is left as it was found: empty.
 *
 * While it is being filled the folder has a file `from.part`. Should everything be killed
 * meanwhile, no server begins with half a project: the next --from starts over. */
#include "cli/serve_from.h"

#include "base/brand.h"
#include "cli/backup_file.h"
#include "cli/command.h"
#include "cli/import.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LINE = 16 << 10, FOLDERS_OPEN = 16 };

/* ---- the data folder ---- */

static const char filling[] = "from.part";

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    return remove(path), 0;
}

static int remove_inside(const char *path, const struct stat *st, int type, struct FTW *at)
{
    return at->level ? remove(path) : 0, 0;
}

/* All but that it is being filled. */
static int remove_leftover(const char *path, const struct stat *st, int type, struct FTW *at)
{
    bool marker = at->level == 1 && strcmp(path + at->base, filling) == 0;
    return at->level && !marker ? remove(path) : 0, 0;
}

static bool path_in(const char *folder, const char *name, char out[PATH_MAX])
{
    return (size_t)snprintf(out, PATH_MAX, "%s/%s", folder, name) < PATH_MAX;
}

static bool has(const char *folder, const char *name)
{
    char path[PATH_MAX];
    return path_in(folder, name, path) && access(path, F_OK) == 0;
}

static bool is_empty(const char *path)
{
    DIR *d = opendir(path);
    bool empty = d || errno == ENOENT;
    for (struct dirent *f; d && (f = readdir(d));)
        empty = empty && (strcmp(f->d_name, ".") == 0 || strcmp(f->d_name, "..") == 0);
    if (d)
        closedir(d);
    return empty;
}

/* No server may begin with what a restore or an import has left half done. */
static enum err_code judge_folder(const char *data, struct err *e)
{
    static const struct {
        const char *name, *command;
    } parts[] = {{RESTORE_PART, "restore FILE --data"}, {filling, "serve --from FILE --data"}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (has(data, parts[i].name))
            return err_set(e, ERR_CONFLICT,
                           "the data folder %s is half filled: a `" BRAND_COMMAND " %s %s` was "
                           "broken off. Repeat it: it starts over",
                           data, parts[i].command, data);
    return ERR_OK;
}

/* The folder becomes one that is being filled, by us alone: what an attempt before us has left
 * goes.
 */
static enum err_code begin_filling(struct serve_from *f, const char *data, struct err *e)
{
    char path[PATH_MAX];
    bool again = has(data, filling);
    if (!again && !is_empty(data))
        return err_set(e, ERR_CONFLICT,
                       "the data folder %s is not new: --from fills an empty one; start without it "
                       "to go on with what is there",
                       data);
    if (!path_in(data, filling, path))
        return err_set(e, ERR_INVALID, "the data folder's name is too long");
    f->made = mkdir(data, 0700) == 0;
    f->marker = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (f->marker < 0)
        return err_errno(e, "can't write to the data folder %s", data);
    if (flock(f->marker, LOCK_EX | LOCK_NB) < 0)
        return err_set(e, ERR_CONFLICT, "another server is filling the data folder %s", data);
    slice_copy(slice_str(data), f->folder, sizeof f->folder);
    if (again)
        nftw(data, remove_leftover, FOLDERS_OPEN, FTW_DEPTH | FTW_PHYS);
    return ERR_OK;
}

/* It is whole: whoever starts a server on it gets all of the project. */
static enum err_code end_filling(const struct serve_from *f, struct err *e)
{
    char path[PATH_MAX];
    if (f->temporary)
        return ERR_OK;
    return path_in(f->folder, filling, path) && unlink(path) == 0
               ? ERR_OK
               : err_errno(e, "can't write to the data folder %s", f->folder);
}

static enum err_code choose_folder(struct serve_from *f, struct options *o, struct err *e)
{
    const char *data = option_text(o, OPTION_DATA), *base = getenv("TMPDIR");
    if (strcmp(data, option_rows[OPTION_DATA].normal) != 0)
        return begin_filling(f, data, e);
    if ((size_t)snprintf(f->folder, sizeof f->folder, "%s/" BRAND_COMMAND "-from-XXXXXX",
                         base && *base ? base : "/tmp") >= sizeof f->folder)
        return err_set(e, ERR_INVALID, "TMPDIR is too long");
    if (!mkdtemp(f->folder)) {
        enum err_code rc = err_errno(e, "making a temporary data folder %s", f->folder);
        f->folder[0] = '\0';
        return rc;
    }
    f->temporary = true;
    return options_set(o, SLICE("data"), slice_str(f->folder), e);
}

/* ---- the helper ---- */

/* The ready line; n 0: the server ended before it. */
static size_t read_line(int fd, char line[LINE])
{
    size_t n = 0;
    while (n < LINE - 1 && (!n || line[n - 1] != '\n')) {
        ssize_t got = read(fd, line + n, LINE - 1 - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return 0;
        n += (size_t)got;
    }
    line[n] = '\0';
    return n;
}

static enum err_code read_token(const char *path, struct context *context, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, context->token, sizeof context->token - 1);
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return err_errno(e, "can't read the token %s", path);
    context->token[strcspn(context->token, "\n")] = '\0';
    return ERR_OK;
}

/* Tells the parent what it thinks of the archive: a struct err, ERR_OK if it is good. */
static bool judge(const struct serve_from *f, int to, struct import_source *ret_source)
{
    struct err e = {.code = ERR_OK};
    enum err_code rc = import_open(f->file, f->secrets, ret_source, &e);
    if (rc == ERR_OK)
        rc = import_judge_new(ret_source, &e);
    e.code = rc;
    bool told = write(to, &e, sizeof e) == (ssize_t)sizeof e;
    close(to);
    return told && rc == ERR_OK;
}

static enum err_code read_verdict(int from, struct err *e)
{
    struct err said;
    ssize_t n;
    while ((n = read(from, &said, sizeof said)) < 0 && errno == EINTR)
        ;
    close(from);
    if (n != (ssize_t)sizeof said)
        return err_set(e, ERR_INTERNAL, "the archive could not be judged");
    if (said.code)
        *e = said;
    return said.code;
}

static enum err_code fill(const struct serve_from *f, const struct import_source *source,
                          const char *ready_line, struct import_done *ret_done, struct err *e)
{
    struct context context = {.url = ""};
    json_t *ready = json_loads(ready_line, 0, NULL);
    enum err_code rc = read_token(answer_text(ready, "token_file"), &context, e);
    slice_copy(slice_str(answer_text(ready, "platform")), context.url, sizeof context.url);
    json_decref(ready);
    if (rc == ERR_OK)
        rc = import_project(&context, source, NULL, ret_done, e);
    return rc ? rc : end_filling(f, e);
}

static int help(const struct serve_from *f, int verdict, int from, int to)
{
    static char line[LINE];
    struct import_source source = {.file = NULL};
    struct import_done done;
    struct err e;
    size_t n = judge(f, verdict, &source) ? read_line(from, line) : 0;
    enum err_code rc = n ? fill(f, &source, line, &done, &e) : ERR_OK;
    import_close(&source);
    if (n == 0)
        return 0; /* why has been said */
    if (rc) {
        int status = command_fail(&e);
        kill(getppid(), SIGTERM);
        return status;
    }
    if (to >= 0 && write(to, line, n) != (ssize_t)n)
        return 1;
    if (isatty(STDOUT_FILENO))
        printf("%s: %ju functions with %ju versions are there.\n", f->file,
               (uintmax_t)done.functions, (uintmax_t)done.versions);
    return 0;
}

enum err_code serve_from_begin(struct serve_from *f, struct options *o, struct err *e)
{
    int to = (int)option_number(o, OPTION_READY_FD), line[2], verdict[2];
    char number[16];
    f->marker = -1;
    if (!f->file)
        return judge_folder(option_text(o, OPTION_DATA), e);
    enum err_code rc = choose_folder(f, o, e);
    if (rc)
        return rc;
    if (pipe2(line, O_CLOEXEC) < 0 || pipe2(verdict, O_CLOEXEC) < 0)
        return err_errno(e, "no pipe for the import");
    fflush(NULL);
    f->helper = fork();
    if (f->helper < 0)
        return err_errno(e, "no process for the import");
    if (f->helper == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(line[1]);
        close(verdict[0]);
        int status = help(f, verdict[1], line[0], to);
        fflush(NULL);
        _exit(status);
    }
    close(line[0]);
    close(verdict[1]);
    if (to >= 0)
        close(to);
    snprintf(number, sizeof number, "%d", line[1]);
    rc = read_verdict(verdict[0], e);
    return rc ? rc : options_set(o, SLICE("ready-fd"), slice_str(number), e);
}

int serve_from_end(struct serve_from *f, int status)
{
    int how;
    if (f->helper > 0) {
        while (waitpid(f->helper, &how, 0) < 0 && errno == EINTR)
            ;
        if (status == 0)
            status = WIFEXITED(how) ? WEXITSTATUS(how) : 0; /* killed: the server ended first */
    }
    if (f->folder[0] && (f->temporary || has(f->folder, filling)))
        nftw(f->folder, f->temporary || f->made ? remove_one : remove_inside, FOLDERS_OPEN,
             FTW_DEPTH | FTW_PHYS);
    if (f->marker >= 0)
        close(f->marker);
    return status;
}
