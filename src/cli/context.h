/* Context: which server the command line speaks to, as whom, in which project.
 *
 * Each of the three is looked for on its own, first match wins:
 *   WASMCLOUD_URL, WASMCLOUD_TOKEN, WASMCLOUD_PROJECT
 *   login.json in $XDG_CONFIG_HOME/wasmcloud, written by `login` and `project use`
 *   local.json in $XDG_STATE_HOME/wasmcloud, written by a `serve` of the same user
 * A saved token is only ever used with the address it was saved with. */
#pragma once

#include "base/err.h"

struct context {
    char url[512];    /* without a slash at its end; always set */
    char token[4096]; /* "" if there is none for this address */
    char project[128];
};

/* Only broken or unreadable files are errors: with nothing to be found the address is the default
 * of a local server. */
enum err_code context_find(struct context *ret_context, struct err *e) MUST_CHECK;

/* Saves a login (0600) and uses it; one of another address is kept aside with its project. The
 * project stays as it was if the address does. */
enum err_code context_save_login(const char *url, const char *token, struct err *e) MUST_CHECK;
enum err_code context_save_project(const char *project, struct err *e) MUST_CHECK;
/* Removes the saved login in use; *ret_was says whether there was one. Others stay. */
enum err_code context_forget(bool *ret_was, struct err *e) MUST_CHECK;

/* The servers that were logged in to, and a local one: the one in use first. */
enum err_code context_each(void (*each)(void *arg, const char *url, const char *project,
                                        bool in_use),
                           void *arg, struct err *e) MUST_CHECK;
/* Uses the one of this address, or the only one with `text` in its address. ERR_NOT_FOUND, or
 * ERR_CONFLICT if there are several. */
enum err_code context_use(const char *text, struct err *e) MUST_CHECK;

/* Judges an address given by a person and writes it to `out` without a slash at the end; http is
 * assumed for a loopback host without a scheme, https for others. */
enum err_code context_url(const char *text, char *out, size_t cap, struct err *e) MUST_CHECK;
/* The host is this machine itself: 127.0.0.0/8, ::1 or localhost. */
bool context_is_local(const char *url);
