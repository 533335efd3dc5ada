/* Egress: the one process through which guests reach the world.
 *
 * It speaks ipc/exchange.h: edges tell it who an exec is and what its versions
 * may do, execs ask it to open URLs. It decides by both policies, resolves,
 * judges every address, connects to one that passed and to nothing else, and
 * writes down each connection. One loop, one thread, no file but what it was
 * given. */
#pragma once

#include "egress/address.h"
#include "http/curl.h"
#include "loop/loop.h"
#include "policy/policy.h"
#include "spool/spool.h"

struct egress;

struct egress_config {
    struct loop *loop;
    const struct curl_api *curl;
    struct slice ca;                /* certificate authorities, PEM */
    const struct policy *operator_; /* the operator's layer; NULL: there is none */
    struct cidr_list allowed;       /* networks that may be reached although special */
    struct port_set refused;
    struct spool *journal;       /* NULL: none is kept */
    const char *servers;         /* of names, "address:port,…"; NULL: those of the system */
    void (*on_alone)(void *arg); /* the last exec has left; may be NULL */
    void *arg;
};

/* What the configuration points to is borrowed until egress_free(), but for `allowed`, which is now
 * egress's. Reads the resolver's settings:
 * before the lock-down. */
enum err_code egress_new(const struct egress_config *config, struct egress **ret_egress,
                         struct err *e) MUST_CHECK;
/* Ends all exchanges without a word. */
void egress_free(struct egress *g);

/* An edge's channel, now egress's: a non-blocking stream socket. */
enum err_code egress_edge(struct egress *g, int fd, struct err *e) MUST_CHECK;
/* Is no exec joined? For draining. */
bool egress_alone(const struct egress *g);
