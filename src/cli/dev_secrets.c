#include "cli/dev_secrets.h"

#include "cli/secrets_file.h"

#include <stdlib.h>

static enum err_code give(struct client *c, const char *name, const struct secrets_file *file,
                          struct err *e)
{
    const struct field *line = secrets_find(file, name);
    const char *own = getenv(name);
    if (!line && !own)
        return err_set(e, ERR_NOT_FOUND,
                       "the secret %s has no value: put a line `%s=…` into " DEV_SECRETS
                       ", or export %s",
                       name, name, name);
    struct slice value = line ? line->value : slice_str(own);
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
    struct secrets_file file = {.count = 0};
    size_t i;
    if (json_array_size(names) == 0)
        return ERR_OK;
    enum err_code rc = secrets_read(DEV_SECRETS, false, &file, e);
    if (rc == ERR_NOT_FOUND)
        rc = ERR_OK;
    if (rc == ERR_OK)
        rc = client_open_as(server, &c, e);
    json_array_foreach(names, i, name)
    {
        if (rc == ERR_OK)
            rc = give(c, json_string_value(name), &file, e);
    }
    client_close(c);
    secrets_done(&file);
    return rc;
}
