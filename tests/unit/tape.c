/* Tapes: what is written is read, what isn't one is refused, and a guest that plays one gets what
 * was recorded or is told where it went astray. */
#include "ipc/tape.h"

#include "guest/guest.h"
#include "guest/host.h"
#include "guest/resource.h"
#include "guest/tape.h"
#include "test.h"

#include <stdlib.h>

static struct tape sample(struct buf *records)
{
    static const char meta[] = "RUN_ID\0x\0PATH_INFO\0/", args[] = "name\0one";
    static const char env[] = "A\0b\0KEY\0hidden\0WORD\0secret too";
    struct tape t = {.output = {7},
                     .output_bytes = 12,
                     .started_us = 99,
                     .whole = true,
                     .reason = ERR_CPU_LIMIT,
                     .status = -3,
                     .meta = slice_make(meta, sizeof meta),
                     .env = slice_make(env, sizeof env),
                     .args = slice_make(args, sizeof args),
                     .policy = SLICE("{}")};
    const struct tape_record some[] = {
        {.kind = TAPE_REAL, .value = UINT64_MAX},
        {.kind = TAPE_RANDOM, .bytes = SLICE("12345678")},
        {.kind = TAPE_READ, .fd = 255, .result = -100},
        {.kind = TAPE_WRITE, .fd = 3, .result = INT32_MAX, .value = 1},
        {.kind = TAPE_READY, .result = INT32_MIN},
    };
    limits_init(&t.limits, false);
    t.limits.v[LIMIT_CPU] = 12345;
    buf_init(records, 1 << 20);
    for (; t.count < sizeof some / sizeof *some; t.count++)
        CHECK(tape_put(records, &some[t.count]));
    t.records = buf_slice(records);
    return t;
}

TEST(what_is_written_is_read)
{
    struct buf records, names, out;
    struct tape t = sample(&records), got;
    struct tape_record r;
    struct err e;
    buf_init(&names, 100);
    buf_init(&out, TAPE_MOST);
    CHECK(!tape_secrets(&t, 4, &names));
    CHECK(tape_secrets(&t, 2, &names));
    CHECK(tape_write(&t, &out));
    CHECK(!memmem(buf_data(&out), buf_size(&out), "hidden", 6) &&
          !memmem(buf_data(&out), buf_size(&out), "secret too", 10));
    CHECK(!tape_read(buf_slice(&out), &got, &e));
    CHECK(slice_eq(got.env, slice_make("A\0b", 4)));
    CHECK(slice_eq(got.secrets, slice_make("KEY\0WORD", 9)));
    CHECK(slice_eq(got.meta, t.meta) && slice_eq(got.args, t.args) &&
          slice_eq(got.policy, t.policy));
    CHECK(got.reason == ERR_CPU_LIMIT && got.status == -3 && got.whole && got.count == 5);
    CHECK(got.output[0] == 7 && got.output_bytes == 12 && got.started_us == 99);
    CHECK(got.limits.v[LIMIT_CPU] == 12345);
    struct slice rest = got.records;
    CHECK(tape_next(&rest, &r) && r.kind == TAPE_REAL && r.value == UINT64_MAX);
    CHECK(tape_next(&rest, &r) && slice_eq(r.bytes, SLICE("12345678")));
    CHECK(tape_next(&rest, &r) && r.fd == 255 && r.result == -100);
    CHECK(tape_next(&rest, &r) && r.result == INT32_MAX && r.value == 1);
    CHECK(tape_next(&rest, &r) && r.result == INT32_MIN);
    CHECK(!tape_next(&rest, &r) && !rest.n);
    buf_done(&records);
    buf_done(&names);
    buf_done(&out);
}

/* Every cut and every changed byte is read as a tape or refused with a reason, and never more. */
TEST(damage)
{
    struct buf records, out;
    struct tape t = sample(&records), got;
    struct err e;
    buf_init(&out, TAPE_MOST);
    CHECK(tape_write(&t, &out));
    for (size_t n = 0; n < buf_size(&out); n++) {
        e.text[0] = '\0';
        CHECK(tape_read(slice_make(buf_data(&out), n), &got, &e) == ERR_DAMAGED && e.text[0]);
    }
    for (size_t i = 0; i < buf_size(&out); i++) {
        char *at = buf_data(&out) + i, was = *at;
        *at = (char)(was ^ 0x55);
        enum err_code rc = tape_read(buf_slice(&out), &got, &e);
        CHECK(!rc || rc == ERR_DAMAGED ||
              (rc == ERR_NOT_IMPLEMENTED && (i == 6 || i == 7))); /* the number of the form */
        *at = was;
    }
    buf_done(&records);
    buf_done(&out);
}

/* ---- a guest ---- */

static char input_bytes[] = "from outside";
static size_t input_at;

static size_t input_ready(struct guest *g, bool *ret_end)
{
    (void)g;
    *ret_end = input_at == sizeof input_bytes - 1;
    return sizeof input_bytes - 1 - input_at;
}

static size_t input(struct guest *g, void *p, size_t n, bool *ret_end)
{
    size_t have = input_ready(g, ret_end);
    n = n < have ? n : have;
    memcpy(p, input_bytes + input_at, n);
    input_at += n;
    return n;
}

