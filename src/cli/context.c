#include "cli/context.h"

#include "base/brand.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_URL "http://127.0.0.1:8787"

/* $XDG_CONFIG_HOME/wasmcloud/login.json and the like. */
static enum err_code file_path(const char *variable, const char *below_home, const char *file,
                               char out[PATH_MAX], struct err *e)
{
    const char *base = getenv(variable), *home = getenv("HOME");
    int n;
    if (base && *base == '/') /* relative ones are to be ignored, says the XDG specification */
        n = snprintf(out, PATH_MAX, "%s/%s/%s", base, BRAND_COMMAND, file);
    else if (home && *home == '/')
        n = snprintf(out, PATH_MAX, "%s/%s/%s/%s", home, below_home, BRAND_COMMAND, file);
    else
        return err_set(e, ERR_NOT_FOUND,
                       "HOME is not set, so there is no place for a login; set " BRAND_ENV
                       "URL and " BRAND_ENV "TOKEN instead");
    return n < PATH_MAX ? ERR_OK : err_set(e, ERR_INVALID, "the home folder's path is too long");
}

static enum err_code login_path(char out[PATH_MAX], struct err *e)
{
    return file_path("XDG_CONFIG_HOME", ".config", "login.json", out, e);
}

/* The object in a file; *ret_json stays NULL if there is no such file. */
static enum err_code load(const char *path, json_t **ret_json, struct err *e)
{
    json_error_t why;
    FILE *f = fopen(path, "re");
    if (!f)
        return errno == ENOENT || errno == ENOTDIR || errno == EACCES
                   ? ERR_OK
                   : err_errno(e, "can't read %s", path);
    json_t *json = json_loadf(f, JSON_REJECT_DUPLICATES, &why);
    fclose(f);
    if (!json_is_object(json)) {
        json_decref(json);
        return err_set(e, ERR_INVALID, "%s is damaged (%s); remove it and type `%s login` again",
                       path, json ? "not an object" : why.text, BRAND_COMMAND);
    }
    *ret_json = json;
    return ERR_OK;
}

static const char *member(const json_t *object, const char *name)
{
    const char *s = json_string_value(json_object_get(object, name));
    return s ? s : "";
}

/* Writes a file that only its owner can read, as a whole or not at all. */
static enum err_code save(const char *path, const json_t *json, struct err *e)
{
    char folder[PATH_MAX], fresh[PATH_MAX + 8];
    snprintf(folder, sizeof folder, "%s", path);
    for (char *slash = folder + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        if (mkdir(folder, 0700) && errno != EEXIST)
            return err_errno(e, "can't create the folder %s", folder);
        *slash = '/';
    }
    snprintf(fresh, sizeof fresh, "%s.new", path);
    unlink(fresh);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(e, "can't write %s", fresh);
    bool written = json_dumpfd(json, fd, JSON_INDENT(2)) == 0 && write(fd, "\n", 1) == 1;
    if (close(fd) || !written || rename(fresh, path)) {
        err_errno(e, "can't write %s", path);
        unlink(fresh);
        return e->code;
    }
    return ERR_OK;
}

/* The token that a local server left in a file of its data folder. */
static enum err_code read_token(const char *path, char *out, size_t cap, struct err *e)
{
    FILE *f = *path ? fopen(path, "re") : NULL;
    if (!f)
        return ERR_OK; /* another user's, or gone: the server's 401 says what to do */
    size_t n = fread(out, 1, cap - 1, f);
    fclose(f);
    while (n && (out[n - 1] == '\n' || out[n - 1] == '\r'))
        n--;
    out[n] = '\0';
    return n < cap - 1 ? ERR_OK : err_set(e, ERR_INVALID, "%s is not a token file", path);
}

static bool fits(const char *text, char *out, size_t cap)
{
    return slice_copy(slice_str(text), out, cap);
}

enum err_code context_find(struct context *ret_context, struct err *e)
{
    struct context c = {0};
    const char *url = getenv(BRAND_ENV "URL"), *token = getenv(BRAND_ENV "TOKEN"),
               *project = getenv(BRAND_ENV "PROJECT");
    char path[PATH_MAX];
    json_t *login = NULL, *local = NULL;
    enum err_code rc = ERR_OK;

    if (login_path(path, NULL) == ERR_OK && (rc = load(path, &login, e)))
        goto out;
    if (file_path("XDG_STATE_HOME", ".local/state", "local.json", path, NULL) == ERR_OK &&
        (rc = load(path, &local, e)))
        goto out;

