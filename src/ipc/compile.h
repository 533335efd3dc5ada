/* What a compile job reports: one fixed struct through COMPILE_RESULT and, of a module, what it
 * imports and exports as JSON; then the job ends.
 *
 * A job that dies says nothing; how it died (its wait status) then tells whether
 * a limit ended it. compile_outcome() makes one answer of both, for control and
 * for `run`. */
#pragma once

#include "ipc/spec.h"

/* The kinds of job: LEASH_COMPILE's arg. The first two are those of enum engine_kind. */
enum compile_job {
    COMPILE_PLAIN,
    COMPILE_FUEL,
    COMPILE_ASSETS, /* a tar archive in, a bundle (module/bundle.h) out */
    COMPILE_JOBS,
};
/* The word after `compile` in a job's arguments; "" for none. */
extern const char *const compile_words[COMPILE_JOBS];

enum {
    COMPILE_MAGIC = 0x32434d57, /* "WMC2" */
    COMPILE_ENTRY = 16,
    COMPILE_INTERFACE = 32 << 10, /* bytes of JSON, at most; a longer one isn't reported */
    COMPILE_BYTES = COMPILE_INTERFACE + 1024 /* room for all of it */
};

struct compile_result {
    uint32_t magic;
    uint32_t code;  /* enum err_code; ERR_OK: the image is complete */
    char text[512]; /* why not; NUL-terminated */
    uint64_t module_bytes, image_bytes;
    uint64_t memory_min, memory_max; /* bytes; max: UINT64_MAX if the module states none */
    uint64_t cpu_us;                 /* that judging and compiling took */
    uint32_t abi;                    /* enum module_abi, bits */
    uint32_t files;                  /* of a bundle */
    uint32_t imports, exports, functions, data_segments;
    uint32_t entry_returns;       /* 1: the entry point has type () -> i32 */
    char entry[COMPILE_ENTRY];    /* NUL-terminated */
    uint8_t digest[DIGEST_BYTES]; /* SHA-256 of the bytes that the job read */
    uint32_t interface_bytes; /* that follow: {"imports": ["MODULE.NAME", …], "exports": […]} */
    uint32_t reserved;
};
_Static_assert(sizeof(struct compile_result) < COMPILE_BYTES - COMPILE_INTERFACE, "it fits");

/* `bytes` is all that came through COMPILE_RESULT, `wait_status` how the job ended. ERR_OK: an
 * image was made and *ret_result describes it. Else why not: the rule that the module broke,
 * ERR_COMPILE_LIMIT, or ERR_INTERNAL if the job failed by no fault of the module. *ret_result is
 * set whenever the job said something, and is else as it was. Everything is checked: the job
 * handled hostile bytes. */
enum err_code compile_outcome(struct slice bytes, int wait_status, const struct limits *limits,
                              struct compile_result *ret_result, struct err *e) MUST_CHECK;

/* The JSON in `bytes`, which compile_outcome() took; empty if there is none. It is not judged. */
struct slice compile_interface(struct slice bytes);
