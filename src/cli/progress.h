/* Progress: what a person on a terminal sees while a call takes its time.
 *
 * One line on standard error, drawn over itself and gone at the end: a bar while bytes are on their
 * way, then how long the server has been at work. Nothing when standard error is no terminal, and
 * nothing of a call that is over at once. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *label, *then; /* "hello.wasm", and what the server does with it: "compiling" */
    uint64_t begun_us, drawn_us;
    bool drawn; /* there is a line to take away */
};

/* `label` NULL, or no terminal: the others do nothing. Borrows both. */
void progress_begin(struct progress *p, const char *label, const char *then);
/* `done` of `all` bytes are sent; all 0: there are none. */
void progress_show(struct progress *p, uint64_t done, uint64_t all);
void progress_end(struct progress *p);
