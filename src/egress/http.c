/* HTTP, by libcurl: one request with everything of libcurl's own mind switched off.
 *
 * No redirect is followed, no proxy, cookie, netrc file, password or compression is used, and
 * certificates are always verified. The request line is the normalised URL that the policies saw,
 * byte for byte; Host and the framing are libcurl's own. The name is never resolved by libcurl: it
 * is told to connect to the address that passed (CURLOPT_CONNECT_TO), asks us for the socket, and
 * asks again before it sends anything on a connection, a kept one too. */
#include "egress/private.h"

#include "base/brand.h"

#include <stdio.h>
#include <unistd.h>

static bool is_checked(const struct transfer *t, const struct http_address *a, uint16_t port)
{
    return t->address_at < t->address_count && port == t->url.port &&
           memcmp(a->b, transfer_address(t)->b, sizeof a->b) == 0;
}

static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *sa)
{
    const struct transfer *t = arg;
    struct sockaddr_storage copy = {0};
    uint16_t port;
    if (purpose != CURLSOCKTYPE_IPCXN || sa->addrlen > sizeof copy)
        return CURL_SOCKET_BAD;
    memcpy(&copy, &sa->addr, sa->addrlen);
    struct http_address a = address_of(&copy, &port);
    if (!is_checked(t, &a, port))
        return CURL_SOCKET_BAD;
    return socket(sa->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, sa->protocol);
}

static int on_prereq(void *arg, char *their, char *our, int their_port, int our_port)
{
    struct transfer *t = arg;
    struct http_address a;
    (void)our;
    (void)our_port;
    if (!address_parse(slice_str(their), &a) || !is_checked(t, &a, (uint16_t)their_port)) {
        err_set(&t->why, ERR_INTERNAL, "a connection to an address that was not checked");
        return CURL_PREREQFUNC_ABORT;
    }
    transfer_connected(t);
    return CURL_PREREQFUNC_OK;
}

/* ---- libcurl calls: bytes ---- */

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    bool before = t->head.done;
    if (head_line(&t->head, slice_make(p, size * n), &t->why))
        return 0;
    if (t->head.done && !before)
        transfer_answer(t, buf_slice(&t->head.text));
    if (t->head.done && t->head.has_length && !t->head.coded && !t->head.length)
        transfer_complete(t);
    return size * n;
}

static size_t on_answer(char *p, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    if (buf_size(&t->rest)) {
        t->paused |= CURLPAUSE_RECV;
        return CURL_WRITEFUNC_PAUSE;
    }
    if (!transfer_count(t, 0, size * n))
        return 0;
    if (!transfer_output(t, slice_make(p, size * n))) {
        err_set(&t->why, ERR_MEMORY, "no memory for the answer");
        return 0;
    }
    if (t->head.has_length && !t->head.coded && t->received == t->head.length)
        transfer_complete(t);
    return size * n;
}

static size_t on_request(char *out, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    size_t got = transfer_take(t, out, size * n);
    if (t->body_last && !buf_size(&t->body))
        transfer_sent(t);
    if (!got && !t->body_last) {
        t->paused |= CURLPAUSE_SEND;
        return CURL_READFUNC_PAUSE;
    }
    return transfer_count(t, got, 0) ? got : CURL_READFUNC_ABORT;
}

/* ---- options ---- */

