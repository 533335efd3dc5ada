#include "guest/resource.h"

#include "base/brand.h"
#include "guest/tape.h"

#include <stdarg.h>
#include <stdio.h>

enum {
    LINE = URL_MOST + 300,   /* bytes of a line that the platform adds to a log */
    QUOTED = URL_MOST + 100, /* of a URL in single quotes */
};

static const struct scheme *const schemes[] = {&scheme_null,  &scheme_zero,  &scheme_random,
                                               &scheme_log,   &scheme_fd,    &scheme_http,
                                               &scheme_https, &scheme_gemini};

void resource_say(struct guest *g, const char *fmt, ...)
{
    char line[LINE];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line - 1, fmt, ap);
    va_end(ap);
    size_t size = n < 0 ? 0 : (size_t)n < sizeof line - 1 ? (size_t)n : sizeof line - 2;
    line[size++] = '\n';
    struct guest_line whole = {0};
    guest_log_bytes(g, GUEST_ERROR, GUEST_LOG, SLICE(""), &whole, slice_make(line, size));
}

/* How `policy allow` names the policy: by the function, whose name argv[0] is, or, in a run of a
 * file, by a file. */
static struct slice whose_policy(const struct guest *g)
{
    struct slice rest = g->args.bytes, name = slice_split(&rest, '\0');
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] == '.' || name.p[i] == '/')
            name.n = 0;
    return name.n ? name : SLICE("--file FILE");
}

/* The URL without its query, as one word for a shell: people paste what a guest made up. */
static void quote(struct slice url, char out[QUOTED])
{
    size_t n = 0;
    out[n++] = '\'';
    for (size_t i = 0; i < url.n && url.p[i] != '?' && n < QUOTED - 6; i++)
        if (url.p[i] == '\'') {
            memcpy(out + n, "'\\''", 4);
            n += 4;
        } else {
            out[n++] = url.p[i];
        }
    out[n++] = '\'';
    out[n] = '\0';
}

/* What would allow it, by what `rule` says (policy/policy.h, `why`). */
static void say_remedy(struct guest *g, struct slice url, bool by_operator, struct slice rule)
{
    char quoted[QUOTED];
    quote(url, quoted);
    if (by_operator)
        resource_say(g, "  only this server's operator can allow it");
    else if (slice_starts(rule, SLICE("methods:")))
        resource_say(g, "  to allow it: add the method to `methods` of the policy");
    else
        resource_say(g, "  to allow it: %s" BRAND_COMMAND " policy allow %s %.*s",
                     slice_starts(rule, SLICE("disallow ")) ? "take that rule out, then " : "",
                     quoted, SLICE_ARG(whose_policy(g)));
}

int32_t resource_refuse(struct guest *g, struct slice url, bool by_operator, struct slice rule)
{
    char shown[LEDGER_URL + 1];
    uses_refused(g, url, by_operator, rule);
    url_redact(url, shown, sizeof shown);
    resource_say(g, "vibe check failed: URL forbidden by policy");
    resource_say(g, "  URL: %s", shown);
    resource_say(g, "  decided by: %.*s%s", SLICE_ARG(rule),
                 by_operator ? " (the operator's policy)" : "");
    say_remedy(g, url, by_operator, rule);
    if (g->policy && !policy_ends(g->policy))
        return RESOURCE_DENIED;
    guest_fail(g, ERR_POLICY, "vibe check failed: URL forbidden by policy: %s", shown);
    return RESOURCE_FATAL;
}

static const struct scheme *find_scheme(struct slice name)
{
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (slice_eq(name, slice_str(schemes[i]->name)))
            return schemes[i];
    return NULL;
}

const char *resource_scheme(size_t n)
{
    return n < sizeof schemes / sizeof *schemes ? schemes[n]->name : NULL;
}

static int32_t invalid(struct guest *g, const char *why, struct slice url)
{
    char shown[LEDGER_URL + 1];
    url_redact(url, shown, sizeof shown);
    resource_say(g, "resource_open: \"%s\": %s", shown, why);
    return RESOURCE_INVALID;
}

