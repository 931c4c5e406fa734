/* A timer wheel: one timer for each number 0..n-1, started and stopped in constant time.
 *
 * A timer beyond the wheel's reach waits in the last slot and fires early. Its owner knows the
 * true deadline and starts it again. An owner may therefore also let a timer run when its
 * deadline moves out, and look again when it fires. (Varghese and Lauck, "Hashed and hierarchical
 * timing wheels", SOSP 1987, scheme 5.) Pure: the time is an argument.
 */
#ifndef L4_CORE_TIMER_H
#define L4_CORE_TIMER_H

#include <stdint.h>

#include "base/bounds.h"

struct l4_timer {
    uint32_t next, prev;
    uint32_t slot; /* L4_NONE: not running */
};

struct l4_wheel {
    struct l4_timer *timers; /* the owner's memory, one timer for each number */
    uint64_t tick;           /* every slot before this tick has fired */
    uint64_t soonest;        /* no timer is in a slot before this tick, unless this is <= tick */
    uint32_t running;
    uint32_t heads[L4_WHEEL_SLOTS];
};

void l4_wheel_init(struct l4_wheel *wheel, struct l4_timer *timers, uint32_t count,
                   uint64_t now_ms);

/* (Re)starts timer n. It fires at due_ms or up to one tick later, and never before the next
 * tick. */
void l4_wheel_start(struct l4_wheel *wheel, uint32_t n, uint64_t due_ms);
void l4_wheel_stop(struct l4_wheel *wheel, uint32_t n);

/* Stops one timer whose time has come and returns its number; L4_NONE if there is none. */
uint32_t l4_wheel_expire(struct l4_wheel *wheel, uint64_t now_ms);

/* Returns the milliseconds until a timer may fire; -1 if no timer runs. */
int l4_wheel_wait_ms(struct l4_wheel *wheel, uint64_t now_ms);

#endif
