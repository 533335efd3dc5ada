/* Images: modules compiled to native code, mapped and shared by all their runs.
 *
 * An image is trusted completely: it comes from a folder that only control
 * writes, and control has hashed it. Its file ends in a checksum of the rest, which
 * opening computes again: a bit that the disk has changed since is found before
 * anything of it is run. */
#pragma once

#include "engine/call.h"
#include "engine/engine.h"

struct image;

/* Compiles a module that was judged (memory exported, imports known) and writes the image into
 * the empty regular file `fd`. ERR_COMPILE with the compiler's reason, ERR_DISK_FULL, ERR_IO. */
enum err_code image_compile(struct engine *engine, struct slice module, int fd, uint64_t *ret_size,
                            struct err *e) MUST_CHECK;

/* Opens the image at `path` and links it: each import is looked up among the host functions
 * (base/host.h), whose handlers are `handlers`, an array of HOST_COUNT. ERR_NOT_FOUND if there is
 * no file, ERR_CONFLICT if it is damaged, ERR_NO_ENTRY_POINT, ERR_UNKNOWN_IMPORT. The file must
 * never change; it may be unlinked.
 */
enum err_code image_open(struct engine *engine, const char *path, const engine_handler *handlers,
                         struct image **ret_image, struct err *e) MUST_CHECK;
struct image *image_ref(struct image *image);
/* The last one closes it; slow (the mapping goes), so not while a request waits. */
void image_unref(struct image *image);
