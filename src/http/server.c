#include "http/server.h"

#include "base/log.h"
#include "http/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    ACCEPT_BATCH = 64,        /* connections taken in one turn */
    DESCRIPTORS_PERCENT = 80, /* of RLIMIT_NOFILE may be connections */
    REFUSED_LOG_US = 1000000,
};

/* Connections of one address. */
struct peer {
    struct http_address address;
    size_t count;
};

/* Buffers. */

void http_borrow(struct http_server *s, struct buf *b)
{
    if (!b->p && s->spare_count) {
        size_t limit = b->limit;
        *b = s->spares[--s->spare_count];
        b->limit = limit;
    }
}

void http_give_back(struct http_server *s, struct buf *b)
{
    if (b->p && b->cap <= HTTP_SPARE_MOST && s->spare_count < HTTP_SPARES) {
        size_t limit = b->limit;
        buf_clear(b);
        s->spares[s->spare_count++] = *b;
        buf_init(b, limit);
    } else {
        buf_done(b);
    }
}

/* Peers. */

static struct slice peer_key(const struct http_address *a)
{
    return slice_make(a->b, sizeof a->b);
}

void http_server_left(struct http_server *s, const struct http_address *peer)
{
    struct peer *p = map_get(&s->peers, peer_key(peer));
    if (p && --p->count == 0) {
        map_remove(&s->peers, peer_key(&p->address));
        free(p);
    }
}

/* Counts the connection for its address; false if that has too many. */
static bool remember_peer(struct http_server *s, const struct http_address *a, bool trusted)
{
    uint64_t most = s->limits->v[LIMIT_ADDRESS_CONNECTIONS];
    struct peer *p = map_get(&s->peers, peer_key(a));
    if (!p) {
        p = calloc(1, sizeof *p);
        if (!p)
            return false;
        p->address = *a;
        if (!map_put(&s->peers, peer_key(&p->address), p)) {
            free(p);
            return false;
        }
    }
    if (most && p->count >= most && !trusted)
        return false;
    p->count++;
    return true;
}

/* Listening. */

static void count_refused(struct http_server *s, const char *why)
{
    uint64_t now = loop_now(s->loop);
    s->refused++;
    if (now - s->refused_logged_us > REFUSED_LOG_US) {
        s->refused_logged_us = now;
        log_line(LOG_WARNING, "connection_refused", "why=%s refused=%llu", why,
                 (unsigned long long)s->refused);
    }
}

static void accept_one(struct http_server *s, int fd, const struct sockaddr_storage *sa)
{
    uint16_t port;
    struct http_address peer = address_of(sa, &port);
    bool trusted = cidr_match(&s->trusted, &peer);
    if (s->count >= s->most) {
        count_refused(s, "descriptors");
        close(fd);
        return;
    }
    if (!remember_peer(s, &peer, trusted)) {
        count_refused(s, "address");
        close(fd);
        return;
    }
    struct err e;
    if (http_conn_open(s, fd, &peer, trusted, &e)) {
        count_refused(s, "memory");
        http_server_left(s, &peer);
        close(fd);
    }
}

static void on_listener(struct loop_io *io, uint32_t events)
{
    struct http_server *s = LIST_ITEM(io, struct http_server, listener);
    (void)events;
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        struct sockaddr_storage sa;
        socklen_t n = sizeof sa;
        int fd = accept4(io->fd, (struct sockaddr *)&sa, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
                count_refused(s, "descriptors");
            return;
        }
        accept_one(s, fd, &sa);
    }
}

/* Life. */

static void on_turn_end(struct loop_task *t)
{
    struct http_server *s = LIST_ITEM(t, struct http_server, turn_end);
    struct list now;
    list_init(&now);
    for (struct list *n; (n = list_pop(&s->dirty));)
        list_push(&now, n);
    for (struct list *n; (n = list_pop(&now));)
        http_conn_flush(LIST_ITEM(n, struct http_conn, dirty));
    bool ended = !list_empty(&s->dead);
    for (struct list *n; (n = list_pop(&s->dead));) {
        free(LIST_ITEM(n, struct http_conn, node));
        s->count--;
    }
    if (ended && s->draining && s->count == 0 && s->on_empty)
        s->on_empty(s);
}

enum err_code http_server_init(struct http_server *s, struct loop *loop, int fd, bool shared,
                               struct err *e)
{
    struct sockaddr_storage sa = {0};
    socklen_t n = sizeof sa;
    struct rlimit files;
    s->loop = loop;
    s->listener.fd = -1;
    list_init(&s->conns);
    list_init(&s->dirty);
    list_init(&s->dead);
    loop_task_init(&s->turn_end, on_turn_end);
    if (getsockname(fd, (struct sockaddr *)&sa, &n) == 0)
        address_of(&sa, &s->port);
    s->most = 1000;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        s->most = files.rlim_cur * DESCRIPTORS_PERCENT / 100;
    s->scratch = malloc(HTTP_SCRATCH);
    if (!s->scratch)
        return err_set(e, ERR_MEMORY, "no memory for a server");
    return loop_io_add(loop, &s->listener, fd, EPOLLIN | (shared ? EPOLLEXCLUSIVE : 0), on_listener,
                       e);
}

void http_server_drain(struct http_server *s)
{
    int fd = s->listener.fd;
    if (s->draining)
        return;
    s->draining = true;
    loop_io_del(s->loop, &s->listener);
    if (fd >= 0)
        close(fd);
    LIST_EACH(n, &s->conns)
        http_conn_drain(LIST_ITEM(n, struct http_conn, node));
    if (s->count == 0 && s->on_empty)
        s->on_empty(s);
}

void http_server_done(struct http_server *s)
{
    if (!s->loop)
        return;
    int fd = s->listener.fd;
    loop_io_del(s->loop, &s->listener);
    if (fd >= 0)
        close(fd);
    while (!list_empty(&s->conns))
        http_fail(LIST_ITEM(s->conns.next, struct http_conn, node));
    for (struct list *n; (n = list_pop(&s->dead));)
        free(LIST_ITEM(n, struct http_conn, node));
    loop_task_cancel(&s->turn_end);
    while (s->spare_count)
        buf_done(&s->spares[--s->spare_count]);
    map_done(&s->peers);
    cidr_done(&s->trusted);
    free(s->scratch);
    s->loop = NULL;
}
