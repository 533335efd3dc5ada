/* Uploads: files of this machine, judged as far as that is quick, on their way to the server. */
#pragma once

#include "blob/blob.h"
#include "cli/client.h"

/* Opens a module ("-": standard input). ERR_NOT_FOUND; ERR_NOT_A_MODULE saying what the file is
 * instead, by its first bytes. */
enum err_code upload_open_module(const char *file, int *ret_fd, struct err *e) MUST_CHECK;
/* Packs a folder of assets into an archive in memory; the server judges by its own limits.
 * `ret_digest`: that of the bundle which the server will make of it, in hexadecimal. */
enum err_code upload_open_assets(const char *folder, int *ret_fd, char ret_digest[DIGEST_TEXT + 1],
                                 struct err *e) MUST_CHECK;

/* The SHA-256 of a file in hexadecimal, "" of what can be read only once. */
enum err_code upload_digest(int fd, char ret_digest[DIGEST_TEXT + 1], struct err *e) MUST_CHECK;

/* Stores a file of this type at `path` ("{P}/modules"); *ret_stored (the caller's) has its digest.
 * `label` is what a person calls it. */
enum err_code upload_store(struct client *c, const char *path, const char *type, const char *label,
                           int fd, json_t **ret_stored, struct err *e) MUST_CHECK;
