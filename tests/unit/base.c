#include "test.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "base/jot.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/meter.h"
#include "base/options.h"
#include "base/prices.h"
#include "base/steady.h"
#include "base/uuid.h"

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

TEST(slices_split_into_all_parts)
{
    struct slice rest = SLICE("a,,b");
    CHECK(slice_eq(slice_split(&rest, ','), SLICE("a")));
    CHECK(slice_eq(slice_split(&rest, ','), SLICE("")) && rest.p);
    CHECK(slice_eq(slice_split(&rest, ','), SLICE("b")) && !rest.p);
}

TEST(numbers_are_whole_and_fit)
{
    uint64_t v = 7;
    CHECK(slice_u64(SLICE("18446744073709551615"), &v) && v == UINT64_MAX);
    v = 7;
    CHECK(!slice_u64(SLICE("18446744073709551616"), &v));
    CHECK(!slice_u64(SLICE(""), &v) && !slice_u64(SLICE("1a"), &v) && !slice_u64(SLICE("-1"), &v));
    CHECK(v == 7);
}

TEST(a_buffer_keeps_its_ceiling_and_its_bytes)
{
    struct buf b;
    char chunk[1000];
    memset(chunk, 'x', sizeof chunk);
    buf_init(&b, 10000);
    for (int i = 0; i < 10; i++)
        CHECK(buf_add(&b, chunk, sizeof chunk));
    CHECK(!buf_add(&b, "y", 1) && buf_size(&b) == 10000);
    buf_consume(&b, 9999);
    CHECK(buf_addf(&b, "%s-%d", "tail", 7));
    CHECK(slice_eq(buf_slice(&b), SLICE("xtail-7")));
    buf_done(&b);
    CHECK(buf_size(&b) == 0);
}

/* What a private buffer moves to its beginning is not left where it was. */
TEST(a_private_buffer_keeps_one_copy)
{
    static const char secret[] = "a value that nobody else may see";
    struct buf b;
    buf_init_private(&b, 1 << 20);
    CHECK(buf_reserve(&b, 4096));
    memset(b.p, '.', b.cap);
    b.len = b.cap;
    memcpy(b.p + b.cap - sizeof secret, secret, sizeof secret);
    buf_consume(&b, b.cap - sizeof secret);
    CHECK(buf_reserve(&b, 1) && b.head == 0 && buf_size(&b) == sizeof secret);
    CHECK(memcmp(buf_data(&b), secret, sizeof secret) == 0);
    CHECK(!memmem(b.p + sizeof secret, b.cap - sizeof secret, secret, sizeof secret - 1));
    buf_done(&b);
}

TEST(a_buffer_used_as_a_queue_does_not_grow)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 100000; i++) {
        CHECK(buf_add(&b, "0123456789", 10));
        if (buf_size(&b) >= 100)
            buf_consume(&b, 50);
    }
    CHECK(b.cap <= 1024);
    buf_done(&b);
}

