#include "ipc/exchange.h"

static enum err_code malformed(struct err *e, const char *what)
{
    return err_set(e, ERR_PROTOCOL, "a malformed %s", what);
}

enum err_code exchange_open_read(struct slice payload, struct exchange_open *ret_open,
                                 struct slice *ret_url, struct err *e)
{
    if (payload.n < sizeof *ret_open)
        return malformed(e, "OPEN");
    memcpy(ret_open, payload.p, sizeof *ret_open);
    *ret_url = slice_from(payload, sizeof *ret_open);
    return ERR_OK;
}

enum err_code exchange_request_read(struct slice payload, struct exchange_request *ret_request,
                                    struct exchange_parts *ret_parts, struct err *e)
{
    struct exchange_request r;
    if (payload.n < sizeof r)
        return malformed(e, "REQUEST");
    memcpy(&r, payload.p, sizeof r);
    payload = slice_from(payload, sizeof r);
    if (r.body > BODY_CHUNKED ||
        payload.n != (uint64_t)r.method_bytes + r.url_bytes + r.fields_bytes)
        return malformed(e, "REQUEST");
    struct slice url = slice_from(payload, r.method_bytes), fields = slice_from(url, r.url_bytes);
    uint32_t strings = 0;
    for (size_t i = 0; i < fields.n; i++)
        strings += fields.p[i] == '\0';
    if (strings % 2 || (fields.n && fields.p[fields.n - 1]))
        return malformed(e, "REQUEST's fields");
    *ret_request = r;
    *ret_parts = (struct exchange_parts){.method = slice_make(payload.p, r.method_bytes),
                                         .url = slice_make(url.p, r.url_bytes),
                                         .fields = fields};
    return ERR_OK;
}

enum err_code exchange_end_read(struct slice payload, struct exchange_end *ret_end,
                                struct slice *ret_text, struct err *e)
{
    struct exchange_end end;
    if (payload.n < sizeof end)
        return malformed(e, "VERDICT");
    memcpy(&end, payload.p, sizeof end);
    struct slice text = slice_from(payload, sizeof end);
    if (end.reason >= ERR_COUNT || text.n > EXCHANGE_TEXT)
        return malformed(e, "VERDICT");
    *ret_end = end;
    *ret_text = text;
    return ERR_OK;
}

enum err_code exchange_policy_read(struct slice payload, struct exchange_policy *ret_policy,
                                   struct slice *ret_text, struct err *e)
{
    struct exchange_policy p;
    if (payload.n < sizeof p)
        return malformed(e, "POLICY");
    memcpy(&p, payload.p, sizeof p);
    for (int i = 0; i < LIMIT_COUNT; i++)
        if (limit_rows[i].maximum && p.limits.v[i] > limit_rows[i].maximum)
            return malformed(e, "POLICY's limits");
    *ret_policy = p;
    *ret_text = slice_from(payload, sizeof p);
    return ERR_OK;
}
