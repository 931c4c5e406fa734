/* A session whose two sides are connected: bytes, ends and resets from each to the other. */
#ifndef L4_RUN_RELAY_H
#define L4_RUN_RELAY_H

#include "run/worker.h"

/* Moves what can be moved in both directions, and acts on the ends it meets. */
void l4_relay(struct l4_loop *loop, uint32_t index);

/* Ends a relayed session for `reason`, once each side that still takes bytes has acknowledged what
 * was accepted for it. Nothing more is read. A side that acknowledges none for as long as the
 * session might be idle, or L4_DRAIN_PATIENCE_MS, is not waited for. Of a session that is killed
 * only the client is waited for. Called again whenever there is something new to see. */
void l4_relay_drain(struct l4_loop *loop, uint32_t index, enum l4_reason reason);

/* Has a peer acknowledged bytes since the last look? Then the session is not idle: active_ms says
 * so. Also true of a first look that finds bytes on their way. */
bool l4_relay_delivers(struct l4_loop *loop, uint32_t index);

/* A session that has been idle for `idle` of `allowed` milliseconds is looked at after this many:
 * twice in that time, so that bytes that leave in between are seen to leave. */
static inline uint64_t l4_relay_look_ms(uint64_t idle, uint64_t allowed)
{
    const uint64_t middle = (allowed + 1) / 2;
    return idle < middle ? middle - idle : idle < allowed ? allowed - idle : 0;
}

/* The session's timer fired, which may be too early: the wheel is coarse, and bytes have moved
 * since it was set. Ends the session if its time is over, else sets the timer again. */
void l4_relay_check_idle(struct l4_loop *loop, uint32_t index);

#endif
