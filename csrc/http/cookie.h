/* Sticky by cookie: a client comes back to its backend by a cookie that l4lb sets.
 *
 * The cookie's value is a keyed hash of the pool's and the backend's names. So nothing is kept of
 * clients, nobody can make a value for another backend without the key, and all balancers with one
 * `hash_seed` know each other's cookies. A cookie of a backend that may not serve is as none.
 */
#ifndef L4_HTTP_COOKIE_H
#define L4_HTTP_COOKIE_H

#include "core/http_texts.h"
#include "run/loop.h"

enum { L4_COOKIE_VALUE_BYTES = 16 };

/* Returns the backend that the cookie of the session's request names; L4_NONE: none. */
uint32_t l4_cookie_backend(struct l4_loop *loop, uint32_t index);

/* Writes the value of Set-Cookie for the session's backend to `to`. Returns its bytes; 0: the
 * client needs none. */
size_t l4_cookie_write(const struct l4_loop *loop, uint32_t index, const struct l4_texts *texts,
                       char *to, size_t room);

#endif
