/* The ledger: what one run used, counted by exec, kept by the platform.
 *
 * It travels as the payload of an END frame and lies in the spool inside a
 * receipt: a fixed head, then one pair for each host function that was called,
 * then one row for each URL that was opened or refused, then a text that says
 * why the run ended as it did. */
#pragma once

#include "base/buf.h"

enum {
    LEDGER_CALLS = 128, /* rows of the table of host functions, at most */
    LEDGER_USES = 64,   /* rows of URLs, at most; further ones are only counted */
    LEDGER_URL = 200,   /* bytes of a URL in a row, its query redacted */
    LEDGER_RULE = 160,  /* bytes of the rule that decided */
};

struct ledger_head {
    uint64_t cpu_us;                /* thread CPU time of the guest and its host calls */
    uint64_t wall_us;               /* from BEGIN to the end */
    uint64_t memory_peak;           /* bytes of linear memory at the end: it never shrinks */
    uint64_t bytes_in;              /* read from standard input */
    uint64_t bytes_out;             /* written to standard output */
    uint64_t calls;                 /* host calls in all */
    uint64_t gas;                   /* executed instructions; 0 if the version doesn't count them */
    uint64_t start_ns;              /* CPU time of making the instance, part of cpu_us */
    uint64_t egress_in, egress_out; /* bytes of remote descriptors, in all */
    uint32_t opens, refused;        /* URLs opened; refused by policy */
    uint8_t module[32], policy[32]; /* digests of the module and the policy (zero: none) */
    uint32_t log_lines, log_lost;   /* kept; dropped by a limit */
    int32_t status;                 /* exit status; 0 if it ended otherwise */
    uint16_t reason;     /* enum err_code: ERR_OK when it ended by itself with 0, else the cause */
    uint16_t call_rows;  /* pairs that follow */
    uint32_t text_bytes; /* of the text at the end */
    uint32_t use_bytes;  /* of the rows of URLs */
    uint16_t use_rows;
    uint16_t reserved;
    uint32_t uses_lost; /* opens and refusals that have no row of their own */
};

struct ledger_call {
    uint16_t function; /* index into the table of host functions (tables/host_functions.def) */
    uint16_t reserved;
    uint32_t reserved2;
    uint64_t count;
};

enum ledger_outcome { LEDGER_OPENED, LEDGER_REFUSED };

/* One URL; its text and the rule's follow, without NULs. */
struct ledger_use {
    uint64_t bytes_in, bytes_out; /* read and written by the guest */
    int32_t fd;                   /* the descriptor; -1: it was refused */
    uint8_t outcome;              /* enum ledger_outcome */
    uint8_t operator_;            /* refused by the operator's layer */
    uint16_t url_bytes, rule_bytes;
    uint16_t reserved;
    uint32_t requests; /* refused: how often; opened: requests sent */
};

enum { LEDGER_USE_BYTES = LEDGER_USES * (sizeof(struct ledger_use) + LEDGER_URL + LEDGER_RULE) };

struct ledger {
    struct ledger_head head;
    struct ledger_call calls[LEDGER_CALLS];
    char uses[LEDGER_USE_BYTES]; /* head.use_bytes of them */
    char text[1024];             /* NUL-terminated; "" if there is nothing to say */
};

/* Bytes of ledger_write(). */
size_t ledger_size(const struct ledger *l);
/* Writes into `out`, which has ledger_size() bytes. */
void ledger_write(const struct ledger *l, void *out);
/* Checks everything: lengths, counts, the reason. */
enum err_code ledger_read(struct slice bytes, struct ledger *ret_ledger, struct err *e) MUST_CHECK;

/* Appends a row; without room it is counted in uses_lost. Texts are cut at their limits. */
void ledger_use_add(struct ledger *l, const struct ledger_use *use, struct slice url,
                    struct slice rule);
/* Visits the rows: start with *at = 0; false at the end. The slices point into *l. */
bool ledger_use_next(const struct ledger *l, size_t *at, struct ledger_use *ret_use,
                     struct slice *ret_url, struct slice *ret_rule);
