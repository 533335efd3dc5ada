#include "ipc/ledger.h"

static size_t text_bytes(const struct ledger *l)
{
    return strnlen(l->text, sizeof l->text - 1);
}

size_t ledger_size(const struct ledger *l)
{
    return sizeof l->head + l->head.call_rows * sizeof *l->calls + text_bytes(l);
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
    memcpy(o, l->text, head.text_bytes);
}

enum err_code ledger_read(struct slice bytes, struct ledger *ret_ledger, struct err *e)
{
    struct ledger_head head;
    if (bytes.n < sizeof head)
        return err_set(e, ERR_PROTOCOL, "a ledger of %zu bytes", bytes.n);
    memcpy(&head, bytes.p, sizeof head);
    size_t calls = (size_t)head.call_rows * sizeof(struct ledger_call);
    if (head.call_rows > LEDGER_CALLS || head.reason >= ERR_COUNT ||
        head.text_bytes >= sizeof ret_ledger->text ||
        bytes.n != sizeof head + calls + head.text_bytes)
        return err_set(e, ERR_PROTOCOL, "a ledger whose parts don't add up");
    ret_ledger->head = head;
    memcpy(ret_ledger->calls, bytes.p + sizeof head, calls);
    memcpy(ret_ledger->text, bytes.p + sizeof head + calls, head.text_bytes);
    ret_ledger->text[head.text_bytes] = '\0';
    return ERR_OK;
}