void checked_options(struct transfer *t)
{
    const struct curl_api *curl = t->project->egress->curl;
    curl->easy_setopt(t->easy, CURLOPT_PRIVATE, t);
    curl->easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->error);
    curl->easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L);
    curl->easy_setopt(t->easy, CURLOPT_PROXY, "");
    curl->easy_setopt(t->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl->easy_setopt(t->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl->easy_setopt(t->easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    curl->easy_setopt(t->easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    curl->easy_setopt(t->easy, CURLOPT_OPENSOCKETDATA, t);
    curl->easy_setopt(t->easy, CURLOPT_CLOSESOCKETFUNCTION, multi_close_socket);
    curl->easy_setopt(t->easy, CURLOPT_CLOSESOCKETDATA, t->project);
    curl->easy_setopt(t->easy, CURLOPT_PREREQFUNCTION, on_prereq);
    curl->easy_setopt(t->easy, CURLOPT_PREREQDATA, t);
}

static enum err_code open_handle(struct transfer *t, struct err *e)
{
    const struct egress *g = t->project->egress;
    const struct curl_api *curl = g->curl;
    t->easy = curl->easy_init();
    if (!t->easy)
        return err_set(e, ERR_MEMORY, "no memory for a request");
    checked_options(t);
    bool ok = trust_set(g->trust, t->easy) &&
              !curl->easy_setopt(t->easy, CURLOPT_SSL_VERIFYPEER, 1L) &&
              !curl->easy_setopt(t->easy, CURLOPT_SSL_VERIFYHOST, 2L) &&
              !curl->easy_setopt(t->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) &&
              !curl->easy_setopt(t->easy, CURLOPT_FOLLOWLOCATION, 0L) &&
              !curl->easy_setopt(t->easy, CURLOPT_HTTP09_ALLOWED, 0L) &&
              !curl->easy_setopt(t->easy, CURLOPT_PATH_AS_IS, 1L) &&
              !curl->easy_setopt(t->easy, CURLOPT_HEADERFUNCTION, on_header) &&
              !curl->easy_setopt(t->easy, CURLOPT_HEADERDATA, t) &&
              !curl->easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_answer) &&
              !curl->easy_setopt(t->easy, CURLOPT_WRITEDATA, t) &&
              !curl->easy_setopt(t->easy, CURLOPT_READFUNCTION, on_request) &&
              !curl->easy_setopt(t->easy, CURLOPT_READDATA, t);
    if (ok)
        return ERR_OK;
    curl->easy_cleanup(t->easy);
    t->easy = NULL;
    return err_set(e, ERR_INTERNAL, "libcurl lacks an option that egress needs");
}

/* The list is ours, node by node: libcurl only reads it, and nothing is allocated. */
static struct curl_slist *field_list(struct transfer *t)
{
    static char via[] = "Via: 1.1 " BRAND_COMMAND, agent[] = "User-Agent: " BRAND_SERVER;
    static char accept[] = "Accept:", expect[] = "Expect:"; /* libcurl's own: not sent */
    char *const ours[] = {via, accept, expect, t->has_agent ? NULL : agent};
    struct curl_slist *nodes = t->field_nodes;
    unsigned n = 0;
    char *p = buf_data(&t->fields);
    for (; n < t->field_count; n++, p += strlen(p) + 1)
        nodes[n].data = p;
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (ours[i])
            nodes[n++].data = ours[i];
    for (unsigned i = 0; i < n; i++)
        nodes[i].next = i + 1 < n ? &nodes[i + 1] : NULL;
    return nodes;
}

/* Methods that come with a body get its framing even when it is empty (RFC 9110 8.6). */
static bool uploads(const struct transfer *t)
{
    return t->body_kind != BODY_NONE || strcmp(t->method, "POST") == 0 ||
           strcmp(t->method, "PUT") == 0 || strcmp(t->method, "PATCH") == 0;
}

enum err_code http_begin(struct transfer *t, struct err *e)
{
    const struct curl_api *curl = t->project->egress->curl;
    char address[ADDRESS_TEXT];
    enum err_code rc = t->easy ? ERR_OK : open_handle(t, e);
    if (rc)
        return rc;
    int n = snprintf(t->origin, sizeof t->origin, "%.*s://%.*s/", SLICE_ARG(t->url.scheme),
                     SLICE_ARG(t->url.authority));
    if (n < 0 || (size_t)n >= sizeof t->origin)
        return err_set(e, ERR_INVALID, "the host's name is too long");
    address_text(transfer_address(t), address);
    bool v6 = strchr(address, ':');
    snprintf(t->connect_to, sizeof t->connect_to, v6 ? "::[%s]:%u" : "::%s:%u", address,
             t->url.port);
    t->connect_node = (struct curl_slist){.data = t->connect_to};
    t->error[0] = '\0';
    t->paused = 0;
    bool head = t->head.bodyless, upload = uploads(t) && !head;
    curl_off_t length = t->body_kind == BODY_CHUNKED ? -1 : (curl_off_t)t->body_length;
    bool ok =
        !curl->easy_setopt(t->easy, CURLOPT_URL, t->origin) &&
        !curl->easy_setopt(t->easy, CURLOPT_CONNECT_TO, &t->connect_node) &&
        !curl->easy_setopt(t->easy, CURLOPT_UPLOAD, upload ? 1L : 0L) &&
        !curl->easy_setopt(t->easy, CURLOPT_NOBODY, head ? 1L : 0L) &&
        (upload || head || !curl->easy_setopt(t->easy, CURLOPT_HTTPGET, 1L)) &&
        !curl->easy_setopt(t->easy, CURLOPT_INFILESIZE_LARGE, upload ? length : (curl_off_t)-1) &&
        !curl->easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, t->method) &&
        /* path and query lie together at the end of the normal form */
        !curl->easy_setopt(t->easy, CURLOPT_REQUEST_TARGET, t->url.path.p) &&
        !curl->easy_setopt(t->easy, CURLOPT_HTTPHEADER, field_list(t));
    if (!ok)
        return err_set(e, ERR_MEMORY, "no memory for a request");
    return multi_add(t, e);
}

/* ---- the end ---- */

static const char *explain(struct transfer *t, CURLcode result)
{
    if (result == CURLE_GOT_NOTHING)
        return "the server closed the connection without an answer";
    return t->error[0] ? t->error : t->project->egress->curl->easy_strerror(result);
}

void http_done(struct transfer *t, CURLcode result)
{
    char text[EXCHANGE_TEXT + 1];
    struct err why = t->why;
    if (why.code) {
        transfer_finish(t, why.code, why.text);
    } else if (result == CURLE_OK) {
        transfer_finish(t, t->head.done ? ERR_OK : ERR_UNREACHABLE,
                        t->head.done ? "" : explain(t, CURLE_GOT_NOTHING));
    } else {
        snprintf(text, sizeof text, "%s", explain(t, result));
        if (t->phase == PHASE_CONNECTING && result == CURLE_COULDNT_CONNECT)
            transfer_unconnected(t, text);
        else
            transfer_finish(t, ERR_UNREACHABLE, text);
    }
}

void http_resume(struct transfer *t)
{
    int paused = t->paused;
    if (t->body_last || buf_size(&t->body))
        paused &= ~CURLPAUSE_SEND;
    if (!buf_size(&t->rest))
        paused &= ~CURLPAUSE_RECV;
    if (paused == t->paused || !t->added)
        return;
    t->paused = paused; /* before: libcurl may call us, and be paused again */
    CURLcode rc = t->project->egress->curl->easy_pause(t->easy, paused);
    if (rc)
        http_done(t, rc);
}
