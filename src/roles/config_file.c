/* The commented configuration file that `config init` writes: the tables of options and limits as
 * text. A line `#name: default` is an option that says what holds without it; without its # it is
 * set. */
#include "roles/config.h"

#include "base/brand.h"

#include <stdio.h>

/* Only for whoever starts the program. */
static bool is_hidden(int id)
{
    return id == OPTION_READY_FD || id == OPTION_LIMITS || id == OPTION_PRICES;
}

static bool needs_quotes(struct slice s)
{
    return s.n == 0 || memchr(s.p, ',', s.n) || memchr(s.p, ':', s.n) || memchr(s.p, '#', s.n);
}

static bool add_options(struct buf *out)
{
    bool fits = true;
    for (int id = 0; id < OPTION_COUNT && fits; id++) {
        const struct option_row *row = &option_rows[id];
        struct slice normal = option_normal((enum option_id)id);
        const char *quote = needs_quotes(normal) ? "\"" : "";
        if (is_hidden(id))
            continue;
        fits = buf_addf(out, "\n# %s%s\n#%s: %s%.*s%s\n", row->help,
                        row->live ? " (read again at SIGHUP)" : "", row->name, quote,
                        SLICE_ARG(normal), quote);
    }
    return fits;
}

static bool add_limits(struct buf *out)
{
    bool fits = buf_addf(out, "\n# %s\n#limits:\n", option_rows[OPTION_LIMITS].help);
    for (int id = 0; id < LIMIT_COUNT && fits; id++) {
        char normal[32];
        limit_format((enum limit_id)id, limit_rows[id].normal, normal);
        fits =
            buf_addf(out, "#  %s: %s  # %s\n", limit_rows[id].name, normal, limit_rows[id].effect);
    }
    return fits;
}

bool config_sample(struct buf *out)
{
    return buf_addf(out, "# Configuration of `" BRAND_COMMAND " serve`.\n"
                         "#\n"
                         "# Every option is here with what holds without it; take away the # to "
                         "set it. Flags\n"
                         "# (--name) and variables (" BRAND_ENV "NAME) go before this file.\n"
                         "# `" BRAND_COMMAND " config check` judges it.\n") &&
           add_options(out) &&
           buf_addf(out, "\n# %s (read again at SIGHUP)\n#prices:\n#  currency: EUR\n",
                    option_rows[OPTION_PRICES].help) &&
           add_limits(out);
}
