/* Two judges of the same bytes: ours and the compiler's.
 *
 * Modules are changed at random and judged. What we refuse never reaches a
 * compiler. What we accept, Wasmtime may still refuse, for it looks at
 * instructions, but only with a clean ERR_COMPILE; and whatever we prepared
 * must be a module that we accept again. The random numbers are the same in
 * every run. */
#include "engine/image.h"
#include "module/module.h"

#include "module_build.h"
#include "test.h"

#include <sys/mman.h>
#include <unistd.h>

enum { MUTANTS = 10000 };

static uint64_t state = 0x9e3779b97f4a7c15;

/* xorshift64 */
static uint32_t random_below(uint32_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32) % n;
}

/* One or two small changes: a byte, a bit, a few bytes removed, doubled or exchanged. */
static void mutate(struct build *b)
{
    for (uint32_t changes = 1 + random_below(2); changes; changes--) {
        uint32_t at = 8 + random_below((uint32_t)b->n - 8), n = 1 + random_below(4);
        if (at + n > b->n)
            n = (uint32_t)b->n - at;
        switch (random_below(5)) {
        case 0:
            b->bytes[at] = (uint8_t)random_below(256);
            break;
        case 1:
            b->bytes[at] ^= (uint8_t)(1u << random_below(8));
            break;
        case 2:
            memmove(b->bytes + at, b->bytes + at + n, b->n - at - n);
            b->n -= n;
            break;
        case 3:
            memmove(b->bytes + at + n, b->bytes + at, b->n - at);
            b->n += n;
            break;
        default:
            b->bytes[at] = b->bytes[8 + random_below((uint32_t)b->n - 8)];
            break;
        }
        if (b->n < 9)
            return;
    }
}

struct tally {
    int refused, accepted, compiler_refused, wrong;
};

static void judge(const struct build *b, struct engine *engine, const struct limits *limits,
                  struct tally *t)
{
    struct module m, again;
    struct verdict v, w;
    struct err e = {0};
    struct slice bytes = slice_make(b->bytes, b->n);
    if (module_parse(bytes, limits, &m, &e)) {
        t->refused++;
        t->wrong += e.text[0] == '\0';
        return;
    }
    if (module_judge(&m, limits, &v, &e)) {
        t->refused++;
        t->wrong += e.text[0] == '\0';
        module_done(&m);
        return;
    }
    t->accepted++;
    struct buf out;
    buf_init(&out, b->n + 64);
    int image = memfd_create("image", MFD_CLOEXEC);
    uint64_t size;
    enum err_code rc = module_prepare(&m, &out, &e);
    if (!rc && module_parse(buf_slice(&out), limits, &again, &e) == ERR_OK) {
        t->wrong += module_judge(&again, limits, &w, &e) != ERR_OK || strcmp(v.entry, w.entry);
        module_done(&again);
        rc = image_compile(engine, buf_slice(&out), image, &size, &e);
        t->compiler_refused += rc == ERR_COMPILE;
        if (rc && (rc != ERR_COMPILE || e.text[0] == '\0')) {
            fprintf(stderr, "%s: %s\n", err_slug(rc), e.text);
            t->wrong++;
        }
    } else {
        t->wrong++;
    }
    close(image);
    buf_done(&out);
    module_done(&m);
}

TEST(mutants)
{
    struct limits limits;
    struct engine *engine = NULL;
    struct err e = {0};
    struct tally t = {0};
    limits_init(&limits, false);
    CHECK(engine_new(ENGINE_PLAIN, ENGINE_TO_COMPILE, &limits, &engine, &e) == ERR_OK);
    if (!engine)
        return;
    struct build original, b;
    build_program(&original);
    judge(&original, engine, &limits, &t);
    CHECK(t.accepted == 1 && t.compiler_refused == 0);
    for (int i = 0; i < MUTANTS; i++) {
        b = original;
        mutate(&b);
        judge(&b, engine, &limits, &t);
    }
    engine_free(engine);
    fprintf(stderr, "%d refused, %d accepted, of these %d refused by the compiler\n", t.refused,
            t.accepted, t.compiler_refused);
    CHECK(t.wrong == 0);
    CHECK(t.accepted > MUTANTS / 50); /* the changes are small enough to test something */
}

TEST_MAIN(CASE(mutants))
