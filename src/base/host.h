/* Host functions: the names and types of everything a guest may import.
 *
 * The rows of tables/host_functions.def without their handlers, for those who
 * only judge or describe: the module judge, `inspect`, the ledger's names. The
 * handlers are in guest/host.h and reach the linker from there. */
#pragma once

#include "base/slice.h"

enum host_id {
#define HOST(id, ...) HOST_##id,
#include "tables/host_functions.def"
#undef HOST
    HOST_COUNT
};

struct host_function {
    const char *module, *alias; /* the import module's names, which may be equal */
    const char *name;
    const char *params, *result; /* i: i32, I: i64, n: either; "" for none */
    const char *label;           /* "cwa.resource_write": in ledgers and answers */
    bool waits;                  /* may suspend the guest */
};

extern const struct host_function host_functions[HOST_COUNT];

/* Index of the function, under either name of its module; -1 if there is none. *ret_alias (which
 * may be NULL) tells whether it was the second name. */
int host_find(struct slice module, struct slice name, bool *ret_alias);

/* Is `module` one of the two names of a module in the table? */
bool host_module_known(struct slice module);

enum { HOST_NUMBER = 24 };
/* An argument or result of this type as people read it: an i64 is signed, an i32 only if it is a
 * little below zero, else it is an address or a size. Returns `out`. */
const char *host_number(char type, uint64_t value, char out[HOST_NUMBER]);

/* May an import of this type be served by `f`? Types are strings of i, I, f, F (others: any other
 * letter). Equal, or different only in an added i32 result on a function without one: then 0 is
 * returned to the guest. */
bool host_fits(const struct host_function *f, struct slice params, struct slice result);
