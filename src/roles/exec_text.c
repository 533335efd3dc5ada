#include "roles/exec_text.h"

#include <stdio.h>

enum { ADVICE = 160 };

static void advise_limit(enum limit_id id, const struct limits *limits, char out[ADVICE])
{
    const struct limit_row *row = &limit_rows[id];
    char now[32], most[32];
    limit_format(id, limits->v[id], now);
    limit_format(id, row->maximum, most);
    snprintf(out, ADVICE, "raise it with --limit %s=VALUE (it is %s%s%s)", row->name, now,
             row->maximum ? ", at most " : "", row->maximum ? most : "");
}

static void advise(const struct instance_end *end, const struct guest *g, enum err_code reason,
                   char out[ADVICE])
{
    uint64_t most = g->limits->v[LIMIT_MEMORY];
    out[0] = '\0';
    switch ((int)reason) {
    case ERR_CPU_LIMIT:
        advise_limit(LIMIT_CPU, g->limits, out);
        break;
    case ERR_WALL_LIMIT:
        advise_limit(LIMIT_WALL, g->limits, out);
        break;
    case ERR_GAS_LIMIT:
        advise_limit(LIMIT_GAS, g->limits, out);
        break;
    case ERR_MEMORY_LIMIT:
        advise_limit(LIMIT_MEMORY, g->limits, out);
        break;
    case ERR_BAD_POINTER:
        snprintf(out, ADVICE,
                 "check the pointer and the length that it passed, and allocations "
                 "that may have failed");
        break;
    case ERR_BAD_DESCRIPTOR:
        snprintf(out, ADVICE, "it closed a descriptor twice, or one that it never opened");
        break;
    case ERR_TRAP: /* after it took most of its memory: often an allocation that failed */
        if (end->memory >= most - most / 8)
            snprintf(out, ADVICE,
                     "it held %ju of %ju bytes of memory: raise the memory limit with --limit "
                     "memory=SIZE",
                     (uintmax_t)end->memory, (uintmax_t)most);
        break;
    default:
        break;
    }
}

/* Why exec itself ended it; the other limits are the edge's, which has its own words for them. */
static const char *own_reason(enum err_code reason)
{
    return reason == ERR_CPU_LIMIT      ? "it used up its CPU time"
           : reason == ERR_MEMORY_LIMIT ? "it begins with more memory than its limit"
                                        : "";
}

void exec_text(const struct instance *i, const struct guest *g, enum err_code reason, char *out,
               size_t size)
{
    const struct instance_end *end = instance_end(i);
    char advice[ADVICE];
    out[0] = '\0';
    if (reason == ERR_OK || reason == ERR_EXIT_STATUS)
        return;
    advise(end, g, reason, advice);
    instance_explain(i, slice_str(end->by_host ? g->end_text : own_reason(reason)),
                     slice_str(advice), out, size);
}
