/* Paths below every function's address that are the platform's, whatever the function says.
 *
 * `/.well-known/acme-challenge/` proves who holds a name: a function that answered
 * there could have certificates made for its address. `/.well-known/security.txt`
 * (RFC 9116) names whom to tell of a weakness, and that is the server's operator. */
#include "roles/edge.h"

#include "base/clock.h"

enum { EXPIRES_DAYS = 30 };

static void security_txt(struct http_conn *c)
{
    struct slice contact = slice_str(c->server->contact ? c->server->contact : "");
    struct buf page;
    char expires[25];
    bool uri = memchr(contact.p, ':', contact.n), mail = memchr(contact.p, '@', contact.n);
    if (!uri && !mail) {
        edge_refuse(c, ERR_NOT_FOUND, "the server's operator has named no address to write to");
        return;
    }
    clock_rfc3339(clock_real_us() + EXPIRES_DAYS * 86400 * UINT64_C(1000000), expires);
    buf_init(&page, contact.n + 128);
    if (!buf_addf(&page, "Contact: %s%.*s\nExpires: %s\n", uri ? "" : "mailto:", SLICE_ARG(contact),
                  expires)) {
        edge_refuse(c, ERR_MEMORY, NULL);
    } else {
        http_answer_begin(c, 200);
        http_answer_field(c, SLICE("Content-Type"), SLICE("text/plain; charset=utf-8"));
        http_answer_ready(c);
        http_answer_body(c, buf_slice(&page));
        http_answer_end(c, SLICE(""));
    }
    buf_done(&page);
}

bool edge_wellknown(struct http_conn *c, struct slice path)
{
    if (!slice_starts(path, SLICE("/.well-known/")))
        return false;
    if (slice_eq(path, SLICE("/.well-known/security.txt")))
        security_txt(c);
    else if (slice_starts(path, SLICE("/.well-known/acme-challenge/")))
        edge_refuse(c, ERR_NOT_FOUND, "no certificate is being asked for");
    else
        return false;
    return true;
}
