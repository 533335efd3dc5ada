/* A backup as a file: what GET /v1/backup sends (api/backup.c), read without trust.
 *
 * A tar archive of files with names from a closed set, in this order:
 *
 *   db.sqlite            the database
 *   keys/NAME            signing, secrets, node: only if the keys were asked for
 *   blobs/DIGEST         every module and bundle of assets that the database names
 *   manifest.json        sizes and hashes of the above; what says `failed` is no backup */
#pragma once

#include "base/err.h"

#include <jansson.h>

/* In a data folder: a restore into it is at work, or was broken off. */
#define RESTORE_PART "restore.part"

enum { BACKUP_KEYS = 3, BACKUP_KEY_BYTES = 32, BACKUP_HASH = 32 };
extern const char *const backup_keys[BACKUP_KEYS];

struct backup_facts {
    char created[32], version[32];
    uint64_t bytes, database_bytes, blobs, blob_bytes;
    uint32_t schema;
    bool keys;                                      /* are they in it? */
    uint8_t fingerprints[BACKUP_KEYS][BACKUP_HASH]; /* of the server's keys, in it or not */
};

/* Unpacks the archive into the empty folder, judging it: names, order, every hash, and what the
 * database says of itself and of the blobs. `path` names the folder, too. ERR_DAMAGED says what is
 * wrong, ERR_CONFLICT that a newer program made it; what is in the folder then is worth nothing. */
enum err_code backup_unpack(const char *file, int folder, const char *path,
                            struct backup_facts *ret_facts, struct err *e) MUST_CHECK;
/* The same without keeping anything: in a temporary folder, which is removed. */
enum err_code backup_verify(const char *file, struct backup_facts *ret_facts,
                            struct err *e) MUST_CHECK;
/* Removes what backup_unpack() has put into the folder, not the folder itself. */
void backup_unpack_remove(int folder);

/* {"file", "size", "created_at", "version", "schema", "database", "blobs", "keys"} */
json_t *backup_facts_json(const char *file, const struct backup_facts *facts);
