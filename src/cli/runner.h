/* One run in an exec process of its own, between the standard streams of this one.
 *
 * Plays the edge: standard input goes out as BODY as far as credit was granted,
 * OUTPUT comes back to standard output, LOG to standard error, and END brings
 * the ledger. Wall limits are kept here, CPU and memory limits in exec. */
#pragma once

#include "base/options.h"
#include "ipc/ledger.h"
#include "ipc/spec.h"

struct play_answer;

struct runner_job {
    int images_fd;       /* folder ENGINE */
    struct uuid project; /* folder in it */
    const struct version_load *load;
    struct slice meta;          /* meta-variables of the run: pairs, as in a BEGIN frame */
    struct play_answer *answer; /* shows the output as a CGI response; NULL: as it is */
    struct slice tape;          /* that the run plays, without input and network; empty: none */
    uint64_t tape_output;       /* bytes of output that it recorded */
    bool keep;                  /* the run is captured */
    unsigned again;             /* further runs, one after another, all without input and output */
    /* Hears how each of several runs ended. */
    void (*each)(void *arg, const struct ledger *l);
    void *arg;
    const struct options *options; /* of the exec */
};

struct runner_end {
    struct ledger ledger; /* how it ended */
    uint8_t
        output[DIGEST_BYTES]; /* SHA-256 of the output as far as the played tape recorded some */
    struct buf capture; /* the tape of a run that was to be kept: the caller's, buf_done(); may be
                           empty */
    int signal; /* SIGINT, SIGTERM: somebody ended it; SIGPIPE: nobody read its output; else 0 */
    int broken; /* errno, where its output could not be written; else 0 */
};

/* Runs it to its end. ERR_OK: *ret_end says how it ended, whatever that was. Otherwise the
 * program did not run or its process died: ERR_EXEC_DIED, what LOAD_FAILED said, … */
enum err_code runner_run(const struct runner_job *job, struct runner_end *ret_end,
                         struct err *e) MUST_CHECK;
