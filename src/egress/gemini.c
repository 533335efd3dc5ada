/* Gemini: TLS, one line there, one line and a body back (geminiprotocol.net/docs).
 *
 * libcurl connects and does the TLS, with the same checks of the address as for HTTP; then this
 * speaks over its connection. Whom to trust is pins.c's. An answer is over when the connection is:
 * many servers leave out the alert that would tell an end from a cut. */
#include "egress/private.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    URL_BYTES = 1024, /* of a request, by the protocol */
    HEADER_BYTES = 3 + 1024 + 2,
    READ_BYTES = 16 << 10,
};

struct gemini {
    struct transfer *t;
    struct loop_io io;
    int fd;
    char request[URL_BYTES + 2];
    size_t request_size, request_sent;
    char header[HEADER_BYTES];
    size_t header_size;
    bool answered;
};

/* ---- the conversation ---- */

/* The server's own certificate, first in the chain, as libcurl lists it: "Cert:" and PEM. */
static const char *certificate(struct transfer *t)
{
    struct curl_certinfo *info = NULL;
    if (t->project->egress->curl->easy_getinfo(t->easy, CURLINFO_CERTINFO, &info) || !info ||
        info->num_of_certs < 1)
        return NULL;
    for (struct curl_slist *at = info->certinfo[0]; at; at = at->next)
        if (strncmp(at->data, "Cert:", 5) == 0)
            return at->data + 5;
    return NULL;
}

static enum err_code check_pin(struct transfer *t, struct err *e)
{
    char where[ORIGIN_MOST];
    int n = snprintf(where, sizeof where, "%.*s:%u", SLICE_ARG(t->url.host), t->url.port);
    return pins_check(&t->project->egress->pins, slice_make(where, (size_t)n), certificate(t), e);
}

/* False: the transfer is over. */
static bool take_header(struct gemini *m, struct slice *bytes)
{
    struct transfer *t = m->t;
    size_t before = m->header_size, size, n = sizeof m->header - before;
    struct err e;
    if (n > bytes->n)
        n = bytes->n;
    memcpy(m->header + before, bytes->p, n);
    m->header_size += n;
    enum err_code rc = head_gemini(slice_make(m->header, m->header_size), &size, &e);
    if (rc) {
        transfer_finish(t, rc, e.text);
        return false;
    }
    if (!size) {
        *bytes = slice_from(*bytes, n);
        return true;
    }
    *bytes = slice_from(*bytes, size - before);
    m->answered = true;
    transfer_answer(t, slice_make(m->header, size));
    if (m->header[0] == '2')
        return true;
    transfer_finish(t, ERR_OK, ""); /* only success has a body */
    return false;
}

static bool take(struct gemini *m, struct slice bytes)
{
    struct transfer *t = m->t;
    if (!m->answered && !take_header(m, &bytes))
        return false;
    if (!bytes.n)
        return true;
    if (!transfer_count(t, 0, bytes.n)) {
        transfer_finish(t, t->why.code, t->why.text);
        return false;
    }
    if (!transfer_output(t, bytes)) {
        transfer_finish(t, ERR_MEMORY, "no memory for the answer");
        return false;
    }
    return true;
}

/* Reads until there is nothing, or the exec has to grant more first. */
static void read_all(struct gemini *m)
{
    struct transfer *t = m->t;
    const struct curl_api *curl = t->project->egress->curl;
    char bytes[READ_BYTES];
    size_t n;
    while (!buf_size(&t->rest)) {
        CURLcode rc = curl->easy_recv(t->easy, bytes, sizeof bytes, &n);
        if (rc == CURLE_AGAIN)
            return;
        if (rc) {
            transfer_finish(t, ERR_UNREACHABLE, "the connection ended before the answer did");
            return;
        }
        if (!n) {
            transfer_finish(t, m->answered ? ERR_OK : ERR_UNREACHABLE,
                            m->answered ? ""
                                        : "the server closed the connection without an answer");
            return;
        }
        if (!take(m, slice_make(bytes, n)))
            return;
    }
    /* What waits in the socket wakes nobody; gemini_resume() comes back. */
    loop_io_del(t->project->egress->loop, &m->io);
}

static void on_event(struct loop_io *io, uint32_t events)
{
    struct gemini *m = LIST_ITEM(io, struct gemini, io);
    struct transfer *t = m->t;
    const struct curl_api *curl = t->project->egress->curl;
    (void)events;
    while (m->request_sent < m->request_size) {
        size_t n = 0;
        CURLcode rc = curl->easy_send(t->easy, m->request + m->request_sent,
                                      m->request_size - m->request_sent, &n);
        if (rc == CURLE_AGAIN)
            return;
        if (rc) {
            transfer_finish(t, ERR_UNREACHABLE, "the connection ended before the request was sent");
            return;
        }
        m->request_sent += n;
    }
    loop_io_mod(t->project->egress->loop, &m->io, EPOLLIN);
    read_all(m);
}

enum err_code gemini_begin(struct transfer *t, struct err *e)
{
    const struct curl_api *curl = t->project->egress->curl;
    char address[ADDRESS_TEXT];
    if (t->url.size > URL_BYTES)
        return err_set(e, ERR_INVALID, "a gemini URL has at most %d bytes", URL_BYTES);
    if (t->easy)
        curl->easy_cleanup(t->easy); /* of an earlier HTTP request */
    t->easy = NULL;
    struct gemini *m = calloc(1, sizeof *m);
    if (!m)
        return err_set(e, ERR_MEMORY, "no memory for a request");
    t->gemini = m; /* from here on gemini_end() takes the handle away: it is none for HTTP */
    t->easy = curl->easy_init();
    if (!t->easy)
        return err_set(e, ERR_MEMORY, "no memory for a request");
    m->t = t;
    m->io.fd = m->fd = -1;
    memcpy(m->request, t->url.text, t->url.size);
    memcpy(m->request + t->url.size, "\r\n", 2);
    m->request_size = t->url.size + 2;

    bool v6 = memchr(t->url.host.p, ':', t->url.host.n);
    int n = snprintf(t->origin, sizeof t->origin, v6 ? "https://[%.*s]:%u/" : "https://%.*s:%u/",
                     SLICE_ARG(t->url.host), t->url.port);
    if (n < 0 || (size_t)n >= sizeof t->origin)
        return err_set(e, ERR_INVALID, "the host's name is too long");
    address_text(transfer_address(t), address);
    v6 = strchr(address, ':');
    snprintf(t->connect_to, sizeof t->connect_to, v6 ? "::[%s]:%u" : "::%s:%u", address,
             t->url.port);
    t->connect_node = (struct curl_slist){.data = t->connect_to};
    t->error[0] = '\0';
    checked_options(t);
    bool ok = !curl->easy_setopt(t->easy, CURLOPT_URL, t->origin) &&
              !curl->easy_setopt(t->easy, CURLOPT_CONNECT_TO, &t->connect_node) &&
              !curl->easy_setopt(t->easy, CURLOPT_CONNECT_ONLY, 1L) &&
              !curl->easy_setopt(t->easy, CURLOPT_FRESH_CONNECT, 1L) &&
              !curl->easy_setopt(t->easy, CURLOPT_CERTINFO, 1L) &&
              !curl->easy_setopt(t->easy, CURLOPT_SSL_SESSIONID_CACHE, 0L) &&
              !curl->easy_setopt(t->easy, CURLOPT_SSL_ENABLE_ALPN, 0L) &&
              /* instead: check_pin() */
              !curl->easy_setopt(t->easy, CURLOPT_SSL_VERIFYPEER, 0L) &&
              !curl->easy_setopt(t->easy, CURLOPT_SSL_VERIFYHOST, 0L);
    if (!ok)
        return err_set(e, ERR_INTERNAL, "libcurl lacks an option that egress needs");
    return multi_add(t, e);
}

void gemini_done(struct transfer *t, CURLcode result)
{
    struct gemini *m = t->gemini;
    struct egress *g = t->project->egress;
    struct err e = t->why;
    curl_socket_t fd = CURL_SOCKET_BAD;
    if (result || e.code) {
        char text[EXCHANGE_TEXT + 1];
        snprintf(text, sizeof text, "%s",
                 e.code        ? e.text
                 : t->error[0] ? t->error
                               : g->curl->easy_strerror(result));
        if (result == CURLE_COULDNT_CONNECT && !e.code)
            transfer_unconnected(t, text);
        else
            transfer_finish(t, e.code ? e.code : ERR_UNREACHABLE, text);
        return;
    }
    enum err_code rc = check_pin(t, &e);
    if (rc == ERR_OK &&
        (g->curl->easy_getinfo(t->easy, CURLINFO_ACTIVESOCKET, &fd) || fd == CURL_SOCKET_BAD))
        rc = err_set(&e, ERR_UNREACHABLE, "the connection is gone");
    if (rc == ERR_OK) {
        multi_forget_socket(t->project, fd);
        rc = loop_io_add(g->loop, &m->io, fd, EPOLLIN | EPOLLOUT, on_event, &e);
    }
    if (rc)
        transfer_finish(t, rc, e.text);
    else
        m->fd = fd;
}

void gemini_resume(struct transfer *t)
{
    struct gemini *m = t->gemini;
    struct err e;
    if (!m || m->fd < 0 || m->io.fd >= 0)
        return;
    if (loop_io_add(t->project->egress->loop, &m->io, m->fd, EPOLLIN, on_event, &e))
        transfer_finish(t, ERR_IO, e.text);
    else
        read_all(m); /* TLS may hold bytes that the socket no longer has */
}

void gemini_end(struct transfer *t)
{
    struct gemini *m = t->gemini;
    if (!m)
        return;
    loop_io_del(t->project->egress->loop, &m->io);
    multi_remove(t); /* closes the connection */
    if (t->easy)
        t->project->egress->curl->easy_cleanup(t->easy);
    t->easy = NULL;
    t->gemini = NULL;
    free(m);
}
