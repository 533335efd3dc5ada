/* Egress: what guests open beyond this machine; see egress/egress.h.
 *
 * Everything is read before the lock-down, in this order: the operator's policy, the certificate
 * authorities, libcurl and its libraries, the resolver's settings, the journal. After it there is
 * nothing to open but connections. It may be killed at any time: requests in it fail, edges retire
 * the execs that were joined to it, and master starts it again. */
#include "roles/reload.h"
#include "roles/roles.h"

#include "base/log.h"
#include "base/options.h"
#include "egress/egress.h"
#include "ipc/leash.h"
#include "ipc/lockdown.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CA_MOST = 8 << 20 /* bytes of all certificate authorities; libcurl takes no more */ };

struct role {
    struct options options;
    struct loop *loop;
    struct leash leash;
    struct egress *egress;
    struct policy *policy;
    struct spool *journal;
    struct buf ca;
    bool has_spool, has_policy; /* which descriptors master gave */
    bool draining;
    int status;
};

/* Where distributions keep them: Debian, Fedora, SUSE, Alpine. */
static const char *const ca_files[] = {
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
};

/* A whole file from its beginning: the same descriptor may serve every start of this role. */
static enum err_code read_file(int fd, const char *name, struct buf *out, struct err *e)
{
    for (;;) {
        char *at = buf_reserve(out, 16384);
        if (!at)
            return err_set(e, ERR_TOO_LARGE, "%s is over %zu bytes", name, out->limit);
        ssize_t n = pread(fd, at, 16384, (off_t)buf_size(out));
        if (n < 0)
            return err_errno(e, "reading %s", name);
        if (n == 0)
            return ERR_OK;
        buf_commit(out, (size_t)n);
    }
}

static enum err_code read_ca(struct role *r, struct err *e)
{
    const char *asked = option_text(&r->options, OPTION_EGRESS_CA);
    const char *name = asked;
    int fd = -1;
    buf_init(&r->ca, CA_MOST);
    if (asked[0])
        fd = open(asked, O_RDONLY | O_CLOEXEC);
    for (size_t i = 0; !asked[0] && fd < 0 && i < sizeof ca_files / sizeof *ca_files; i++)
        fd = open(name = ca_files[i], O_RDONLY | O_CLOEXEC);
    if (fd < 0 && asked[0])
        return err_errno(e, "egress-ca: %s", asked);
    if (fd < 0) {
        log_line(LOG_WARNING, "egress_ca",
                 "error=\"no certificate authorities found: https will fail; install the package "
                 "ca-certificates or set egress-ca\"");
        return ERR_OK;
    }
    enum err_code rc = read_file(fd, name, &r->ca, e);
    close(fd);
    return rc;
}

/* "line L, column C: reason" becomes FILE:L:C: reason, which editors jump to. */
static enum err_code place(const char *name, struct err *e)
{
    unsigned line, column;
    int n = 0;
    struct err was = *e;
    if (sscanf(was.text, "line %u, column %u: %n", &line, &column, &n) == 2 && n)
        return err_set(e, was.code, "%s:%u:%u: %s", name, line, column, was.text + n);
    return err_set(e, was.code, "%s: %s", name, was.text);
}

static enum err_code read_policy(struct role *r, struct err *e)
{
    const char *name = option_text(&r->options, OPTION_POLICY);
    struct slice olin = SLICE(".policy");
    size_t n = strlen(name);
    struct buf text;
    if (!r->has_policy)
        return name[0] ? err_set(e, ERR_IO, "policy: %s was not handed over", name) : ERR_OK;
    buf_init(&text, POLICY_TEXT);
    bool is_olin = n > olin.n && strcmp(name + n - olin.n, olin.p) == 0;
    enum err_code rc = read_file(EGRESS_POLICY, name, &text, e);
    if (rc == ERR_OK) {
        rc = policy_parse(buf_slice(&text), is_olin ? POLICY_OLIN : POLICY_YAML, NULL, NULL,
                          &r->policy, e);
        if (rc)
            rc = place(name[0] ? name : "policy", e);
    }
    buf_done(&text);
    close(EGRESS_POLICY);
    return rc;
}

