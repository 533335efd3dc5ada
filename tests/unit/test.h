/* The test harness: cases, checks, a count.
 *
 * A test program defines cases with TEST(name) { … } and lists them in
 * TEST_MAIN(name, …). CHECK prints where it failed and goes on; the program
 * prints "N passed, N failed" for its cases and exits 1 if one failed. */
#pragma once

#include <stdio.h>
#include <string.h>

static int test_failures;

#define TEST(name) static void test_##name(void)
#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            test_failures++;                                                                       \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                             \
        }                                                                                          \
    } while (0)
#define CHECK_STR(got, want)                                                                       \
    do {                                                                                           \
        const char *got_ = (got), *want_ = (want);                                                 \
        if (!got_ || !want_ || strcmp(got_, want_)) {                                              \
            test_failures++;                                                                       \
            fprintf(stderr, "%s:%d: got \"%s\", want \"%s\"\n", __FILE__, __LINE__,                \
                    got_ ? got_ : "nothing", want_ ? want_ : "nothing");                           \
        }                                                                                          \
    } while (0)

struct test_case {
    const char *name;
    void (*run)(void);
};
#define CASE(name)                                                                                 \
    {                                                                                              \
#name, test_##name                                                                         \
    }

static inline int test_main(const struct test_case *cases, int n)
{
    int passed = 0;
    for (int i = 0; i < n; i++) {
        int before = test_failures;
        cases[i].run();
        if (test_failures == before)
            passed++;
        else
            fprintf(stderr, "FAILED %s\n", cases[i].name);
    }
    printf("%d passed, %d failed\n", passed, n - passed);
    return passed == n ? 0 : 1;
}
#define TEST_MAIN(...)                                                                             \
    int main(void)                                                                                 \
    {                                                                                              \
        static const struct test_case cases[] = {__VA_ARGS__};                                     \
        return test_main(cases, (int)(sizeof cases / sizeof *cases));                              \
    }
