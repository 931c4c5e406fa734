/* An assertion that this program itself is correct; it is in every build.
 *
 * An assertion is never about bytes or faults of a peer. A worker whose assertion fails ends; it is
 * replaced, and its counts are taken back. To go on would damage a table that other processes rely
 * on.
 */
#ifndef L4_BASE_ASSERT_H
#define L4_BASE_ASSERT_H

#include <stdio.h>
#include <stdlib.h>

#define L4_ASSERT(condition)                                                                       \
    do {                                                                                           \
        if (__builtin_expect(!(condition), 0)) {                                                   \
            fprintf(stderr, "l4lb: %s:%d: broken: %s\n", __FILE__, __LINE__, #condition);          \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif
