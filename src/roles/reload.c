#include "roles/reload.h"

#include "base/log.h"

enum { VALUE = 64 << 10 };

void reload_send(struct leash *l, enum option_id id, const char *value)
{
    char piece[sizeof((struct leash_msg *)NULL)->text];
    struct slice rest = slice_str(value);
    do {
        struct slice part =
            slice_make(rest.p, rest.n < sizeof piece - 1 ? rest.n : sizeof piece - 1);
        slice_copy(part, piece, sizeof piece);
        rest = slice_from(rest, part.n);
        leash_send(l, LEASH_OPTION, id, rest.n == 0, piece, NULL, 0);
    } while (rest.n);
}

bool reload_take(struct options *o, const struct leash_msg *m, enum option_id *ret_id)
{
    static struct buf value;
    struct err e;
    if (!value.limit)
        buf_init(&value, VALUE);
    bool fits = buf_add(&value, m->text, strnlen(m->text, sizeof m->text));
    if (m->id != 1)
        return false;
    bool set = fits && m->arg < OPTION_COUNT && option_rows[m->arg].live &&
               options_put(o, (enum option_id)m->arg, buf_slice(&value), &e) == ERR_OK;
    buf_done(&value);
    if (!set) {
        log_line(LOG_ERROR, "option_reload", "option=%u", m->arg);
        return false;
    }
    options_log(o, NULL);
    *ret_id = (enum option_id)m->arg;
    return true;
}
