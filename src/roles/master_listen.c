/* Listening sockets: opened by master, so that a restarted edge goes on where its predecessor ended
 * and connections that arrive meanwhile wait in the kernel's queue. */
#include "roles/master.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BACKLOG = 4096 };

static enum err_code resolve(const char *name, struct slice host, struct sockaddr_storage *ret_addr,
                             socklen_t *ret_size, struct err *e)
{
    char text[256];
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE},
                    *found = NULL;
    if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        host = slice_make(host.p + 1, host.n - 2);
    if (slice_eq(host, SLICE("localhost"))) /* wherever this machine's tables send it */
        host = SLICE("127.0.0.1");
    if (!slice_copy(host, text, sizeof text))
        return err_set(e, ERR_USAGE, "--%s: the host name is too long", name);
    int rc = getaddrinfo(host.n ? text : NULL, "0", &hints, &found);
    if (rc)
        return err_set(e, ERR_USAGE, "--%s: \"%s\" is not an address of this machine: %s", name,
                       text, gai_strerror(rc));
    memcpy(ret_addr, found->ai_addr, found->ai_addrlen);
    *ret_size = found->ai_addrlen;
    freeaddrinfo(found);
    return ERR_OK;
}

static in_port_t *port_of(struct sockaddr_storage *a)
{
    return a->ss_family == AF_INET6 ? &((struct sockaddr_in6 *)a)->sin6_port
                                    : &((struct sockaddr_in *)a)->sin_port;
}

static int bound(struct sockaddr_storage *addr, socklen_t size, bool shared)
{
    int on = 1;
    int fd = socket(addr->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        (!shared || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0) &&
        bind(fd, (struct sockaddr *)addr, size) == 0 && listen(fd, BACKLOG) == 0 &&
        getsockname(fd, (struct sockaddr *)addr, &size) == 0)
        return fd;
    int why = errno;
    if (fd >= 0)
        close(fd);
    errno = why;
    return -1;
}

enum err_code master_listen(struct options *o, enum option_id id, int count, int *ret_fds,
                            struct err *e)
{
    const char *name = option_rows[id].name, *text = option_text(o, id);
    const char *colon = strrchr(text, ':');
    struct slice host = {text, (size_t)(colon - text)};
    struct sockaddr_storage addr = {0};
    socklen_t size = 0;
    enum err_code rc = resolve(name, host, &addr, &size, e);
    if (rc)
        return rc;
    *port_of(&addr) = htons((uint16_t)atoi(colon + 1));

    /* The first try shares the port with nobody, not even with another server of the same user;
     * it also picks the port if that is 0. */
    int fd = bound(&addr, size, false), opened = 0;
    if (fd >= 0 && count > 1) {
        close(fd);
        for (fd = 0; opened < count && fd >= 0; opened += fd >= 0)
            ret_fds[opened] = fd = bound(&addr, size, true);
    } else if (fd >= 0) {
        ret_fds[opened++] = fd;
    }
    if (fd < 0) {
        rc = errno == EADDRINUSE
                 ? err_set(e, ERR_CONFLICT,
                           "%s is in use by another program; choose another address with --%s "
                           "%.*s:PORT (0 picks a free one)",
                           text, name, SLICE_ARG(host))
             : errno == EACCES
                 ? err_set(e, ERR_IO,
                           "can't listen on %s (--%s): ports below 1024 need root or "
                           "CAP_NET_BIND_SERVICE; choose another, and let a proxy or the firewall "
                           "lead there",
                           text, name)
             : errno == EADDRNOTAVAIL
                 ? err_set(e, ERR_IO,
                           "can't listen on %s (--%s): this machine doesn't have that address "
                           "(yet); 0.0.0.0 or [::] is all that it has",
                           text, name)
                 : err_errno(e, "can't listen on %s (--%s)", text, name);
        while (opened > 0)
            close(ret_fds[--opened]);
        return rc;
    }
    char actual[300];
    snprintf(actual, sizeof actual, "%.*s:%u", SLICE_ARG(host), ntohs(*port_of(&addr)));
    rc = options_set(o, slice_str(name), slice_str(actual), e);
    while (rc && opened > 0)
        close(ret_fds[--opened]);
    return rc;
}
