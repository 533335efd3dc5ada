/* Whose certificates are believed: the authorities, read once.
 *
 * libcurl would read the whole bundle again for each TLS connection, some ten milliseconds during
 * which the loop serves nobody. With the OpenSSL flavour of libcurl all connections share one store
 * instead; with another, libcurl does it its own way. */
#pragma once

#include "base/slice.h"
#include "http/curl.h"

struct trust;

/* `pem` is borrowed until trust_free(); empty trusts nobody. */
enum err_code trust_new(const struct curl_api *curl, struct slice pem, struct trust **ret_trust,
                        struct err *e) MUST_CHECK;
void trust_free(struct trust *t);
/* Makes a handle verify servers against these; false if libcurl does not know how. */
bool trust_set(struct trust *t, CURL *easy) MUST_CHECK;
