/* The value of a request that identifies its client for a pool: with hash_key and sticky.key.
 *
 * It is read of the head whenever a backend is chosen, so that nothing of it is kept but the hash
 * by which a sticky client's entry lives on.
 */
#ifndef L4_HTTP_REQUEST_NAME_H
#define L4_HTTP_REQUEST_NAME_H

#include "core/h1.h"
#include "core/http_texts.h"
#include "run/row.h"

/* A name, and its hash; 0: there is none. */
struct l4_name {
    uint64_t hash;
    struct l4_text text;
};

/* Returns the value of the session's request for this key of its pool, which is of this kind
 * (enum l4_key_kind). The text lies in the request. */
struct l4_name l4_request_name(struct l4_loop *loop, uint32_t index, uint32_t kind,
                               enum l4_texts_key key);

/* The backend answers with this head. If it sets the cookie by which the pool's clients are
 * recognised, the client belongs to it from now on. */
void l4_request_name_learn(struct l4_loop *loop, uint32_t index, const char *bytes,
                           const struct l4_h1_head *head);

/* The session becomes one of TCP. It keeps what identifies its client. */
void l4_request_name_keep(const struct l4_loop *loop, uint32_t index);

#endif
