/* What a request gets of its cache (RFC 9111, 4): an object, or the right to fetch one for all.
 *
 * A request that misses claims the object: others that ask for it meanwhile wait until it is there,
 * for collapse_timeout at most. Only who has claimed stores. A claim that a purge takes away stores
 * nothing, because what is fetched may be older than the purge.
 */
#ifndef L4_HTTP_CACHING_H
#define L4_HTTP_CACHING_H

#include "http/caches.h"
#include "run/stage.h"

/* The route of a request has this cache. Answers where the session goes: CACHED, AWAIT, REPLY, or
 * PICK. */
struct l4_step l4_caching_begin(struct l4_loop *loop, uint32_t index, uint32_t number);

/* Is there something new for a session that waits: does nobody fetch any more, or is there a part
 * to read? */
bool l4_caching_has_news(const struct l4_loop *loop, uint32_t index);

/* A session that waits looks again. last: it does not wait any longer. Answers L4_STAY if it is to
 * wait on. */
struct l4_step l4_caching_look(struct l4_loop *loop, uint32_t index, bool last);

/* Has a session without a client ask for what this session reads, if nobody does. */
void l4_caching_refresh(struct l4_loop *loop, uint32_t index);

/* Makes a session without a client the one that asks for the object anew that another session has
 * read: it gets a copy of the request, and the claim. Returns false if somebody asks already, or if
 * there is no block. */
bool l4_caching_adopt(struct l4_loop *loop, uint32_t index, uint32_t of);

/* The answer's head is here: an unsafe method that succeeds takes objects out (4.4). */
void l4_caching_invalidate(struct l4_loop *loop, uint32_t index, const char *bytes,
                           const struct l4_h1_head *head);

/* Chooses the object that the session has read as its answer, with the conditions and the range of
 * the request. */
struct l4_step l4_caching_send(struct l4_loop *loop, uint32_t index, enum l4_cache_result result);

/* The backend fails: may the object that the session has read be used all the same (RFC 5861, 4)?
 */
bool l4_caching_may_send_stale(struct l4_loop *loop, uint32_t index);

/* Takes all objects of a key out, in memory and on disk. Returns how many of them were there. */
uint32_t l4_caching_purge(struct l4_loop *loop, uint32_t index, uint64_t hash, struct l4_text key);

/* Writes the key of the request to caches->key. Returns false if it is too long. */
bool l4_caching_write_key(struct l4_loop *loop, uint32_t index);

/* Reads what the session has read of its cache no more. */
void l4_caching_drop_read(struct l4_loop *loop, uint32_t index);

/* Is an object the answer to this request? */
bool l4_caching_fits(struct l4_loop *loop, uint32_t index, const char *bytes,
                     const struct l4_h1_head *head, const struct l4_cached *object);

/* Finds the newest object of the key that was written last. */
bool l4_caching_find(struct l4_loop *loop, uint32_t index, const char *bytes,
                     const struct l4_h1_head *head);

/* Says how long the present answer may be used, by the rules of its cache. */
enum l4_unstorable l4_caching_judge(struct l4_loop *loop, uint32_t index,
                                    const struct l4_exchange_heads *heads,
                                    struct l4_freshness *freshness);

/* Ends the claim. passes: those that wait ask for themselves, and for some seconds nobody waits.
 * Returns false if there was a purge since it was made. */
bool l4_caching_end_claim(struct l4_loop *loop, uint32_t index, bool passes);

/* Gives back everything that the session has of its cache, and counts its request. */
void l4_caching_end(struct l4_loop *loop, uint32_t index);

#endif
