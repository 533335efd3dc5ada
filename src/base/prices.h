/* Prices: what an operator says usage is worth. Amounts follow from counters; nothing is charged.
 *
 * Written as `requests=0.20/1000000,gb-s=0.0166667/1000,currency=EUR`: an amount with at most nine
 * decimals, for one unit or for the number of units after the slash. Amounts are counted in
 * billionths of the currency, in whole numbers throughout. */
#pragma once

#include "base/err.h"

enum price_unit {
    PRICE_REQUESTS,    /* runs */
    PRICE_CPU_MS,      /* milliseconds of CPU */
    PRICE_GB_S,        /* 10^9 bytes of memory for a second of a run */
    PRICE_OUTBOUND_GB, /* 10^9 bytes sent by what functions open */
    PRICE_RESPONSE_GB, /* …of responses */
    PRICE_LOG_GB,      /* …of log lines */
    PRICE_UNITS
};
extern const char *const price_names[PRICE_UNITS];

struct prices {
    bool any;
    char currency[4]; /* three capital letters; "" if none was named */
    struct {
        uint64_t nano, per; /* billionths of the currency for `per` units; per 0: no price */
    } of[PRICE_UNITS];
};

/* ERR_USAGE says which part is wrong. "": no prices. */
enum err_code prices_parse(struct prices *ret_prices, struct slice text, struct err *e) MUST_CHECK;

/* What `counted` is worth in billionths, rounded half up; UINT64_MAX if it does not fit. Counted in
 * runs, in CPU µs, in MiB × µs, or in bytes. */
uint64_t prices_amount(const struct prices *p, enum price_unit unit, uint64_t counted);

enum { DECIMAL_TEXT = 32 };
/* `n` units of 10^-`places` as text: 1234 and 3 give "1.234". */
const char *decimal_text(uint64_t n, int places, char out[DECIMAL_TEXT]);
/* MiB × µs in billionths of GB·s, cut. */
uint64_t gb_s_nano(uint64_t mib_us);