int32_t resource_open(struct guest *g, struct slice text, uint64_t *progress)
{
    struct url url;
    struct err e;
    struct policy_decision decision;
    uint32_t fd = (uint32_t)*progress - 1;
    int32_t rc;
    if (!utf8_valid(text) || url_parse(text, &url, &e))
        return invalid(g, utf8_valid(text) ? e.text : "it is not UTF-8", text);
    const struct scheme *scheme = find_scheme(url.scheme);
    if (!scheme)
        return invalid(g, "there is no such scheme", text);
    policy_decide(g->policy, &url, SLICE(""), &decision);
    if (!decision.allowed)
        return resource_refuse(g, url_slice(&url), false, slice_str(decision.why));
    struct descriptor *d = *progress ? &g->descriptors[fd] : guest_place(g, &fd);
    if (!d)
        return invalid(g, "all descriptors are in use (limit \"descriptors\")", text);
    if (*progress) {
        rc = d->scheme->opened(g, d);
        if (g->tape)
            tape_opened(g, fd, url_slice(&url), rc);
        if (rc < 0 && rc != RESOURCE_WAIT)
            guest_close(g, d);
    } else {
        d->scheme = scheme = tape_scheme(g, scheme);
        rc = scheme->open ? scheme->open(g, d, &url) : 0;
        if (g->tape && scheme->remote)
            tape_opened(g, fd, url_slice(&url), rc);
        if (rc < 0 && rc != RESOURCE_WAIT)
            d->scheme = NULL;
        if (rc == RESOURCE_WAIT)
            *progress = fd + UINT64_C(1);
    }
    if (rc < 0)
        return rc;
    uses_opened(g, d, fd, url_slice(&url), slice_str(decision.why));
    return (int32_t)fd;
}

/* How many of `n` bytes a remote descriptor may move: 0 once the run's limit is reached. */
static uint64_t remote_allowance(struct guest *g, const struct descriptor *d, uint64_t n)
{
    uint64_t most = g->limits->v[LIMIT_EGRESS_RUN], done = g->uses.in + g->uses.out;
    if (!d->scheme->remote || !most || n <= most - done)
        return n;
    if (done >= most)
        resource_say(g,
                     "the limit \"%s\" is reached: the run has moved %llu bytes by outbound opens",
                     limit_rows[LIMIT_EGRESS_RUN].name, (unsigned long long)done);
    return most - done;
}

int32_t resource_read(struct guest *g, struct descriptor *d, void *p, uint64_t n)
{
    if (!d->scheme->read)
        return RESOURCE_INVALID;
    if (!n)
        return 0;
    n = remote_allowance(g, d, n < RESOURCE_MOST ? n : RESOURCE_MOST);
    if (!n)
        return RESOURCE_UNKNOWN;
    int32_t got = d->scheme->read(g, d, p, (uint32_t)n);
    if (g->tape)
        tape_note(g, TAPE_READ, d, got, p, 0);
    if (got > 0 && d->use)
        d->use->row.bytes_in += (uint32_t)got;
    if (got > 0 && d->scheme->remote)
        g->uses.in += (uint32_t)got;
    return got;
}

int32_t resource_write(struct guest *g, struct descriptor *d, const void *p, uint64_t n)
{
    if (!d->scheme->write)
        return RESOURCE_INVALID;
    if (!n)
        return 0;
    n = remote_allowance(g, d, n < RESOURCE_MOST ? n : RESOURCE_MOST);
    if (!n)
        return RESOURCE_UNKNOWN;
    int32_t put = d->scheme->write(g, d, p, (uint32_t)n);
    if (g->tape)
        tape_note(g, TAPE_WRITE, d, put, NULL, n);
    if (put > 0 && d->use)
        d->use->row.bytes_out += (uint32_t)put;
    if (put > 0 && d->scheme->remote)
        g->uses.out += (uint32_t)put;
    return put;
}

int32_t resource_flush(struct guest *g, struct descriptor *d)
{
    if (!d->scheme->flush)
        return 0;
    int32_t rc = d->scheme->flush(g, d);
    if (g->tape && rc != RESOURCE_WAIT)
        tape_note(g, TAPE_FLUSH, d, rc, NULL, 0);
    return rc;
}

bool resource_ready(struct guest *g, struct descriptor *d, bool to_write, uint64_t *ret_bytes,
                    bool *ret_end)
{
    *ret_bytes = RESOURCE_MOST;
    *ret_end = false;
    return !d->scheme->ready || d->scheme->ready(g, d, to_write, ret_bytes, ret_end);
}
