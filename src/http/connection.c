#include "http/connection.h"

#include "http/problem.h"

#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    EMPTY_LINES = 4,          /* CRLFs before a request line that are read over */
    LINGER_US = 2000000,      /* reading on after the last answer, so that it arrives */
    LINGER_BYTES = 16 << 20,  /* more than the sockets of both ends hold */
    HALF_CLOSED_US = 1000000, /* a client that sent its end gets this long between outputs */
    BODY_GRACE_US = 10000000, /* before the rate of a body counts */
};

/* Which state may follow which. */
static const bool legal[CONN_STATES][CONN_STATES] = {
    [CONN_IDLE] = {[CONN_HEAD] = true,
                   [CONN_BODY] = true,
                   [CONN_RUN] = true,
                   [CONN_LINGER] = true,
                   [CONN_CLOSED] = true},
    [CONN_HEAD] = {[CONN_BODY] = true, [CONN_RUN] = true, [CONN_CLOSED] = true},
    [CONN_BODY] = {[CONN_RUN] = true, [CONN_FLUSH] = true, [CONN_CLOSED] = true},
    [CONN_RUN] = {[CONN_FLUSH] = true, [CONN_CLOSED] = true},
    [CONN_FLUSH] = {[CONN_IDLE] = true, [CONN_LINGER] = true, [CONN_CLOSED] = true},
    [CONN_LINGER] = {[CONN_CLOSED] = true},
};

static void enter(struct http_conn *c, enum conn_state next)
{
    assert(legal[c->state][next]);
    c->state = next;
    c->since_us = loop_now(c->server->loop);
}

/* The transport. */

static ssize_t receive(struct http_conn *c, void *p, size_t n)
{
    ssize_t got;
    do
        got = recv(c->io.fd, p, n, 0);
    while (got < 0 && errno == EINTR);
    return got;
}

