#include "ipc/ledger.h"

static size_t text_bytes(const struct ledger *l)
{
    return strnlen(l->text, sizeof l->text - 1);
}

size_t ledger_size(const struct ledger *l)
{
    return sizeof l->head + l->head.call_rows * sizeof *l->calls + l->head.use_bytes +
           text_bytes(l);
}

void ledger_write(const struct ledger *l, void *out)
{
    char *o = out;
    struct ledger_head head = l->head;
    head.text_bytes = (uint32_t)text_bytes(l);
    memcpy(o, &head, sizeof head);
    o += sizeof head;
    memcpy(o, l->calls, head.call_rows * sizeof *l->calls);
    o += head.call_rows * sizeof *l->calls;
    memcpy(o, l->uses, head.use_bytes);
    o += head.use_bytes;
    memcpy(o, l->text, head.text_bytes);
}

void ledger_use_add(struct ledger *l, const struct ledger_use *use, struct slice url,
                    struct slice rule)
{
    struct ledger_use row = *use;
    row.url_bytes = (uint16_t)(url.n < LEDGER_URL ? url.n : LEDGER_URL);
    row.rule_bytes = (uint16_t)(rule.n < LEDGER_RULE ? rule.n : LEDGER_RULE);
    if (l->head.use_rows == LEDGER_USES) {
        l->head.uses_lost++;
        return;
    }
    char *at = l->uses + l->head.use_bytes;
    memcpy(at, &row, sizeof row);
    memcpy(at + sizeof row, url.p, row.url_bytes);
    memcpy(at + sizeof row + row.url_bytes, rule.p, row.rule_bytes);
    l->head.use_bytes += (uint32_t)sizeof row + row.url_bytes + row.rule_bytes;
    l->head.use_rows++;
}

bool ledger_use_next(const struct ledger *l, size_t *at, struct ledger_use *ret_use,
                     struct slice *ret_url, struct slice *ret_rule)
{
    if (l->head.use_bytes - *at < sizeof *ret_use)
        return false;
    const char *p = l->uses + *at;
    memcpy(ret_use, p, sizeof *ret_use);
    if (l->head.use_bytes - *at - sizeof *ret_use <
        (size_t)ret_use->url_bytes + ret_use->rule_bytes)
        return false;
    *ret_url = slice_make(p + sizeof *ret_use, ret_use->url_bytes);
    *ret_rule = slice_make(ret_url->p + ret_url->n, ret_use->rule_bytes);
    *at += sizeof *ret_use + ret_use->url_bytes + ret_use->rule_bytes;
    return true;
}

/* Are there exactly as many rows as the head says, each within its limits? */
static bool uses_hold(const struct ledger *l)
{
    struct ledger_use use;
    struct slice url, rule;
    size_t at = 0;
    unsigned rows = 0;
    while (ledger_use_next(l, &at, &use, &url, &rule)) {
        if (url.n > LEDGER_URL || rule.n > LEDGER_RULE || use.outcome > LEDGER_REFUSED)
            return false;
        rows++;
    }
    return at == l->head.use_bytes && rows == l->head.use_rows;
}

enum err_code ledger_read(struct slice bytes, struct ledger *ret_ledger, struct err *e)
{
    struct ledger_head head;
    if (bytes.n < sizeof head)
        return err_set(e, ERR_PROTOCOL, "a ledger of %zu bytes", bytes.n);
    memcpy(&head, bytes.p, sizeof head);
    size_t calls = (size_t)head.call_rows * sizeof(struct ledger_call);
    if (head.call_rows > LEDGER_CALLS || head.reason >= ERR_COUNT ||
        head.text_bytes >= sizeof ret_ledger->text || head.use_bytes > LEDGER_USE_BYTES ||
        head.use_rows > LEDGER_USES ||
        bytes.n != sizeof head + calls + head.use_bytes + head.text_bytes)
        return err_set(e, ERR_PROTOCOL, "a ledger whose parts don't add up");
    ret_ledger->head = head;
    memcpy(ret_ledger->calls, bytes.p + sizeof head, calls);
    memcpy(ret_ledger->uses, bytes.p + sizeof head + calls, head.use_bytes);
    memcpy(ret_ledger->text, bytes.p + sizeof head + calls + head.use_bytes, head.text_bytes);
    ret_ledger->text[head.text_bytes] = '\0';
    if (!uses_hold(ret_ledger))
        return err_set(e, ERR_PROTOCOL, "a ledger whose rows of URLs don't add up");
    return ERR_OK;
}
