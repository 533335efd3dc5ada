/* Sites: which function a host and a path name.
 *
 * `NAME.DOMAIN/…` is a function. On this machine, where DOMAIN is localhost,
 * `localhost/NAME/…` is one too, so that any client reaches it without DNS;
 * then SCRIPT_NAME is /NAME. Cookies ignore ports, and the platform answers on
 * 127.0.0.1, so a functions listener never speaks under that name: it sends
 * such clients to localhost. `NUMBER--NAME` in either place is the preview of
 * a version; no function's name holds --. */
#include "roles/edge.h"

static bool is_name(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
            c != '-')
            return false;
    }
    return s.n > 0 && s.n <= ROUTE_NAME;
}

/* "NAME" or "NUMBER--NAME". */
static bool split_label(struct slice label, struct slice *ret_name, uint32_t *ret_preview)
{
    const char *dashes = memmem(label.p, label.n, "--", 2);
    uint64_t number = 0;
    if (dashes) {
        struct slice digits = slice_make(label.p, (size_t)(dashes - label.p));
        if (!digits.n || digits.p[0] == '0' || !slice_u64(digits, &number) || number > UINT32_MAX)
            return false;
        label = slice_from(label, digits.n + 2);
        if (memmem(label.p, label.n, "--", 2))
            return false;
    }
    *ret_name = label;
    *ret_preview = (uint32_t)number;
    return is_name(label);
}

enum site site_find(struct slice host, struct slice path, struct slice domain,
                    struct slice *ret_name, uint32_t *ret_preview, struct slice *ret_script,
                    struct slice *ret_path)
{
    bool local = slice_ieq(domain, SLICE("localhost"));
    if (host.n > 1 && host.p[host.n - 1] == '.')
        host.n--; /* the root's dot */
    if (host.n > domain.n + 1 && host.p[host.n - domain.n - 1] == '.' &&
        slice_ieq(slice_from(host, host.n - domain.n), domain)) {
        if (!split_label(slice_make(host.p, host.n - domain.n - 1), ret_name, ret_preview))
            return SITE_NONE;
        *ret_script = SLICE("");
        *ret_path = path;
        return SITE_FUNCTION;
    }
    if (!local)
        return SITE_NONE;
    if (slice_eq(host, SLICE("127.0.0.1")) || slice_eq(host, SLICE("::1")))
        return SITE_LOCALHOST;
    if (!slice_ieq(host, domain) || path.n < 2 || path.p[0] != '/')
        return SITE_NONE;
    struct slice rest = slice_from(path, 1), label = slice_split(&rest, '/');
    if (!split_label(label, ret_name, ret_preview))
        return SITE_NONE;
    *ret_script = slice_make(path.p, label.n + 1);
    *ret_path = slice_from(path, label.n + 1);
    return SITE_FUNCTION;
}