    if (!url || !*url)
        url = *member(login, "url") ? member(login, "url") : member(local, "url");
    if ((rc = context_url(*url ? url : DEFAULT_URL, c.url, sizeof c.url, e)))
        goto out;

    bool ok = true;
    if (token && *token)
        ok = fits(token, c.token, sizeof c.token);
    else if (strcmp(c.url, member(login, "url")) == 0 && *member(login, "token"))
        ok = fits(member(login, "token"), c.token, sizeof c.token);
    else if (strcmp(c.url, member(local, "url")) == 0)
        rc = read_token(member(local, "token_file"), c.token, sizeof c.token, e);
    if (rc)
        goto out;
    if (!project || !*project)
        project = *member(login, "project") ? member(login, "project") : "default";
    if (!ok || !fits(project, c.project, sizeof c.project)) {
        rc = err_set(e, ERR_INVALID, "the token or the project's name is too long to be one");
        goto out;
    }
    *ret_context = c;
out:
    json_decref(login);
    json_decref(local);
    return rc;
}

/* ---- changing what is saved ---- */

static const char *const members[] = {"url", "token", "project"};

/* The address of one of the logins kept aside, and its place; NULL: there is none. */
static json_t *aside(const json_t *login, const char *url, size_t *ret_at)
{
    json_t *one;
    size_t i;
    json_array_foreach(json_object_get(login, "others"), i, one)
    {
        if (strcmp(member(one, "url"), url) == 0) {
            *ret_at = i;
            return one;
        }
    }
    return NULL;
}

/* The login in use is kept aside, and the one of `url` comes forward if it was. */
static void change_to(json_t *login, const char *url)
{
    json_t *others = json_object_get(login, "others"), *now = json_object(), *next;
    size_t at;
    if (!others)
        json_object_set_new(login, "others", others = json_array());
    for (size_t i = 0; i < 3; i++) {
        json_t *v = json_object_get(login, members[i]);
        if (v)
            json_object_set(now, members[i], v);
        json_object_del(login, members[i]);
    }
    if ((next = aside(login, url, &at))) {
        json_object_update(login, next);
        json_array_remove(others, at);
    }
    if (*member(now, "url"))
        json_array_insert(others, 0, now);
    json_decref(now);
}

/* Changes members of login.json; a NULL value leaves that one as it is. `was` is the address in
 * use: it need not be saved, and its project may be all the same. */
static enum err_code update_login(const char *url, const char *token, const char *project,
                                  const char *was, struct err *e)
{
    const char *const values[] = {url, token, project};
    char path[PATH_MAX];
    json_t *login = NULL;
    enum err_code rc = login_path(path, e);
    if (rc || (rc = load(path, &login, e)))
        return rc;
    if (!login)
        login = json_object();
    if (url && !*member(login, "url") && *member(login, "project"))
        json_object_set_new(login, "url", json_string(was));
    if (url && strcmp(member(login, "url"), url) != 0)
        change_to(login, url);
    for (size_t i = 0; i < 3; i++)
        if (values[i])
            json_object_set_new(login, members[i], json_string(values[i]));
    rc = save(path, login, e);
    json_decref(login);
    return rc;
}

enum err_code context_save_login(const char *url, const char *token, struct err *e)
{
    struct context now;
    enum err_code rc = context_find(&now, e);
    if (rc)
        return rc;
    rc = update_login(url, token, NULL, now.url, e);
    explicit_bzero(&now, sizeof now);
    return rc;
}

enum err_code context_save_project(const char *project, struct err *e)
{
    return update_login(NULL, NULL, project, NULL, e);
}

enum err_code context_forget(bool *ret_was, struct err *e)
{
    char path[PATH_MAX];
    json_t *login = NULL;
    struct err damaged;
    enum err_code rc = login_path(path, e);
    if (rc)
        return rc;
    if (load(path, &login, &damaged) == ERR_OK &&
        json_array_size(json_object_get(login, "others")) > 0) {
        *ret_was = *member(login, "url") != '\0';
        for (size_t i = 0; i < 3; i++)
            json_object_del(login, members[i]);
        rc = save(path, login, e);
    } else if (unlink(path) == 0) {
        *ret_was = true;
    } else if (errno == ENOENT || errno == ENOTDIR) {
        *ret_was = false;
    } else {
        rc = err_errno(e, "can't remove %s", path);
    }
    json_decref(login);
    return rc;
}

/* ---- several of them ---- */

