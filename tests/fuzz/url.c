/* URLs: what is accepted is in normal form already, and its parts are those that were seen. */
#include "fuzz.h"
#include "policy/url.h"

static void check(const struct url *u)
{
    static struct url again;
    MUST(u->size <= URL_MOST && u->text[u->size] == '\0');
    MUST(url_parse(url_slice(u), &again, NULL) == ERR_OK);
    MUST(slice_eq(url_slice(u), url_slice(&again)) && u->port == again.port);
    MUST(slice_eq(u->host, again.host) && slice_eq(u->path, again.path));
    MUST(u->remote == again.remote && u->numeric == again.numeric);
    for (size_t i = 0; i < u->size; i++)
        MUST((unsigned char)u->text[i] >= 0x20 && u->text[i] != 0x7f);
    if (!u->remote) {
        MUST(u->port == 0 && u->host.n == 0 && u->authority.n == 0);
        return;
    }
    MUST(u->port && u->host.n && u->host.n <= 253);
    for (size_t i = 0; i < u->size; i++)
        MUST((unsigned char)u->text[i] < 0x7f && !strchr(" \\#\"<>^`{|}", u->text[i]));
    MUST(!memchr(u->authority.p, '@', u->authority.n) &&
         !memchr(u->authority.p, '%', u->authority.n));
    for (size_t i = 0; i + 2 < u->path.n; i++)
        MUST(memcmp(u->path.p + i, "/./", 3) != 0);
    MUST(!u->path.n || u->path.p[0] == '/');
    MUST(!memmem(u->path.p, u->path.n, "/../", 4));
    /* Put together again it is the same. */
    static struct url joined;
    if (u->path.n) {
        struct slice target = slice_make(u->path.p, (size_t)(u->text + u->size - u->path.p));
        MUST(url_join(u->scheme, u->authority, target, &joined, NULL) == ERR_OK);
        MUST(slice_eq(url_slice(u), url_slice(&joined)));
    }
}

FUZZ(bytes)
{
    static struct url u;
    if (url_parse(bytes, &u, NULL) == ERR_OK)
        check(&u);
    struct slice target = bytes, authority = slice_split(&target, '\n');
    if (target.p && url_join(SLICE("http"), authority, target, &u, NULL) == ERR_OK) {
        MUST(slice_eq(u.scheme, SLICE("http")));
        check(&u);
    }
    char out[64];
    url_redact(bytes, out, sizeof out);
    MUST(strlen(out) < sizeof out);
}
