/* http://host/… and https://host/…: the guest writes a request as HTTP/1.1 text and reads the
 * answer as HTTP/1.1 text.
 *
 * Rules (guest-abi.md section 2), as decided here:
 * - A request is judged as soon as its head is complete: method and whole URL (the scheme that was
 *   opened, Host or the opened authority, the target) against the policy. Egress judges again.
 * - With Content-Length, or in the guest's own chunks, the body is exactly that and goes out as it
 *   is written. Without, it goes out in chunks and ends at flush or at the first read. GET and
 *   HEAD have one only if a byte other than a line end follows the head.
 * - Nothing written before the first read or flush: a GET of the URL that was opened.
 * - Once the answer was read to its end, or a failure was told by read or flush, a write begins the
 *   next request.
 * - More body than Content-Length says, or reading before all of it was written and before the
 *   answer begins: InvalidArgument; nothing changes. */
#include "guest/http_request.h"
#include "guest/remote.h"
#include "guest/resource.h"

#include <stdlib.h>

enum phase {
    PHASE_HEAD,    /* the head of a request is written, perhaps nothing of it yet */
    PHASE_DECIDED, /* it is complete; flush, read, or a byte of body sends it */
    PHASE_BODY,    /* it was sent; its body is written */
    PHASE_SENT,    /* all of it is on its way */
};

struct http {
    struct remote remote;
    enum phase phase;
    bool asked;      /* a request was made: reading makes none by itself any more */
    bool flat;       /* BODY without a length of its own: flush ends it */
    bool over;       /* the guest was told the end of the answer, or of the request */
    int32_t refused; /* a written request that was not one, or forbidden: what flush and read say */
    uint64_t left;   /* of a body with a length: bytes to come */
    struct guest_chunks chunks;
    struct guest_request request;
    char *url; /* that the request is for, normalised; NULL once it is sent */
    struct slice scheme, authority, opened; /* of the URL that was opened; they point into `text` */
    char text[];
};

static struct http *http_of(const struct descriptor *d)
{
    return d->state;
}

/* Opening and closing */

static int32_t http_opened(struct guest *g, struct descriptor *d)
{
    return remote_opened(g, &http_of(d)->remote);
}

static void http_close(struct guest *g, struct descriptor *d)
{
    struct http *x = d->state;
    remote_close(g, &x->remote);
    guest_request_done(&x->request);
    free(x->url);
    free(x);
    d->state = NULL;
}

static int32_t http_open(struct guest *g, struct descriptor *d, const struct url *url)
{
    struct http *x = calloc(1, sizeof *x + url->size);
    if (!x) {
        resource_say(g, "resource_open: there is no memory for it");
        return RESOURCE_UNKNOWN;
    }
    memcpy(x->text, url->text, url->size);
    x->opened = slice_make(x->text, url->size);
    x->scheme = slice_make(x->text, url->scheme.n);
    x->authority = slice_make(x->text + (url->authority.p - url->text), url->authority.n);
    guest_request_init(&x->request);
    d->state = x;
    int32_t rc = remote_open(g, &x->remote, x->opened);
    if (rc < 0 && rc != RESOURCE_WAIT)
        http_close(g, d);
    return rc;
}

/* Making a request */

static int32_t invalid(struct guest *g, const struct http *x, const char *why)
{
    char url[LEDGER_URL + 1];
    url_redact(x->opened, url, sizeof url);
    bool malformed = x->request.state == GUEST_REQUEST_BAD;
    resource_say(g, "%s: %s%s", url, malformed ? "a malformed request: " : "", why);
    return RESOURCE_INVALID;
}

static void forget_request(struct http *x)
{
    guest_request_init(&x->request);
    x->chunks = (struct guest_chunks){0};
    x->phase = PHASE_HEAD;
    x->over = x->flat = false;
    x->refused = 0;
    x->left = 0;
    free(x->url);
    x->url = NULL;
}

/* Once read or flush have told the end or a failure, the next request may be written. */
static int32_t tell(struct http *x, int32_t code)
{
    if (code < 0 && code != RESOURCE_WAIT)
        x->over = true;
    return code;
}

/* There is no request: a write begins the next one. */
static int32_t refuse(struct http *x, int32_t code)
{
    forget_request(x);
    x->refused = code;
    x->over = true;
    return code;
}

/* May this method be used on this URL? Then it is what the request is for. */
static int32_t judge(struct guest *g, struct http *x, struct slice method, const struct url *url)
{
    struct policy_decision decision;
    policy_decide(g->policy, url, method, &decision);
    if (!decision.allowed)
        return resource_refuse(g, url_slice(url), false, slice_str(decision.why));
    x->url = strndup(url->text, url->size);
    return x->url ? 0 : invalid(g, x, "there is no memory for the request");
}

