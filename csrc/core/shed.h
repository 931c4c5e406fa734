/* Who goes first when there is no room: of the source that holds most, those idle longest.
 *
 * Pure: the caller looked at some sessions (all, or a sample of them) and ends those chosen here. A
 * source is only made to give up what it has above its fair share, which is what each would have if
 * those seen and one more, the newcomer, had equally many. So nobody loses the only session he has,
 * and where all sources hold alike, nobody does.
 */
#ifndef L4_CORE_SHED_H
#define L4_CORE_SHED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bounds.h"

struct l4_shed_row {     /* one session that was looked at */
    uint32_t source;     /* a hash of it, not 0: those with one hash count as one source */
    uint32_t idle_ms;    /* since bytes moved last; 0: it must stay */
    uint32_t worker, at; /* the caller's: whose it is and where */
};

struct l4_shed_memo { /* what a worker remembers of its shedding: run/shed.h */
    uint64_t turn;    /* of its loop, when it looked last; one look a turn */
    uint64_t next_ms; /* while it does not accept: when to look again */
    uint64_t told_ms; /* when the supervisor was told last */
    uint32_t untold;  /* sessions shed since then */
    uint32_t answer;  /* what that look came to: enum l4_shed_answer */
    bool pressed;     /* this host had no socket for a backend in this turn */
};

/* Chooses at most `most` of `count` (up to L4_SHED_LOOK) rows, idle longest first, all of one
 * source: of those above their fair share that have a session idle for `idle_ms`, the one that
 * holds most. Writes their places into chosen and returns how many. */
uint32_t l4_shed_choose(const struct l4_shed_row *rows, uint32_t count, uint32_t idle_ms,
                        uint32_t most, uint32_t *chosen);

/* The same of one source that another has found to hold most. */
uint32_t l4_shed_longest(const struct l4_shed_row *rows, uint32_t count, uint32_t source,
                         uint32_t idle_ms, uint32_t most, uint32_t *chosen);

#endif
