#include "cli/local.h"

#include "base/brand.h"
#include "cli/command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
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
    int fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return err_set(e, ERR_NOT_FOUND, "there is no file \"%s\"", path);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_errno(e, "can't open \"%s\"", path);
    enum err_code rc = ERR_OK;
    if (S_ISDIR(st.st_mode)) {
        rc = err_set(e, ERR_NOT_A_MODULE, "\"%s\" is a folder", path);
        goto out;
    }
    for (;;) {
        char *to = buf_reserve(out, LOCAL_READ);
        if (!to) {
            rc = err_set(e, ERR_MEMORY, "no memory to read \"%s\"", path);
            break;
        }
        ssize_t got = read(fd, to, LOCAL_READ);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            rc = err_errno(e, "can't read \"%s\"", path);
        if (got <= 0)
            break;
        buf_commit(out, (size_t)got);
        if (buf_size(out) > limits->v[id]) {
            char text[32];
            limit_format(id, limits->v[id], text);
            rc = err_set(e, ERR_TOO_LARGE, "%s is over the limit \"%s\": allowed are %s",
                         strcmp(path, "-") ? path : "standard input", limit_rows[id].name, text);
            break;
        }
    }
out:
    close(fd);
    return rc;
}
