/* An assertion of this program's own correctness, kept in every build.
 *
 * Never about bytes or faults of a peer. A worker that finds itself wrong ends, is replaced, and
 * its counts are taken back: better than to go on with a table others rely on. */
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
