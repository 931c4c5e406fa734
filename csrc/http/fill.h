/* An answer that is kept while it passes to the client, and stored when it is whole.
 *
 * Until then it lies in blocks of this worker, or in a file without a name if it is too large for
 * that, so nobody ever finds a part of it, whoever dies. An answer that ends early, grows too large
 * or finds no room is not stored.
 */
#ifndef L4_HTTP_FILL_H
#define L4_HTTP_FILL_H

#include "http/caches.h"

/* The head of the answer to a request that has claimed the object is here: judges whether it is
 * kept, and begins. */
void l4_fill_begin(struct l4_loop *loop, uint32_t index, const char *bytes,
                   const struct l4_h1_head *head);

static inline bool l4_fill_goes_on(const struct l4_loop *loop, uint32_t index)
{
    return l4_exchange_at(loop, index)->cache && l4_caching_at(loop, index)->fill.first != L4_NONE;
}

/* Keeps bytes of the body. */
void l4_fill_take(struct l4_loop *loop, uint32_t index, struct l4_text data);

/* The body is whole: stores the answer. */
void l4_fill_end(struct l4_loop *loop, uint32_t index);

/* The backend says that the object that the session has read still holds (304). Stores it anew with
 * what the answer says, and reads that (RFC 9111, 4.3.4). */
void l4_fill_freshen(struct l4_loop *loop, uint32_t index, const char *bytes,
                     const struct l4_h1_head *head);

/* The answer to a HEAD is here that no object has answered. It says of the object whether that
 * still holds: makes it fresh, or takes it out (RFC 9111, 4.3.5). */
void l4_fill_see_head(struct l4_loop *loop, uint32_t index, const char *bytes,
                      const struct l4_h1_head *head);

/* Copies what is left of the object that the session sends, and reads it no more. Returns false if
 * there is no room. */
bool l4_fill_unpin(struct l4_loop *loop, uint32_t index);

/* What comes next of such a copy: what lies at struct l4_caching.at. */
struct l4_text l4_fill_piece(struct l4_loop *loop, uint32_t index);

/* Puts an object into memory, in place of that of the same variant. */
enum l4_cache_stored l4_fill_put(struct l4_loop *loop, uint32_t index,
                                 const struct l4_cache_new *new);

/* Frees the blocks, and gives the file up. */
void l4_fill_drop(struct l4_loop *loop, uint32_t index);

#endif
