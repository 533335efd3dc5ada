/* `wasmcloud validate FILE`: would a server take this module? Judged here, nothing is sent.
 *
 * It is compiled too, for only the compiler looks at instructions; a run then starts at once. */
#include "cli/args.h"
#include "cli/image_cache.h"
#include "cli/local.h"
#include "cli/show.h"

static json_t *as_json(const char *file, size_t size, const struct verdict *v, const struct err *e)
{
    if (e->code)
        return json_pack("{s:s, s:b, s:s, s:s}", "file", file, "accepted", 0, "code",
                         err_slug(e->code), "detail", e->text);
    return json_pack("{s:s, s:b, s:I, s:s, s:s}", "file", file, "accepted", 1, "size",
                     (json_int_t)size, "entry", v->entry, "abi", abi_text(v->abi));
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
    struct image_cache cache = {-1, -1};
    struct verdict v;
    uint8_t digest[DIGEST_BYTES];
    struct buf bytes;
    enum err_code rc = local_options(limits.at, limits.n, &options, &e);
    buf_init(&bytes, options.limits.v[LIMIT_MODULE]);
    if (rc)
        goto out;
    rc = local_read(file, &options.limits, LIMIT_MODULE, &bytes, &e);
    if (!rc)
        rc = image_cache_find(buf_slice(&bytes), ENGINE_PLAIN, &options, &cache, digest, &v, &e);
out:
    status = local_status(rc);
    if (json && (rc == ERR_OK || status == EXIT_REFUSED)) {
        json_t *answer = as_json(file, buf_size(&bytes), &v, &e);
        show_json(answer);
        json_decref(answer);
    } else if (rc) {
        local_fail(&e);
    } else {
        char size[24];
        printf("%s: accepted (%s, ABI %s, entry point %s)\n", file,
               show_bytes(buf_size(&bytes), size), abi_text(v.abi), v.entry);
    }
    image_cache_close(&cache);
    buf_done(&bytes);
    options_done(&options);
    return status;
}
