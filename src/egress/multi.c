/* libcurl's multi interface on the event loop, one handle a project: connections are reused among
 * a project's runs and never between projects.
 *
 * libcurl says which sockets and which timeout it waits for; the loop tells it what came. Its
 * callbacks may not call back into it, so ended transfers are collected after each step. */
#include "egress/private.h"

#include <stdlib.h>
#include <unistd.h>

/* A socket that libcurl waits for; or, resting, a kept connection's, which stays in the loop for
 * its next request: leaving and coming back would be two system calls a request. */
struct watch {
    struct loop_io io;
    struct project *project;
    struct list node; /* in project->resting */
};

static void drop(struct watch *w)
{
    loop_io_del(w->project->egress->loop, &w->io);
    list_remove(&w->node);
    free(w);
}

static struct watch *resting(struct project *p, curl_socket_t fd)
{
    LIST_EACH(at, &p->resting)
    {
        struct watch *w = LIST_ITEM(at, struct watch, node);
        if (w->io.fd == fd)
            return w;
    }
    return NULL;
}

static void collect(struct project *p)
{
    const struct curl_api *curl = p->egress->curl;
    CURLMsg *m;
    for (int left; (m = curl->multi_info_read(p->multi, &left));) {
        struct transfer *t = NULL;
        CURLcode result = m->data.result;
        if (m->msg != CURLMSG_DONE || curl->easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t))
            continue;
        if (t->gemini)
            gemini_done(t, result);
        else
            http_done(t, result);
    }
}

static void on_event(struct loop_io *io, uint32_t events)
{
    struct watch *w = LIST_ITEM(io, struct watch, io);
    struct project *p = w->project;
    int running, what = (events & EPOLLIN ? CURL_CSELECT_IN : 0) |
                        (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                        (events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
    if (!list_empty(&w->node)) { /* nobody asked: libcurl looks before it uses it again */
        drop(w);
        return;
    }
    p->egress->curl->multi_socket_action(p->multi, io->fd, what, &running);
    collect(p); /* `io` may be gone by now */
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *ours)
{
    struct project *p = arg;
    struct watch *w = ours;
    struct loop *loop = p->egress->loop;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (w)
            list_push(p->resting.next, &w->node);
        return 0;
    }
    uint32_t events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    bool known = w;
    if (!w && (w = resting(p, fd)))
        list_remove(&w->node);
    if (w) {
        loop_io_mod(loop, &w->io, events);
    } else {
        w = calloc(1, sizeof *w);
        if (!w)
            return -1;
        w->project = p;
        list_init(&w->node);
        if (loop_io_add(loop, &w->io, fd, events, on_event, NULL)) {
            free(w);
            return -1;
        }
    }
    if (!known)
        p->egress->curl->multi_assign(p->multi, fd, w);
    return 0;
}

void multi_forget_socket(struct project *p, curl_socket_t fd)
{
    struct watch *w = resting(p, fd);
    if (w)
        drop(w);
}

int multi_close_socket(void *arg, curl_socket_t fd)
{
    multi_forget_socket(arg, fd);
    return close(fd);
}

static void on_time(struct loop_timer *timer)
{
    struct project *p = LIST_ITEM(timer, struct project, timer);
    int running;
    p->egress->curl->multi_socket_action(p->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(p);
}

static int on_timer(CURLM *multi, long ms, void *arg)
{
    struct project *p = arg;
    struct loop *loop = p->egress->loop;
    (void)multi;
    if (ms < 0)
        loop_timer_stop(loop, &p->timer);
    else
        loop_timer_start(loop, &p->timer, loop_now(loop) + (uint64_t)ms * 1000, on_time);
    return 0;
}

enum err_code multi_open(struct project *p, struct err *e)
{
    const struct curl_api *curl = p->egress->curl;
    if (p->multi)
        return ERR_OK;
    p->multi = curl->multi_init();
    if (!p->multi)
        return err_set(e, ERR_MEMORY, "no memory for connections");
    curl->multi_setopt(p->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl->multi_setopt(p->multi, CURLMOPT_SOCKETDATA, p);
    curl->multi_setopt(p->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl->multi_setopt(p->multi, CURLMOPT_TIMERDATA, p);
    curl->multi_setopt(p->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT);
    curl->multi_setopt(p->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    return ERR_OK;
}

void multi_close(struct project *p)
{
    for (struct list *spare; (spare = list_pop(&p->spares));)
        transfer_drop(LIST_ITEM(spare, struct transfer, node));
    p->spare_count = 0;
    if (p->multi)
        p->egress->curl->multi_cleanup(p->multi);
    p->multi = NULL;
    loop_timer_stop(p->egress->loop, &p->timer);
}

enum err_code multi_add(struct transfer *t, struct err *e)
{
    struct project *p = t->project;
    enum err_code rc = multi_open(p, e);
    if (rc)
        return rc;
    if (p->egress->curl->multi_add_handle(p->multi, t->easy))
        return err_set(e, ERR_INTERNAL, "libcurl does not take a request");
    t->added = true;
    return ERR_OK;
}

void multi_remove(struct transfer *t)
{
    if (t->added)
        t->project->egress->curl->multi_remove_handle(t->project->multi, t->easy);
    t->added = false;
}
