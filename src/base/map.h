/* Maps: byte-string keys to pointers, open addressing.
 *
 * Keys are borrowed: they must stay valid and unchanged while they are in the
 * map, so let the value own its key. */
#pragma once

#include "base/slice.h"

struct map_slot {
    struct slice key; /* key.p == NULL: never used; value == NULL: removed */
    void *value;
    uint64_t hash;
};

struct map {
    struct map_slot *slots;
    size_t cap, used, live;
};

void map_done(struct map *m); /* frees the table, not the values; zeroed memory is an empty map */
void *map_get(const struct map *m, struct slice key);           /* NULL if absent */
bool map_put(struct map *m, struct slice key, void *value);     /* replaces; false: no memory */
void *map_remove(struct map *m, struct slice key);              /* the value, or NULL */
/* Visits all: start with *at = 0; NULL at the end. Don't put while visiting. */
void *map_next(const struct map *m, size_t *at);

/* 64-bit hash, keyed per process with random bytes against collision floods. */
uint64_t map_hash(struct slice key);
