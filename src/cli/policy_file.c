#include "cli/policy_file.h"

#include "base/brand.h"
#include "cli/files.h"
#include "cli/show.h"

#include <stdio.h>

enum err_code policy_file_as(const char *path, enum policy_form form, policy_note note, void *arg,
                             struct policy **ret_policy, struct err *e)
{
    struct buf text;
    struct err why = {0};
    size_t line, column;
    int reason = 0;
    buf_init(&text, POLICY_TEXT);
    enum err_code rc = file_read(path, &text, e);
    if (rc == ERR_TOO_LARGE) /* the policy is wrong, not the module that it is for */
        rc = e->code = ERR_INVALID;
    if (rc)
        goto out;
    rc = policy_parse(buf_slice(&text), form, note, arg, ret_policy, &why);
    if (rc && sscanf(why.text, "line %zu, column %zu: %n", &line, &column, &reason) == 2 && reason)
        err_set(e, rc, "%s:%zu:%zu: %s", path, line, column, why.text + reason);
    else if (rc)
        err_set(e, rc, "%s: %s", path, why.text);
out:
    buf_done(&text);
    return rc;
}

bool policy_file_ends(const char *path, const char *ending)
{
    size_t n = strlen(path), m = strlen(ending);
    return n >= m && strcmp(path + n - m, ending) == 0;
}

enum err_code policy_file(const char *path, policy_note note, void *arg, struct policy **ret_policy,
                          struct err *e)
{
    enum policy_form form = policy_file_ends(path, ".policy") ? POLICY_OLIN : POLICY_YAML;
    return policy_file_as(path, form, note, arg, ret_policy, e);
}

void policy_file_note(void *arg, const char *text)
{
    fprintf(stderr, "%s: note: %s: ", BRAND_COMMAND, (const char *)arg);
    show_lines(stderr, slice_str(text));
    fputc('\n', stderr);
}
