#include "cli/secrets_file.h"

#include "cli/files.h"

#include <stdlib.h>
#include <sys/stat.h>

/* ---- lines ---- */

static bool is_variable(struct slice name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && !(i && c >= '0' && c <= '9'))
            return false;
    }
    return name.n;
}

/* What is wrong with it; NULL: nothing. */
static const char *judge(const struct secrets_file *f, const struct field *line)
{
    if (!line->value.p)
        return "is not NAME=VALUE";
    if (!is_variable(line->name))
        return "has a name that is none: letters, digits and _ make one, no digit first, and "
               "nothing stands before it";
    if (!line->value.n)
        return "has no value";
    if (line->name.n + line->value.n > SECRET_LINE_MOST)
        return "has over 5 KiB";
    if (memchr(line->value.p, '\0', line->value.n))
        return "has a NUL";
    if (!utf8_valid(line->value))
        return "is not UTF-8 text: encode such a value, in base64 for example";
    if (f->count == SECRETS_MOST)
        return "is one too many: a project has at most 1000";
    for (size_t i = 0; i < f->count; i++)
        if (slice_eq(f->lines[i].name, line->name))
            return "has a name that was there already";
    return NULL;
}

enum err_code secrets_parse(struct slice text, const char *what, struct secrets_file *ret,
                            struct err *e)
{
    struct secrets_file f = {.lines = calloc(SECRETS_MOST, sizeof *f.lines)};
    if (!f.lines)
        return err_set(e, ERR_MEMORY, "no memory for the secrets");
    for (unsigned number = 1; text.p; number++) {
        struct field line = {.value = slice_split(&text, '\n')};
        if (line.value.n && line.value.p[line.value.n - 1] == '\r')
            line.value.n--;
        struct slice begin = slice_trim(line.value);
        if (!begin.n || begin.p[0] == '#')
            continue;
        line.name = slice_trim(slice_split(&line.value, '='));
        const char *wrong = judge(&f, &line);
        if (wrong) {
            free(f.lines);
            return err_set(e, ERR_INVALID, "%s: line %u %s", what, number, wrong);
        }
        f.lines[f.count++] = line;
    }
    ret->lines = f.lines;
    ret->count = f.count;
    return ERR_OK;
}

/* ---- the file ---- */

static enum err_code judge_mode(const char *path, struct err *e)
{
    struct stat st;
    if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 077))
        return err_set(e, ERR_FORBIDDEN,
                       "%s has secrets, and others than its owner may read it (mode %04o): "
                       "`chmod 600 %s`, and if somebody could have seen them, change them",
                       path, (unsigned)(st.st_mode & 07777), path);
    return ERR_OK;
}

enum err_code secrets_read(const char *path, bool alone, struct secrets_file *ret, struct err *e)
{
    struct secrets_file f = {.count = 0};
    buf_init_private(&f.text, SECRETS_FILE_MOST);
    enum err_code rc = alone ? judge_mode(path, e) : ERR_OK;
    if (rc == ERR_OK)
        rc = file_read(path, &f.text, e);
    if (rc == ERR_OK)
        rc = secrets_parse(buf_slice(&f.text), path, &f, e);
    if (rc)
        secrets_done(&f);
    else
        *ret = f;
    return rc;
}

const struct field *secrets_find(const struct secrets_file *f, const char *name)
{
    for (size_t i = 0; i < f->count; i++)
        if (slice_eq(f->lines[i].name, slice_str(name)))
            return &f->lines[i];
    return NULL;
}

void secrets_done(struct secrets_file *f)
{
    buf_done(&f->text);
    free(f->lines);
    *f = (struct secrets_file){.count = 0};
}
