/* A flood of questions is bounded by count, in all and for each owner, and each by c-ares' own
 * tries: a server that never answers holds a place for TIMEOUT_MS × (1 + 2 + 4) at most, a
 * server. Answers are bounded by the protocol and by what is kept of them. */
#include "egress/resolve.h"

#include "base/log.h"

#include <ares.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    TIMEOUT_MS = 800, /* of the first try; doubles */
    TRIES = 3,
    LOOK_AGAIN_US = 5000000, /* how often resolv.conf is looked at, when asked at all */
};

static const char settings[] = "/etc/resolv.conf";

struct resolver {
    struct loop *loop;
    ares_channel channel;
    struct loop_timer timer; /* the next of c-ares' timeouts */
    struct list sockets;     /* struct watch */
    struct list queries;
    unsigned in_flight;
    uint64_t look_us;
    struct timespec changed; /* of resolv.conf, when it was read */
    bool closing;
    const char *servers;
};

/* A socket of c-ares. */
struct watch {
    struct list node;
    struct loop_io io;
    struct resolver *resolver;
};

struct query {
    struct list node;
    struct resolver *resolver;
    struct resolve *who; /* NULL: abandoned */
    unsigned *of_owner;
};

/* ---- c-ares on the loop ---- */

static void on_timeout(struct loop_timer *t);

static void set_timer(struct resolver *r)
{
    struct timeval tv;
    if (r->closing)
        return;
    if (!ares_timeout(r->channel, NULL, &tv)) {
        loop_timer_stop(r->loop, &r->timer);
        return;
    }
    uint64_t wait = (uint64_t)tv.tv_sec * 1000000 + (uint64_t)tv.tv_usec;
    loop_timer_start(r->loop, &r->timer, loop_now(r->loop) + wait + 1000, on_timeout);
}

static void on_timeout(struct loop_timer *t)
{
    struct resolver *r = LIST_ITEM(t, struct resolver, timer);
    ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    set_timer(r);
}

static void on_socket_event(struct loop_io *io, uint32_t events)
{
    struct resolver *r = LIST_ITEM(io, struct watch, io)->resolver;
    int fd = io->fd;
    bool in = events & (EPOLLIN | EPOLLERR | EPOLLHUP), out = events & EPOLLOUT;
    ares_process_fd(r->channel, in ? fd : ARES_SOCKET_BAD, out ? fd : ARES_SOCKET_BAD);
    set_timer(r); /* `io` may be gone by now */
}

/* c-ares wants to know of other things on this socket, or none: then it is about to close it. */
static void on_socket(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct resolver *r = arg;
    uint32_t events = (readable ? EPOLLIN : 0u) | (writable ? EPOLLOUT : 0u);
    LIST_EACH(at, &r->sockets)
    {
        struct watch *w = LIST_ITEM(at, struct watch, node);
        if (w->io.fd != fd)
            continue;
        if (events) {
            loop_io_mod(r->loop, &w->io, events);
        } else {
            loop_io_del(r->loop, &w->io);
            list_remove(&w->node);
            free(w);
        }
        return;
    }
    struct watch *w = events ? calloc(1, sizeof *w) : NULL;
    if (!w)
        return; /* no memory: its question times out */
    w->resolver = r;
    if (loop_io_add(r->loop, &w->io, fd, events, on_socket_event, NULL)) {
        free(w);
        return;
    }
    list_push(&r->sockets, &w->node);
}

