/* edge: start, leash, drain. What it does is in the files that edge.h names. */
#include "roles/edge.h"
#include "roles/reload.h"

#include "base/log.h"
#include "ipc/lockdown.h"
#include "roles/roles.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void on_nudge(struct loop_timer *t)
{
    struct edge *e = LIST_ITEM(t, struct edge, nudge);
    if (e->spool && spool_waiting(e->spool)) {
        edge_control_spooled(e);
        loop_timer_start(e->loop, t, loop_now(e->loop) + EDGE_NUDGE_US, on_nudge);
    }
}

void edge_nudge(struct edge *e)
{
    if (!e->nudge.slot)
        loop_timer_start(e->loop, &e->nudge, loop_now(e->loop) + EDGE_NUDGE_US, on_nudge);
}

static bool is_idle(const struct edge *e)
{
    if (e->http.count)
        return false;
    return e->platform ? edge_platform_idle(e) : e->free_count == e->run_count;
}

void edge_maybe_stop(struct edge *e)
{
    if (e->draining && is_idle(e))
        loop_stop(e->loop);
}

static void on_empty(struct http_server *s)
{
    edge_maybe_stop(s->owner);
}

/* Images that control compiled may be there by now. */
static void on_missing(struct loop_timer *t)
{
    struct edge *e = LIST_ITEM(t, struct edge, missing_timer);
    edge_run_retry_missing(e);
}

void edge_watch_missing(struct edge *e)
{
    if (!e->missing_timer.slot)
        loop_timer_start(e->loop, &e->missing_timer, loop_now(e->loop) + EDGE_IMAGE_RETRY_US,
                         on_missing);
}

static void take_control(struct edge *e, int fd)
{
    struct err err;
    enum err_code rc =
        e->platform ? edge_platform_control(e, fd, &err) : edge_control_set(e, fd, &err);
    if (rc)
        log_line(LOG_ERROR, "control", "error=\"%s\"", err.text);
}

static void on_leash(struct leash *l, const struct leash_msg *m, const int *fds, int n)
{
    struct edge *e = l->owner;
    enum option_id option;
    struct err err;
    int taken = 0;
    switch ((enum leash_type)m->type) {
    case LEASH_CONTROL:
        if (n > 0) {
            taken = 1;
            take_control(e, fds[0]);
        }
        break;
    case LEASH_EGRESS:
        if (n > 0 && !e->platform) {
            taken = 1;
            if (edge_egress_set(e, fds[0], &err))
                log_line(LOG_ERROR, "egress", "error=\"%s\"", err.text);
        }
        break;
    case LEASH_EXEC:
        if (!e->platform) {
            taken = n;
            edge_exec_given(e, m->id, m->arg, fds, n);
        }
        break;
    case LEASH_NO_EXEC:
        if (!e->platform)
            edge_exec_refused(e, m->id, m->text);
        break;
    case LEASH_EXEC_ENDED:
        if (!e->platform)
            edge_exec_ended(e, m->arg, (int)m->id);
        break;
    case LEASH_OPTION:
        if (reload_take(&e->options, m, &option) && option == OPTION_CONTACT)
            e->http.contact = option_text(&e->options, OPTION_CONTACT);
        break;
    case LEASH_DRAIN:
        e->draining = true;
        http_server_drain(&e->http);
        edge_maybe_stop(e);
        break;
    case LEASH_READY:
    case LEASH_BEAT:
    case LEASH_WANT_EXEC:
    case LEASH_KILL_EXEC:
    case LEASH_COMPILE:
    case LEASH_FATAL:
    case LEASH_EDGE:
    case LEASH_COMPILED:
        log_line(LOG_ERROR, "leash_unexpected", "type=%u", m->type);
    }
    for (int i = taken; i < n; i++)
        close(fds[i]);
}

static void on_leash_closed(struct leash *l)
{
    loop_stop(((struct edge *)l->owner)->loop);
}

static enum err_code read_key(int fd, uint8_t key[ROUTE_KEY_BYTES], struct err *e)
{
    ssize_t n = pread(fd, key, ROUTE_KEY_BYTES, 0);
    if (n != ROUTE_KEY_BYTES)
        return n < 0 ? err_errno(e, "the node key can't be read")
                     : err_set(e, ERR_IO, "the node key is too short");
    close(fd);
    return ERR_OK;
}

