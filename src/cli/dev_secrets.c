#include "cli/dev_secrets.h"

#include "cli/files.h"

#include <stdlib.h>

enum { FILE_MOST = 256 << 10 };

bool dev_secrets_find(struct slice text, const char *name, struct slice *ret_value)
{
    while (text.p) {
        struct slice value = slice_split(&text, '\n'), key = slice_split(&value, '=');
        key = slice_trim(key);
        if (!value.p || slice_starts(key, SLICE("#")) || !slice_eq(key, slice_str(name)))
            continue;
        if (value.n && value.p[value.n - 1] == '\r')
            value.n--;
        *ret_value = value;
        return true;
    }
    return false;
}

static enum err_code give(struct client *c, const char *name, struct slice text, struct err *e)
{
    struct slice value;
    const char *own = getenv(name);
    if (!dev_secrets_find(text, name, &value)) {
        if (!own)
            return err_set(e, ERR_NOT_FOUND,
                           "the secret %s has no value: put a line `%s=…` into " DEV_SECRETS
                           ", or export %s",
                           name, name, name);
        value = slice_str(own);
    }
    json_t *body = json_pack("{s:s%}", "value", value.p, value.n);
    if (!body)
        return err_set(e, ERR_INVALID, "the secret %s is not UTF-8", name);
    enum err_code rc =
        client_call(c,
                    &(struct client_request){
                        .method = "PUT", .path = "{P}/secrets/{}", .at = {name}, .json = body},
                    NULL, NULL, e);
    json_decref(body);
    return rc;
}

enum err_code dev_secrets(const struct context *server, const struct manifest *m, struct err *e)
{
    const json_t *names = json_object_get(m->settings, "secrets"), *name;
    struct client *c = NULL;
    struct buf text;
    size_t i;
    if (json_array_size(names) == 0)
        return ERR_OK;
    buf_init_private(&text, FILE_MOST);
    enum err_code rc = file_read(DEV_SECRETS, &text, e);
    if (rc == ERR_NOT_FOUND) /* they may all be in the environment */
        rc = ERR_OK;
    if (rc == ERR_OK)
        rc = client_open_as(server, &c, e);
    json_array_foreach(names, i, name)
    {
        if (rc == ERR_OK)
            rc = give(c, json_string_value(name), buf_slice(&text), e);
    }
    client_close(c);
    buf_done(&text);
    return rc;
}