static size_t output(struct guest *g, const void *p, size_t n)
{
    (void)g, (void)p;
    return n;
}

static const struct guest_host host = {
    .input = input, .input_ready = input_ready, .output = output};
static struct guest guest;
static struct guest_tape tape;
static struct limits limits;
static uint8_t memory[4096];

static uint64_t ask(enum host_id id, uint64_t a, uint64_t b, uint64_t c, enum engine_verdict want)
{
    struct engine_call call = {
        .owner = &guest, .memory = memory, .memory_size = sizeof memory, .arg = {a, b, c}};
    CHECK(host_handlers[id](&call) == want);
    return call.result;
}

static void begin(void)
{
    limits_init(&limits, false);
    guest.host = &host;
    guest.limits = &limits;
    guest.tape = &tape;
    guest_begin(&guest);
}

/* Records a run that asks for a random number, the time and standard input. */
static struct tape record(uint64_t most, struct buf *keep, uint64_t ret[2])
{
    struct tape t = {.limits = limits};
    input_at = 0;
    tape_record(&tape, most);
    begin();
    ret[0] = ask(HOST_CWA_RANDOM_I64, 0, 0, 0, ENGINE_DONE);
    ret[1] = ask(HOST_CWA_TIME_NOW, 0, 0, 0, ENGINE_DONE);
    CHECK(ask(HOST_CWA_RESOURCE_READ, 0, 100, 50, ENGINE_DONE) == 12);
    CHECK((int32_t)ask(HOST_CWA_RESOURCE_READ, 0, 100, 50, ENGINE_DONE) == RESOURCE_END);
    guest_end(&guest);
    tape_recorded(&tape, &guest, &t);
    buf_init(keep, 1 << 20);
    CHECK(buf_add(keep, t.records.p, t.records.n));
    t.records = buf_slice(keep);
    return t;
}

TEST(a_guest_gets_what_was_recorded)
{
    struct buf keep;
    uint64_t was[2];
    struct tape t = record(1 << 20, &keep, was);
    CHECK(t.whole && t.count == 4);
    memset(memory, 0, sizeof memory);
    tape_play(&tape, &t);
    begin();
    CHECK(ask(HOST_CWA_RANDOM_I64, 0, 0, 0, ENGINE_DONE) == was[0]);
    CHECK(ask(HOST_CWA_TIME_NOW, 0, 0, 0, ENGINE_DONE) == was[1]);
    /* in smaller pieces than then */
    CHECK(ask(HOST_CWA_RESOURCE_READ, 0, 100, 5, ENGINE_DONE) == 5);
    CHECK(ask(HOST_CWA_RESOURCE_READ, 0, 105, 50, ENGINE_DONE) == 7);
    CHECK(memcmp(memory + 100, input_bytes, 12) == 0);
    CHECK((int32_t)ask(HOST_CWA_RESOURCE_READ, 0, 100, 50, ENGINE_DONE) == RESOURCE_END);
    CHECK(guest.bytes_in == 12 && tape.at == t.count && !tape.rest.n);
    (void)ask(HOST_CWA_TIME_NOW, 0, 0, 0, ENGINE_END);
    CHECK(guest.end_reason == ERR_DIVERGED);
    CHECK_STR(guest.end_text, "the recorded run ended (ok) after 4 records; this one goes on and "
                              "asks for the time");
    guest_end(&guest);
    buf_done(&keep);
}

TEST(a_guest_that_asks_for_something_else)
{
    struct buf keep;
    uint64_t was[2];
    struct tape t = record(1 << 20, &keep, was);
    tape_play(&tape, &t);
    begin();
    (void)ask(HOST_CWA_RANDOM_I32, 0, 0, 0, ENGINE_END);
    CHECK(guest.end_reason == ERR_DIVERGED);
    CHECK_STR(guest.end_text,
              "record 1 is 8 random bytes, but the program asks for 4 random bytes");
    guest_end(&guest);
    buf_done(&keep);
}

TEST(a_tape_that_was_cut)
{
    struct buf keep;
    uint64_t was[2];
    struct tape t = record(20, &keep, was);
    CHECK(!t.whole && t.count == 1);
    tape_play(&tape, &t);
    begin();
    CHECK(ask(HOST_CWA_RANDOM_I64, 0, 0, 0, ENGINE_DONE) == was[0]);
    (void)ask(HOST_CWA_TIME_NOW, 0, 0, 0, ENGINE_END);
    CHECK_STR(guest.end_text, "the capture was cut after 1 records, at the limit \"capture\": the "
                              "program now asks for the time");
    guest_end(&guest);
    /* a run that was cancelled ends there again */
    t.whole = true;
    t.reason = ERR_WALL_LIMIT;
    tape_play(&tape, &t);
    begin();
    (void)ask(HOST_CWA_RANDOM_I64, 0, 0, 0, ENGINE_DONE);
    (void)ask(HOST_CWA_TIME_NOW, 0, 0, 0, ENGINE_END);
    CHECK(guest.end_reason == ERR_WALL_LIMIT);
    guest_end(&guest);
    tape_done(&tape);
    buf_done(&keep);
}

TEST_MAIN(CASE(what_is_written_is_read), CASE(damage), CASE(a_guest_gets_what_was_recorded),
          CASE(a_guest_that_asks_for_something_else), CASE(a_tape_that_was_cut))