static enum err_code open_functions(struct edge *e, struct err *err)
{
    char ring[32];
    list_init(&e->functions_used);
    list_init(&e->execs);
    list_init(&e->missing);
    list_init(&e->injected);
    buf_init_private(&e->injecting, FRAME_LOAD_MOST);
    snprintf(ring, sizeof ring, "edge-%s", e->name);
    enum err_code rc = read_key(EDGE_NODE, e->node_key, err);
    if (rc == ERR_OK)
        edge_routes_look(e); /* without one it waits for control's word */
    if (rc == ERR_OK)
        rc = spool_open(EDGE_SPOOL, ring, (size_t)option_number(&e->options, OPTION_SPOOL_SIZE),
                        true, &e->spool, err);
    if (rc == ERR_OK) {
        spool_set_execs(e->spool, 0); /* those of an edge before are gone */
        edge_routes_check(e);
    }
    return rc;
}

static enum err_code start(struct edge *e, struct err *err)
{
    static const int folders[] = {EDGE_ROUTES, EDGE_SPOOL};
    e->scratch = malloc(FRAME_MOST);
    e->loop = loop_new(err);
    if (!e->scratch || !e->loop)
        return err_set(err, ERR_MEMORY, "no memory for an edge");
    e->leash = (struct leash){.on_msg = on_leash, .on_closed = on_leash_closed, .owner = e};
    enum err_code rc = leash_init(&e->leash, e->loop, ROLE_LEASH, true, err);
    if (rc == ERR_OK)
        rc = e->platform ? edge_platform_init(e, err) : open_functions(e, err);
    if (rc == ERR_OK)
        rc = lockdown_edge(folders, e->platform ? 0 : 2, err);
    e->http = (struct http_server){
        .limits = &e->options.limits,
        .ops = e->platform ? &edge_platform_ops : &edge_functions_ops,
        .contact = option_text(&e->options, OPTION_CONTACT),
        .on_empty = on_empty,
        .owner = e,
    };
    if (rc == ERR_OK)
        rc = cidr_parse(slice_str(option_text(&e->options, OPTION_TRUSTED_PROXIES)),
                        &e->http.trusted, err);
    if (rc == ERR_OK)
        rc = http_server_init(&e->http, e->loop, EDGE_LISTEN, !e->platform, err);
    return rc;
}

static void done(struct edge *e)
{
    http_server_done(&e->http);
    if (e->platform) {
        edge_platform_done(e);
    } else {
        edge_execs_done(e);
        edge_egress_done(e);
        edge_control_done(e);
        edge_runs_done(e);
        edge_functions_done(e);
        route_table_close(e->routes);
        spool_close(e->spool);
        explicit_bzero(e->node_key, sizeof e->node_key);
    }
    leash_done(&e->leash);
    loop_free(e->loop);
    free(e->scratch);
    options_done(&e->options);
}

int role_edge(int argc, char **argv)
{
    struct edge *e = calloc(1, sizeof *e);
    struct err err = {0};
    char role[32];
    int at = 2;
    if (!e)
        abort();
    e->name = argc > 1 ? argv[1] : "?";
    e->platform = strcmp(e->name, "platform") == 0;
    options_init(&e->options);
    enum err_code rc = options_flags(&e->options, argc, argv, &at, &err);
    if (rc == ERR_OK)
        rc = options_finish(&e->options, &err);
    snprintf(role, sizeof role, "edge-%s", e->name);
    options_log(&e->options, role);
    if (rc == ERR_OK)
        rc = start(e, &err);
    if (rc) {
        log_line(LOG_ERROR, "edge_start", "error=\"%s\"", err.text);
        if (e->leash.loop)
            leash_send(&e->leash, LEASH_FATAL, 0, 0, err.text, NULL, 0);
        return err_cli(rc);
    }
    leash_send(&e->leash, LEASH_READY, 0, 0, NULL, NULL, 0);
    loop_run(e->loop);
    done(e);
    free(e);
    return 0;
}
