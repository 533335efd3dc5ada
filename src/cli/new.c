/* `wasmcloud new`: a working folder for a function; `wasmcloud templates`: which kinds there are.
 *
 * The folder has what `dev` and `deploy` need, and the schema by which an editor completes
 * function.yaml. A folder that has anything in it already is left alone. */
#include "api/request.h"
#include "base/brand.h"
#include "base/limits.h"
#include "cli/args.h"
#include "cli/build.h"
#include "cli/manifest.h"
#include "cli/namegen.h"
#include "cli/show.h"
#include "cli/templates.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MOST = 64 << 10, LANGUAGES = 16 };

static const struct template_folder *find(const char *language)
{
    for (const struct template_folder *t = templates; t->language; t++)
        if (strcmp(language, t->language) == 0)
            return t;
    return NULL;
}

static int no_template(const char *language)
{
    const char *names[LANGUAGES];
    char list[128] = "";
    size_t n = 0, used = 0;
    for (const struct template_folder *t = templates; t->language && n < LANGUAGES; t++) {
        used +=
            (size_t)snprintf(list + used, sizeof list - used, "%s%s", n ? ", " : "", t->language);
        names[n++] = t->language;
    }
    const char *near = language ? nearest_word(slice_str(language), names, n) : NULL;
    if (!language)
        return command_usage("new", "--lang is missing; there are %s", list);
    return command_usage("new", "there is no template \"%s\"%s%s%s; there are %s", language,
                         near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "",
                         list);
}

/* Opens the folder, made if it isn't there. ERR_CONFLICT if there is anything in it. */
static enum err_code open_folder(const char *path, int *ret_fd, struct err *e)
{
    if (mkdir(path, 0777) && errno != EEXIST)
        return err_errno(e, "can't make the folder %s", path);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        err_errno(e, "can't open the folder %s", path);
        if (fd >= 0)
            close(fd);
        return e->code;
    }
    bool empty = true;
    for (const struct dirent *entry; (entry = readdir(dir));)
        empty &= strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    *ret_fd = empty ? dup(fd) : -1;
    closedir(dir);
    return empty
               ? ERR_OK
               : err_set(e, ERR_CONFLICT, "the folder %s is not empty: nothing was written", path);
}

/* The text with the function's name in its places. */
static bool fill_in(const char *text, const char *name, struct buf *out)
{
    static const struct slice place = SLICE("{{name}}");
    bool ok = true;
    while (*text && ok) {
        if (slice_starts(slice_str(text), place)) {
            ok = buf_add(out, name, strlen(name));
            text += place.n;
        } else {
            ok = buf_add(out, text++, 1);
        }
    }
    return ok;
}

static enum err_code write_file(int folder, const char *name, struct slice text, struct err *e)
{
    int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    bool ok = fd >= 0;
    while (ok && text.n) {
        ssize_t n = write(fd, text.p, text.n);
        ok = n > 0;
        text = slice_from(text, ok ? (size_t)n : 0);
    }
    if (fd >= 0 && close(fd))
        ok = false;
    return ok ? ERR_OK : err_errno(e, "can't write %s", name);
}

static enum err_code write_schema(int folder, struct err *e)
{
    json_t *schema = manifest_schema();
    char *text = schema ? json_dumps(schema, JSON_INDENT(2)) : NULL;
    enum err_code rc = ERR_OK;
    if (!text)
        rc = err_set(e, ERR_MEMORY, "out of memory");
    else if (mkdirat(folder, ".wasmcloud", 0777))
        rc = err_errno(e, "can't make the folder .wasmcloud");
    else
        rc = write_file(folder, MANIFEST_SCHEMA, slice_str(text), e);
    free(text);
    json_decref(schema);
    return rc;
}

static enum err_code write_folder(const struct template_folder *t, const char *path,
                                  const char *name, struct err *e)
{
    int folder;
    enum err_code rc = open_folder(path, &folder, e);
    if (rc)
        return rc;
    for (const struct template_file *f = t->files; f->name && rc == ERR_OK; f++) {
        struct buf text;
        buf_init(&text, FILE_MOST);
        rc = fill_in(f->text, name, &text) ? write_file(folder, f->name, buf_slice(&text), e)
                                           : err_set(e, ERR_MEMORY, "out of memory");
        buf_done(&text);
    }
    if (rc == ERR_OK)
        rc = write_schema(folder, e);
    close(folder);
    return rc;
}

/* What the build needs and this machine lacks is said now. */
static void check_tools(const char *path)
{
    char *file;
    struct manifest *m = NULL;
    if (asprintf(&file, "%s/%s", path, MANIFEST_FILE) < 0)
        return;
    if (manifest_read(file, &m, NULL) == ERR_OK && m->build)
        build_lacks(m->build);
    manifest_free(m);
    free(file);
}

int cmd_new(int argc, char **argv)
{
    const char *language = NULL;
    bool json = false;
    const struct flag flags[] = {
        {.name = "lang",
         .value = "c|go|rust|text",
         .help = "one of `" BRAND_COMMAND " templates`",
         .text = &language},
        {.name = "json", .help = "print what was made as JSON", .on = &json},
        {0},
    };
    struct words words;
    int status = args_parse("new", argc, argv, flags, &words, 1, 1);
    if (status >= 0)
        return status;
    const struct template_folder *t = language ? find(language) : NULL;
    if (!t)
        return no_template(language);
    char name[NAME_MOST + 1];
    struct err e;
    const char *path = words.at[0];
    if (!name_from_path(path, name) || name_check(slice_str(name), &e))
        return command_usage("new", "\"%s\" makes no function's name: a-z, 0-9 and -", path);
    if (write_folder(t, path, name, &e))
        return command_fail(&e);
    check_tools(path);
    if (json) {
        json_t *made =
            json_pack("{s:s, s:s, s:s}", "name", name, "folder", path, "language", t->language);
        show_json(made);
        json_decref(made);
    } else {
        printf("made %s/\nnext: cd ", path);
        show_word(stdout, path);
        printf(" && " BRAND_COMMAND " dev\n");
    }
    return 0;
}

int cmd_templates(int argc, char **argv)
{
    static const char *const head[] = {"LANGUAGE", "WHAT", NULL};
    bool json = false;
    const struct flag flags[] = {
        {.name = "json", .help = "print them as JSON", .on = &json},
        {0},
    };
    struct words words;
    int status = args_parse("templates", argc, argv, flags, &words, 0, 0);
    if (status >= 0)
        return status;
    json_t *items = json_array();
    struct show_table table = {0};
    for (const struct template_folder *t = templates; t->language; t++) {
        json_array_append_new(items,
                              json_pack("{s:s, s:s}", "language", t->language, "about", t->about));
        if (!json)
            show_row(&table, head, (const char *const[]){t->language, t->about});
    }
    json_t *all = json_pack("{s:O}", "items", items);
    if (json)
        show_json(all);
    else
        show_table(&table, "");
    json_decref(all);
    json_decref(items);
    return 0;
}
