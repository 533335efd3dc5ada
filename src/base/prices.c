#include "base/prices.h"

#include "base/limits.h"

#include <stdio.h>

typedef unsigned __int128 wide;

/* Counted units in one unit of the price: counted × multiply / divide. A MiB × µs is 2^20 × 10^-15
 * GB·s, which is 2^5 / 5^15. */
static const struct {
    uint64_t multiply, divide;
} units[PRICE_UNITS] = {
    [PRICE_REQUESTS] = {1, 1},
    [PRICE_CPU_MS] = {1, 1000},
    [PRICE_GB_S] = {32, 30517578125},
    [PRICE_OUTBOUND_GB] = {1, 1000000000},
    [PRICE_RESPONSE_GB] = {1, 1000000000},
    [PRICE_LOG_GB] = {1, 1000000000},
};

const char *const price_names[PRICE_UNITS] = {
    [PRICE_REQUESTS] = "requests",
    [PRICE_CPU_MS] = "cpu-ms",
    [PRICE_GB_S] = "gb-s",
    [PRICE_OUTBOUND_GB] = "outbound-gb",
    [PRICE_RESPONSE_GB] = "response-gb",
    [PRICE_LOG_GB] = "log-gb",
};

/* "0.0000166667" in billionths. */
static bool parse_amount(struct slice text, uint64_t *ret_nano)
{
    struct slice fraction = text, whole = slice_split(&fraction, '.');
    uint64_t units_ = 0, nano = 0;
    if (!slice_u64(whole, &units_) || units_ > 1000000000)
        return false;
    if (fraction.p) {
        if (fraction.n < 1 || fraction.n > 9 || !slice_u64(fraction, &nano))
            return false;
        for (size_t i = fraction.n; i < 9; i++)
            nano *= 10;
    }
    *ret_nano = units_ * 1000000000 + nano;
    return true;
}

static enum err_code parse_currency(struct prices *p, struct slice value, struct err *e)
{
    bool letters = value.n == 3;
    for (size_t i = 0; letters && i < 3; i++)
        letters = value.p[i] >= 'A' && value.p[i] <= 'Z';
    if (!letters)
        return err_set(e, ERR_USAGE, "prices: currency is three capital letters, such as EUR");
    slice_copy(value, p->currency, sizeof p->currency);
    return ERR_OK;
}

static enum err_code parse_price(struct prices *p, struct slice name, struct slice value,
                                 struct err *e)
{
    if (slice_eq(name, SLICE("currency")))
        return parse_currency(p, value, e);
    int unit = 0;
    while (unit < PRICE_UNITS && !slice_eq(name, slice_str(price_names[unit])))
        unit++;
    if (unit == PRICE_UNITS) {
        const char *near = nearest_word(name, price_names, PRICE_UNITS);
        return err_set(e, ERR_USAGE, "prices: there is no price of \"%.*s\"%s%s%s",
                       (int)(name.n < 40 ? name.n : 40), name.p, near ? "; did you mean \"" : "",
                       near ? near : "", near ? "\"?" : "");
    }
    struct slice per = value, amount = slice_split(&per, '/');
    uint64_t count = 1;
    if (!parse_amount(amount, &p->of[unit].nano) ||
        (per.p && (!slice_u64(per, &count) || count < 1 || count > 1000000000000)))
        return err_set(
            e, ERR_USAGE,
            "prices: %s is an amount such as 0.20 (at most nine decimals), or 0.20/1000000"
            " for so many at once",
            price_names[unit]);
    p->of[unit].per = count;
    p->any = true;
    return ERR_OK;
}

enum err_code prices_parse(struct prices *ret_prices, struct slice text, struct err *e)
{
    *ret_prices = (struct prices){0};
    while (text.p && text.n) {
        struct slice value = slice_trim(slice_split(&text, ',')), name = slice_split(&value, '=');
        if (!value.p)
            return err_set(e, ERR_USAGE, "prices: \"%.*s\" is not NAME=AMOUNT",
                           (int)(name.n < 40 ? name.n : 40), name.p);
        enum err_code rc = parse_price(ret_prices, slice_trim(name), slice_trim(value), e);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

uint64_t prices_amount(const struct prices *p, enum price_unit unit, uint64_t counted)
{
    if (!p->of[unit].per)
        return 0;
    /* counted < 2^63, multiply ≤ 2^5, nano < 2^60: the product is below 2^128. */
    if (counted >> 63)
        return UINT64_MAX;
    wide n = (wide)counted * units[unit].multiply * p->of[unit].nano;
    wide d = (wide)units[unit].divide * p->of[unit].per;
    wide amount = n / d + (n % d >= d - n % d);
    return amount > UINT64_MAX ? UINT64_MAX : (uint64_t)amount;
}

const char *decimal_text(uint64_t n, int places, char out[DECIMAL_TEXT])
{
    uint64_t scale = 1;
    for (int i = 0; i < places; i++)
        scale *= 10;
    snprintf(out, DECIMAL_TEXT, "%llu.%0*llu", (unsigned long long)(n / scale), places,
             (unsigned long long)(n % scale));
    return out;
}

uint64_t gb_s_nano(uint64_t mib_us)
{
    wide nano = (wide)mib_us * units[PRICE_GB_S].multiply * 1000000000 / units[PRICE_GB_S].divide;
    return nano > UINT64_MAX ? UINT64_MAX : (uint64_t)nano;
}
