/* The instruction takes three cycles but one can begin in each: three lanes of a block are summed
 * side by side and put together by a multiplication without carries (Gopal et al., "Fast CRC
 * Computation for iSCSI Polynomial Using CRC32 Instruction", 2011). */
#include "base/crc32c.h"

#include <stdbool.h>

#define POLYNOMIAL 0x82f63b78u /* reflected */

uint32_t crc32c_by_table(uint32_t sum, struct slice bytes)
{
    static uint32_t table[16]; /* what a nibble leaves of the remainder */
    if (!table[1])
        for (uint32_t i = 16; i-- > 0;) {
            uint32_t r = i;
            for (int bit = 0; bit < 4; bit++)
                r = r & 1 ? r >> 1 ^ POLYNOMIAL : r >> 1;
            table[i] = r;
        }
    sum = ~sum;
    for (size_t i = 0; i < bytes.n; i++) {
        sum ^= (uint8_t)bytes.p[i];
        sum = sum >> 4 ^ table[sum & 15];
        sum = sum >> 4 ^ table[sum & 15];
    }
    return ~sum;
}

#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>

enum { LANE = 4096 };
/* x^(8n - 33) modulo the polynomial, reflected: moves a sum n bytes on. */
#define PAST_ONE 0x82f89c77u
#define PAST_TWO 0x54a86326u

#define FAST __attribute__((target("sse4.2,pclmul")))

static inline uint64_t word(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

FAST static inline uint64_t past(uint64_t sum, uint32_t by)
{
    __m128i product =
        _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)sum), _mm_cvtsi32_si128((int)by), 0);
    return _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

FAST static uint32_t by_instruction(uint32_t sum, struct slice bytes)
{
    uint64_t s = ~sum;
    const char *p = bytes.p, *end = p + bytes.n;
    for (s &= UINT32_MAX; end - p >= 3 * LANE; p += 3 * LANE) {
        uint64_t b = 0, c = 0;
        for (size_t i = 0; i < LANE; i += 8) {
            s = _mm_crc32_u64(s, word(p + i));
            b = _mm_crc32_u64(b, word(p + LANE + i));
            c = _mm_crc32_u64(c, word(p + 2 * LANE + i));
        }
        s = past(s, PAST_TWO) ^ past(b, PAST_ONE) ^ c;
    }
    for (; end - p >= 8; p += 8)
        s = _mm_crc32_u64(s, word(p));
    for (; p < end; p++)
        s = _mm_crc32_u8((uint32_t)s, (uint8_t)*p);
    return ~(uint32_t)s;
}

/* Asked once, when it is needed: the compiler's own table of what the CPU can do is filled at each
 * start of a process by twenty cpuids, each a way out of a virtual machine. */
static bool has_instruction(void)
{
    static unsigned known; /* leaf 1's ecx */
    unsigned a, b, d;
    if (!known)
        __cpuid(1, a, b, known, d);
    return (known & bit_SSE4_2) && (known & bit_PCLMUL);
}
#else
#define by_instruction crc32c_by_table
static bool has_instruction(void)
{
    return false;
}
#endif

uint32_t crc32c(uint32_t sum, struct slice bytes)
{
    return has_instruction() ? by_instruction(sum, bytes) : crc32c_by_table(sum, bytes);
}
