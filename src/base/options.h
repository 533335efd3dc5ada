/* Options of the server: defaults, then wasmcloud.yaml, then the environment, then flags.
 *
 * Master reads them once; every role gets those that differ from the defaults
 * as flags of its own command line (nothing secret is an option), so all roles
 * parse with this same code. */
#pragma once

#include "base/buf.h"
#include "base/limits.h"

enum option_id {
#define OPTION(id, ...) OPTION_##id,
#include "tables/options.def"
#undef OPTION
    OPTION_COUNT
};

enum option_kind {
    OPTION_KIND_TEXT,
    OPTION_KIND_NUMBER,
    OPTION_KIND_BOOL,
    OPTION_KIND_ADDRESS,
    OPTION_KIND_CIDRS,
    OPTION_KIND_CHOICE,
    OPTION_KIND_LIMITS,
    OPTION_KIND_PRICES,
};

struct option_row {
    const char *name;
    enum option_kind kind;
    const char *normal; /* CHOICE: default|word|word… */
    bool live;          /* SIGHUP changes it while the server works */
    const char *help;
};
extern const struct option_row option_rows[OPTION_COUNT];

struct options {
    char *v[OPTION_COUNT]; /* owned, never NULL after options_init */
    struct limits limits;  /* the node's set: plan, then the option `limits` */
};

void options_init(struct options *o);
void options_done(struct options *o);

/* Sets one from text, judged by its kind. Unknown name: ERR_USAGE with a suggestion. */
enum err_code options_set(struct options *o, struct slice name, struct slice value,
                          struct err *e) MUST_CHECK;
/* WASMCLOUD_… variables. */
enum err_code options_env(struct options *o, char *const *environ_, struct err *e) MUST_CHECK;
/* Takes --name=value, --name value (BOOL: --name) from argv[*at] on, advancing *at past what it
 * took. Stops at the first word that is no flag, leaving *at there. */
enum err_code options_flags(struct options *o, int argc, char **argv, int *at,
                            struct err *e) MUST_CHECK;
/* As options_set(), by number. */
enum err_code options_put(struct options *o, enum option_id id, struct slice value,
                          struct err *e) MUST_CHECK;
/* The default: of a CHOICE its first word. */
struct slice option_normal(enum option_id id);
/* Computes `limits` from the plan and the option `limits`; call after the last set. */
enum err_code options_finish(struct options *o, struct err *e) MUST_CHECK;

/* The platform log of this process as log-level and log-format say; `role` as for log_init(), NULL
 * if it has its name. */
void options_log(const struct options *o, const char *role);

const char *option_text(const struct options *o, enum option_id id);
int64_t option_number(const struct options *o, enum option_id id);
bool option_is(const struct options *o, enum option_id id, const char *word); /* for CHOICE, BOOL */

/* `--name=value` of each option that is not its default, as a NULL-terminated array in one
 * allocation to be freed by the caller. */
char **options_as_flags(const struct options *o);
