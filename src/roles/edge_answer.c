/* Answers: a program's output becomes an HTTP answer.
 *
 * The head goes to the connection as soon as it is complete, the body as it is
 * written. Only a head without Content-Type waits for the first byte of the
 * body, which it must not have. What the client was promised is kept: a body
 * that ends before its Content-Length cuts the connection, what goes beyond it
 * is dropped. */
#include "roles/edge.h"

#include "base/brand.h"

void edge_answer_begin(struct edge_answer *a, struct http_conn *conn, const struct limits *limits,
                       struct slice script, const char *run, bool text, bool trusted)
{
    a->conn = conn;
    a->run = run;
    a->text = text;
    a->members = a->ready = a->begun = a->surplus = false;
    a->body = 0;
    a->status = 0;
    cgi_head_init(&a->head, limits, script, trusted);
    if (text) {
        a->ready = true;
        a->head.has_type = true;
    }
}

/* Hands the head to the connection. */
static void begin(struct edge_answer *a)
{
    struct http_conn *c = a->conn;
    a->begun = true;
    a->status = a->head.status;
    if (!c)
        return;
    http_answer_begin(c, a->head.status);
    if (a->text)
        http_answer_lines(c, SLICE("Content-Type: text/plain; charset=utf-8\r\n"));
    http_answer_lines(c, buf_slice(&a->head.lines));
    if (a->run)
        http_answer_field(c, SLICE(BRAND_HEADER "Run"), slice_str(a->run));
    if (a->members) /* holds beside what the program says (RFC 9111 5.2.2.7) */
        http_answer_field(c, SLICE("Cache-Control"), SLICE("private"));
    if (a->head.has_length)
        http_answer_length(c, a->head.length);
    http_answer_ready(c);
}

static enum err_code body(struct edge_answer *a, struct slice bytes)
{
    if (bytes.n == 0)
        return ERR_OK;
    if (!a->head.has_type) {
        a->head.why = "there is a body but no Content-Type";
        return ERR_BAD_CGI;
    }
    if (!a->begun)
        begin(a);
    if (a->head.has_length && bytes.n > a->head.length - a->body) {
        a->surplus = true;
        bytes.n = a->head.length - a->body;
    }
    a->body += bytes.n;
    if (a->conn)
        http_answer_body(a->conn, bytes);
    return ERR_OK;
}

enum err_code edge_answer_output(struct edge_answer *a, struct slice bytes)
{
    if (!a->ready) {
        switch (cgi_head_feed(&a->head, &bytes)) {
        case CGI_MORE:
            return ERR_OK;
        case CGI_BAD:
            return ERR_BAD_CGI;
        case CGI_READY:
            a->ready = true;
            if (a->head.has_type)
                begin(a);
        }
    }
    return body(a, bytes);
}

enum err_code edge_answer_end(struct edge_answer *a, struct slice late)
{
    if (!a->ready)
        return ERR_BAD_CGI;
    if (!a->begun)
        begin(a);
    struct http_conn *c = a->conn;
    bool bodiless = c && c->bodiless;
    bool cut = a->head.has_length && a->body < a->head.length && !bodiless;
    a->conn = NULL;
    if (c && cut)
        http_answer_cut(c);
    else if (c)
        http_answer_end(c, late);
    return cut || a->surplus ? ERR_BAD_CGI : ERR_OK;
}

void edge_answer_fail(struct edge_answer *a, enum err_code cause, const char *detail)
{
    struct http_conn *c = a->conn;
    a->conn = NULL;
    if (a->begun) {
        if (c)
            http_answer_cut(c);
        return;
    }
    a->status = err_http(cause);
    if (!c)
        return;
    bool again = cause == ERR_BUSY || a->status == 503;
    http_problem(c, &(struct problem){.code = cause,
                                      .detail = detail,
                                      .run = a->run,
                                      .cause = a->run != NULL,
                                      .retry_s = again ? 1 : 0});
}
