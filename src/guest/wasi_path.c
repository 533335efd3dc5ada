/* WASI: paths. Nothing is preopened, so there is no folder that a path could start from. */
#include "guest/wasi.h"

static enum engine_verdict refuse(struct engine_call *c, int folder)
{
    bool open = guest_descriptor(guest_of(c), engine_u32(c, folder)) != NULL;
    return guest_return(c, open ? WASI_ENOTDIR : WASI_EBADF);
}

enum engine_verdict preview1_path(struct engine_call *c)
{
    return refuse(c, 0);
}

enum engine_verdict preview1_path_symlink(struct engine_call *c)
{
    return refuse(c, 2);
}
