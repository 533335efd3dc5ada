/* A version as exec needs it: the payload of a LOAD frame.
 *
 * Edge makes it from the route table, exec reads it once and keeps it for all
 * runs of that version. The environment and arguments are NUL-terminated
 * strings one after another. */
#pragma once

#include "base/buf.h"
#include "base/limits.h"
#include "base/uuid.h"

enum { DIGEST_BYTES = 32, DIGEST_TEXT = 64 };

enum response_kind { RESPONSE_CGI, RESPONSE_TEXT };
enum engine_kind { ENGINE_PLAIN, ENGINE_FUEL, ENGINE_KINDS };
/* Of which runs everything that came from outside is kept, so that they can be replayed. */
enum capture_kind { CAPTURE_NONE, CAPTURE_FAILURES, CAPTURE_ALL };

struct version_load {
    uint8_t digest[DIGEST_BYTES]; /* SHA-256 of the uploaded module: the image's name */
    uint8_t kind;                 /* enum engine_kind */
    uint8_t trace;                /* 1: a LOG line for each host call (`run --trace`) */
    uint8_t capture;              /* enum capture_kind */
    uint16_t secrets;             /* so many pairs at the end of env are secrets */
    struct uuid id, function;     /* the version's and its function's */
    uint8_t assets[DIGEST_BYTES]; /* its bundle's name; zero: none */
    struct uuid revision;         /* of the secrets in env: with id, what a slot is of */
    uint8_t policy_digest[DIGEST_BYTES]; /* zero: the empty policy */
    struct limits limits;
    struct slice policy; /* canonical (policy/policy.h); may be empty */
    struct slice env;    /* `NAME\0value\0` pairs of the function; may be empty */
    struct slice args;   /* `arg\0` each, argv[0] (the function's name) first */
};

/* Appends the encoding; false if the buffer is at its limit. */
bool version_load_write(const struct version_load *v, struct buf *out) MUST_CHECK;
/* The slices borrow `bytes`. Checks lengths, the limits' maxima and that strings end in NUL. */
enum err_code version_load_read(struct slice bytes, struct version_load *ret_load,
                                struct err *e) MUST_CHECK;

/* Lower-case hexadecimal of a digest, NUL-terminated. */
void digest_text(const uint8_t digest[DIGEST_BYTES], char out[DIGEST_TEXT + 1]);
bool digest_parse(struct slice text, uint8_t ret_digest[DIGEST_BYTES]);

enum { IMAGE_NAME = DIGEST_TEXT + sizeof ".fuel" };
/* The file of a module's image in its project's folder: DIGEST, or DIGEST.fuel for the engine that
 * counts gas. NUL-terminated. */
void image_name(const uint8_t digest[DIGEST_BYTES], enum engine_kind kind, char out[IMAGE_NAME]);
