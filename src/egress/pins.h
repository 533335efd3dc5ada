/* Trust on first use: the public key that a host and port showed first is the only one it may show.
 *
 * Gemini's servers sign their own certificates, so there is no authority to ask. Pins live as long
 * as the process; a renewed certificate with the same key is the same server. */
#pragma once

#include "base/err.h"
#include "base/list.h"
#include "base/map.h"

enum { PIN_KEY = 32 /* bytes: SHA-256 of a subjectPublicKeyInfo */ };

struct pins {
    struct map by_place; /* struct pin by "host:port" */
    struct list by_age;
    unsigned count;
};

void pins_init(struct pins *p);
void pins_done(struct pins *p);

/* May the server at `where` ("host:port") show this certificate (PEM; NULL: none)? The first that
 * it shows is remembered. ERR_UNREACHABLE. */
enum err_code pins_check(struct pins *p, struct slice where, const char *pem,
                         struct err *e) MUST_CHECK;
/* The key of a certificate; false if it is malformed. */
bool pins_key(const char *pem, uint8_t ret_hash[PIN_KEY]);
