/* Usage: exact sums of days and functions, and what they would cost.
 *
 * A day is one of UTC by the server's clock, at the moment when control counts a run: about a
 * second after its end. Deleted functions stay in the sums. Amounts are computed from the sums of a
 * line, in billionths; the total is the sum of its own counters, so that it doesn't depend on how
 * the lines are cut. */
#include "api/request.h"

#include "base/clock.h"
#include "base/prices.h"

#include <stdio.h>

#define DAY_US 86400000000u

enum { DAYS_MOST = 366, PAGE = 100 };

/* ---- days ---- */

static void day_text(uint64_t day, char out[25])
{
    clock_rfc3339(day * DAY_US, out);
    out[10] = '\0';
}

bool usage_day(struct slice text, uint64_t *ret_day)
{
    char full[32], again[25];
    uint64_t ms;
    if (text.n != 10 || !slice_copy(text, full, 11))
        return false;
    snprintf(full + 10, sizeof full - 10, "T00:00:00Z");
    if (!api_time_parse(slice_str(full), &ms))
        return false;
    *ret_day = ms * 1000 / DAY_US;
    day_text(*ret_day, again);
    return slice_eq(text, slice_str(again)); /* 31 February is none */
}

/* ---- lines ---- */

struct page {
    const struct prices *prices;
    json_t *items;
    bool by_function;
    struct uuid last;
};

static json_t *line(const struct prices *p, const uint64_t c[STORE_COUNTERS])
{
    const uint64_t counted[PRICE_UNITS] = {
        [PRICE_REQUESTS] = c[STORE_RUNS],         [PRICE_CPU_MS] = c[STORE_CPU_US],
        [PRICE_GB_S] = c[STORE_MEMORY_US],        [PRICE_OUTBOUND_GB] = c[STORE_EGRESS_OUT],
        [PRICE_RESPONSE_GB] = c[STORE_BYTES_OUT], [PRICE_LOG_GB] = c[STORE_LOG_BYTES],
    };
    char text[DECIMAL_TEXT];
    uint64_t sum = 0;
    json_t *o = json_object(), *amounts = json_object();
    for (int unit = 0; unit < PRICE_UNITS; unit++) {
        uint64_t amount = prices_amount(p, (enum price_unit)unit, counted[unit]);
        sum = sum + amount < sum ? UINT64_MAX : sum + amount;
        if (p->of[unit].per)
            json_object_set_new(amounts, price_names[unit],
                                json_string(decimal_text(amount, 9, text)));
    }
    json_object_set_new(o, "counters", shape_counters(c));
    json_object_set_new(o, "cpu_ms", json_string(decimal_text(c[STORE_CPU_US], 3, text)));
    json_object_set_new(o, "gb_s",
                        json_string(decimal_text(gb_s_nano(c[STORE_MEMORY_US]), 9, text)));
    json_object_set_new(o, "amounts", amounts);
    json_object_set_new(o, "amount",
                        p->any ? json_string(decimal_text(sum, 9, text)) : json_null());
    return o;
}

static void add(void *arg, const struct store_usage *u)
{
    struct page *page = arg;
    char day[25];
    json_t *o = line(page->prices, u->counters);
    if (page->by_function) {
        json_object_set_new(o, "function", shape_text(u->function_name));
        json_object_set_new(o, "function_id", shape_uuid(u->function));
        json_object_set_new(o, "deleted", json_boolean(u->deleted));
    } else {
        day_text(u->day, day);
        json_object_set_new(o, "day", json_string(day));
    }
    page->last = u->function;
    json_array_append_new(page->items, o);
}

/* ---- the answer ---- */

/* The first day of the month that `day` is in. */
static uint64_t month_of(uint64_t day)
{
    char text[25];
    uint64_t first = day;
    day_text(day, text);
    text[8] = '0';
    text[9] = '1';
    (void)usage_day(slice_str(text), &first);
    return first;
}

/* False: it was answered. */
static bool read_query(struct api_request *r, struct store_usage_query *q)
{
    char text[64];
    struct store_function f;
    struct err e;
    *q = (struct store_usage_query){.project = r->project.id,
                                    .to = clock_real_us() / DAY_US,
                                    .after = api_uuid(r, "cursor"),
                                    .limit = (uint32_t)api_number(r, "limit", PAGE)};
    if (api_query(r, "to", text, sizeof text))
        (void)usage_day(slice_str(text), &q->to);
    q->from = month_of(q->to);
    if (api_query(r, "from", text, sizeof text))
        (void)usage_day(slice_str(text), &q->from);
    q->by_function = api_query(r, "by", text, sizeof text) && strcmp(text, "function") == 0;
    if (q->from > q->to) {
        api_refuse_field(r, "from", "from is a day after to");
        return false;
    }
    if (q->to - q->from >= DAYS_MOST) {
        api_refuse_field(r, "from", "from is at most %d days before to", DAYS_MOST - 1);
        return false;
    }
    if (!q->by_function)
        q->limit = DAYS_MOST;
    if (!api_query(r, "function", text, sizeof text))
        return true;
    if (store_function(r->api->store, r->project.id, slice_str(text), &f, &e)) {
        api_refuse(r, ERR_NOT_FOUND, "there is no function \"%s\"", text);
        return false;
    }
    q->function = f.id;
    return true;
}

void usage_get(struct api_request *r)
{
    struct store_usage_query q;
    struct prices prices;
    struct err e;
    uint64_t total[STORE_COUNTERS];
    char from[25], to[25];
    api_drain(r);
    if (!read_query(r, &q))
        return;
    enum err_code rc =
        prices_parse(&prices, slice_str(option_text(r->api->options, OPTION_PRICES)), &e);
    struct page page = {.prices = &prices, .by_function = q.by_function, .items = json_array()};
    if (rc == ERR_OK)
        rc = store_usage_total(r->api->store, &q, total, &e);
    if (rc == ERR_OK)
        rc = store_usage(r->api->store, &q, add, &page, &e);
    if (rc) {
        json_decref(page.items);
        api_fail(r, &e);
        return;
    }
    day_text(q.from, from);
    day_text(q.to, to);
    bool more = q.by_function && json_array_size(page.items) == q.limit;
    api_answer(r, 200,
               json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "from", from, "to", to, "by",
                         q.by_function ? "function" : "day", "currency",
                         prices.currency[0] ? json_string(prices.currency) : json_null(), "items",
                         page.items, "total", line(&prices, total), "next",
                         more ? shape_uuid(page.last) : json_null()));
}
