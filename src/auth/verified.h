/* Tokens whose signature was found good a while ago.
 *
 * Verifying one takes 60 us, most of what a short request costs. What is remembered is that these
 * bytes were signed by us and what they claim, which can't change; whether the token is expired,
 * revoked or unknown is asked each time. */
#pragma once

#include "auth/token.h"

enum { VERIFIED_KEY = 32, VERIFIED_PLACES = 256 };

struct verified {
    uint8_t key[VERIFIED_KEY]; /* random, so that nobody can choose who shares a place */
    struct {
        uint8_t hash[VERIFIED_KEY]; /* of the text; zero: the place is free */
        struct token_claims claims;
    } places[VERIFIED_PLACES];
};

void verified_init(struct verified *v);
/* As token_verify(). */
enum err_code verified_token(struct verified *v, const struct token_keys *k, struct slice text,
                             uint64_t now, struct token_claims *ret_claims,
                             struct err *e) MUST_CHECK;
