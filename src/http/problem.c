#include "http/problem.h"

#include "base/brand.h"

#include <stdio.h>

enum { PAGE = 4096 };

/* Appends text with what JSON (or HTML) gives a meaning escaped. Everything is text of ours, but
 * parts of it repeat what a client sent. */
static void put_json(struct buf *out, const char *text)
{
    bool ok = true;
    for (const unsigned char *p = (const unsigned char *)text; *p && ok; p++) {
        if (*p == '"' || *p == '\\')
            ok = buf_addf(out, "\\%c", *p);
        else if (*p < ' ' || *p >= 0x7f)
            ok = buf_addf(out, "\\u%04x", *p);
        else
            ok = buf_add(out, p, 1);
    }
}

static void put_html(struct buf *out, const char *text)
{
    bool ok = true;
    for (const unsigned char *p = (const unsigned char *)text; *p && ok; p++) {
        if (strchr("<>&\"'", *p) || *p < ' ' || *p >= 0x7f)
            ok = buf_addf(out, "&#%u;", *p);
        else
            ok = buf_add(out, p, 1);
    }
}

/* A page over its ceiling loses its end, nothing else: so the results are not looked at. */
#define PUT(...) (void)!buf_addf(out, __VA_ARGS__)

static void put_problem(struct buf *out, const struct problem *p, int status, const char *contact)
{
    const char *slug = err_slug(p->code);
    PUT("{\"type\":\"urn:" BRAND_COMMAND ":error:%s\",\"title\":\"", slug);
    put_json(out, err_title(p->code));
    PUT("\",\"status\":%d,\"detail\":\"", status);
    put_json(out, p->detail && *p->detail ? p->detail : err_title(p->code));
    PUT("\",\"code\":\"%s\"", slug);
    if (p->run)
        PUT(",\"request_id\":\"%s\"", p->run);
    if (contact && *contact) {
        PUT(",\"contact\":\"");
        put_json(out, contact);
        PUT("\"");
    }
    PUT("}\n");
}

static void put_page(struct buf *out, const struct problem *p, int status, const char *contact)
{
    PUT("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>%d %s</title>"
        "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:36em;margin:15vh auto;"
        "padding:0 1em}small{color:#666}</style></head><body>\n<h1>",
        status, http_reason(status));
    put_html(out, err_title(p->code));
    PUT("</h1>\n");
    if (p->detail && *p->detail) {
        PUT("<p>");
        put_html(out, p->detail);
        PUT("</p>\n");
    }
    PUT("<p><small>%d <code>%s</code>", status, err_slug(p->code));
    if (p->run)
        PUT(" &middot; run <code>%s</code>", p->run);
    if (contact && *contact) {
        PUT(" &middot; ");
        put_html(out, contact);
    }
    PUT("</small></p>\n</body></html>\n");
}

void http_problem(struct http_conn *c, const struct problem *p)
{
    int status = err_http(p->code);
    bool html = c->accepts_html;
    struct buf page;
    if (c->state == CONN_CLOSED)
        return;
    buf_init(&page, PAGE);
    http_borrow(c->server, &page);
    if (html)
        put_page(&page, p, status, c->server->contact);
    else
        put_problem(&page, p, status, c->server->contact);
    c->close |= p->close;
    http_answer_begin(c, status);
    http_answer_field(c, SLICE("Content-Type"),
                      html ? SLICE("text/html; charset=utf-8") : SLICE("application/problem+json"));
    if (p->run)
        http_answer_field(c, SLICE(BRAND_HEADER "Run"), slice_str(p->run));
    if (p->cause)
        http_answer_field(c, SLICE(BRAND_HEADER "Error"), slice_str(err_slug(p->code)));
    if (p->retry_s) {
        char text[16];
        int n = snprintf(text, sizeof text, "%u", p->retry_s);
        http_answer_field(c, SLICE("Retry-After"), slice_make(text, (size_t)n));
    }
    if (p->code == ERR_METHOD)
        http_answer_field(c, SLICE("Allow"), SLICE("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    http_answer_ready(c);
    http_answer_body(c, buf_slice(&page));
    http_answer_end(c, SLICE(""));
    buf_done(&page);
}

void http_redirect(struct http_conn *c, struct slice url)
{
    http_answer_begin(c, 308);
    http_answer_field(c, SLICE("Location"), url);
    http_answer_ready(c);
    http_answer_end(c, SLICE(""));
}
