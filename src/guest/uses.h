/* Uses: what a run opened, moved and was refused, by URL, for its ledger.
 *
 * A descriptor with a URL points at its use from open to close; the use stays
 * until the run ends. There are as many as a ledger has rows for; what comes
 * after that is counted in the sums only. */
#pragma once

#include "ipc/ledger.h"

struct guest;
struct descriptor;

struct use {
    struct ledger_use row;
    char url[LEDGER_URL + 1], rule[LEDGER_RULE + 1];
};

struct guest_uses {
    struct use *rows; /* LEDGER_USES of them, made at the first; kept for the next run */
    unsigned count;
    uint32_t lost, opens, refused;
    uint64_t in, out; /* bytes of remote descriptors */
};

/* Forgets the run before. */
void uses_begin(struct guest_uses *u);
void uses_done(struct guest_uses *u);

/* The descriptor `d`, numbered `fd`, is open on this URL, allowed by `rule` (may be empty). */
void uses_opened(struct guest *g, struct descriptor *d, uint32_t fd, struct slice url,
                 struct slice rule);
/* The policy refused the URL. The same URL and rule again count up one row. */
void uses_refused(struct guest *g, struct slice url, bool by_operator, struct slice rule);
/* Puts the rows and sums into the ledger. */
void uses_write(const struct guest_uses *u, struct ledger *l);
