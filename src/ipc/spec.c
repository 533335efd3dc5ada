#include "ipc/spec.h"

struct head {
    uint8_t digest[DIGEST_BYTES], assets[DIGEST_BYTES], policy_digest[DIGEST_BYTES];
    struct uuid id, function, revision;
    uint16_t kind, trace, capture, secrets;
    uint32_t limit_count; /* guards against another table */
    uint32_t env_bytes, args_bytes, policy_bytes;
    struct limits limits;
};

bool version_load_write(const struct version_load *v, struct buf *out)
{
    struct head h = {.kind = v->kind,
                     .trace = v->trace,
                     .capture = v->capture,
                     .secrets = v->secrets,
                     .revision = v->revision,
                     .id = v->id,
                     .function = v->function,
                     .limit_count = LIMIT_COUNT,
                     .env_bytes = (uint32_t)v->env.n,
                     .args_bytes = (uint32_t)v->args.n,
                     .policy_bytes = (uint32_t)v->policy.n,
                     .limits = v->limits};
    memcpy(h.digest, v->digest, sizeof h.digest);
    memcpy(h.assets, v->assets, sizeof h.assets);
    memcpy(h.policy_digest, v->policy_digest, sizeof h.policy_digest);
    return buf_add(out, &h, sizeof h) && buf_add(out, v->env.p, v->env.n) &&
           buf_add(out, v->args.p, v->args.n) && buf_add(out, v->policy.p, v->policy.n);
}

enum err_code version_load_read(struct slice bytes, struct version_load *ret_load, struct err *e)
{
    struct head h;
    if (bytes.n < sizeof h)
        return err_set(e, ERR_PROTOCOL, "a version of %zu bytes", bytes.n);
    memcpy(&h, bytes.p, sizeof h);
    if (h.limit_count != LIMIT_COUNT || h.kind > ENGINE_FUEL || h.trace > 1 ||
        h.capture > CAPTURE_ALL ||
        bytes.n != sizeof h + (uint64_t)h.env_bytes + h.args_bytes + h.policy_bytes)
        return err_set(e, ERR_PROTOCOL, "a version whose parts don't add up");
    for (int i = 0; i < LIMIT_COUNT; i++)
        if (limit_rows[i].maximum && h.limits.v[i] > limit_rows[i].maximum)
            return err_set(e, ERR_PROTOCOL, "a version whose limit \"%s\" is over its maximum",
                           limit_rows[i].name);
    struct slice env = slice_make(bytes.p + sizeof h, h.env_bytes);
    struct slice args = slice_make(env.p + env.n, h.args_bytes);
    if ((env.n && env.p[env.n - 1]) || (args.n && args.p[args.n - 1]))
        return err_set(e, ERR_PROTOCOL, "a version whose strings don't end");
    memcpy(ret_load->digest, h.digest, sizeof h.digest);
    memcpy(ret_load->assets, h.assets, sizeof h.assets);
    memcpy(ret_load->policy_digest, h.policy_digest, sizeof h.policy_digest);
    ret_load->id = h.id;
    ret_load->function = h.function;
    ret_load->kind = (uint8_t)h.kind;
    ret_load->trace = (uint8_t)h.trace;
    ret_load->capture = (uint8_t)h.capture;
    ret_load->secrets = h.secrets;
    ret_load->revision = h.revision;
    ret_load->limits = h.limits;
    ret_load->env = env;
    ret_load->args = args;
    ret_load->policy = slice_make(args.p + args.n, h.policy_bytes);
    return ERR_OK;
}

void digest_text(const uint8_t digest[DIGEST_BYTES], char out[DIGEST_TEXT + 1])
{
    static const char hex[] = "0123456789abcdef";
    for (int i = 0; i < DIGEST_BYTES; i++) {
        out[2 * i] = hex[digest[i] >> 4];
        out[2 * i + 1] = hex[digest[i] & 15];
    }
    out[DIGEST_TEXT] = '\0';
}

bool digest_parse(struct slice text, uint8_t ret_digest[DIGEST_BYTES])
{
    uint8_t d[DIGEST_BYTES];
    if (text.n != DIGEST_TEXT)
        return false;
    for (size_t i = 0; i < DIGEST_TEXT; i++) {
        char c = text.p[i];
        int v = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (v < 0)
            return false;
        d[i / 2] = (uint8_t)(i % 2 ? d[i / 2] | v : v << 4);
    }
    memcpy(ret_digest, d, sizeof d);
    return true;
}

void image_name(const uint8_t digest[DIGEST_BYTES], enum engine_kind kind, char out[IMAGE_NAME])
{
    digest_text(digest, out);
    if (kind == ENGINE_FUEL)
        memcpy(out + DIGEST_TEXT, ".fuel", sizeof ".fuel");
}
