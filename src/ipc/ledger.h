/* The ledger: what one run used, counted by exec, kept by the platform.
 *
 * It travels as the payload of an END frame and lies in the spool inside a
 * receipt: a fixed head, then one pair for each host function that was called,
 * then a text that says why the run ended as it did. */
#pragma once

#include "base/buf.h"

enum { LEDGER_CALLS = 128 /* rows of the table of host functions, at most */ };

struct ledger_head {
    uint64_t cpu_us;     /* thread CPU time of the guest and its host calls */
    uint64_t wall_us;    /* from BEGIN to the end */
    uint64_t memory_peak; /* bytes of linear memory at the end: it never shrinks */
    uint64_t bytes_in;   /* read from standard input */
    uint64_t bytes_out;  /* written to standard output */
    uint64_t calls;      /* host calls in all */
    uint32_t log_lines, log_lost; /* kept; dropped by a limit */
    int32_t status;      /* exit status; 0 if it ended otherwise */
    uint16_t reason;     /* enum err_code: ERR_OK when it ended by itself with 0, else the cause */
    uint16_t call_rows;  /* pairs that follow */
    uint32_t text_bytes; /* of the text at the end */
    uint32_t reserved;
};

struct ledger_call {
    uint16_t function; /* index into the table of host functions (tables/host_functions.def) */
    uint16_t reserved;
    uint32_t reserved2;
    uint64_t count;
};

struct ledger {
    struct ledger_head head;
    struct ledger_call calls[LEDGER_CALLS];
    char text[1024]; /* NUL-terminated; "" if there is nothing to say */
};

/* Bytes of ledger_write(). */
size_t ledger_size(const struct ledger *l);
/* Writes into `out`, which has ledger_size() bytes. */
void ledger_write(const struct ledger *l, void *out);
/* Checks everything: lengths, counts, the reason. */
enum err_code ledger_read(struct slice bytes, struct ledger *ret_ledger, struct err *e) MUST_CHECK;
