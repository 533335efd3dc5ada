/* GET /metrics: what the server does, for Prometheus (text format 0.0.4).
 *
 * The rows of tables/metrics.def say what there is; here is where each sample
 * comes from. Sums are kept in memory by those who count (struct api_counts),
 * gauges are asked for now. */
#include "api/request.h"

#include "base/brand.h"
#include "base/clock.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

enum { TEXT_MOST = 256 << 10 };

struct page {
    struct api *api;
    const char *name; /* of the metric under way */
    struct buf text;
    bool fits;
};

/* `labels` as in the format: `class="2xx"`; "" for none. */
static void sample(struct page *p, const char *labels, double value)
{
    /* %.17g is exact, but an integer shall look like one */
    bool whole = value < 0x1p63 && value == (double)(int64_t)value;
    const char *form = whole ? "%s%s%s%s %.0f\n" : "%s%s%s%s %.9g\n";
    char line[320];
    int n = snprintf(line, sizeof line, form, p->name, *labels ? "{" : "", labels,
                     *labels ? "}" : "", value);
    p->fits = p->fits && n > 0 && (size_t)n < sizeof line && buf_add(&p->text, line, (size_t)n);
}

/* ---- one function a METRIC row ---- */

static void metric_build(struct page *p)
{
    sample(p, "version=\"" BRAND_VERSION "\"", 1);
}

static void metric_started(struct page *p)
{
    sample(p, "", (double)p->api->started_us / 1e6);
}

static void metric_requests(struct page *p)
{
    static const char *const classes[] = {"class=\"1xx\"", "class=\"2xx\"", "class=\"3xx\"",
                                          "class=\"4xx\"", "class=\"5xx\""};
    for (int i = 0; i < 5; i++)
        sample(p, classes[i], (double)p->api->counts.functions[STORE_1XX + i]);
}

static void metric_failures(struct page *p)
{
    char label[64];
    for (int code = 1; code < ERR_COUNT; code++) {
        snprintf(label, sizeof label, "cause=\"%s\"", err_slug((enum err_code)code));
        if (p->api->counts.causes[code])
            sample(p, label, (double)p->api->counts.causes[code]);
    }
}

enum ring_part { RING_WAITING, RING_DROPPED, RING_EXECS };

struct ring_page {
    struct page *page;
    enum ring_part part;
};

static void add_ring(void *arg, const struct api_ring *ring)
{
    static const char *const types[] = {"receipt", "log", "connection", "capture"};
    struct ring_page *rp = arg;
    char label[96];
    snprintf(label, sizeof label, "spool=\"%s\"", ring->name);
    if (rp->part == RING_WAITING)
        sample(rp->page, label, (double)ring->waiting);
    else if (rp->part == RING_EXECS && strcmp(ring->name, "egress") != 0)
        sample(rp->page, label, (double)ring->execs);
    for (size_t i = 0; rp->part == RING_DROPPED && i < sizeof types / sizeof *types; i++) {
        snprintf(label, sizeof label, "spool=\"%s\",type=\"%s\"", ring->name, types[i]);
        sample(rp->page, label, (double)ring->dropped[i]);
    }
}

static void rings(struct page *p, enum ring_part part)
{
    struct ring_page rp = {p, part};
    p->api->backend->rings(p->api, add_ring, &rp);
}

static void metric_waiting(struct page *p)
{
    rings(p, RING_WAITING);
}

static void metric_dropped(struct page *p)
{
    rings(p, RING_DROPPED);
}

static void metric_execs(struct page *p)
{
    rings(p, RING_EXECS);
}

static void metric_edges(struct page *p)
{
    sample(p, "", p->api->backend->state(p->api).edges);
}

static void metric_jobs(struct page *p)
{
    sample(p, "", p->api->backend->state(p->api).jobs);
}

static void metric_compiled(struct page *p)
{
    sample(p, "result=\"done\"", (double)p->api->counts.compiled);
    sample(p, "result=\"failed\"", (double)p->api->counts.compile_failed);
}

static void metric_api(struct page *p)
{
    char label[32];
    for (int status = 100; status < API_STATUSES; status++) {
        snprintf(label, sizeof label, "status=\"%d\"", status);
        if (p->api->counts.answers[status])
            sample(p, label, (double)p->api->counts.answers[status]);
    }
}

static void metric_writable(struct page *p)
{
    sample(p, "", store_trouble(p->api->store) == ERR_OK);
}

static void metric_routes(struct page *p)
{
    sample(p, "", !p->api->backend->state(p->api).routes_behind);
}

static void metric_database(struct page *p)
{
    static const char *const files[] = {"db.sqlite", "db.sqlite-wal", "db.sqlite-shm"};
    struct stat st;
    double bytes = 0;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (stat(files[i], &st) == 0) /* control stands in the data folder */
            bytes += (double)st.st_size;
    sample(p, "", bytes);
}

static void metric_disk(struct page *p)
{
    struct statvfs st;
    if (statvfs(".", &st) == 0)
        sample(p, "", (double)st.f_bavail * (double)st.f_frsize);
}

/* ---- the table ---- */

enum metric_type { GAUGE, COUNTER };

static const struct metric {
    const char *name;
    enum metric_type type;
    const char *help;
    void (*samples)(struct page *p); /* NULL: the sum of a counter */
    enum store_counter counter;
    double per;
} metrics[] = {
#define METRIC(id, name_, type_, help_)                                                            \
    {.name = name_, .type = type_, .help = help_, .samples = metric_##id},
#define METRIC_SUM(counter_, per_, name_, help_)                                                   \
    {.name = name_, .type = COUNTER, .help = help_, .counter = STORE_##counter_, .per = per_},
#include "tables/metrics.def"
#undef METRIC
#undef METRIC_SUM
};

void metrics_get(struct api_request *r)
{
    static const char *const types[] = {"gauge", "counter"};
    struct page p = {.api = r->api, .fits = true};
    struct err ignored; /* a database that can't be written is a metric itself */
    buf_init(&p.text, TEXT_MOST);
    api_drain(r);
    (void)!store_flush(r->api->store, &ignored); /* what is on disk is counted */
    for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++) {
        const struct metric *m = &metrics[i];
        p.name = m->name;
        p.fits = p.fits && buf_addf(&p.text, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help,
                                    m->name, types[m->type]);
        if (m->samples)
            m->samples(&p);
        else
            sample(&p, "", (double)r->api->counts.functions[m->counter] / m->per);
    }
    if (p.fits) {
        api_stream(r, 200, "text/plain; version=0.0.4; charset=utf-8");
        p.fits = api_stream_write(r, buf_slice(&p.text));
        api_stream_end(r);
    } else {
        api_refuse(r, ERR_MEMORY, "no memory for the metrics");
    }
    buf_done(&p.text);
}