/* The head of the guest's request is complete. A negative code: there is no request. */
static int32_t decide(struct guest *g, struct http *x)
{
    const struct guest_request *q = &x->request;
    struct url url;
    struct err e;
    bool origin = *q->target.p == '/';
    enum err_code rc =
        origin ? url_join(x->scheme, q->host.p ? q->host : x->authority, q->target, &url, &e)
               : url_parse(q->target, &url, &e);
    if (rc)
        return invalid(g, x, e.text);
    if (!slice_eq(url.scheme, x->scheme))
        return invalid(g, x, "the request's target has another scheme than was opened");
    int32_t code = judge(g, x, q->method, &url);
    if (code < 0)
        return code;
    x->asked = true;
    x->phase = PHASE_DECIDED;
    return 0;
}

static void send_request(struct descriptor *d, enum exchange_body body)
{
    struct http *x = d->state;
    const struct guest_request *q = &x->request;
    remote_request(&x->remote, q->method, x->url, buf_slice(&q->fields), body, q->length);
    x->url = NULL; /* the exchange's now */
    x->left = body == BODY_LENGTH ? q->length : 0;
    x->phase = body == BODY_NONE || (body == BODY_LENGTH && !x->left) ? PHASE_SENT : PHASE_BODY;
    if (d->use)
        d->use->row.requests++;
}

/* A GET of the URL that was opened. */
static int32_t send_get(struct guest *g, struct descriptor *d)
{
    struct http *x = d->state;
    struct url url;
    struct err e;
    if (url_parse(x->opened, &url, &e))
        return invalid(g, x, e.text);
    int32_t code = judge(g, x, SLICE("GET"), &url);
    if (code < 0)
        return refuse(x, code);
    x->asked = true;
    x->request.method = SLICE("GET");
    send_request(d, BODY_NONE);
    return 0;
}

/* What flush and read begin with: all that was written goes, or the GET of what was opened.
 * `to_read`: a body must be complete. 0: a request is on its way, or there is none (PHASE_HEAD). */
static int32_t complete(struct guest *g, struct descriptor *d, bool to_read)
{
    struct http *x = d->state;
    int32_t rc = 0;
    if (x->refused)
        return x->refused;
    if (x->phase == PHASE_HEAD && !guest_request_empty(&x->request))
        return invalid(g, x, "the head of the request isn't complete: an empty line ends it");
    if (x->phase == PHASE_HEAD && !x->asked)
        rc = send_get(g, d);
    else if (x->phase == PHASE_DECIDED)
        send_request(d, x->request.body == BODY_LENGTH ? BODY_LENGTH : BODY_NONE);
    if (rc < 0 || x->phase == PHASE_HEAD)
        return rc;
    rc = remote_allowed(g, &x->remote);
    if (rc < 0 || x->phase == PHASE_SENT)
        return tell(x, rc);
    if (x->flat) {
        remote_send_end(&x->remote);
        x->phase = PHASE_SENT;
    } else if (to_read && x->remote.state == REMOTE_RUNNING && !x->remote.answered) {
        return invalid(g, x, "the body of the request isn't complete: read is too early");
    }
    return 0;
}

/* Reading */

static int32_t http_flush(struct guest *g, struct descriptor *d)
{
    return complete(g, d, false);
}

static int32_t http_read(struct guest *g, struct descriptor *d, void *p, uint32_t n)
{
    struct http *x = d->state;
    int32_t rc = complete(g, d, true);
    if (rc < 0)
        return rc;
    if (x->phase == PHASE_HEAD)
        return RESOURCE_END;
    return tell(x, remote_read(g, &x->remote, p, n));
}

static bool http_ready(struct guest *g, struct descriptor *d, bool to_write, uint64_t *ret_bytes,
                       bool *ret_end)
{
    struct http *x = d->state;
    if (to_write) {
        *ret_bytes = x->phase == PHASE_BODY ? remote_room(&x->remote) : RESOURCE_MOST;
        if (*ret_bytes || x->remote.state == REMOTE_FINISHED || x->remote.state == REMOTE_BROKEN)
            return true;
    } else {
        /* What can't be read because of the guest's own doing can be read at once: an error. */
        int32_t rc = complete(g, d, true);
        if (rc != RESOURCE_WAIT) {
            *ret_bytes = remote_ready(&x->remote, ret_end);
            *ret_end |= rc < 0 || x->phase == PHASE_HEAD;
            if (*ret_bytes || *ret_end)
                return true;
        }
    }
    g->waits |= GUEST_WAITS_REMOTE;
    return false;
}

/* Writing */

static int32_t write_head(struct guest *g, struct descriptor *d, struct slice bytes)
{
    struct http *x = d->state;
    struct guest_request *q = &x->request;
    size_t used = guest_request_feed(q, bytes);
    if (q->state == GUEST_REQUEST_MORE)
        return (int32_t)used;
    int32_t rc = q->state == GUEST_REQUEST_BAD ? invalid(g, x, q->why) : decide(g, x);
    if (rc < 0)
        return refuse(x, rc);
    if (q->body == BODY_CHUNKED || (q->body == BODY_LENGTH && q->length))
        send_request(d, q->body);
    return (int32_t)used;
}

