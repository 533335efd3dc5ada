#include "cli/local.h"

#include "base/brand.h"
#include "cli/command.h"
#include "cli/files.h"

#include <stdio.h>
#include <unistd.h>

int local_status(enum err_code code)
{
    if (code == ERR_OK)
        return 0;
    if (code == ERR_USAGE || code == ERR_INVALID)
        return err_cli(ERR_USAGE);
    if (code == ERR_NOT_FOUND)
        return EXIT_NO_FILE;
    if (code == ERR_TOO_LARGE || err_cli(code) == EXIT_REFUSED)
        return EXIT_REFUSED;
    return EXIT_OWN_FAILURE;
}

int local_fail(const struct err *e)
{
    command_fail(e);
    return local_status(e->code);
}

enum err_code local_options(const char *const *limits, size_t n, struct options *ret_options,
                            struct err *e)
{
    options_init(ret_options);
    enum err_code rc = options_env(ret_options, environ, e);
    struct buf all;
    buf_init(&all, 1 << 16);
    struct slice before = slice_str(option_text(ret_options, OPTION_LIMITS));
    bool ok = buf_add(&all, before.p, before.n);
    for (size_t i = 0; i < n && ok; i++)
        ok = buf_addf(&all, "%s%s", buf_size(&all) ? "," : "", limits[i]);
    if (!rc && !ok)
        rc = err_set(e, ERR_USAGE, "too many limits");
    if (!rc)
        rc = options_set(ret_options, SLICE("limits"), buf_slice(&all), e);
    /* who runs a file on their own machine gets a warning for a fence that it lacks */
    if (!rc)
        rc = options_set(ret_options, SLICE("isolation"), SLICE("relaxed"), e);
    if (!rc)
        rc = options_set(ret_options, SLICE("log-level"), SLICE("warning"), e);
    if (!rc)
        rc = options_finish(ret_options, e);
    buf_done(&all);
    return rc;
}

/* The smaller of two limits, where 0 is none. */
static void lower(uint64_t *limit, uint64_t value)
{
    if (value && (!*limit || value < *limit))
        *limit = value;
}

void local_policy_limits(const struct policy *policy, struct limits *limits)
{
    lower(&limits->v[LIMIT_MEMORY], policy_memory(policy));
    lower(&limits->v[LIMIT_GAS], policy_gas(policy));
}

enum err_code local_read(const char *path, const struct limits *limits, enum limit_id id,
                         struct buf *out, struct err *e)
{
    enum err_code rc = file_read(path, out, e);
    if (rc == ERR_TOO_LARGE) {
        char text[32];
        limit_format(id, limits->v[id], text);
        err_set(e, rc, "%s is over the limit \"%s\": allowed are %s",
                strcmp(path, "-") ? path : "standard input", limit_rows[id].name, text);
    }
    if (rc == ERR_INVALID) /* a folder */
        rc = e->code = ERR_NOT_A_MODULE;
    return rc;
}
