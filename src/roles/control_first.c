/* The first start: an operator, a project, and a token that the command line of the same user
 * finds in DATA/operator.token. A token that is missing, damaged or nearly over is made anew. */
#include "roles/control.h"

#include "base/clock.h"
#include "base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { TOKEN_SECONDS = 365 * 86400, RENEW_SECONDS = 60 * 86400 };

static const char token_file[] = "operator.token";

static enum err_code make_accounts(struct control *c, struct store_user *ret_user, struct err *e)
{
    struct store *st = c->api.store;
    struct store_actor nobody = {{{0}}, {{0}}};
    enum err_code rc = store_operator(st, ret_user, e);
    if (rc != ERR_NOT_FOUND)
        return rc;
    struct uuid user = uuid_new(), project = uuid_new();
    rc = store_begin(st, e);
    if (rc)
        return rc;
    rc = store_user_put(st, user, SLICE("operator"), "operator", e);
    if (rc == ERR_OK)
        rc = store_project_put(st, project, SLICE("default"), user, e);
    if (rc == ERR_OK)
        rc =
            store_audit(st, &nobody, project, "server.first_start", SLICE("default"), SLICE(""), e);
    rc = store_end(st, rc, e);
    return rc ? rc : store_operator(st, ret_user, e);
}

/* Is the token in the file good for a while? */
static bool token_is_good(struct control *c, uint64_t now)
{
    char text[TOKEN_MOST + 1];
    struct token_claims claims;
    struct store_token row;
    struct err e;
    int fd = openat(c->data, token_file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof text);
    close(fd);
    if (n > 0 && text[n - 1] == '\n')
        n--;
    return n > 0 &&
           token_verify(&c->api.keys, slice_make(text, (size_t)n), now, &claims, &e) == ERR_OK &&
           claims.expires > now + RENEW_SECONDS &&
           store_token(c->api.store, claims.id, &row, &e) == ERR_OK && !row.revoked_ms;
}

/* Written under another name and renamed: a reader sees a whole token or none. */
static enum err_code write_token(struct control *c, const char *text, struct err *e)
{
    int fd = openat(c->data, "operator.token.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(e, "writing %s", token_file);
    enum err_code rc = ERR_OK;
    if (dprintf(fd, "%s\n", text) < 0 || fsync(fd) < 0 ||
        renameat(c->data, "operator.token.new", c->data, token_file) < 0 || fsync(c->data) < 0)
        rc = err_errno(e, "writing %s", token_file);
    close(fd);
    return rc;
}

enum err_code control_first(struct control *c, struct err *e)
{
    struct store *st = c->api.store;
    struct store_actor nobody = {{{0}}, {{0}}};
    struct store_user user;
    uint64_t now = clock_real_us() / 1000000;
    enum err_code rc = make_accounts(c, &user, e);
    if (rc || token_is_good(c, now))
        return rc;
    struct store_token row = {.id = uuid_new(),
                              .user = user.id,
                              .name = "operator.token",
                              .scopes = SCOPE_ALL,
                              .expires_ms = (now + TOKEN_SECONDS) * 1000};
    rc = store_begin(st, e);
    if (rc)
        return rc;
    rc = store_token_put(st, &row, e);
    if (rc == ERR_OK)
        rc = store_audit(st, &nobody, (struct uuid){{0}}, "token.create", slice_str(row.name),
                         SLICE(""), e);
    rc = store_end(st, rc, e);
    if (rc == ERR_OK)
        rc = store_flush(st, e); /* the token must be known before it can be read */
    if (rc)
        return rc;
    char text[TOKEN_MOST];
    struct token_claims claims = {.id = row.id,
                                  .user = row.user,
                                  .scopes = row.scopes,
                                  .issued = now,
                                  .expires = row.expires_ms / 1000};
    token_sign(&c->api.keys, &claims, text);
    rc = write_token(c, text, e);
    if (rc == ERR_OK)
        log_line(LOG_INFO, "operator_token", "file=%s", token_file);
    return rc;
}
