#include "test.h"

#include "spool/spool.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static int temp_folder(char path[64])
{
    snprintf(path, 64, "/tmp/spool-test-XXXXXX");
    return mkdtemp(path) ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
}

static void remove_folder(int folder, const char *path)
{
    unlinkat(folder, "edge-0", 0);
    unlinkat(folder, "edge-0.damaged", 0);
    unlinkat(folder, "egress", 0);
    close(folder);
    CHECK(rmdir(path) == 0);
}

static const struct uuid function = {{1}}, project = {{2}};

static struct spool_receipt receipt(uint16_t cause)
{
    struct spool_receipt r = {.run = uuid_new(),
                              .function = function,
                              .project = project,
                              .status = 200,
                              .cause = cause,
                              .method = "GET",
                              .path = "/a/path"};
    return r;
}

TEST(records_come_out_as_they_went_in_also_around_the_end)
{
    char path[64], line[16384];
    int folder = temp_folder(path);
    struct err e;
    struct spool *edge, *control;
    CHECK(spool_open(folder, "edge-0", 1 << 20, false, &control, &e) == ERR_NOT_FOUND);
    CHECK(!spool_open(folder, "edge-0", 1 << 20, true, &edge, &e));
    CHECK(!spool_open(folder, "edge-0", 1 << 20, false, &control, &e));
    CHECK(uuid_eq(spool_id(edge), spool_id(control)));

    unsigned seed = 1;
    for (int round = 0; round < 3000; round++) {
        struct ledger l = {.head = {.cpu_us = (uint64_t)round, .call_rows = 2}};
        l.calls[1] = (struct ledger_call){.function = 5, .count = 77};
        snprintf(l.text, sizeof l.text, "text %d", round);
        struct spool_receipt r = receipt(ERR_OK);
        struct spool_log head = {.function = function, .level = 3};
        size_t n = (size_t)rand_r(&seed) % sizeof line;
        memset(line, 'a' + round % 26, n);
        CHECK(spool_receipt(edge, &r, &l));
        CHECK(spool_log(edge, &head, slice_make(line, n)));

        struct spool_record rec;
        uint64_t at = spool_tail(control);
        CHECK(spool_next(control, &at, &rec) && rec.type == SPOOL_RECEIPT);
        CHECK(uuid_eq(rec.receipt.run, r.run) && rec.ledger.head.cpu_us == (uint64_t)round);
        CHECK(rec.ledger.calls[1].count == 77);
        CHECK_STR(rec.ledger.text, l.text);
        CHECK_STR(rec.receipt.path, "/a/path");
        CHECK(spool_next(control, &at, &rec) && rec.type == SPOOL_LOG && rec.log.level == 3);
        CHECK(slice_eq(rec.line, slice_make(line, n)));
        CHECK(!spool_next(control, &at, &rec));
        spool_take(control, at);
        CHECK(spool_waiting(edge) == 0);
    }
    spool_close(control);
    spool_close(edge);
    remove_folder(folder, path);
}

TEST(a_full_ring_drops_and_counts_but_keeps_room_for_failures)
{
    char path[64];
    int folder = temp_folder(path);
    struct err e;
    struct spool *edge;
    struct ledger l = {0};
    CHECK(!spool_open(folder, "edge-0", 1 << 20, true, &edge, &e));
    struct spool_receipt ok = receipt(ERR_OK), failed = receipt(ERR_TRAP);
    uint64_t kept = 0;
    while (spool_receipt(edge, &ok, &l))
        kept++;
    CHECK(kept > 500 && spool_dropped(edge, SPOOL_RECEIPT) == 1);
    CHECK(spool_receipt(edge, &failed, &l));
    struct spool_log head = {.level = 6};
    CHECK(!spool_log(edge, &head, SLICE("no room")) && spool_dropped(edge, SPOOL_LOG) == 1);
    spool_close(edge);

    /* everything that was kept is still there for the next pair of processes */
    struct spool_record rec;
    CHECK(!spool_open(folder, "edge-0", 1 << 20, true, &edge, &e));
    uint64_t at = spool_tail(edge), n = 0;
    while (spool_next(edge, &at, &rec))
        n++;
    CHECK(n == kept + 1);
    spool_take(edge, at);
    CHECK(spool_receipt(edge, &ok, &l));
    spool_close(edge);
    remove_folder(folder, path);
}

