/* Previews: who may see a version before it is promoted.
 *
 * A member gets a link with a token, signed by control (Ed25519): it names a
 * version and ends soon, for links are passed on and logged. An edge, which has
 * only the public half of that key, trades it for a cookie that it makes and
 * judges itself (a MAC under the node key), and that ends with the preview. */
#pragma once

#include "auth/token.h"

struct preview_pass {
    struct uuid function, version;
    uint64_t until_s; /* Unix time */
};

enum {
    PREVIEW_TOKEN = 140, /* text with its NUL */
    PREVIEW_COOKIE = 55,
    PREVIEW_KEY = 32
};

void preview_token(const struct token_keys *k, const struct preview_pass *p,
                   char out[PREVIEW_TOKEN]);
/* Does this text let its bearer see this version now? ERR_UNAUTHORIZED says why not. */
enum err_code preview_token_judge(const uint8_t public_key[32], struct slice text,
                                  struct uuid function, struct uuid version, uint64_t now_s,
                                  struct err *e) MUST_CHECK;

void preview_cookie(const uint8_t key[PREVIEW_KEY], const struct preview_pass *p,
                    char out[PREVIEW_COOKIE]);
bool preview_cookie_good(const uint8_t key[PREVIEW_KEY], struct slice text, struct uuid function,
                         struct uuid version, uint64_t now_s);