/* login.json and local.json; both may stay NULL. */
static enum err_code load_both(json_t **ret_login, json_t **ret_local, struct err *e)
{
    char path[PATH_MAX];
    enum err_code rc = login_path(path, e);
    if (rc == ERR_OK)
        rc = load(path, ret_login, e);
    if (rc == ERR_OK &&
        file_path("XDG_STATE_HOME", ".local/state", "local.json", path, NULL) == ERR_OK)
        rc = load(path, ret_local, e);
    return rc;
}

enum err_code context_each(void (*each)(void *arg, const char *url, const char *project,
                                        bool in_use),
                           void *arg, struct err *e)
{
    struct context now;
    json_t *login = NULL, *local = NULL, *one;
    size_t i;
    enum err_code rc = context_find(&now, e);
    if (rc == ERR_OK)
        rc = load_both(&login, &local, e);
    if (rc)
        goto out;
    each(arg, now.url, now.project, true);
    const char *saved = member(login, "url"), *here = member(local, "url");
    if (*saved && strcmp(saved, now.url) != 0)
        each(arg, saved, *member(login, "project") ? member(login, "project") : "default", false);
    json_array_foreach(json_object_get(login, "others"), i, one)
    {
        if (strcmp(member(one, "url"), now.url) != 0)
            each(arg, member(one, "url"),
                 *member(one, "project") ? member(one, "project") : "default", false);
    }
    if (*here && strcmp(here, now.url) != 0 && strcmp(here, saved) != 0 && !aside(login, here, &i))
        each(arg, here, "default", false);
out:
    explicit_bzero(&now, sizeof now);
    json_decref(login);
    json_decref(local);
    return rc;
}

struct choice {
    const char *text;
    char url[512], found[512]; /* the text as an address; the one that fits */
    unsigned n;
};

static void choose(void *arg, const char *url, const char *project, bool in_use)
{
    struct choice *c = arg;
    bool exactly = strcmp(url, c->url) == 0;
    (void)project, (void)in_use;
    if (!exactly && !strstr(url, c->text))
        return;
    c->n++;
    if (exactly)
        c->text = "\n"; /* in no address: nothing else fits */
    if (exactly || c->n == 1)
        snprintf(c->found, sizeof c->found, "%s", url);
    if (exactly)
        c->n = 1;
}

enum err_code context_use(const char *text, struct err *e)
{
    struct choice c = {.text = text};
    struct err ignored;
    struct context now;
    if (!*text)
        return err_set(e, ERR_USAGE, "an address, or a part of one, is expected");
    if (context_url(text, c.url, sizeof c.url, &ignored))
        c.url[0] = '\0';
    enum err_code rc = context_each(choose, &c, e);
    if (rc)
        return rc;
    if (c.n != 1)
        return c.n ? err_set(e, ERR_CONFLICT, "\"%s\" is in %u addresses: name one in full", text,
                             c.n)
                   : err_set(e, ERR_NOT_FOUND,
                             "no login is saved for \"%s\": `" BRAND_COMMAND
                             " context list` shows them, `" BRAND_COMMAND " login %s` makes one",
                             text, text);
    rc = context_find(&now, e);
    if (rc == ERR_OK)
        rc = update_login(c.found, NULL, NULL, now.url, e);
    explicit_bzero(&now, sizeof now);
    return rc;
}

/* The host of "scheme://host[:port]…", brackets of an IPv6 address included. */
static struct slice url_host(const char *url)
{
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    size_t n = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?#");
    return slice_make(host, strnlen(host, n));
}

bool context_is_local(const char *url)
{
    struct slice host = url_host(url);
    return slice_ieq(host, SLICE("localhost")) || slice_eq(host, SLICE("[::1]")) ||
           (slice_starts(host, SLICE("127.")) && strspn(host.p, "0123456789.") >= host.n);
}

enum err_code context_url(const char *text, char *out, size_t cap, struct err *e)
{
    const char *scheme = strstr(text, "://") ? "" : context_is_local(text) ? "http://" : "https://";
    int n = snprintf(out, cap, "%s%s", scheme, text);
    if (n < 0 || (size_t)n >= cap)
        return err_set(e, ERR_INVALID, "the server's address is too long");
    while (n && out[n - 1] == '/')
        out[--n] = '\0';
    bool http = strncmp(out, "http://", 7) == 0, https = strncmp(out, "https://", 8) == 0;
    for (const char *p = out; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == 0x7f || *p == '@' || *p == '?' || *p == '#')
            http = https = false;
    if ((!http && !https) || url_host(out).n == 0)
        return err_set(e, ERR_INVALID,
                       "\"%s\" is not a server's address; it looks like "
                       "https://cloud.example or http://127.0.0.1:8787",
                       text);
    return ERR_OK;
}
