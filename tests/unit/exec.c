/* An exec process, driven as an edge would: streams, credit, limits, cancelling, and what ends it.
 */
#include "assemble.h"
#include "base/clock.h"
#include "exec_driver.h"
#include "ipc/tape.h"
#include "ipc/exchange.h"
#include "test.h"

static struct driver d;

enum {
    HELLO = 1,
    ECHO,
    SLEEP,
    LOOP,
    FLOOD,
    EXIT,
    READ_FOREVER,
    TRAP,
    LOG,
    GROW,
    GROW_TOO,
    FILE_READER,
    URL_READER
};

static void compile(uint8_t number, const char *code)
{
    struct assemble a = {.data = SLICE("hello")};
    driver_compile(&d, number, assemble(&a, "_start", "", code));
}

/* What came for a run so far. */
struct seen {
    bool ended;
    char output[256];
    size_t size;
    char line[64];
    struct ledger ledger;
};
static struct seen all[128]; /* by id */

/* A process with all programs loaded in slots of their numbers. */
static void begin(void)
{
    memset(all, 0, sizeof all);
    driver_start(&d, false);
    driver_bind(&d);
    for (uint32_t i = HELLO; i <= GROW_TOO; i++)
        driver_load(&d, i, (uint8_t)i, &d.limits, SLICE("COLOUR\0blue\0"), SLICE("test\0"));
}

