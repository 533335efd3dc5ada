/* Loads and stores by computed address: a text is packed by an LZ77 compressor with a hash table and
 * chains of 32 candidates, unpacked and compared. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { TEXT = 1 << 20, ROUNDS = 32, HASHES = 1 << 15, WINDOW = 1 << 15, CHAIN = 32, LEAST = 4, MOST = 255 + LEAST };

static uint8_t text[TEXT], packed[TEXT + TEXT / 8 + 64], unpacked[TEXT];
static int32_t head[HASHES], before[WINDOW];

static uint32_t hash(const uint8_t *p)
{
    uint32_t word;
    memcpy(&word, p, 4);
    return word * 2654435761u >> (32 - 15);
}

static int match(const uint8_t *a, const uint8_t *b, int most)
{
    int n = 0;
    while (n < most && a[n] == b[n])
        n++;
    return n;
}

static void insert(int i)
{
    uint32_t h = hash(text + i);
    before[i % WINDOW] = head[h];
    head[h] = i;
}

/* Eight items a flag byte: a literal, or 2 bytes of distance and 1 of length. */
static int pack(void)
{
    uint8_t *to = packed, *flags = to;
    int bit = 8;
    memset(head, -1, sizeof head);
    for (int i = 0; i < TEXT;) {
        int best = 0, from = 0, room = TEXT - i < MOST ? TEXT - i : MOST;
        if (room >= LEAST) {
            int at = head[hash(text + i)];
            for (int tries = CHAIN; at >= 0 && i - at < WINDOW && tries; tries--) {
                int n = match(text + at, text + i, room);
                if (n > best)
                    best = n, from = at;
                at = before[at % WINDOW];
            }
        }
        if (bit == 8)
            flags = to++, *flags = 0, bit = 0;
        int step = 1;
        if (best >= LEAST) {
            int distance = i - from;
            *flags |= (uint8_t)(1 << bit);
            *to++ = (uint8_t)distance;
            *to++ = (uint8_t)(distance >> 8);
            *to++ = (uint8_t)(best - LEAST);
            step = best;
        } else {
            *to++ = text[i];
        }
        bit++;
        for (; step; step--, i++)
            if (i + LEAST <= TEXT)
                insert(i);
    }
    return (int)(to - packed);
}

static int unpack(int n)
{
    const uint8_t *from = packed, *end = packed + n;
    int i = 0;
    while (from < end)
        for (int flags = *from++, bit = 0; bit < 8 && from < end; bit++) {
            if (!(flags >> bit & 1)) {
                unpacked[i++] = *from++;
                continue;
            }
            int distance = from[0] | from[1] << 8, length = from[2] + LEAST;
            from += 3;
            for (; length; length--, i++)
                unpacked[i] = unpacked[i - distance];
        }
    return i;
}

int main(void)
{
    static const char *const words[] = {"the ", "of ", "and ", "to ", "function ", "module ", "memory ", "a ",
                                        "byte ", "host ", "call ", "ledger ", "is ", "in ", "run ", "\n"};
    uint32_t seed = 1;
    for (int i = 0; i < TEXT;) {
        seed = seed * 1664525 + 1013904223;
        const char *word = words[seed >> 28];
        for (; *word && i < TEXT; word++)
            text[i++] = (uint8_t)*word;
        if (seed >> 20 & 1 && i < TEXT)
            text[i++] = (uint8_t)('0' + (seed >> 8) % 10);
    }
    int n = 0, same = 0;
    for (int round = 0; round < ROUNDS; round++) {
        n = pack();
        same += unpack(n) == TEXT && memcmp(text, unpacked, TEXT) == 0;
        text[round] ^= 1; /* another text each time */
    }
    printf("%d of %d, %d bytes of %d\n", same, ROUNDS, n, TEXT);
    return same != ROUNDS;
}
