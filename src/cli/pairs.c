#include "cli/pairs.h"

#include "base/limits.h"

enum err_code pair_split(const char *what, const char *text, char name[PAIR_NAME],
                         struct slice *ret_value, struct err *e)
{
    struct slice value = slice_str(text), key = slice_split(&value, '=');
    if (!value.p || key.n == 0)
        return err_set(e, ERR_USAGE, "%s wants NAME=VALUE, not \"%s\"", what, text);
    if (!slice_copy(key, name, PAIR_NAME))
        return err_set(e, ERR_USAGE, "%s: the name is too long", what);
    *ret_value = value;
    return ERR_OK;
}

enum err_code pairs_to_json(const char *what, const struct words *pairs, json_t *object,
                            struct err *e)
{
    for (size_t i = 0; i < pairs->n; i++) {
        char name[PAIR_NAME];
        struct slice value;
        enum err_code rc = pair_split(what, pairs->at[i], name, &value, e);
        if (rc)
            return rc;
        if (json_object_set_new(object, name, json_stringn(value.p, value.n)))
            return err_set(e, ERR_USAGE, "%s %s: the value is not UTF-8", what, name);
    }
    return ERR_OK;
}

enum err_code pairs_to_limits(const char *what, const struct words *pairs, json_t *object,
                              struct err *e)
{
    struct limits scratch;
    limits_init(&scratch, false);
    for (size_t i = 0; i < pairs->n; i++) {
        char name[PAIR_NAME];
        struct slice value;
        enum err_code rc = pair_split(what, pairs->at[i], name, &value, e);
        if (rc == ERR_OK)
            rc = limits_set(&scratch, slice_str(name), value, LIMIT_WHO_FUNCTION, e);
        if (rc)
            return rc;
    }
    return pairs_to_json(what, pairs, object, e);
}
