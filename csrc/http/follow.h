/* A session that reads an answer while another session, of any worker, fetches it.
 *
 * If that ends early or stands still, the session goes on with the same answer of somebody else: an
 * object that was stored meanwhile, or a new fetch, which it starts itself if nobody does. It is
 * the same answer if a strong validator says so (RFC 9110, 8.8.1). If there is none, or if no other
 * answer comes in time, the client's answer is cut, as it would be without a cache.
 */
#ifndef L4_HTTP_FOLLOW_H
#define L4_HTTP_FOLLOW_H

#include "http/caches.h"

enum l4_follow_begun {
    L4_FOLLOW_NO,       /* it is no answer to this request, or not there yet */
    L4_FOLLOW_ON,       /* it is the session's answer */
    L4_FOLLOW_OUTDATED, /* somebody has purged since it was asked for */
};

/* Reads what is fetched for this claim. */
enum l4_follow_begun l4_follow_begin(struct l4_loop *loop, uint32_t index, uint64_t claim);

static inline bool l4_follow_is_on(const struct l4_caching *c)
{
    return c->follow.read.serial;
}

enum l4_follow_next {
    L4_FOLLOW_MORE, /* something can be read, behind struct l4_caching.at */
    L4_FOLLOW_WAIT, /* not yet */
    L4_FOLLOW_CUT,  /* nothing comes any more */
};

/* Looks what has come. */
enum l4_follow_next l4_follow_look(struct l4_loop *loop, uint32_t index);

/* Copies what has come of a body in memory. Returns the bytes; 0: look again. */
size_t l4_follow_copy(struct l4_loop *loop, uint32_t index, char *to, size_t max);

#endif
