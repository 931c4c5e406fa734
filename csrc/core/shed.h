/* Load shedding: chooses the sessions to end when there is no room. They are those of the source
 * with the most sessions that have been idle for longest.
 *
 * Pure: the caller looks at some sessions (all, or a sample) and ends the chosen ones. A source
 * loses only sessions above its fair share. The fair share is the number that each source would
 * have if the sources seen, and the newcomer, had equally many. A source therefore never loses
 * its only session, and if all sources have equally many, none loses any.
 */
#ifndef L4_CORE_SHED_H
#define L4_CORE_SHED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bounds.h"

/* One session of the sample. */
struct l4_shed_row {
    uint32_t source;     /* hash of its source, not 0: equal hashes count as one source */
    uint32_t idle_ms;    /* time since bytes moved last; 0: it must stay */
    uint32_t worker, at; /* for the caller: worker and row of the session */
};

/* The state of a worker's load shedding: run/shed.h. */
struct l4_shed_memo {
    uint64_t turn;    /* the event loop's iteration of the last look; one look an iteration */
    uint64_t next_ms; /* while the worker does not accept: time of the next look */
    uint64_t told_ms; /* when the supervisor was told last */
    uint32_t untold;  /* sessions shed since then */
    uint32_t answer;  /* result of the last look: enum l4_shed_answer */
    bool pressed;     /* this host had no socket for a backend in this iteration */
};

/* Chooses at most `max` of `count` (up to L4_SHED_LOOK) rows, idle longest first, all of one
 * source. Of the sources above their fair share with a session idle for `idle_ms`, this is the
 * source with the most sessions. Writes their indices into chosen and returns how many. */
uint32_t l4_shed_choose(const struct l4_shed_row *rows, uint32_t count, uint32_t idle_ms,
                        uint32_t max, uint32_t *chosen);

/* Chooses rows of this source as l4_shed_choose does; another worker has found that it has the
 * most sessions. */
uint32_t l4_shed_longest(const struct l4_shed_row *rows, uint32_t count, uint32_t source,
                         uint32_t idle_ms, uint32_t max, uint32_t *chosen);

#endif
