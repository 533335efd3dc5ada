/* Causes: from what is known of a run to sentences that say why it ended so, the likeliest first.
 *
 * One table, a row a cause (causes.c): when it fits, a sentence, a hint and the command to type.
 * What the platform ended is certain. What the program ended itself is guessed from what happened
 * to it before: a refusal, an open that failed, a variable that its log misses, memory that was
 * nearly used up; then its own end follows as the second cause. */
#pragma once

#include "base/limits.h"
#include "base/slice.h"

#include <jansson.h>

struct evidence {
    const char *run, *function; /* id, name */
    enum err_code cause;
    struct slice text; /* of the ledger (engine/explain.c) */
    uint64_t status, memory_peak;
    int64_t exit_status;
    const json_t *refusals;      /* array of {"url", "rule", "layer", "times"} */
    const json_t *log;           /* array of lines as the API shows them, oldest first */
    const json_t *env, *secrets; /* of the version: object, array of names; NULL: it isn't kept */
    const json_t *good_env, *good_secrets; /* of the last good version; NULL: there is none */
    const struct limits *limits;           /* of the run; NULL: unknown */
};

/* [{"code", "sentence", "hint", "command"}], the latter two null where there is none; *ret_limit is
 * the limit that the first one names, LIMIT_COUNT if none. Never empty. */
json_t *causes_find(const struct evidence *ev, enum limit_id *ret_limit);

/* The parts of a ledger's text: first line, frames of the stack, the last host call. Slices of it.
 */
struct end_text {
    struct slice why, call, hint; /* empty: not there */
    struct slice frames;          /* lines, each "  at FUNCTION (0x12)" */
};
struct end_text end_text(struct slice text);