TEST(json_is_jotted_down_as_it_comes)
{
    struct jot j;
    struct slice text;
    jot_init(&j, 1 << 10);
    for (int round = 0; round < 2; round++, jot_clear(&j)) {
        jot_open(&j, NULL, '{');
        jot_open(&j, "none", '[');
        jot_close(&j, ']');
        jot_open(&j, "some", '[');
        jot_u64(&j, NULL, 0);
        jot_u64(&j, NULL, UINT64_MAX);
        jot_i64(&j, NULL, INT64_MIN);
        jot_null(&j, NULL);
        jot_open(&j, NULL, '{');
        jot_close(&j, '}');
        jot_close(&j, ']');
        jot_text(&j, "text", slice_make("a\0\"\\\n\x7f\xc3\xa9\xff\xe2\x82", 11));
        jot_close(&j, '}');
        CHECK(jot_slice(&j, &text));
        CHECK(slice_eq(text, SLICE("{\"none\":[],\"some\":[0,18446744073709551615,"
                                   "-9223372036854775808,null,{}],\"text\":\"a\\u0000\\\"\\\\"
                                   "\\u000a\x7f\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"}")));
    }
    uint64_t ten = 1;
    for (int digits = 1; digits <= 20; digits++, ten *= 10) /* 1, 9, 10, 99, 100 … */
        for (uint64_t v = ten - (digits > 1); v <= ten; v++, jot_clear(&j)) {
            char want[24];
            snprintf(want, sizeof want, "%llu", (unsigned long long)v);
            jot_u64(&j, NULL, v);
            CHECK(jot_slice(&j, &text) && slice_eq(text, slice_str(want)));
        }
    for (int i = 0; i < 40; i++)
        jot_text(&j, NULL, SLICE("0123456789"));
    jot_text(&j, NULL, slice_make(j.text.p, 200)); /* may be six times as long */
    CHECK(!jot_slice(&j, &text));
    jot_null(&j, NULL);
    CHECK(!jot_slice(&j, &text));
    jot_done(&j);
}

/* Texts are looked at eight bytes at a time: what must be escaped is found at each place. */
TEST(json_escapes_each_byte_that_needs_it)
{
    struct jot j;
    struct slice text;
    jot_init(&j, 1 << 10);
    for (int c = 0; c < 128; c++)
        for (int at = 0; at < 20; at++, jot_clear(&j)) {
            static const char rest[] = "xxxxxxxxxxxxxxxxxxx";
            const char *form = c < ' ' ? "\\u%04x" : c == '"' || c == '\\' ? "\\%c" : "%c";
            char given[20], written[8], want[40];
            memset(given, 'x', sizeof given);
            given[at] = (char)c;
            snprintf(written, sizeof written, form, c);
            snprintf(want, sizeof want, "\"%.*s%s%s\"", at, rest, written, rest + at);
            jot_text(&j, NULL, slice_make(given, sizeof given));
            CHECK(jot_slice(&j, &text));
            CHECK(slice_eq(text, slice_str(want)));
        }
    jot_done(&j);
}

/* The values of RFC 3720, B.4, and that both ways agree wherever bytes begin and end. */
TEST(checksums_are_castagnolis)
{
    static char text[40000]; /* more than three lanes */
    char zeros[32] = {0}, ones[32];
    memset(ones, 0xff, sizeof ones);
    CHECK(crc32c(0, slice_make(zeros, 32)) == 0x8a9136aa);
    CHECK(crc32c(0, slice_make(ones, 32)) == 0x62a8ab43);
    CHECK(crc32c(0, SLICE("123456789")) == 0xe3069283 && crc32c(7, SLICE("")) == 7);
    random_bytes(text, sizeof text);
    uint32_t whole = crc32c(0, slice_make(text, sizeof text));
    for (size_t n = 0; n <= sizeof text; n += n < 64 ? 1 : 997) {
        struct slice a = slice_make(text, n), b = slice_make(text + n, sizeof text - n);
        CHECK(crc32c(crc32c(0, a), b) == whole);
        CHECK(crc32c_by_table(crc32c_by_table(0, a), b) == whole);
    }
}

TEST(a_map_finds_replaces_and_forgets)
{
    static char keys[3000][8];
    struct map m = {0};
    for (int i = 0; i < 3000; i++) {
        snprintf(keys[i], sizeof keys[i], "k%d", i);
        CHECK(map_put(&m, slice_str(keys[i]), keys[i]));
    }
    for (int i = 0; i < 3000; i += 2)
        CHECK(map_remove(&m, slice_str(keys[i])) == keys[i]);
    for (int i = 0; i < 3000; i++)
        CHECK(map_get(&m, slice_str(keys[i])) == (i % 2 ? keys[i] : NULL));
    size_t at = 0, n = 0;
    while (map_next(&m, &at))
        n++;
    CHECK(n == 1500 && m.live == 1500);
    CHECK(map_put(&m, slice_str(keys[1]), keys[2]) && map_get(&m, SLICE("k1")) == keys[2]);
    CHECK(m.live == 1500);
    map_done(&m);
}

TEST(a_map_that_turns_over_stays_small)
{
    struct map m = {0};
    static char keys[64][8];
    for (int i = 0; i < 100000; i++) {
        char *k = keys[i % 64];
        map_remove(&m, slice_str(k));
        snprintf(k, sizeof keys[0], "%d", i % 9999);
        map_remove(&m, slice_str(k));
        CHECK(map_put(&m, slice_str(k), k));
    }
    CHECK(m.cap <= 1024);
    map_done(&m);
}

TEST(identifiers_sort_by_birth)
{
    char a[UUID_TEXT + 1], b[UUID_TEXT + 1];
    struct uuid last = uuid_new();
    for (int i = 0; i < 10000; i++) {
        struct uuid id = uuid_new();
        CHECK(memcmp(last.b, id.b, 8) < 0);
        last = id;
    }
    CHECK((last.b[6] & 0xf0) == 0x70 && (last.b[8] & 0xc0) == 0x80);
    uint64_t now = clock_real_us() / 1000, born = uuid_ms(last);
    CHECK(born <= now + 5 && born + 5000 > now);
    uuid_text(last, a);
    struct uuid back;
    CHECK(uuid_parse(slice_str(a), &back) && uuid_eq(back, last));
    uuid_text(back, b);
    CHECK_STR(b, a);
    a[3] = 'G';
    CHECK(!uuid_parse(slice_str(a), &back));
    CHECK(!uuid_parse(SLICE("0192-"), &back));
}

TEST(times_are_written_as_the_standards_say)
{
    char text[32];
    clock_http_date(784111777000000ull, text);
    CHECK_STR(text, "Sun, 06 Nov 1994 08:49:37 GMT");
    clock_rfc3339(784111777123456ull, text);
    CHECK_STR(text, "1994-11-06T08:49:37.123Z");
    for (time_t day = 0; day < 366 * 500; day++) { /* 2000 is a leap year, 2100 isn't */
        time_t at = day * 86400 + day % 86400;
        struct tm tm;
        char want[32];
        gmtime_r(&at, &tm);
        strftime(want, sizeof want, "%Y-%m-%dT%H:%M:%S.000Z", &tm);
        clock_rfc3339((uint64_t)at * 1000000, text);
        CHECK_STR(text, want);
    }
}

TEST(a_leap_of_the_clock_makes_nothing_old)
{
    enum { HOUR = 3600000, YEAR = 365 * 24 };
    const uint64_t t = 1800000000000, year = (uint64_t)YEAR * HOUR;
    struct steady s = {0};
    CHECK(steady_at(&s, t, 1000) == t);
    CHECK(steady_at(&s, t + HOUR, 1000 + HOUR) == t + HOUR && !s.leapt_ms);
    /* forward: as if nothing had happened, for a day */
    CHECK(steady_at(&s, t + year, 2000 + HOUR) == t + HOUR + 1000 && s.leapt_ms);
    CHECK(steady_at(&s, t + year + 20 * HOUR, 1000 + 20 * HOUR) == t + 20 * HOUR);
    struct steady right = s;
    CHECK(steady_at(&s, t + year + 26 * HOUR, 1000 + 26 * HOUR) == t + year + 26 * HOUR);
    CHECK(!s.leapt_ms);
    /* set right in time: nothing was */
    CHECK(steady_at(&right, t + 21 * HOUR, 1000 + 21 * HOUR) == t + 21 * HOUR && !right.leapt_ms);
    /* back: less is too old; and forth again, which is a leap */
    CHECK(steady_at(&right, t - year, 1000 + 22 * HOUR) == t - year && !right.leapt_ms);
    CHECK(steady_at(&right, t + 23 * HOUR, 1000 + 23 * HOUR) == t - year + HOUR);
    /* a clock that is corrected a little leaps not */
    struct steady slow = {.real_ms = t, .boot_ms = 5};
    CHECK(steady_at(&slow, t + 500000, 10) == t + 500000);
}

TEST(a_steady_clock_goes_on_after_a_restart)
{
    char text[STEADY_TEXT];
    uint64_t now = clock_real_us() / 1000;
    steady_restore(""); /* the first start */
    CHECK(steady_ms() >= now && !steady_leapt());
    steady_save(text);
    steady_restore(text);
    CHECK(steady_ms() >= now && !steady_leapt());
    /* last written on another day of the machine, a year ago */
    snprintf(text, sizeof text, "%llu 77 0 another", (unsigned long long)now - 31536000000);
    steady_restore(text);
    CHECK(steady_leapt() && steady_ms() < now - 31000000000);
    steady_restore("nonsense");
}

TEST(every_error_has_a_row_of_its_own)
{
    for (int i = 0; i < ERR_COUNT; i++) {
        enum err_code code = ERR_COUNT;
        CHECK(err_from_slug(slice_str(err_slug((enum err_code)i)), &code) && (int)code == i);
        CHECK(err_title((enum err_code)i)[0]);
    }
    enum err_code code;
    CHECK(!err_from_slug(SLICE("no_such"), &code));
    CHECK(err_http(ERR_CPU_LIMIT) == 504 && err_http(ERR_BUSY) == 429 && err_http(ERR_OK) == 200);
}

TEST(limits_are_read_with_units_and_judged)
{
    struct limits l;
    struct err e;
    limits_init(&l, false);
    CHECK(l.v[LIMIT_MEMORY] == 128ull << 20);
    CHECK(!limits_set(&l, SLICE("memory"), SLICE("64MiB"), LIMIT_WHO_FUNCTION, &e));
    CHECK(l.v[LIMIT_MEMORY] == 64ull << 20);
    CHECK(!limits_set(&l, SLICE("cpu"), SLICE("250ms"), LIMIT_WHO_FUNCTION, &e));
    CHECK(l.v[LIMIT_CPU] == 250000);
    CHECK(!limits_set(&l, SLICE("wall"), SLICE("2"), LIMIT_WHO_FUNCTION, &e));
    CHECK(l.v[LIMIT_WALL] == 2000000);
    static const char *const bad[][2] = {
        {"memory", "2GiB"},
        {"memory", "0"},
        {"memory", "64 parsecs"},
        {"memory", ""},
        {"memory", "-1"},
        {"cpu", "31s"},
        {"module", "1MiB"},
        {"projekt", "1"},
        {"queue", "1"},
        {"memory", "1e9B"},
        {"cpu", "99999999999999999999s"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct limits before = l;
        CHECK(limits_set(&l, slice_str(bad[i][0]), slice_str(bad[i][1]), LIMIT_WHO_FUNCTION, &e) ==
              ERR_INVALID);
        CHECK(e.text[0] && !memcmp(&before, &l, sizeof l));
    }
    CHECK(limits_set(&l, SLICE("memroy"), SLICE("1"), LIMIT_WHO_FUNCTION, &e) == ERR_INVALID);
    CHECK(strstr(e.text, "did you mean \"memory\"?"));
    CHECK(!limits_set(&l, SLICE("queue"), SLICE("1"), LIMIT_WHO_PROJECT, &e));

    char text[32];
    limit_format(LIMIT_MEMORY, 128ull << 20, text);
    CHECK_STR(text, "128 MiB");
    limit_format(LIMIT_CPU, 20000, text);
    CHECK_STR(text, "20 ms");
    limit_format(LIMIT_STREAM_TOTAL, 300000000, text);
    CHECK_STR(text, "300 s");
}

TEST(the_unlimited_plan_is_every_maximum)
{
    struct limits l;
    limits_init(&l, true);
    for (int i = 0; i < LIMIT_COUNT; i++) {
        CHECK(l.v[i] <= limit_rows[i].maximum || !limit_rows[i].maximum);
        CHECK(limit_rows[i].normal <= limit_rows[i].maximum || !limit_rows[i].maximum);
    }
    CHECK(l.v[LIMIT_CPU] == 30000000 && l.v[LIMIT_API_RATE] == 0 && l.v[LIMIT_DEPLOYS] == 0);
    CHECK(l.v[LIMIT_EGRESS_RATE] == 0 && l.v[LIMIT_EGRESS_RUN] == 0 && l.v[LIMIT_EGRESS_OPEN] == 0);
}

TEST(options_come_from_flags_and_environment)
{
    struct options o;
    struct err e;
    options_init(&o);
    char *env[] = {(char *)"WASMCLOUD_EDGES=3", (char *)"OTHER=1", NULL};
    CHECK(!options_env(&o, env, &e) && option_number(&o, OPTION_EDGES) == 3);
    char *argv[] = {(char *)"serve",
                    (char *)"--edges=2",
                    (char *)"--data",
                    (char *)"/d",
                    (char *)"--limits=exec-blank=5,cpu=2s",
                    (char *)"rest"};
    int at = 1;
    CHECK(!options_flags(&o, 6, argv, &at, &e) && at == 5);
    CHECK(!options_finish(&o, &e));
    CHECK(option_number(&o, OPTION_EDGES) == 2 && o.limits.v[LIMIT_EXEC_BLANK] == 5);
    CHECK(o.limits.v[LIMIT_CPU] == 2000000);
    CHECK_STR(option_text(&o, OPTION_DATA), "/d");
    CHECK_STR(option_text(&o, OPTION_ISOLATION), "strict");

    char **flags = options_as_flags(&o);
    int n = 0;
    struct options again;
    options_init(&again);
    while (flags[n])
        n++;
    at = 0;
    CHECK(n == 3 && !options_flags(&again, n, flags, &at, &e));
    for (int i = 0; i < OPTION_COUNT; i++)
        CHECK_STR(again.v[i], o.v[i]);
    free(flags);
    options_done(&again);
    options_done(&o);
}

TEST(wrong_options_are_named)
{
    static const char *const bad[][2] = {
        {"--egdes=2", "did you mean \"edges\"?"},
        {"--edges=two", "not a whole number"},
        {"--isolation=lax", "not one of strict|relaxed"},
        {"--listen-functions=8080", "not an address"},
        {"--listen-functions=a:99999", "not an address"},
        {"--limits=cpu=1h", "not a value"},
        {"--limits=cpu", "not NAME=VALUE"},
        {"--data", "needs a value"},
        {"--dta", "did you mean \"data\"?"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct options o;
        struct err e = {0};
        int at = 0;
        char *argv[] = {(char *)(uintptr_t)bad[i][0]};
        options_init(&o);
        CHECK(options_flags(&o, 1, argv, &at, &e) && strstr(e.text, bad[i][1]));
        options_done(&o);
    }
}

static void spin(uint64_t ns)
{
    uint64_t end = clock_cpu_ns() + ns;
    while (clock_cpu_ns() < end)
        ;
}

/* What log_line() writes behind "pid=N " or "\"pid\":N,", into `out`. */
#define LOGGED(json, out, ...)                                                                     \
    do {                                                                                           \
        int pair_[2], old_ = dup(STDERR_FILENO);                                                   \
        CHECK(pipe(pair_) == 0 && old_ >= 0 && dup2(pair_[1], STDERR_FILENO) >= 0);                \
        log_as_json(json);                                                                         \
        log_line(LOG_ERROR, "it", __VA_ARGS__);                                                    \
        log_as_json(false);                                                                        \
        dup2(old_, STDERR_FILENO);                                                                 \
        close(old_);                                                                               \
        close(pair_[1]);                                                                           \
        ssize_t n_ = read(pair_[0], out, sizeof out - 1);                                          \
        close(pair_[0]);                                                                           \
        out[n_ > 0 ? n_ : 0] = '\0';                                                               \
    } while (0)

static const char *behind_pid(const char *line)
{
    const char *p = strstr(line, "pid");
    while (p && *p && *p != ' ' && *p != ',')
        p++;
    return p ? p : "";
}

TEST(a_logged_value_stays_in_its_quotes)
{
    char line[8192];
    LOGGED(false, line, "name=%s text=\"%s\" n=%u size=%zu last=%.*s", "plain", "a \"b\" c", 7u,
           (size_t)1 << 40, 3, "abcdef");
    CHECK_STR(behind_pid(line),
              " name=plain text=\"a \\\"b\\\" c\" n=7 size=1099511627776 last=abc\n");
    LOGGED(false, line, "name=%s", "x y=1\nerror it");
    CHECK_STR(behind_pid(line), " name=\"x y=1\\x0aerror it\"\n");
    LOGGED(false, line, "name=%s", "\xff");
    CHECK_STR(behind_pid(line), " name=\"\\xff\"\n");
    LOGGED(false, line, "status=%d no memory", -3);
    CHECK_STR(behind_pid(line), " status=-3 text=\"no memory\"\n");
    LOGGED(true, line, "name=%s text=\"%s, %d\" n=%u size=%zu why=%s", "1", "a \"b\" \xff\t", 7, 8u,
           (size_t)9, "");
    CHECK_STR(behind_pid(line), ",\"name\":\"1\",\"text\":\"a \\\"b\\\" \xef\xbf\xbd\\u0009, 7\","
                                "\"n\":8,\"size\":9,\"why\":\"\"}\n");
}

TEST(a_long_line_is_cut_inside_its_values)
{
    char line[8192], big[3000];
    memset(big, '"', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    LOGGED(true, line, "a=%s b=%s c=%s d=%d", big, big, big, 1);
    size_t n = strlen(line);
    CHECK(n > 3000 && n <= 4096 && strcmp(line + n - 3, "\"}\n") == 0);
    CHECK(strstr(line, "\\\"\"}") != NULL); /* the last escape is whole */
    LOGGED(false, line, "a=%s b=%s c=%s d=%d", big, big, big, 1);
    n = strlen(line);
    CHECK(n <= 4096 && line[n - 1] == '\n' && line[n - 2] == '"');
}

TEST(the_meter_charges_all_of_the_cpu_time_and_no_more)
{
    struct meter m = {0};
    uint64_t begun = clock_cpu_ns(), sum = 0;
    for (int turn = 0; turn < 50; turn++) {
        meter_start(&m);
        for (int i = 0; i < 40; i++) {
            spin(i == 39 ? 200000 : 3000); /* short pieces and a long one */
            sum += meter_piece(&m);
        }
        meter_stop(&m);
    }
    uint64_t used = clock_cpu_ns() - begun;
    CHECK(sum - (uint64_t)m.surplus_ns <= used);
    CHECK(sum >= used / 10 * 9);
}

TEST(the_meter_charges_nobody_for_waiting)
{
    struct meter m = {0};
    uint64_t begun = clock_cpu_ns();
    meter_start(&m);
    poll(NULL, 0, 20);
    uint64_t so_far = meter_so_far(&m), piece = meter_piece(&m);
    CHECK(so_far <= piece && piece <= clock_cpu_ns() - begun);
    meter_stop(&m);
}

TEST(the_meter_charges_nobody_for_what_is_skipped)
{
    struct meter m = {0};
    meter_start(&m);
    spin(300000);
    uint64_t begun = clock_cpu_ns();
    meter_skip(&m);
    spin(3000);
    CHECK(meter_piece(&m) <= clock_cpu_ns() - begun + METER_TRUST_NS);
    meter_stop(&m);
}

TEST(prices_are_exact)
{
    struct prices p;
    struct err e;
    char text[DECIMAL_TEXT];
    CHECK(prices_parse(&p, SLICE(""), &e) == ERR_OK && !p.any);
    CHECK(prices_parse(&p,
                       SLICE("requests=0.20/1000000, cpu-ms=0.000002,gb-s=1,outbound-gb=999999999,"
                             "currency=EUR"),
                       &e) == ERR_OK);
    CHECK(p.any && strcmp(p.currency, "EUR") == 0);
    CHECK(prices_amount(&p, PRICE_REQUESTS, 1) == 200);
    CHECK(prices_amount(&p, PRICE_REQUESTS, 1000000) == 200000000);
    CHECK(prices_amount(&p, PRICE_CPU_MS, 1) == 2); /* 2 µs × 10^-9: 2000 for a thousand */
    CHECK(prices_amount(&p, PRICE_CPU_MS, 1000) == 2000);
    CHECK(prices_amount(&p, PRICE_GB_S, 1000000000) == 1048576000);
    CHECK(prices_amount(&p, PRICE_LOG_GB, 1000000000) == 0); /* it has no price */
    CHECK(prices_amount(&p, PRICE_OUTBOUND_GB, 1) == 999999999);
    CHECK(prices_amount(&p, PRICE_OUTBOUND_GB, INT64_MAX) == UINT64_MAX);
    CHECK(prices_parse(&p, SLICE("log-gb=0.000000001/2"), &e) == ERR_OK && !p.currency[0]);
    CHECK(prices_amount(&p, PRICE_LOG_GB, 999999999) == 0);
    CHECK(prices_amount(&p, PRICE_LOG_GB, 1000000000) == 1); /* a half is rounded up */
    static const char *const bad[] = {"requests",          "requests=",    "requests=-1",
                                      "requests=1.",       "requests=.5",  "requests=1/0",
                                      "requests=1/x",      "requests=1e9", "currency=eur",
                                      "gb-s=0.0000000001", "cpu=1",        "requests=9999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(prices_parse(&p, slice_str(bad[i]), &e) == ERR_USAGE);
    CHECK(strcmp(decimal_text(1234, 3, text), "1.234") == 0);
    CHECK(strcmp(decimal_text(7, 9, text), "0.000000007") == 0);
    CHECK(gb_s_nano(1000000) == 1048576 && gb_s_nano(1) == 1);
}

TEST_MAIN(CASE(prices_are_exact), CASE(json_is_jotted_down_as_it_comes),
          CASE(json_escapes_each_byte_that_needs_it), CASE(slices_split_into_all_parts),
          CASE(numbers_are_whole_and_fit), CASE(a_buffer_keeps_its_ceiling_and_its_bytes),
          CASE(a_private_buffer_keeps_one_copy), CASE(a_buffer_used_as_a_queue_does_not_grow),
          CASE(checksums_are_castagnolis), CASE(a_map_finds_replaces_and_forgets),
          CASE(a_map_that_turns_over_stays_small), CASE(identifiers_sort_by_birth),
          CASE(times_are_written_as_the_standards_say), CASE(every_error_has_a_row_of_its_own),
          CASE(a_leap_of_the_clock_makes_nothing_old), CASE(a_steady_clock_goes_on_after_a_restart),
          CASE(limits_are_read_with_units_and_judged), CASE(the_unlimited_plan_is_every_maximum),
          CASE(options_come_from_flags_and_environment), CASE(wrong_options_are_named),
          CASE(a_logged_value_stays_in_its_quotes), CASE(a_long_line_is_cut_inside_its_values),
          CASE(the_meter_charges_all_of_the_cpu_time_and_no_more),
          CASE(the_meter_charges_nobody_for_waiting),
          CASE(the_meter_charges_nobody_for_what_is_skipped))
