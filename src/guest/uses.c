#include "guest/uses.h"

#include "guest/guest.h"
#include "policy/url.h"

#include <stdlib.h>

void uses_begin(struct guest_uses *u)
{
    *u = (struct guest_uses){.rows = u->rows};
}

void uses_done(struct guest_uses *u)
{
    free(u->rows);
    u->rows = NULL;
}

/* A new row, NULL if there is no place for one. */
static struct use *place(struct guest_uses *u, struct slice url, struct slice rule)
{
    if (!u->rows && !(u->rows = malloc(LEDGER_USES * sizeof *u->rows)))
        abort();
    if (u->count == LEDGER_USES) {
        u->lost++;
        return NULL;
    }
    struct use *use = &u->rows[u->count++];
    use->row = (struct ledger_use){0};
    url_redact(url, use->url, sizeof use->url);
    if (rule.n > LEDGER_RULE)
        rule.n = LEDGER_RULE;
    slice_copy(rule, use->rule, sizeof use->rule);
    return use;
}

void uses_opened(struct guest *g, struct descriptor *d, uint32_t fd, struct slice url,
                 struct slice rule)
{
    g->uses.opens++;
    d->use = place(&g->uses, url, rule);
    if (d->use) {
        d->use->row.outcome = LEDGER_OPENED;
        d->use->row.fd = (int32_t)fd;
    }
}

void uses_refused(struct guest *g, struct slice url, bool by_operator, struct slice rule)
{
    struct guest_uses *u = &g->uses;
    u->refused++;
    struct use *use = place(u, url, rule);
    if (!use)
        return;
    for (struct use *before = u->rows; before < use; before++)
        if (before->row.outcome == LEDGER_REFUSED && strcmp(before->url, use->url) == 0 &&
            strcmp(before->rule, use->rule) == 0) {
            before->row.requests++;
            u->count--;
            return;
        }
    use->row.outcome = LEDGER_REFUSED;
    use->row.fd = -1;
    use->row.operator_ = by_operator;
    use->row.requests = 1;
}

void uses_write(const struct guest_uses *u, struct ledger *l)
{
    l->head.opens = u->opens;
    l->head.refused = u->refused;
    l->head.egress_in = u->in;
    l->head.egress_out = u->out;
    for (unsigned i = 0; i < u->count; i++)
        ledger_use_add(l, &u->rows[i].row, slice_str(u->rows[i].url), slice_str(u->rows[i].rule));
    l->head.uses_lost = u->lost;
}
