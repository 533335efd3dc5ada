/* UTF-8 (RFC 3629): what of foreign bytes is text. */
#pragma once

#include "base/slice.h"

/* Bytes of the valid sequence at the start of `s`; 0: there is none. */
size_t utf8_length(struct slice s);