static void end(void)
{
    int status = driver_stop(&d);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Reads until the run has ended. */
static bool collect(uint64_t id, struct seen *ret_seen)
{
    struct frame f;
    struct slice p;
    struct err e;
    while (!all[id].ended && driver_next(&d, &f, &p)) {
        if (f.id >= 128)
            continue;
        struct seen *s = &all[f.id];
        if (f.type == FRAME_END)
            s->ended = ledger_read(p, &s->ledger, &e) == ERR_OK;
        if (f.type == FRAME_OUTPUT) {
            size_t room = sizeof s->output - (s->size < sizeof s->output ? s->size : 0);
            memcpy(s->output + sizeof s->output - room, p.p, p.n < room ? p.n : room);
            s->size += p.n;
        }
        if (f.type == FRAME_LOG)
            slice_copy(slice_from(p, 1), s->line, sizeof s->line);
    }
    *ret_seen = all[id];
    return all[id].ended;
}

/* The next OUTPUT's bytes. */
static size_t next_output(void)
{
    struct frame f;
    struct slice p;
    while (driver_next(&d, &f, &p))
        if (f.type == FRAME_OUTPUT)
            return p.n;
    return 0;
}

static void cancel(uint64_t id, enum err_code reason)
{
    uint16_t r = (uint16_t)reason;
    driver_put(&d, FRAME_CANCEL, 0, id, &r, sizeof r);
}

TEST(hello)
{
    struct seen s;
    begin();
    for (uint64_t id = 1; id <= 100; id++)
        driver_begin(&d, id, HELLO, SLICE("A\0b\0"), false);
    /* One send of the test, so a turn or two of exec; each gets its own END, in order. */
    driver_flush(&d);
    for (uint64_t id = 1; id <= 100; id++) {
        bool ran = collect(id, &s);
        CHECK(ran);
        if (s.ledger.head.reason == ERR_BUSY)
            continue; /* a hundred at once are more than there are places */
        CHECK(s.ledger.head.reason == ERR_OK && s.size == 5 && !memcmp(s.output, "hello", 5));
        CHECK(s.ledger.head.calls == 1 && s.ledger.head.call_rows == 1 &&
              s.ledger.calls[0].function == HOST_CWA_RESOURCE_WRITE);
        CHECK(s.ledger.head.memory_peak == 65536 && s.ledger.head.bytes_out == 5);
    }
    end();
}

TEST(input)
{
    struct seen s;
    begin();
    driver_begin(&d, 1, ECHO, SLICE(""), true);
    driver_put(&d, FRAME_BODY, 0, 1, "one", 3);
    driver_flush(&d);
    CHECK(next_output() == 3); /* before the rest was sent */
    driver_put(&d, FRAME_BODY, 0, 1, "three", 5);
    driver_flush(&d);
    CHECK(next_output() == 5);
    driver_put(&d, FRAME_BODY, FRAME_LAST, 1, NULL, 0);
    driver_flush(&d);
    CHECK(collect(1, &s) && s.ledger.head.reason == ERR_OK && s.ledger.head.bytes_in == 8);

    /* More than the credit, sent as it is granted; the output's credit is given back at once. */
    driver_begin(&d, 2, ECHO, SLICE(""), true);
    static char block[32768];
    uint64_t sent = 0, allowed = FRAME_CREDIT_INITIAL, got = 0;
    const uint64_t total = 1 << 20;
    while (got < total) {
        for (; sent < total && allowed >= sizeof block; sent += sizeof block) {
            driver_put(&d, FRAME_BODY, sent + sizeof block == total ? FRAME_LAST : 0, 2, block,
                       sizeof block);
            allowed -= sizeof block;
        }
        driver_flush(&d);
        struct frame f;
        struct slice p;
        if (!driver_next(&d, &f, &p))
            break;
        if (f.type == FRAME_OUTPUT) {
            uint32_t n = (uint32_t)p.n;
            got += n;
            driver_put(&d, FRAME_CREDIT, 0, 2, &n, sizeof n);
        } else if (f.type == FRAME_CREDIT) {
            uint32_t more;
            memcpy(&more, p.p, sizeof more);
            allowed += more;
        }
    }
    CHECK(got == total);
    CHECK(collect(2, &s) && s.ledger.head.bytes_in == total && s.ledger.head.bytes_out == total);
    end();
}

TEST(output_credit)
{
    struct seen s;
    struct frame f;
    struct slice p;
    begin();
    driver_begin(&d, 1, FLOOD, SLICE(""), false);
    driver_begin(&d, 2, SLEEP, SLICE(""), false); /* ends after 20 ms: nothing more came of 1 */
    driver_flush(&d);
    uint64_t got = 0;
    while (driver_next(&d, &f, &p) && f.type != FRAME_END)
        got += f.type == FRAME_OUTPUT && f.id == 1 ? p.n : 0;
    CHECK(got == FRAME_CREDIT_INITIAL);
    uint32_t more = 1000;
    driver_put(&d, FRAME_CREDIT, 0, 1, &more, sizeof more);
    driver_flush(&d);
    CHECK(next_output() == 1000);
    cancel(1, ERR_OUTPUT_LIMIT);
    driver_flush(&d);
    CHECK(collect(1, &s) && s.ledger.head.reason == ERR_OUTPUT_LIMIT);
    CHECK(s.ledger.head.bytes_out == FRAME_CREDIT_INITIAL + 1000);
    end();
}

TEST(sleeping)
{
    struct seen s;
    begin();
    uint64_t begun = clock_mono_us(), slept = 0;
    for (uint64_t id = 1; id <= 40; id++)
        driver_begin(&d, id, SLEEP, SLICE(""), false);
    driver_flush(&d);
    for (uint64_t id = 1; id <= 40; id++) {
        CHECK(collect(id, &s) && s.ledger.head.reason == ERR_OK);
        CHECK(s.ledger.head.wall_us >= 20000);
        slept += s.ledger.head.wall_us;
    }
    CHECK(clock_mono_us() - begun < slept); /* not one after the other */
    end();
}

TEST(limits)
{
    struct seen s;
    struct limits tight = d.limits;
    tight.v[LIMIT_CPU] = 50000;
    begin();
    driver_load(&d, LOOP, LOOP, &tight, SLICE(""), SLICE(""));
    driver_begin(&d, 1, LOOP, SLICE(""), false);
    driver_begin(&d, 2, LOOP, SLICE(""), false);
    driver_begin(&d, 3, HELLO, SLICE(""), false);
    driver_flush(&d);
    CHECK(collect(3, &s) && s.size == 5); /* first, though it came last */
    CHECK(collect(1, &s) && s.ledger.head.reason == ERR_CPU_LIMIT);
    CHECK(s.ledger.head.cpu_us >= 50000 && s.ledger.head.cpu_us < 90000);
    CHECK(collect(2, &s) && s.ledger.head.reason == ERR_CPU_LIMIT);
    end();
}

TEST(causes)
{
    struct seen s;
    begin();
    driver_begin(&d, 1, EXIT, SLICE(""), false);
    driver_begin(&d, 2, TRAP, SLICE(""), false);
    driver_begin(&d, 3, LOG, SLICE(""), false);
    driver_flush(&d);
    CHECK(collect(1, &s) && s.ledger.head.reason == ERR_EXIT_STATUS && s.ledger.head.status == 3);
    CHECK(collect(2, &s) && s.ledger.head.reason == ERR_TRAP &&
          strstr(s.ledger.text, "unreachable"));
    CHECK(collect(3, &s) && s.ledger.head.reason == ERR_OK && s.ledger.head.log_lines == 1);
    CHECK_STR(s.line, "hello");
    end();
}

/* Eight guests that want 128 MiB each of 512: some get less, and nobody else suffers. */
TEST(exec_memory)
{
    struct seen s;
    uint64_t pages = 0;
    begin();
    for (uint64_t id = 1; id <= 8; id++)
        driver_begin(&d, id, GROW, SLICE(""), false);
    for (uint64_t id = 9; id <= 40; id++)
        driver_begin(&d, id, HELLO, SLICE(""), false);
    driver_flush(&d);
    for (uint64_t id = 1; id <= 8; id++) {
        CHECK(collect(id, &s) && s.ledger.head.reason == ERR_EXIT_STATUS);
        pages += (uint64_t)s.ledger.head.status;
    }
#ifndef __SANITIZE_ADDRESS__ /* its shadow would count */
    CHECK(pages > 4 * 2048 - 512 && pages < 4 * 2048 + 1024);
#endif
    for (uint64_t id = 9; id <= 40; id++)
        CHECK(collect(id, &s) && s.ledger.head.reason == ERR_OK);
    driver_begin(&d, 50, GROW, SLICE(""), false);
    driver_flush(&d);
    CHECK(collect(50, &s) && s.ledger.head.status >= 2048 - 16);
    /* All of it is free again, for another program too. */
    for (uint64_t id = 51; id <= 53; id++)
        driver_begin(&d, id, GROW_TOO, SLICE(""), false);
    driver_flush(&d);
    for (uint64_t id = 51; id <= 53; id++)
        CHECK(collect(id, &s) && s.ledger.head.status >= 2048 - 16);
    end();
}

TEST(cancelling)
{
    struct seen s;
    begin();
    driver_begin(&d, 1, READ_FOREVER, SLICE(""), true);
    driver_begin(&d, 2, LOOP, SLICE(""), false);
    driver_flush(&d);
    cancel(1, ERR_WALL_LIMIT);
    cancel(2, ERR_CANCELLED);
    cancel(99, ERR_CANCELLED); /* crossed its END: ignored */
    driver_flush(&d);
    CHECK(collect(1, &s) && s.ledger.head.reason == ERR_WALL_LIMIT);
    CHECK(collect(2, &s) && s.ledger.head.reason == ERR_CANCELLED);
    end();
}

TEST(missing_image)
{
    struct frame f;
    struct slice p;
    struct seen s;
    begin();
    driver_load(&d, 100, 200, &d.limits, SLICE(""), SLICE(""));
    driver_begin(&d, 1, 100, SLICE(""), false);
    driver_flush(&d);
    CHECK(driver_next(&d, &f, &p) && f.type == FRAME_LOAD_FAILED && f.id == 100);
    uint16_t code = 0;
    memcpy(&code, p.p, sizeof code);
    CHECK(code == ERR_NOT_FOUND);
    CHECK(collect(1, &s) && s.ledger.head.reason == ERR_NOT_FOUND);
    end();
}

/* More versions than images stay open; those that were closed open again. */
TEST(many_versions)
{
    struct seen s;
    begin();
    for (uint32_t slot = 100; slot < 140; slot++)
        driver_load(&d, slot, HELLO, &d.limits, SLICE(""), SLICE(""));
    for (uint64_t id = 1; id <= 120; id++) {
        driver_begin(&d, id, (uint32_t)(100 + id * 7 % 40), SLICE(""), false);
        driver_flush(&d);
        CHECK(collect(id, &s) && s.ledger.head.reason == ERR_OK && s.size == 5);
    }
    driver_put(&d, FRAME_UNLOAD, 0, 100, NULL, 0);
    end();
}

/* Each of these ends the process by itself, soon, with everything else unharmed. */
TEST(malformed)
{
    struct frame f;
    struct slice p;
    for (int i = 0; i < 10; i++) {
        begin();
        uint32_t number = 0x7fffffff;
        switch (i) {
        case 0: /* a slot that was never loaded */
            driver_begin(&d, 1, 3000, SLICE(""), false);
            break;
        case 1: /* variables that don't end */
            driver_begin(&d, 1, HELLO, SLICE("A\0b"), false);
            break;
        case 2: /* the same id twice */
            driver_begin(&d, 1, READ_FOREVER, SLICE(""), true);
            driver_begin(&d, 1, READ_FOREVER, SLICE(""), true);
            break;
        case 3: /* a second project */
            driver_bind(&d);
            break;
        case 4: /* no such slot */
            driver_load(&d, 1u << 20, HELLO, &d.limits, SLICE(""), SLICE(""));
            break;
        case 5: /* a version that is none */
            driver_put(&d, FRAME_LOAD, 0, 9, "x", 1);
            break;
        case 6: /* more body than credit */
            driver_begin(&d, 1, READ_FOREVER, SLICE(""), true);
            static char block[65536];
            driver_begin(&d, 2, SLEEP, SLICE(""), true);
            driver_put(&d, FRAME_BODY, 0, 2, block, sizeof block);
            driver_put(&d, FRAME_BODY, 0, 2, block, 1);
            break;
        case 7: /* credit without end */
            driver_begin(&d, 1, READ_FOREVER, SLICE(""), true);
            driver_put(&d, FRAME_CREDIT, 0, 1, &number, 4);
            driver_put(&d, FRAME_CREDIT, 0, 1, &number, 4);
            break;
        case 8: /* pieces of two tapes */
            driver_put(&d, FRAME_TAPE, FRAME_MORE, 1, "w", 1);
            driver_put(&d, FRAME_TAPE, 0, 2, "w", 1);
            break;
        default: /* a frame of the other direction */
            driver_put(&d, FRAME_OUTPUT, 0, 1, "x", 1);
        }
        driver_flush(&d);
        while (driver_next(&d, &f, &p))
            ;
        end();
    }
}

/* The file's bytes come out of a mapping that the locked-down process made of a bundle. */
TEST(assets)
{
    struct seen s;
    driver_assets(&d, 7, "hello", SLICE("what lies in the file"));
    begin();
    driver_load_assets(&d, 20, FILE_READER, 7, &d.limits, SLICE(""), SLICE("test\0"));
    driver_load_assets(&d, 21, FILE_READER, 8, &d.limits, SLICE(""), SLICE("test\0"));
    driver_begin(&d, 1, 20, SLICE(""), false);
    driver_begin(&d, 2, 21, SLICE(""), false);
    driver_flush(&d);
    CHECK(collect(1, &s) && s.ledger.head.reason == ERR_OK);
    CHECK(s.size == 21 && !memcmp(s.output, "what lies in the file", 21));
    CHECK(collect(2, &s) && s.ledger.head.reason == ERR_NOT_FOUND);
    end();
}

static void load_as(uint32_t slot, uint8_t number, enum engine_kind kind, bool trace)
{
    struct version_load v = {
        .digest = {number}, .kind = (uint8_t)kind, .trace = trace, .limits = d.limits};
    struct buf b;
    buf_init(&b, FRAME_LOAD_MOST);
    CHECK(version_load_write(&v, &b));
    driver_put(&d, FRAME_LOAD, 0, slot, buf_data(&b), buf_size(&b));
    buf_done(&b);
}

/* Each host call is told once, waiting included, and is not part of the guest's own log. */
TEST(traced)
{
    struct frame f;
    struct slice p;
    struct ledger l;
    struct err e;
    char lines[512] = "";
    begin();
    load_as(20, HELLO, ENGINE_PLAIN, true);
    load_as(21, SLEEP, ENGINE_PLAIN, true);
    driver_begin(&d, 1, 20, SLICE(""), false);
    driver_begin(&d, 2, 21, SLICE(""), false);
    driver_begin(&d, 3, HELLO, SLICE(""), false);
    driver_flush(&d);
    for (int ended = 0; ended < 3 && driver_next(&d, &f, &p);) {
        size_t n = strlen(lines);
        if (f.type == FRAME_LOG) {
            CHECK(FRAME_LOG_SOURCE((uint8_t)p.p[0]) == 3 && FRAME_LOG_LEVEL((uint8_t)p.p[0]) == 6);
            snprintf(lines + n, sizeof lines - n, "%ju %.*s|", (uintmax_t)f.id, (int)p.n - 1,
                     p.p + 1);
        }
        if (f.type == FRAME_END) {
            CHECK(ledger_read(p, &l, &e) == ERR_OK && l.head.log_lines == 0);
            ended++;
        }
    }
    static const char call[] = "2 cwa.runtime_msleep(20)  (";
    const char *slept = strstr(lines, call);
    CHECK(strstr(lines, "1 cwa.resource_write(1, \"hello\", 5) -> 5  (") == lines);
    CHECK(slept && strtod(slept + sizeof call - 1, NULL) >= 20000); /* µs */
    CHECK(slept && !strstr(slept + 1, "2 cwa") && !strstr(lines, "3 cwa"));
    end();
}

static void begin_with(uint64_t id, uint32_t slot, uint16_t flags)
{
    char payload[4 + sizeof "A\0b"];
    memcpy(payload, &slot, 4);
    memcpy(payload + 4, "A\0b", sizeof "A\0b");
    driver_put(&d, FRAME_BEGIN, flags, id, payload, sizeof payload);
}

/* The tape of a run comes before its END, and another run plays it without any input. */
TEST(captured)
{
    struct frame f = {0};
    struct slice p;
    struct seen s;
    struct tape t;
    struct err e;
    char kept[4096];
    size_t n = 0;
    begin();
    begin_with(1, ECHO, FRAME_KEEP);
    driver_put(&d, FRAME_BODY, FRAME_LAST, 1, "from outside", 12);
    driver_flush(&d);
    while (f.type != FRAME_CAPTURE && driver_next(&d, &f, &p))
        CHECK(f.type != FRAME_END);
    CHECK(f.flags == FRAME_LAST && p.n < sizeof kept);
    n = p.n < sizeof kept ? p.n : 0;
    memcpy(kept, p.p, n);
    CHECK(!tape_read(slice_make(kept, n), &t, &e) && t.whole && t.reason == ERR_OK);
    CHECK(slice_eq(t.meta, slice_make("A\0b", 4)) && slice_eq(t.args, slice_make("test", 5)));
    CHECK(t.output_bytes == 12 && memmem(kept, n, "from outside", 12));
    CHECK(collect(1, &s) && s.ledger.head.reason == ERR_OK);

    driver_put(&d, FRAME_TAPE, FRAME_MORE, 2, kept, 10);
    driver_put(&d, FRAME_TAPE, 0, 2, kept + 10, n - 10);
    begin_with(2, ECHO, FRAME_LAST);
    driver_put(&d, FRAME_TAPE, 0, 3, kept, n - 1);
    begin_with(3, ECHO, FRAME_LAST);
    begin_with(4, HELLO, FRAME_LAST); /* nothing is left over for it */
    driver_flush(&d);
    CHECK(collect(2, &s) && s.ledger.head.reason == ERR_OK);
    CHECK(s.size == 12 && !memcmp(s.output, "from outside", 12) && s.ledger.head.bytes_in == 12);
    CHECK(collect(3, &s) && s.ledger.head.reason == ERR_DAMAGED);
    CHECK(collect(4, &s) && s.ledger.head.reason == ERR_OK && s.size == 5);
    end();
}

/* What the ledger says of a failure; nothing of a success; the time that making it took. */
TEST(told)
{
    struct seen s;
    begin();
    driver_begin(&d, 1, TRAP, SLICE(""), false);
    driver_begin(&d, 2, HELLO, SLICE(""), false);
    driver_begin(&d, 3, EXIT, SLICE(""), false);
    driver_begin(&d, 4, READ_FOREVER, SLICE(""), true);
    driver_flush(&d);
    CHECK(collect(1, &s) && strstr(s.ledger.text, "unreachable") &&
          strstr(s.ledger.text, "\n  at ") && strstr(s.ledger.text, "\nhint: "));
    CHECK(s.ledger.head.start_ns > 0 && s.ledger.head.start_ns / 1000 <= s.ledger.head.cpu_us);
    CHECK(collect(2, &s) && !s.ledger.text[0] && collect(3, &s) && !s.ledger.text[0]);
    cancel(4, ERR_WALL_LIMIT);
    driver_flush(&d);
    CHECK(collect(4, &s) && strncmp(s.ledger.text,
                                    "last host call: cwa.resource_read(0, 1024, 1), for which it "
                                    "waited\nhint: raise it with --limit wall=",
                                    97) == 0);
    end();
}

/* What an exec says to egress, which is this test. The payload is valid until the next call. */
static bool asks(enum frame_type type, uint64_t id, struct slice *ret_payload)
{
    static char bytes[4096];
    struct frame f;
    if (recv(d.egress, &f, sizeof f, MSG_WAITALL) != sizeof f || f.length > sizeof bytes ||
        (f.length && recv(d.egress, bytes, f.length, MSG_WAITALL) != (ssize_t)f.length))
        return false;
    *ret_payload = slice_make(bytes, f.length);
    return f.type == type && f.id == id;
}

static void answer(enum frame_type type, uint64_t id, const char *text)
{
    struct exchange_end end = {0};
    struct buf b;
    buf_init(&b, 4096);
    CHECK(*text ? frame_put(&b, type, 0, id, text, strlen(text))
                : frame_put(&b, type, 0, id, &end, sizeof end));
    CHECK(send(d.egress, buf_data(&b), buf_size(&b), MSG_NOSIGNAL) == (ssize_t)buf_size(&b));
    buf_done(&b);
}

static void load_policy(uint32_t slot, const char *policy)
{
    struct version_load v = {.digest = {URL_READER},
                             .id = {{9}},
                             .limits = d.limits,
                             .args = SLICE("reader\0"),
                             .policy = slice_str(policy)};
    struct buf b;
    buf_init(&b, FRAME_LOAD_MOST);
    CHECK(version_load_write(&v, &b));
    driver_put(&d, FRAME_LOAD, 0, slot, buf_data(&b), buf_size(&b));
    buf_done(&b);
}

static const char run_id[] = "RUN_ID\0"
                             "01234567-89ab-7def-8123-456789abcdef";

/* The way of a URL that a guest opens: REACH, once, and what is said to egress; a run that waits
 * for it holds up no other; when egress dies, its exchanges fail. */
TEST(remote)
{
    struct frame f;
    struct slice p, url;
    struct exchange_open open;
    struct seen s;
    struct err e;
    char run[UUID_TEXT + 1];
    begin();
    load_policy(20, "{\"allow\":[\"http://h.test/\"]}");
    driver_begin(&d, 1, 20, slice_make(run_id, sizeof run_id), false);
    driver_flush(&d);
    CHECK(driver_next(&d, &f, &p) && f.type == FRAME_REACH);
    CHECK(asks(FRAME_OPEN, 1, &p) && exchange_open_read(p, &open, &url, &e) == ERR_OK);
    uuid_text(open.run, run);
    CHECK(!strcmp(run, run_id + 7) && open.version.b[0] == 9);
    CHECK(slice_eq(url, SLICE("http://h.test/")));
    driver_begin(&d, 2, HELLO, SLICE(""), false);
    driver_flush(&d);
    CHECK(collect(2, &s) && s.size == 5);
    answer(FRAME_VERDICT, 1, "");
    CHECK(asks(FRAME_REQUEST, 1, &p));
    answer(FRAME_VERDICT, 1, "");
    answer(FRAME_ANSWER, 1, "HTTP/1.1 200 OK\r\n\r\n");
    answer(FRAME_OUTPUT, 1, "hello");
    answer(FRAME_FINISHED, 1, "");
    CHECK(collect(1, &s) && s.ledger.head.reason == ERR_OK && s.ledger.head.opens == 1);
    CHECK(s.size == 24 && !memcmp(s.output, "HTTP/1.1 200 OK\r\n\r\nhello", 24));
    CHECK(s.ledger.head.egress_in == 24 && asks(FRAME_CANCEL, 1, &p));

    driver_begin(&d, 3, 20, SLICE(""), false);
    driver_begin(&d, 4, 20, SLICE(""), false);
    driver_flush(&d);
    CHECK(asks(FRAME_OPEN, 2, &p) && asks(FRAME_OPEN, 3, &p)); /* and no second REACH */
    cancel(3, ERR_WALL_LIMIT);
    driver_flush(&d);
    CHECK(collect(3, &s) && s.ledger.head.reason == ERR_WALL_LIMIT && asks(FRAME_CANCEL, 2, &p));
    shutdown(d.egress, SHUT_RDWR);
    CHECK(collect(4, &s) && s.ledger.head.reason == ERR_OK && s.ledger.head.log_lines > 0);
    CHECK(s.size == 0 && s.ledger.head.opens == 0);
    end();
}

TEST(policies)
{
    struct frame f;
    struct slice p;
    struct seen s;
    begin();
    load_policy(20, "");
    driver_begin(&d, 1, 20, SLICE(""), false);
    driver_flush(&d);
    CHECK(collect(1, &s) && s.ledger.head.reason == ERR_POLICY && s.ledger.head.refused == 1);
    load_policy(21, "allow: [");
    driver_begin(&d, 2, 21, SLICE(""), false);
    driver_flush(&d);
    CHECK(driver_next(&d, &f, &p) && f.type == FRAME_LOAD_FAILED && f.id == 21);
    CHECK(collect(2, &s) && s.ledger.head.reason == ERR_INVALID && s.size == 0);
    end();
}

/* An engine runs only versions of its kind. */
TEST(other_kind)
{
    struct seen s;
    begin();
    load_as(20, HELLO, ENGINE_FUEL, false);
    driver_begin(&d, 1, 20, SLICE(""), false);
    driver_flush(&d);
    CHECK(collect(1, &s) && s.ledger.head.reason == ERR_INTERNAL && s.size == 0);
    end();
}

static const struct test_case cases[] = {
    CASE(hello),         CASE(input),         CASE(output_credit), CASE(sleeping),
    CASE(limits),        CASE(causes),        CASE(exec_memory),   CASE(cancelling),
    CASE(missing_image), CASE(many_versions), CASE(malformed),     CASE(assets),
    CASE(traced),        CASE(captured),      CASE(told),          CASE(other_kind),
    CASE(remote),        CASE(policies),
};

int main(void)
{
    /* Written to when an exec has ended already. */
    signal(SIGPIPE, SIG_IGN);
    driver_init(&d, false);
    compile(HELLO, "1 8 5 cwa.resource_write drop");
    compile(ECHO, "loop 0 1024 60000 cwa.resource_read set 0 get 0 -5 eq if return end "
                  "1 1024 get 0 cwa.resource_write drop br 0 end");
    compile(SLEEP, "20 cwa.runtime_msleep");
    compile(LOOP, "loop br 0 end");
    compile(FLOOD, "loop 1 0 60000 cwa.resource_write drop br 0 end");
    compile(EXIT, "3 wasi.proc_exit");
    compile(READ_FOREVER, "loop 0 1024 1 cwa.resource_read drop br 0 end");
    compile(TRAP, "unreachable");
    /* Grows until it gets -1, keeps it for 50 ms, exits with the number of pages. */
    compile(GROW, "loop 16 grow -1 eq if 50 cwa.runtime_msleep size wasi.proc_exit end br 0 end");
    compile(GROW_TOO,
            "loop 16 grow -1 eq if 49 cwa.runtime_msleep size wasi.proc_exit end br 0 end");
    compile(FILE_READER, "3 0 8 5 0 0L 0L 0 100 wasi.path_open drop "
                         "200 300 store 204 50 store 100 load 200 1 208 wasi.fd_read drop "
                         "204 208 load store 1 200 1 208 wasi.fd_write drop");
    compile(LOG, "2 8 5 cwa.resource_write drop");
    struct assemble reader = {.data = SLICE("http://h.test/")};
    driver_compile(
        &d, URL_READER,
        assemble(&reader, "_start", "",
                 "8 14 cwa.resource_open set 0 loop get 0 1024 1000 cwa.resource_read set 1 "
                 "get 1 -5 eq if return end get 1 -2 eq if return end "
                 "1 1024 get 1 cwa.resource_write drop br 0 end"));
    int status = test_main(cases, (int)(sizeof cases / sizeof *cases));
    driver_done(&d);
    return status;
}
