/* The rate limit of one source, as the shield judges it: token buckets (core/token_bucket.h).
 *
 * A worker counts connections. The shield sees handshakes: a SYN that asks for one, and the
 * acknowledgement that completes it. Three things keep it from being stricter than the worker:
 *
 * - Only completed handshakes count against the limit, by a bucket that is like the worker's. So
 *   somebody who sends SYNs in a source's name uses up nothing of it, and the bucket has no token
 *   only when the worker's has none.
 * - SYNs are dropped only of a source that was above its limit a moment ago.
 * - Even these sources may begin four times as many connections as the limit allows. Workers refuse
 *   most of them. So workers never run out of clients that they would admit.
 *
 * Where no worker sees the clients (data_path = "packet"), the shield decides alone: each SYN takes
 * a token or is dropped.
 *
 * Pure: the time is an argument. Two processors may change a bucket at one time; one of the two
 * changes is then lost, and one more client than said gets through to the workers.
 */
#ifndef L4_PACKET_RATE_H
#define L4_PACKET_RATE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    L4_SHIELD_SECOND_NS = 1000000000,
    L4_SHIELD_TRIES = 4, /* for each connection that the limit allows */
};

/* A limit of new connections. step_ns: the time in which one token comes back; 0: there is no
 * limit. */
struct l4_shield_rate {
    uint64_t step_ns;
    uint64_t depth_ns; /* the time in which all tokens come back */
};

/* One source. Times are those at which a bucket is full again. */
struct l4_shield_bucket {
    uint64_t full_ns;   /* of completed handshakes */
    uint64_t passed_ns; /* of SYNs */
    uint64_t over_ns;   /* when a handshake found no token; 0: never */
};

/* A handshake is completed: a worker will take a token, or refuse the client. Returns whether there
 * was a token. */
static inline bool l4_shield_rate_complete(struct l4_shield_bucket *bucket,
                                           const struct l4_shield_rate *rate, uint64_t now_ns)
{
    const uint64_t full = bucket->full_ns;
    const uint64_t next = (full > now_ns ? full : now_ns) + rate->step_ns;
    if (next - now_ns > rate->depth_ns) {
        bucket->over_ns = now_ns;
        return false;
    }
    bucket->full_ns = next;
    return true;
}

/* A SYN comes. Returns whether it may pass. */
static inline bool l4_shield_rate_passes(struct l4_shield_bucket *bucket,
                                         const struct l4_shield_rate *rate, uint64_t now_ns)
{
    const uint64_t passed = bucket->passed_ns, over = bucket->over_ns;
    const uint64_t next = (passed > now_ns ? passed : now_ns) + rate->step_ns / L4_SHIELD_TRIES;
    if (next - now_ns <= rate->depth_ns + L4_SHIELD_SECOND_NS) {
        bucket->passed_ns = next;
        return true;
    }
    return !over || now_ns - over > L4_SHIELD_SECOND_NS + 2 * rate->step_ns;
}

#endif
