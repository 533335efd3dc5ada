/* Names of projects and functions, and the address that a function's name makes. */
#include "api/request.h"

#include <string.h>

/* Labels that belong to the platform, that a visitor would take for it, or to which others give a
 * meaning: mailboxes of RFC 2142, names that browsers and mail programs ask for by themselves. */
static const char *const reserved[] = {
    "abuse",      "account",       "accounts", "acme",      "admin",      "administrator",
    "api",        "app",           "assets",   "auth",      "autoconfig", "autodiscover",
    "billing",    "broadcasthost", "cdn",      "console",   "control",    "dashboard",
    "dns",        "docs",          "edge",     "egress",    "email",      "exec",
    "ftp",        "functions",     "healthz",  "help",      "hostmaster", "imap",
    "internal",   "isatap",        "legal",    "localhost", "login",      "logout",
    "mail",       "master",        "members",  "metrics",   "mx",         "noc",
    "ns",         "ns1",           "ns2",      "ns3",       "ns4",        "oauth",
    "openapi",    "operator",      "panel",    "platform",  "pop",        "pop3",
    "postmaster", "preview",       "previews", "privacy",   "readyz",     "register",
    "root",       "secure",        "security", "signin",    "signup",     "smtp",
    "ssl",        "sso",           "staff",    "static",    "status",     "support",
    "sysadmin",   "system",        "terms",    "tls",       "token",      "tokens",
    "v1",         "wasmcloud",     "webmail",  "webmaster", "well-known", "whoami",
    "wpad",       "www",           NULL,
};

enum err_code name_check(struct slice name, struct err *e)
{
    bool good = name.n > 0 && name.n <= STORE_NAME;
    for (size_t i = 0; good && i < name.n; i++) {
        char c = name.p[i];
        good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
        if (c == '-' && i && name.p[i - 1] == '-')
            good = false; /* VERSION--NAME is a preview's address */
    }
    if (!good || name.p[0] == '-' || name.p[name.n - 1] == '-')
        return err_set(e, ERR_INVALID,
                       "a name has 1 to %d of a-z, 0-9 and -, no -- and no - at its ends",
                       STORE_NAME);
    struct uuid id;
    if (uuid_parse(name, &id))
        return err_set(e, ERR_INVALID, "a name may not look like an id");
    for (const char *const *r = reserved; *r; r++)
        if (slice_eq(name, slice_str(*r)))
            return err_set(e, ERR_INVALID, "the name \"%.*s\" is reserved", SLICE_ARG(name));
    return ERR_OK;
}

/* NAME becomes a label in front of the host of the public address of functions. */
bool api_function_url(const struct api *api, const char *name, char *out, size_t cap)
{
    const struct options *o = api->options;
    struct slice host = slice_str(option_text(o, OPTION_PUBLIC_FUNCTIONS)), scheme,
                 port = SLICE("");
    if (host.n) {
        const char *after = memmem(host.p, host.n, "://", 3);
        scheme = slice_make(host.p, after ? (size_t)(after - host.p) + 3 : 0);
        host = slice_from(host, scheme.n);
        while (host.n && host.p[host.n - 1] == '/')
            host.n--;
    } else {
        scheme = SLICE("http://");
        host = slice_str(option_text(o, OPTION_FUNCTIONS_DOMAIN));
        port = slice_str(strrchr(option_text(o, OPTION_LISTEN_FUNCTIONS), ':'));
    }
    const struct slice parts[] = {scheme, slice_str(name), SLICE("."), host, port, SLICE("/")};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (parts[i].n >= cap)
            return false;
        memcpy(out, parts[i].p, parts[i].n);
        out += parts[i].n;
        cap -= parts[i].n;
    }
    *out = '\0';
    return true;
}
