#include "base/map.h"

#include <stdlib.h>
#include <sys/random.h>

static uint64_t seed;

/* A multiply-and-fold hash over 8-byte words (the mixing step of wyhash's
 * design), seeded at first use. */
static uint64_t mix(uint64_t a, uint64_t b)
{
    __uint128_t r = (__uint128_t)a * b;
    return (uint64_t)r ^ (uint64_t)(r >> 64);
}

uint64_t map_hash(struct slice key)
{
    if (!seed && getrandom(&seed, sizeof seed, 0) != sizeof seed)
        abort();
    seed |= 1;
    uint64_t h = seed ^ key.n;
    const char *p = key.p;
    size_t n = key.n;
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        h = mix(h ^ w, 0x9e3779b97f4a7c15u);
    }
    uint64_t w = 0;
    if (n)
        memcpy(&w, p, n);
    return mix(h ^ w ^ ((uint64_t)n << 56), 0xd6e8feb86659fd93u ^ seed);
}

static struct map_slot *find(const struct map *m, struct slice key, uint64_t hash)
{
    struct map_slot *free_slot = NULL;
    for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        struct map_slot *s = &m->slots[i];
        if (!s->key.p)
            return free_slot ? free_slot : s;
        if (!s->value) {
            if (!free_slot)
                free_slot = s;
        } else if (s->hash == hash && slice_eq(s->key, key)) {
            return s;
        }
    }
}

static bool grow(struct map *m)
{
    size_t cap = m->live * 2 < 8 ? 16 : m->cap;
    while (cap < m->live * 4)
        cap *= 2;
    struct map bigger = {.slots = calloc(cap, sizeof *bigger.slots), .cap = cap};
    if (!bigger.slots)
        return false;
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].value) {
            *find(&bigger, m->slots[i].key, m->slots[i].hash) = m->slots[i];
            bigger.used++, bigger.live++;
        }
    free(m->slots);
    *m = bigger;
    return true;
}

void map_done(struct map *m)
{
    free(m->slots);
    *m = (struct map){0};
}

void *map_get(const struct map *m, struct slice key)
{
    return m->cap ? find(m, key, map_hash(key))->value : NULL;
}

bool map_put(struct map *m, struct slice key, void *value)
{
    uint64_t hash = map_hash(key);
    if (m->used + 1 > m->cap / 4 * 3 && !grow(m))
        return false;
    struct map_slot *s = find(m, key, hash);
    if (!s->value) {
        m->live++;
        m->used += !s->key.p;
    }
    *s = (struct map_slot){.key = {key.p ? key.p : "", key.n}, .value = value, .hash = hash};
    return true;
}

void *map_remove(struct map *m, struct slice key)
{
    struct map_slot *s = m->cap ? find(m, key, map_hash(key)) : NULL;
    void *value = s ? s->value : NULL;
    if (value) {
        s->value = NULL;
        s->key = SLICE(""); /* a tombstone no longer borrows */
        m->live--;
    }
    return value;
}

void *map_next(const struct map *m, size_t *at)
{
    while (*at < m->cap) {
        void *value = m->slots[(*at)++].value;
        if (value)
            return value;
    }
    return NULL;
}
