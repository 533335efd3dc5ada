/* Why a run ended as it did, in words for the function's author: the text of its ledger. */
#pragma once

#include "engine/instance.h"
#include "guest/guest.h"

/* Writes it, NUL-terminated; "" for a run that ended because it wanted to. Between the instance's
 * end and instance_done(). */
void exec_text(const struct instance *i, const struct guest *g, enum err_code reason, char *out,
               size_t size);
