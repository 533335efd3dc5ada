#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static const struct {
    const char *slug, *title;
    int http, cli;
} rows[ERR_COUNT] = {
    [ERR_OK] = {"ok", "Done", 200, 0},
#define ERR(name, slug_, http_, cli_, title_)                                                      \
    [ERR_##name] = {.slug = slug_, .title = title_, .http = http_, .cli = cli_},
#include "tables/errors.def"
#undef ERR
};

enum err_code err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
    int saved = errno;
    if (e) {
        va_list ap;
        va_start(ap, fmt);
        e->code = code;
        vsnprintf(e->text, sizeof e->text, fmt, ap);
        va_end(ap);
    }
    errno = saved;
    return code;
}

enum err_code err_errno(struct err *e, const char *fmt, ...)
{
    int saved = errno;
    enum err_code code = saved == ENOSPC || saved == EDQUOT ? ERR_DISK_FULL
                         : saved == ENOMEM                  ? ERR_MEMORY
                                                            : ERR_IO;
    if (e) {
        va_list ap;
        va_start(ap, fmt);
        e->code = code;
        int n = vsnprintf(e->text, sizeof e->text, fmt, ap);
        va_end(ap);
        if (n >= 0 && (size_t)n < sizeof e->text)
            snprintf(e->text + n, sizeof e->text - (size_t)n, ": %s", strerror(saved));
    }
    errno = saved;
    return code;
}

const char *err_slug(enum err_code code)
{
    return code < ERR_COUNT ? rows[code].slug : "unknown";
}

const char *err_title(enum err_code code)
{
    return code < ERR_COUNT ? rows[code].title : "Unknown error";
}

int err_http(enum err_code code)
{
    return code < ERR_COUNT ? rows[code].http : 500;
}

int err_cli(enum err_code code)
{
    return code < ERR_COUNT ? rows[code].cli : 1;
}

bool err_from_slug(struct slice slug, enum err_code *ret_code)
{
    for (int i = 0; i < ERR_COUNT; i++)
        if (slice_eq(slug, slice_str(rows[i].slug))) {
            *ret_code = (enum err_code)i;
            return true;
        }
    return false;
}