static size_t line_ends(struct slice bytes)
{
    size_t n = 0;
    while (n < bytes.n && (bytes.p[n] == '\r' || bytes.p[n] == '\n'))
        n++;
    return n;
}

/* The first bytes of what may become a body without a length: 0 if they do; how many were skipped,
 * or an error. */
static int32_t begin_body(struct guest *g, struct descriptor *d, struct slice bytes)
{
    struct http *x = d->state;
    const struct guest_request *q = &x->request;
    bool bodiless = q->body == BODY_LENGTH || slice_eq(q->method, SLICE("GET")) ||
                    slice_eq(q->method, SLICE("HEAD"));
    size_t skip = bodiless ? line_ends(bytes) : 0;
    if (skip)
        return (int32_t)skip;
    if (q->body == BODY_LENGTH)
        return invalid(g, x, "the request's Content-Length is 0: there is no body to write");
    x->flat = true;
    send_request(d, BODY_CHUNKED);
    return 0;
}

static int32_t write_chunks(struct guest *g, struct http *x, struct slice bytes, uint32_t room)
{
    struct slice content;
    size_t used = guest_chunks_feed(&x->chunks, bytes, room, &content);
    if (content.n)
        remote_send(&x->remote, content.p, (uint32_t)content.n);
    if (x->chunks.state == CHUNK_DONE) {
        remote_send_end(&x->remote);
        x->phase = PHASE_SENT;
    }
    if (x->chunks.state != CHUNK_BAD)
        return (int32_t)used;
    /* Its beginning is out already: there is no way to take it back but to hang up. */
    remote_abort(&x->remote, "the guest's chunked body is malformed");
    return remote_failed(g, &x->remote);
}

static int32_t write_body(struct guest *g, struct http *x, struct slice bytes)
{
    int32_t rc = remote_allowed(g, &x->remote);
    if (rc == 0) /* what failed meanwhile is not worth writing to */
        rc = remote_failed(g, &x->remote);
    if (rc < 0)
        return rc;
    if (x->remote.state == REMOTE_FINISHED)
        return (int32_t)bytes.n; /* the answer came before all of the request: nobody wants it */
    uint32_t room = remote_room(&x->remote);
    if (!room) {
        g->waits |= GUEST_WAITS_REMOTE;
        return RESOURCE_WAIT;
    }
    if (x->request.body == BODY_CHUNKED)
        return write_chunks(g, x, bytes, room);
    uint64_t n = bytes.n < room ? bytes.n : room;
    if (!x->flat && n > x->left)
        n = x->left;
    remote_send(&x->remote, bytes.p, (uint32_t)n);
    if (!x->flat && !(x->left -= n)) {
        remote_send_end(&x->remote);
        x->phase = PHASE_SENT;
    }
    return (int32_t)n;
}

/* A request is complete and its answer perhaps not read: may the next one begin? 0 if so; how many
 * bytes were skipped, RESOURCE_WAIT, or an error. */
static int32_t next_request(struct guest *g, struct http *x, struct slice bytes)
{
    bool end;
    size_t unread = remote_ready(&x->remote, &end);
    if (end) {
        forget_request(x);
        return 0;
    }
    size_t skip = line_ends(bytes);
    if (skip)
        return (int32_t)skip; /* after its body (RFC 9112 2.2) */
    if (!unread && x->remote.answered) {
        g->waits |= GUEST_WAITS_REMOTE; /* its end may be on the way */
        return RESOURCE_WAIT;
    }
    return invalid(g, x, "the answer to the request before wasn't read to its end");
}

static int32_t http_write(struct guest *g, struct descriptor *d, const void *p, uint32_t n)
{
    struct http *x = d->state;
    struct slice bytes = slice_make(p, n);
    int32_t rc = 0;
    if (x->over)
        forget_request(x);
    if (x->phase == PHASE_SENT)
        rc = next_request(g, x, bytes);
    else if (x->phase == PHASE_DECIDED)
        rc = begin_body(g, d, bytes);
    if (rc)
        return rc;
    return x->phase == PHASE_HEAD ? write_head(g, d, bytes) : write_body(g, x, bytes);
}

const struct scheme scheme_http = {.name = "http",
                                   .remote = true,
                                   .open = http_open,
                                   .opened = http_opened,
                                   .read = http_read,
                                   .write = http_write,
                                   .flush = http_flush,
                                   .close = http_close,
                                   .ready = http_ready};
const struct scheme scheme_https = {.name = "https",
                                    .remote = true,
                                    .open = http_open,
                                    .opened = http_opened,
                                    .read = http_read,
                                    .write = http_write,
                                    .flush = http_flush,
                                    .close = http_close,
                                    .ready = http_ready};
