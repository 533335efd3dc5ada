/* Watching: has anything changed that a function's folder is built of?
 *
 * inotify says when to look, a hash over names and contents whether anything is different: a build
 * that writes the same files again doesn't start itself again, and neither does an editor that
 * saves what was there. Left out are names that begin with a dot, `target` and `node_modules`, and,
 * where a build makes them, *.wasm. Of files over 1 MiB size and time are compared, not content. */
#pragma once

#include "base/err.h"

struct watch;

enum { WATCH_FOLDERS = 1000, WATCH_FILES = 20000 /* at most: a folder with more is refused */ };

/* Watches `folder` and what is below it; `modules`: also *.wasm. */
enum err_code watch_open(const char *folder, bool modules, struct watch **ret_watch,
                         struct err *e) MUST_CHECK;
void watch_close(struct watch *w); /* accepts NULL */

/* Readable when something may have changed. */
int watch_fd(const struct watch *w);
/* Takes what made it readable. */
void watch_take(struct watch *w);
/* Looks: *ret_changed says whether it differs from the last look. New folders are watched from now
 * on. The first look changes nothing. */
enum err_code watch_look(struct watch *w, bool *ret_changed, struct err *e) MUST_CHECK;
