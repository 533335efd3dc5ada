/* `wasmcloud validate FILE`: would a server take this module? Judged here, nothing is sent. */
#include "cli/args.h"
#include "cli/local.h"
#include "cli/show.h"
#include "module/module.h"

static json_t *as_json(const char *file, const struct module *m, const struct verdict *v,
                       const struct err *e)
{
    if (e->code)
        return json_pack("{s:s, s:b, s:s, s:s}", "file", file, "accepted", 0, "code",
                         err_slug(e->code), "detail", e->text);
    return json_pack("{s:s, s:b, s:I, s:s, s:s, s:I}", "file", file, "accepted", 1, "size",
                     (json_int_t)m->bytes.n, "entry", v->entry, "abi", abi_text(v->abi),
                     "memory_min", (json_int_t)m->memory_min);
}

int cmd_validate(int argc, char **argv)
{
    bool json = false;
    struct words words = {0}, limits = {0};
    const struct flag flags[] = {
        FLAG_JSON(json),
        {.name = "limit", .value = "NAME=VALUE", .help = "judge by this limit", .many = &limits},
        {0},
    };
    int status = args_parse("validate", argc, argv, flags, &words, 1, 1);
    if (status >= 0)
        return status;

    const char *file = words.at[0];
    struct err e = {0};
    struct options options;
    struct module m = {0};
    struct verdict v;
    struct buf bytes;
    enum err_code rc = local_options(limits.at, limits.n, &options, &e);
    uint64_t most = options.limits.v[LIMIT_MODULE];
    buf_init(&bytes, most + LOCAL_READ);
    if (rc)
        goto out;
    rc = local_read(file, most, &bytes, &e);
    if (!rc)
        rc = module_parse(buf_slice(&bytes), &options.limits, &m, &e);
    if (!rc)
        rc = module_judge(&m, &options.limits, &v, &e);
out:
    status = local_status(rc);
    if (json && (rc == ERR_OK || status == EXIT_REFUSED)) {
        json_t *answer = as_json(file, &m, &v, &e);
        show_json(answer);
        json_decref(answer);
    } else if (rc) {
        local_fail(&e);
    } else {
        char size[24];
        printf("%s: accepted (%s, ABI %s, entry point %s)\n", file, show_bytes(m.bytes.n, size),
               abi_text(v.abi), v.entry);
    }
    module_done(&m);
    buf_done(&bytes);
    options_done(&options);
    return status;
}