/* A connection is a descriptor, and there may be many. */
static void raise_files(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

static void on_alone(void *arg)
{
    struct role *r = arg;
    if (r->draining)
        loop_stop(r->loop);
}

static enum err_code open_all(struct role *r, struct err *e)
{
    struct egress_config config = {.loop = r->loop, .on_alone = on_alone, .arg = r};
    enum err_code rc = read_policy(r, e);
    if (rc == ERR_OK)
        rc = read_ca(r, e);
    if (rc == ERR_OK)
        rc = cidr_parse(slice_str(option_text(&r->options, OPTION_EGRESS_ADDRESSES)),
                        &config.allowed, e);
    if (rc == ERR_OK)
        rc = port_set_parse(slice_str(option_text(&r->options, OPTION_EGRESS_REFUSED_PORTS)),
                            &config.refused, e);
    if (rc == ERR_OK)
        rc = curl_open(&config.curl, e);
    if (rc == ERR_OK && r->has_spool)
        rc =
            spool_open(EGRESS_SPOOL, "egress",
                       (size_t)option_number(&r->options, OPTION_SPOOL_SIZE), true, &r->journal, e);
    config.ca = buf_slice(&r->ca);
    config.operator_ = r->policy;
    config.journal = r->journal;
    if (rc == ERR_OK)
        rc = egress_new(&config, &r->egress, e);
    return rc == ERR_OK ? lockdown_egress(r->has_spool ? EGRESS_SPOOL : -1, e) : rc;
}

static void on_leash(struct leash *l, const struct leash_msg *m, const int *fds, int n)
{
    struct role *r = l->owner;
    struct err e;
    if (m->type == LEASH_EDGE && n == 1) {
        if (egress_edge(r->egress, fds[0], &e))
            log_line(LOG_ERROR, "edge", "error=\"%s\"", e.text);
        return;
    }
    for (int i = 0; i < n; i++)
        close(fds[i]);
    enum option_id id;
    if (m->type == LEASH_OPTION)
        (void)reload_take(&r->options, m, &id);
    if (m->type == LEASH_DRAIN) {
        r->draining = true;
        if (egress_alone(r->egress))
            loop_stop(r->loop);
    }
}

static void on_leash_closed(struct leash *l)
{
    struct role *r = l->owner;
    r->status = 1;
    loop_stop(r->loop); /* master is gone: so are we */
}

static int refuse(struct role *r, const struct err *e)
{
    log_line(LOG_ERROR, "egress_start", "code=%s error=\"%s\"", err_slug(e->code), e->text);
    if (r->leash.loop)
        leash_send(&r->leash, LEASH_FATAL, e->code, 0, e->text, NULL, 0);
    return err_cli(e->code);
}

int role_egress(int argc, char **argv)
{
    static struct role r;
    struct err e;
    int at = 1;
    /* first: what is not given here is a number that something else will get */
    r.has_spool = fcntl(EGRESS_SPOOL, F_GETFD) >= 0;
    r.has_policy = fcntl(EGRESS_POLICY, F_GETFD) >= 0;
    umask(077);
    signal(SIGPIPE, SIG_IGN); /* TLS writes to sockets that may be closed */
    raise_files();
    log_init("egress", LOG_INFO);
    options_init(&r.options);
    enum err_code rc = options_flags(&r.options, argc, argv, &at, &e);
    if (rc == ERR_OK)
        rc = options_finish(&r.options, &e);
    if (rc)
        return refuse(&r, &e);
    options_log(&r.options, "egress");
    r.loop = loop_new(&e);
    if (!r.loop)
        return refuse(&r, &e);
    r.leash.on_msg = on_leash;
    r.leash.on_closed = on_leash_closed;
    r.leash.owner = &r;
    rc = leash_init(&r.leash, r.loop, ROLE_LEASH, true, &e);
    if (rc)
        return refuse(&r, &e);
    rc = open_all(&r, &e);
    if (rc)
        return refuse(&r, &e);
    leash_send(&r.leash, LEASH_READY, 0, 0, NULL, NULL, 0);
    loop_run(r.loop);
    egress_free(r.egress);
    spool_close(r.journal);
    policy_free(r.policy);
    buf_done(&r.ca);
    leash_done(&r.leash);
    loop_free(r.loop);
    options_done(&r.options);
    return r.status;
}