TEST(sums_only_grow_and_survive_a_kill)
{
    char path[64];
    int folder = temp_folder(path);
    struct err e;
    struct spool *edge, *control;
    int go[2];
    CHECK(pipe(go) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (spool_open(folder, "edge-0", 1 << 20, true, &edge, &e))
            _exit(1);
        for (int i = 0; i < 1000; i++) {
            struct uuid id = {{(uint8_t)(i % 10), 0, 0, 0, 0, 0, 0, 0, (uint8_t)(i % 10)}};
            spool_add(spool_sums(edge, id, project), SPOOL_RUNS, 1);
            spool_add(spool_sums(edge, id, project), SPOOL_CPU_US, 5);
        }
        if (write(go[1], "x", 1) != 1)
            _exit(1);
        pause();
    }
    char c;
    CHECK(read(go[0], &c, 1) == 1);
    CHECK(!spool_open(folder, "edge-0", 1 << 20, false, &control, &e));
    CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
    CHECK(!spool_open(folder, "edge-0", 1 << 20, true, &edge, &e)); /* the next edge goes on */
    struct uuid three = {{3, 0, 0, 0, 0, 0, 0, 0, 3}};
    spool_add(spool_sums(edge, three, project), SPOOL_RUNS, 1);
    size_t at = 0, n = 0;
    uint64_t runs = 0, cpu = 0;
    for (const struct spool_sums *s; (s = spool_sums_next(control, &at)); n++) {
        runs += s->v[SPOOL_RUNS];
        cpu += s->v[SPOOL_CPU_US];
        CHECK(s->v[SPOOL_RUNS] == (s->function.b[0] == 3 ? 101 : 100));
    }
    CHECK(n == 10 && runs == 1001 && cpu == 5000);
    spool_close(edge);
    spool_close(control);
    close(go[0]);
    close(go[1]);
    remove_folder(folder, path);
}

TEST(a_hostile_ring_is_skipped_not_believed)
{
    char path[64];
    int folder = temp_folder(path);
    struct err e;
    struct ledger l = {.head = {.call_rows = 1}};
    struct spool_receipt r = receipt(ERR_OK);
    for (unsigned seed = 1; seed <= 400; seed++) {
        struct spool *edge, *control;
        unsigned random = seed;
        CHECK(!spool_open(folder, "edge-0", 1 << 20, true, &edge, &e));
        CHECK(!spool_open(folder, "edge-0", 1 << 20, false, &control, &e));
        uint64_t start = spool_tail(edge);
        for (int i = 0; i < 4; i++)
            CHECK(spool_receipt(edge, &r, &l));
        size_t bytes = spool_waiting(edge);
        spool_close(edge);

        /* overwrite a few words of what was appended, through the file */
        int fd = openat(folder, "edge-0", O_RDWR | O_CLOEXEC);
        off_t ring = lseek(fd, 0, SEEK_END) - (1 << 20);
        for (int i = 0; i < 3; i++) {
            uint32_t word = (uint32_t)rand_r(&random) * 2654435761u >> rand_r(&random) % 32;
            off_t at = (off_t)((start + (size_t)rand_r(&random) % bytes / 4 * 4) % (1 << 20));
            CHECK(pwrite(fd, &word, sizeof word, ring + at) == sizeof word);
        }
        close(fd);

        struct spool_record rec;
        uint64_t at = spool_tail(control);
        int n = 0;
        while (spool_next(control, &at, &rec))
            n++;
        CHECK(n <= 4);
        spool_take(control, at);
        CHECK(spool_waiting(control) == 0);
        spool_close(control);
    }
    remove_folder(folder, path);
}

