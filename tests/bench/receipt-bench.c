/* What a receipt costs the request's path: `receipt-bench`, in a folder that can be written to.
 *
 * What edge_receipt_keep() does for a plain success: the sums of its function and the record, in a
 * ring that somebody empties. Prints nanoseconds; the best of ROUNDS counts. */
#include "base/clock.h"
#include "spool/spool.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { RECEIPTS = 2000, ROUNDS = 200, RING = 4 << 20 };

static void keep(struct spool *s, struct spool_sums *sums, const struct spool_receipt *r,
                 const struct ledger *l)
{
    for (int c = SPOOL_RUNS; c <= SPOOL_LOG_LINES; c++)
        spool_add(sums, (enum spool_counter)c, 1);
    if (!spool_receipt(s, r, l))
        abort();
}

int main(void)
{
    struct err e;
    struct spool *writer, *reader;
    struct spool_record record;
    struct spool_receipt receipt = {.run = uuid_new(),
                                    .function = uuid_new(),
                                    .project = uuid_new(),
                                    .version = uuid_new(),
                                    .started_us = clock_real_us(),
                                    .status = 200,
                                    .method = "GET",
                                    .path = "/articles/of/today",
                                    .client = "192.0.2.0/24"};
    struct ledger ledger = {.head = {.cpu_us = 20, .wall_us = 30, .calls = 3, .call_rows = 3}};
    int folder = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    uint64_t best = UINT64_MAX;
    if (folder < 0 || spool_open(folder, "receipt-bench", RING, true, &writer, &e) ||
        spool_open(folder, "receipt-bench", RING, false, &reader, &e)) {
        fprintf(stderr, "receipt-bench: this folder can't be written to\n");
        return 1;
    }
    struct spool_sums *sums = spool_sums(writer, receipt.function, receipt.project);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t began = clock_mono_ns();
        for (int i = 0; i < RECEIPTS; i++)
            keep(writer, sums, &receipt, &ledger);
        uint64_t took = clock_mono_ns() - began;
        best = took < best ? took : best;
        uint64_t at = spool_tail(reader);
        while (spool_next(reader, &at, &record))
            ;
        spool_take(reader, at);
    }
    printf("%llu\n", (unsigned long long)(best / RECEIPTS));
    spool_close(writer);
    spool_close(reader);
    unlink("receipt-bench");
    return 0;
}
