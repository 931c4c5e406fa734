/* The smallest test harness: tests are functions, a failed check says where and goes on.
 *
 *   TEST(a_sentence_of_behaviour) { CHECK(1 + 1 == 2); CHECK_EQ(3, three()); }
 *   MAIN(RUN(a_sentence_of_behaviour))
 */
#ifndef L4_TESTS_CHECK_H
#define L4_TESTS_CHECK_H

#include <stdio.h>

static int check_failures, check_passed_tests, check_failed_tests;

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            check_failures++;                                                                      \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
        }                                                                                          \
    } while (0)

#define CHECK_EQ(expected, found)                                                                  \
    do {                                                                                           \
        const long long e_ = (long long)(expected), f_ = (long long)(found);                       \
        if (e_ != f_) {                                                                            \
            check_failures++;                                                                      \
            fprintf(stderr, "%s:%d: %s: expected %lld, found %lld\n", __FILE__, __LINE__, #found,  \
                    e_, f_);                                                                       \
        }                                                                                          \
    } while (0)

#define TEST(name) static void name(void)

#define RUN(name)                                                                                  \
    do {                                                                                           \
        check_failures = 0;                                                                        \
        name();                                                                                    \
        if (check_failures)                                                                        \
            check_failed_tests++, fprintf(stderr, "FAILED %s\n", #name);                           \
        else                                                                                       \
            check_passed_tests++;                                                                  \
    } while (0)

#define MAIN(...)                                                                                  \
    int main(void)                                                                                 \
    {                                                                                              \
        __VA_ARGS__;                                                                               \
        printf("%d passed, %d failed\n", check_passed_tests, check_failed_tests);                  \
        return check_failed_tests != 0;                                                            \
    }

#endif