static enum err_code open_channel(struct resolver *r, ares_channel *ret_channel, struct err *e)
{
    struct ares_options options = {
        .flags = ARES_FLAG_NOSEARCH,
        .ndomains = 0, /* the operator's search domains are none of a guest's business */
        .timeout = TIMEOUT_MS,
        .tries = TRIES,
        .sock_state_cb = on_socket,
        .sock_state_cb_data = r,
    };
    struct stat st;
    if (stat(settings, &st) == 0)
        r->changed = st.st_mtim;
    int rc = ares_init_options(ret_channel, &options,
                               ARES_OPT_FLAGS | ARES_OPT_DOMAINS | ARES_OPT_TIMEOUTMS |
                                   ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
    if (rc == ARES_SUCCESS && r->servers) {
        rc = ares_set_servers_ports_csv(*ret_channel, r->servers);
        if (rc != ARES_SUCCESS)
            ares_destroy(*ret_channel);
    }
    return rc == ARES_SUCCESS
               ? ERR_OK
               : err_set(e, ERR_IO, "the resolver does not start: %s", ares_strerror(rc));
}

enum err_code resolver_new(struct loop *loop, const char *servers, struct resolver **ret_resolver,
                           struct err *e)
{
    struct resolver *r = calloc(1, sizeof *r);
    if (!r)
        return err_set(e, ERR_MEMORY, "no memory for the resolver");
    r->loop = loop;
    r->servers = servers;
    list_init(&r->sockets);
    list_init(&r->queries);
    int rc = ares_library_init(ARES_LIB_INIT_ALL);
    if (rc != ARES_SUCCESS) {
        free(r);
        return err_set(e, ERR_IO, "the resolver does not start: %s", ares_strerror(rc));
    }
    enum err_code code = open_channel(r, &r->channel, e);
    if (code) {
        ares_library_cleanup();
        free(r);
        return code;
    }
    *ret_resolver = r;
    return ERR_OK;
}

void resolver_free(struct resolver *r)
{
    if (!r)
        return;
    r->closing = true;
    LIST_EACH(at, &r->queries)
    resolve_cancel(LIST_ITEM(at, struct query, node)->who);
    ares_destroy(r->channel); /* ends the queries */
    ares_library_cleanup();
    loop_timer_stop(r->loop, &r->timer);
    LIST_EACH(at, &r->sockets)
    {
        struct watch *w = LIST_ITEM(at, struct watch, node);
        loop_io_del(r->loop, &w->io);
        free(w);
    }
    free(r);
}

/* A laptop changes its network, a DHCP lease its servers: between questions, take them up. The
 * lock-down lets us read the file that was there when we started; of another one in its place we
 * can only say that it is there. */
static void look_again(struct resolver *r)
{
    struct stat st;
    struct err e;
    ares_channel fresh;
    if (r->in_flight || loop_now(r->loop) < r->look_us)
        return;
    r->look_us = loop_now(r->loop) + LOOK_AGAIN_US;
    if (stat(settings, &st) < 0 ||
        (st.st_mtim.tv_sec == r->changed.tv_sec && st.st_mtim.tv_nsec == r->changed.tv_nsec))
        return;
    r->changed = st.st_mtim;
    int fd = open(settings, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        log_line(LOG_WARNING, "resolver",
                 "error=\"%s was replaced by another file, which egress may not read: its old "
                 "servers stay in use until egress or the server is restarted\"",
                 settings);
        return;
    }
    close(fd);
    if (open_channel(r, &fresh, &e)) {
        log_line(LOG_WARNING, "resolver", "error=\"%s\"", e.text);
        return;
    }
    ares_destroy(r->channel);
    r->channel = fresh;
    log_line(LOG_INFO, "resolver", "reread=%s", settings);
}

/* ---- questions ---- */

static unsigned keep(const struct ares_addrinfo *info, int family, struct http_address *out,
                     unsigned n)
{
    const struct ares_addrinfo_node *node = info->nodes;
    for (; node && n < RESOLVE_MOST; node = node->ai_next) {
        struct sockaddr_storage sa = {0};
        uint16_t port;
        if (node->ai_family != family || node->ai_addrlen > sizeof sa)
            continue;
        memcpy(&sa, node->ai_addr, node->ai_addrlen);
        out[n++] = address_of(&sa, &port);
    }
    return n;
}

static enum err_code explain(int status, struct err *e)
{
    if (status == ARES_ENOTFOUND || status == ARES_ENODATA || status == ARES_EBADNAME)
        return err_set(e, ERR_NOT_FOUND, "the name has no address");
    return err_set(e, ERR_UNREACHABLE, "the name could not be resolved: %s", ares_strerror(status));
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
    struct query *query = arg;
    struct resolve *q = query->who;
    struct http_address addresses[RESOLVE_MOST];
    struct err why = {0};
    unsigned n = 0;
    (void)timeouts;
    if (info) {
        /* IPv4 first: a machine without a working IPv6 is the common case. */
        n = keep(info, AF_INET, addresses, 0);
        n = keep(info, AF_INET6, addresses, n);
        ares_freeaddrinfo(info);
    }
    query->resolver->in_flight--;
    --*query->of_owner;
    list_remove(&query->node);
    free(query);
    if (!q)
        return;
    q->query = NULL;
    if (!n)
        explain(status == ARES_SUCCESS ? ARES_ENODATA : status, &why);
    q->on_resolved(q, addresses, n, &why);
}

void resolve_start(struct resolver *r, struct resolve *q, const char *host, unsigned *in_flight)
{
    static const struct ares_addrinfo_hints hints = {
        .ai_flags = ARES_AI_NOSORT, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct err why;
    look_again(r);
    struct query *query = NULL;
    if (r->in_flight < RESOLVE_AT_ONCE && *in_flight < RESOLVE_PER_OWNER)
        query = malloc(sizeof *query);
    if (!query) {
        err_set(&why, ERR_BUSY, "too many names are being resolved");
        q->on_resolved(q, NULL, 0, &why);
        return;
    }
    *query = (struct query){.resolver = r, .who = q, .of_owner = in_flight};
    list_push(&r->queries, &query->node);
    r->in_flight++;
    ++*in_flight;
    q->query = query;
    ares_getaddrinfo(r->channel, host, NULL, &hints, on_answer, query);
    set_timer(r);
}

void resolve_cancel(struct resolve *q)
{
    if (!q || !q->query)
        return;
    q->query->who = NULL;
    q->query = NULL;
}
