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
    else if (strcmp(c.url, member(login, "url")) == 0)
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

/* Changes members of login.json; a NULL value leaves that one as it is, "" removes it. */
static enum err_code update_login(const char *url, const char *token, const char *project,
                                  struct err *e)
{
    const char *const names[] = {"url", "token", "project"};
    const char *const values[] = {url, token, project};
    char path[PATH_MAX];
    json_t *login = NULL;
    enum err_code rc = login_path(path, e);
    if (rc || (rc = load(path, &login, e)))
        return rc;
    if (!login)
        login = json_object();
    for (size_t i = 0; i < 3; i++)
        if (values[i] && *values[i])
            json_object_set_new(login, names[i], json_string(values[i]));
        else if (values[i])
            json_object_del(login, names[i]);
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
    return update_login(url, token, strcmp(now.url, url) ? "" : NULL, e);
}

enum err_code context_save_project(const char *project, struct err *e)
{
    return update_login(NULL, NULL, project, e);
}

enum err_code context_forget(bool *ret_was, struct err *e)
{
    char path[PATH_MAX];
    enum err_code rc = login_path(path, e);
    if (rc)
        return rc;
    if (unlink(path) == 0)
        *ret_was = true;
    else if (errno == ENOENT || errno == ENOTDIR)
        *ret_was = false;
    else
        return err_errno(e, "can't remove %s", path);
    return ERR_OK;
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
