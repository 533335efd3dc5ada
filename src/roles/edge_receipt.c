/* Receipts: what is kept of a run when it is over.
 *
 * The sums of its function always grow, in the spool's own mapping, so they are
 * exact. A receipt is kept for every failure and for the first successes of a
 * second; the others are in the sums only, which say how many. Lines of log go
 * into the spool as they come, those of an injected run to control as well; a
 * line that finds no room is counted as lost, as if a limit had dropped it. Of
 * the platform's own runs, which measure what a version costs, nothing is kept. */
#include "roles/edge.h"

#include "base/clock.h"

void edge_receipt_log(struct edge_run *r, uint8_t level, uint8_t source, struct slice line)
{
    struct edge *e = r->edge;
    if (r->route->row.silent)
        return;
    struct spool_log head = {.run = r->receipt.run,
                             .function = r->receipt.function,
                             .project = r->receipt.project,
                             .at_us = clock_real_us(),
                             .level = level,
                             .source = source};
    bool kept = e->spool && spool_log(e->spool, &head, line);
    if (kept && r->function->sums)
        spool_add(r->function->sums, SPOOL_LOG_BYTES, line.n);
    else if (e->spool && !kept && source != EDGE_LOG_PLATFORM)
        r->log_unkept++;
    edge_nudge(e);
    if (r->injected && !list_empty(&r->inject_node)) {
        char *at = channel_place(&e->control, FRAME_LOG, 0, r->inject_id, line.n + 1);
        if (at) {
            at[0] = (char)FRAME_LOG_HEAD(level, source);
            memcpy(at + 1, line.p, line.n);
        }
    }
}

static void count(struct edge_run *r, const struct ledger *l)
{
    struct spool_sums *s = r->function->sums;
    const struct ledger_head *h = &l->head;
    int class = r->receipt.status / 100;
    if (!s)
        return;
    spool_add(s, SPOOL_RUNS, 1);
    if (r->receipt.cause)
        spool_add(s, SPOOL_FAILED, 1);
    if (class >= 1 && class <= 5)
        spool_add(s, (enum spool_counter)(SPOOL_1XX + class - 1), 1);
    spool_add(s, SPOOL_CPU_US, h->cpu_us);
    spool_add(s, SPOOL_WALL_US, h->wall_us);
    spool_add(s, SPOOL_MEMORY_US, (h->memory_peak * h->wall_us + (1 << 19)) >> 20);
    spool_add(s, SPOOL_BYTES_IN, r->receipt.request_bytes);
    spool_add(s, SPOOL_BYTES_OUT, r->receipt.response_bytes);
    spool_add(s, SPOOL_CALLS, h->calls);
    spool_add(s, SPOOL_LOG_LINES, h->log_lines);
    spool_add(s, SPOOL_LOG_LOST, h->log_lost);
    spool_add(s, SPOOL_EGRESS_IN, h->egress_in);
    spool_add(s, SPOOL_EGRESS_OUT, h->egress_out);
}

/* Counters always; the receipt of a success only while there are few in this second. */
void edge_receipt_keep(struct edge_run *r, struct ledger *l)
{
    struct edge *e = r->edge;
    if (r->route->row.silent)
        return;
    uint32_t unkept = r->log_unkept < l->head.log_lines ? r->log_unkept : l->head.log_lines;
    struct edge_function *f = r->function;
    uint64_t most = e->options.limits.v[LIMIT_RECEIPTS];
    uint64_t second = r->receipt.started_us / 1000000u;
    l->head.log_lines -= unkept;
    l->head.log_lost += unkept;
    count(r, l);
    if (!e->spool)
        return;
    if (f->second != second) {
        f->second = second;
        f->receipts = 0;
    }
    bool captured = r->capturing && edge_capture_keep(r);
    bool kept = r->receipt.cause || r->injected || captured || f->receipts < most;
    r->receipt.sampled = f->receipts++ >= most;
    kept = kept && spool_receipt(e->spool, &r->receipt, l);
    if (kept)
        edge_nudge(e);
    else if (f->sums)
        spool_add(f->sums, SPOOL_RECEIPTS_LOST, 1);
}