static ssize_t transmit(struct http_conn *c, const void *p, size_t n)
{
    ssize_t sent;
    do
        sent = send(c->io.fd, p, n, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent;
}

/* Deadlines. */

/* Does the kernel wait for the client to take what was sent? */
static bool is_stalled(const struct http_conn *c)
{
    return c->io.events & EPOLLOUT;
}

static uint64_t deadline(const struct http_conn *c)
{
    const uint64_t *limit = c->server->limits->v;
    uint64_t at = UINT64_MAX;
    switch (c->state) {
    case CONN_IDLE:
        at = c->since_us + limit[LIMIT_KEEP_ALIVE];
        break;
    case CONN_HEAD:
        at = c->since_us + limit[LIMIT_HEADER_TIME];
        break;
    case CONN_BODY:
        if (c->window)
            at = c->since_us + limit[LIMIT_BODY_IDLE];
        break;
    case CONN_RUN:
        if (c->eof)
            at = c->since_us + HALF_CLOSED_US;
        break;
    case CONN_LINGER:
        return c->since_us + LINGER_US;
    case CONN_FLUSH:
    case CONN_CLOSED:
    case CONN_STATES:
        break;
    }
    if (is_stalled(c) && c->out_us + limit[LIMIT_CLIENT_STALL] < at)
        at = c->out_us + limit[LIMIT_CLIENT_STALL];
    return at;
}

static void on_timeout(struct loop_timer *t);

/* Makes sure that the timer fires no later than the deadline. */
static void arm(struct http_conn *c)
{
    uint64_t at = deadline(c);
    if (c->state != CONN_CLOSED && at != UINT64_MAX && (!c->timer.slot || c->timer.at_us > at))
        loop_timer_start(c->server->loop, &c->timer, at, on_timeout);
}

/* Ending. */

void http_fail(struct http_conn *c)
{
    struct http_server *s = c->server;
    if (c->state == CONN_CLOSED)
        return;
    enter(c, CONN_CLOSED);
    int fd = c->io.fd;
    loop_timer_stop(s->loop, &c->timer);
    loop_io_del(s->loop, &c->io);
    close(fd);
    http_give_back(s, &c->in);
    http_give_back(s, &c->out);
    http_server_left(s, &c->peer);
    list_remove(&c->dirty);
    list_remove(&c->node);
    list_push(&s->dead, &c->node);
    loop_task_add(s->loop, &s->turn_end);
    if (c->owner) {
        s->ops->on_gone(c);
        c->owner = NULL;
    }
}

static void linger(struct http_conn *c)
{
    shutdown(c->io.fd, SHUT_WR);
    enter(c, CONN_LINGER);
    http_give_back(c->server, &c->in);
    c->linger_bytes = 0;
    loop_io_mod(c->server->loop, &c->io, EPOLLIN);
    arm(c);
}

/* The platform's own answer to a request that can't be handed on. */
static void refuse(struct http_conn *c, enum err_code code, const char *detail)
{
    if (c->state == CONN_IDLE || c->state == CONN_HEAD)
        enter(c, CONN_RUN);
    http_problem(c, &(struct problem){.code = code, .detail = detail, .close = true});
}

static bool body_too_slow(struct http_conn *c, uint64_t now)
{
    uint64_t us = c->body_us + (c->window ? now - c->body_open_us : 0);
    return us > BODY_GRACE_US &&
           c->body_bytes < us / 1000000u * c->server->limits->v[LIMIT_BODY_RATE];
}

/* The client is too slow to send its body: 408 if nothing was answered yet. */
static void give_up_body(struct http_conn *c)
{
    if (c->answer != ANSWER_NONE) {
        http_fail(c);
        return;
    }
    if (c->owner) {
        c->server->ops->on_gone(c);
        c->owner = NULL;
    }
    refuse(c, ERR_REQUEST_TIMEOUT, "the body did not arrive in time");
}

static void on_timeout(struct loop_timer *t)
{
    struct http_conn *c = LIST_ITEM(t, struct http_conn, timer);
    if (loop_now(c->server->loop) < deadline(c)) {
        arm(c);
        return;
    }
    if (is_stalled(c)) {
        http_fail(c);
        return;
    }
    switch (c->state) {
    case CONN_HEAD:
        refuse(c, ERR_REQUEST_TIMEOUT, "the head did not arrive in time");
        break;
    case CONN_BODY:
        give_up_body(c);
        break;
    case CONN_IDLE:
    case CONN_RUN:
    case CONN_FLUSH:
    case CONN_LINGER:
    case CONN_CLOSED:
    case CONN_STATES:
        http_fail(c);
    }
}

/* Input. */

/* Who the client is: from the socket, or from trusted proxies. */
static void identify(struct http_conn *c, const struct http_request *r)
{
    c->client = c->socket_client;
    c->https = false;
    if (!c->trusted)
        return;
    bool standard = http_field(r, SLICE("Forwarded")).p != NULL, on = true, proto = false;
    struct slice chain = standard ? SLICE("Forwarded") : SLICE("X-Forwarded-For");
    struct slice scheme = standard ? SLICE("Forwarded") : SLICE("X-Forwarded-Proto");
    for (size_t i = r->count; i-- > 0;) { /* the nearest proxy's field is the last */
        if (on && slice_ieq(r->fields[i].name, chain))
            on = forwarded_client(&c->server->trusted, r->fields[i].value, standard, &c->client);
        if (!proto && slice_ieq(r->fields[i].name, scheme)) {
            proto = true;
            c->https = forwarded_https(r->fields[i].value, standard);
        }
    }
}

static void on_content(void *owner, struct slice bytes)
{
    struct http_conn *c = owner;
    if (c->state != CONN_BODY)
        return; /* answered in the middle of it */
    c->window -= bytes.n < c->window ? bytes.n : c->window;
    c->body_bytes += bytes.n;
    c->server->ops->on_body(c, bytes);
}

/* One head from the start of `bytes`: false if it must wait for more. */
static bool take_head(struct http_conn *c, struct slice *bytes)
{
    struct http_server *s = c->server;
    struct err e;
    size_t size;
    if (c->fresh) {
        enum err_code rc = proxy_header(*bytes, &size, &c->socket_client, &e);
        if (!rc && size == SIZE_MAX)
            return false;
        c->fresh = false;
        if (rc) {
            refuse(c, rc, e.text);
            return true;
        }
        *bytes = slice_from(*bytes, size);
    }
    while (c->scanned == 0 && bytes->n >= 2 && memcmp(bytes->p, "\r\n", 2) == 0 &&
           c->empty_lines < EMPTY_LINES) {
        *bytes = slice_from(*bytes, 2);
        c->empty_lines++;
    }
    enum err_code rc = ERR_OK;
    size = 0;
    if (bytes->n)
        rc = http_head_end(*bytes, s->limits, &c->scanned, &size, &e);
    if (!rc && size == 0)
        return false;
    c->answer = ANSWER_NONE;
    c->head_only = c->accepts_html = false;
    c->minor = 1;
    c->requests++;
    c->close = s->draining || (s->limits->v[LIMIT_KEEP_REQUESTS] &&
                               c->requests >= s->limits->v[LIMIT_KEEP_REQUESTS]);
    struct http_request *r = &s->request;
    c->parser.on_body = on_content;
    c->parser.owner = c;
    if (!rc)
        rc = http_head_parse(&c->parser, slice_make(bytes->p, size), s->limits, r, &e);
    if (rc) {
        refuse(c, rc, e.text);
        return true;
    }
    *bytes = slice_from(*bytes, size);
    c->scanned = 0;
    c->empty_lines = 0;
    c->minor = r->minor;
    c->head_only = slice_eq(r->method, SLICE("HEAD"));
    c->accepts_html = r->accepts_html;
    c->close |= !r->keep_alive;
    c->expect = r->expect_continue && c->parser.in_body && bytes->n == 0;
    c->window = 0;
    c->body_us = c->body_bytes = 0;
    identify(c, r);
    enter(c, c->parser.in_body ? CONN_BODY : CONN_RUN);
    s->ops->on_request(c, r);
    return true;
}

static bool take_body(struct http_conn *c, struct slice *bytes)
{
    struct err e;
    size_t used, n = bytes->n < c->window ? bytes->n : c->window;
    if (n == 0)
        return false;
    c->since_us = loop_now(c->server->loop);
    enum err_code rc = http_body_parse(&c->parser, slice_make(bytes->p, n), &used, &e);
    if (c->state != CONN_BODY)
        return true;
    if (rc) {
        bool answered = c->answer != ANSWER_NONE;
        if (c->owner) {
            c->server->ops->on_gone(c);
            c->owner = NULL;
        }
        if (answered)
            http_fail(c);
        else
            refuse(c, rc, e.text);
        return true;
    }
    *bytes = slice_from(*bytes, used);
    if (!c->parser.in_body) {
        enter(c, CONN_RUN);
        c->server->ops->on_body_end(c);
    } else if (body_too_slow(c, c->since_us)) {
        give_up_body(c);
    } else if (!c->window) {
        c->body_us += loop_now(c->server->loop) - c->body_open_us;
    }
    return true;
}

/* Takes what can be taken from `bytes`; what is left must wait. */
static void advance(struct http_conn *c, struct slice *bytes)
{
    bool more = true;
    while (more) {
        switch (c->state) {
        case CONN_IDLE:
        case CONN_HEAD:
            more = take_head(c, bytes);
            break;
        case CONN_BODY:
            more = take_body(c, bytes);
            break;
        case CONN_RUN:
        case CONN_FLUSH:
        case CONN_LINGER:
        case CONN_CLOSED:
        case CONN_STATES:
            more = false;
        }
    }
    if (c->state == CONN_IDLE && bytes->n)
        enter(c, CONN_HEAD);
}

/* As advance() with what waits in `in`. */
static void advance_buffered(struct http_conn *c)
{
    struct slice bytes = buf_slice(&c->in);
    size_t before = bytes.n;
    advance(c, &bytes);
    if (c->state == CONN_CLOSED || c->state == CONN_LINGER)
        return;
    buf_consume(&c->in, before - bytes.n);
    if (!buf_size(&c->in))
        http_give_back(c->server, &c->in);
}

/* What epoll should tell about: input only while somebody takes it. */
static void watch(struct http_conn *c)
{
    uint32_t events = buf_size(&c->out) && c->io.events & EPOLLOUT ? EPOLLOUT : 0;
    bool wanted = true;
    switch (c->state) {
    case CONN_BODY:
        wanted = c->window > 0;
        break;
    case CONN_RUN:
    case CONN_FLUSH:
        wanted = !c->eof && buf_size(&c->in) < HTTP_PIPELINE;
        break;
    case CONN_IDLE:
    case CONN_HEAD:
    case CONN_LINGER:
        break;
    case CONN_CLOSED:
    case CONN_STATES:
        return;
    }
    loop_io_mod(c->server->loop, &c->io, events | (wanted ? EPOLLIN : 0));
}

static void on_eof(struct http_conn *c)
{
    if (c->state != CONN_RUN && c->state != CONN_FLUSH) {
        http_fail(c);
        return;
    }
    /* It may only have shut its sending end and still wait for the answer; if it is gone, what
     * we send next will say so. */
    c->eof = true;
    c->close = true;
    c->since_us = loop_now(c->server->loop);
    watch(c);
    arm(c);
}

static void drain_lingering(struct http_conn *c)
{
    ssize_t n = receive(c, c->server->scratch, HTTP_SCRATCH);
    if (n < 0 && errno == EAGAIN)
        return;
    c->linger_bytes += n > 0 ? (uint64_t)n : 0;
    if (n <= 0 || c->linger_bytes > LINGER_BYTES)
        http_fail(c);
}

static void on_readable(struct http_conn *c)
{
    struct http_server *s = c->server;
    if (c->state == CONN_LINGER) {
        drain_lingering(c);
        return;
    }
    if (c->state == CONN_BODY && !c->window) {
        watch(c);
        return;
    }
    bool buffered = buf_size(&c->in) > 0;
    size_t room = HTTP_SCRATCH;
    char *at = s->scratch;
    if (buffered) {
        room = c->in.limit - buf_size(&c->in) < room ? c->in.limit - buf_size(&c->in) : room;
        at = room ? buf_reserve(&c->in, room) : NULL;
        if (!at) {
            if (room)
                http_fail(c); /* no memory */
            else
                watch(c);
            return;
        }
    }
    ssize_t n = receive(c, at, room);
    if (n < 0) {
        if (errno != EAGAIN)
            http_fail(c);
        return;
    }
    if (n == 0) {
        on_eof(c);
        return;
    }
    if (buffered) {
        buf_commit(&c->in, (size_t)n);
        advance_buffered(c);
    } else {
        struct slice bytes = slice_make(at, (size_t)n);
        advance(c, &bytes);
        if (bytes.n && c->state != CONN_CLOSED && c->state != CONN_LINGER) {
            http_borrow(s, &c->in);
            if (!buf_add(&c->in, bytes.p, bytes.n)) {
                http_fail(c);
                return;
            }
        }
    }
    watch(c);
    arm(c);
}

/* Output. */

void http_dirty(struct http_conn *c)
{
    if (c->state != CONN_CLOSED && list_empty(&c->dirty)) {
        list_push(&c->server->dirty, &c->dirty);
        loop_task_add(c->server->loop, &c->server->turn_end);
    }
}

void http_answered(struct http_conn *c)
{
    c->owner = NULL;
    if (c->state == CONN_BODY)
        c->close = true; /* what is left of the body would be taken for a request */
    enter(c, CONN_FLUSH);
    http_dirty(c);
}

void http_window(struct http_conn *c, size_t n)
{
    if (c->state != CONN_BODY)
        return;
    if (!c->window)
        c->body_open_us = c->since_us = loop_now(c->server->loop);
    c->window += n;
    if (c->expect) {
        c->expect = false;
        http_answer_continue(c);
    }
    http_dirty(c); /* the turn's end reads on */
}

/* The answer has left: the next request, or the end. */
static void finish(struct http_conn *c)
{
    if (c->close || c->server->draining) {
        linger(c);
        return;
    }
    enter(c, CONN_IDLE);
    if (buf_size(&c->in))
        advance_buffered(c);
}

void http_conn_flush(struct http_conn *c)
{
    struct http_server *s = c->server;
    if (c->answer == ANSWER_HELD)
        http_answer_release(c);
    if (buf_size(&c->out)) {
        uint64_t now = loop_now(s->loop);
        ssize_t n = transmit(c, buf_data(&c->out), buf_size(&c->out));
        if (n < 0 && errno != EAGAIN) {
            http_fail(c);
            return;
        }
        if (n > 0) {
            buf_consume(&c->out, (size_t)n);
            if (c->eof)
                c->since_us = now;
        }
        if (n > 0 || !is_stalled(c))
            c->out_us = now;
        if (buf_size(&c->out)) {
            loop_io_mod(s->loop, &c->io, c->io.events | EPOLLOUT);
            arm(c);
            return;
        }
        http_give_back(s, &c->out);
        if (c->owner)
            s->ops->on_drained(c);
    }
    if (c->state == CONN_FLUSH)
        finish(c);
    else if (c->state == CONN_BODY && c->window && buf_size(&c->in))
        advance_buffered(c);
    watch(c);
    arm(c);
}

static void on_event(struct loop_io *io, uint32_t events)
{
    struct http_conn *c = LIST_ITEM(io, struct http_conn, io);
    if (events & (EPOLLERR | EPOLLHUP)) {
        http_fail(c);
        return;
    }
    if (events & EPOLLOUT)
        http_conn_flush(c);
    if (events & EPOLLIN && c->state != CONN_CLOSED)
        on_readable(c);
}

enum err_code http_conn_open(struct http_server *s, int fd, const struct http_address *peer,
                             bool trusted, struct err *e)
{
    int one = 1;
    struct http_conn *c = calloc(1, sizeof *c);
    if (!c)
        return err_set(e, ERR_MEMORY, "no memory for a connection");
    c->server = s;
    c->peer = c->socket_client = c->client = *peer;
    c->trusted = c->fresh = trusted;
    list_init(&c->node);
    list_init(&c->dirty);
    buf_init(&c->in, s->limits->v[LIMIT_HEADERS] + s->limits->v[LIMIT_REQUEST_LINE] + HTTP_SCRATCH);
    buf_init(&c->out, HTTP_OUT_MOST);
    enum err_code rc = loop_io_add(s->loop, &c->io, fd, EPOLLIN, on_event, e);
    if (rc) {
        free(c);
        return rc;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->since_us = loop_now(s->loop);
    list_push(&s->conns, &c->node);
    s->count++;
    arm(c);
    return ERR_OK;
}

void http_conn_drain(struct http_conn *c)
{
    c->close = true;
    if (c->state == CONN_IDLE)
        http_fail(c);
}
