#include "base/host.h"

#include <stdint.h>
#include <stdio.h>

#define MODULE_CWA "cwa"
#define ALIAS_CWA "env"
#define MODULE_DAGGER "dagger"
#define ALIAS_DAGGER "dagger"
#define MODULE_WASI "wasi_snapshot_preview1"
#define ALIAS_WASI "wasi_unstable"
#define LABEL_CWA "cwa."
#define LABEL_DAGGER "dagger."
#define LABEL_WASI "wasi."
#define WAIT_DIRECT false
#define WAIT_WAITS true

const struct host_function host_functions[HOST_COUNT] = {
#define HOST(id, from, function, parameters, returns, wait, handler)                               \
    [HOST_##id] = {.module = MODULE_##from,                                                        \
                   .alias = ALIAS_##from,                                                          \
                   .name = function,                                                               \
                   .params = parameters,                                                           \
                   .result = returns,                                                              \
                   .label = LABEL_##from function,                                                 \
                   .waits = WAIT_##wait},
#include "tables/host_functions.def"
#undef HOST
};

int host_find(struct slice module, struct slice name, bool *ret_alias)
{
    for (int i = 0; i < HOST_COUNT; i++) {
        const struct host_function *f = &host_functions[i];
        if (!slice_eq(name, slice_str(f->name)))
            continue;
        bool alias = slice_eq(module, slice_str(f->alias));
        if (!alias && !slice_eq(module, slice_str(f->module)))
            continue;
        if (ret_alias)
            *ret_alias = alias;
        return i;
    }
    return -1;
}

bool host_module_known(struct slice module)
{
    for (int i = 0; i < HOST_COUNT; i++)
        if (slice_eq(module, slice_str(host_functions[i].module)) ||
            slice_eq(module, slice_str(host_functions[i].alias)))
            return true;
    return false;
}

static bool types_fit(const char *wanted, struct slice found)
{
    if (strlen(wanted) != found.n)
        return false;
    for (size_t i = 0; i < found.n; i++)
        if (wanted[i] != found.p[i] &&
            !(wanted[i] == 'n' && (found.p[i] == 'i' || found.p[i] == 'I')))
            return false;
    return true;
}

bool host_fits(const struct host_function *f, struct slice params, struct slice result)
{
    return types_fit(f->params, params) &&
           (types_fit(f->result, result) || (!f->result[0] && slice_eq(result, SLICE("i"))));
}

const char *host_number(char type, uint64_t value, char out[HOST_NUMBER])
{
    enum { NEGATIVE = 4096 };
    int32_t half = (int32_t)value;
    if (type == 'I' || (type == 'n' && value > UINT32_MAX))
        snprintf(out, HOST_NUMBER, "%jd", (intmax_t)(int64_t)value);
    else if (half < 0 && half >= -NEGATIVE)
        snprintf(out, HOST_NUMBER, "%d", (int)half);
    else
        snprintf(out, HOST_NUMBER, "%u", (unsigned)value);
    return out;
}
