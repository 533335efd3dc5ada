/* Prototypes of all handlers, from the table; a handler may serve several rows. */
#pragma once

#include "guest/guest.h"

#define HOST(id, module, name, params, result, wait, handler)                                      \
    enum engine_verdict handler(struct engine_call *c);
#include "tables/host_functions.def"
#undef HOST