TEST(connections_have_a_ring_of_their_own)
{
    char path[64];
    int folder = temp_folder(path);
    struct err e;
    struct spool *egress, *control;
    struct spool_connection c = {.project = project,
                                 .at_us = 5,
                                 .port = 443,
                                 .outcome = ERR_UNREACHABLE,
                                 .sent = 7,
                                 .received = 9,
                                 .host = "api.example",
                                 .scheme = "https"};
    CHECK(!spool_open(folder, "egress", 1 << 20, true, &egress, &e));
    CHECK(!spool_open(folder, "egress", 1 << 20, false, &control, &e));
    uint64_t kept = 0, got = 0, at = spool_tail(control);
    for (; spool_connection(egress, &c); c.at_us++)
        kept++;
    CHECK(kept > 2000 && spool_dropped(egress, SPOOL_CONNECTION) == 1);
    struct spool_record rec;
    for (; spool_next(control, &at, &rec); got++) {
        CHECK(rec.type == SPOOL_CONNECTION && rec.connection.at_us == 5 + got);
        CHECK(rec.connection.outcome == ERR_UNREACHABLE && rec.connection.received == 9);
        CHECK_STR(rec.connection.host, "api.example");
    }
    CHECK(got == kept);
    spool_take(control, at);
    c.outcome = ERR_COUNT; /* not one of ours: it is skipped with what comes with it */
    CHECK(spool_connection(egress, &c) && !spool_next(control, &at, &rec));
    memset(c.host, 'x', sizeof c.host);
    c.outcome = ERR_OK;
    CHECK(spool_connection(egress, &c) && spool_next(control, &at, &rec));
    CHECK(strlen(rec.connection.host) == sizeof c.host - 1);
    spool_close(egress);
    spool_close(control);
    remove_folder(folder, path);
}

TEST(a_file_of_another_kind_is_put_aside)
{
    char path[64];
    int folder = temp_folder(path);
    struct err e;
    struct spool *edge;
    int fd = openat(folder, "edge-0", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CHECK(write(fd, "not a ring", 10) == 10);
    close(fd);
    CHECK(spool_open(folder, "edge-0", 1 << 20, false, &edge, &e) == ERR_CONFLICT);
    CHECK(!spool_open(folder, "edge-0", 1 << 20, true, &edge, &e));
    CHECK(faccessat(folder, "edge-0.damaged", F_OK, 0) == 0);
    spool_close(edge);
    remove_folder(folder, path);
}

TEST(a_capture_goes_in_whole_or_not_at_all)
{
    char path[64];
    static char tape[200000], got[sizeof tape];
    int folder = temp_folder(path);
    struct err e;
    struct spool *edge, *control;
    struct spool_record rec;
    struct spool_capture head = {
        .run = uuid_new(), .function = function, .project = project, .whole = 1};
    for (size_t i = 0; i < sizeof tape; i++)
        tape[i] = (char)(i * 7 + i / 256);
    CHECK(!spool_open(folder, "edge-0", 1 << 20, true, &edge, &e));
    CHECK(!spool_open(folder, "edge-0", 1 << 20, false, &control, &e));
    for (int round = 0; round < 50; round++) { /* around the end, too */
        uint64_t at = spool_tail(control);
        size_t n = sizeof tape - (size_t)round * 1003, have = 0;
        CHECK(spool_capture(edge, &head, slice_make(tape, n)));
        while (spool_next(control, &at, &rec)) {
            CHECK(rec.type == SPOOL_CAPTURE && uuid_eq(rec.capture.run, head.run));
            CHECK(rec.capture.at == have && rec.capture.bytes == n && rec.capture.whole);
            memcpy(got + have, rec.piece.p, rec.piece.n);
            have += rec.piece.n;
        }
        CHECK(have == n && memcmp(tape, got, n) == 0);
        spool_take(control, at);
    }
    CHECK(spool_dropped(control, SPOOL_CAPTURE) == 0);
    CHECK(spool_capture(edge, &head, slice_make(tape, sizeof tape)));
    CHECK(spool_capture(edge, &head, slice_make(tape, sizeof tape)));
    size_t waiting = spool_waiting(edge);
    CHECK(!spool_capture(edge, &head, slice_make(tape, sizeof tape)));
    CHECK(spool_dropped(control, SPOOL_CAPTURE) == 1 && spool_waiting(edge) == waiting);
    spool_close(control);
    spool_close(edge);
    remove_folder(folder, path);
}

TEST_MAIN(CASE(records_come_out_as_they_went_in_also_around_the_end),
          CASE(a_full_ring_drops_and_counts_but_keeps_room_for_failures),
          CASE(sums_only_grow_and_survive_a_kill), CASE(a_hostile_ring_is_skipped_not_believed),
          CASE(connections_have_a_ring_of_their_own), CASE(a_file_of_another_kind_is_put_aside),
          CASE(a_capture_goes_in_whole_or_not_at_all))
