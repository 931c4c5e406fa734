/* Whom a request is from.
 *
 * A connection is its peer's, and limits of connections count it. A request of a peer that the
 * listener trusts (http.trusted) is from the client that the peer tells of: the rightmost address
 * of the list that is not trusted itself. Everything that looks at a request's source asks
 * l4_row_client. What peers say that are not trusted has no effect at all.
 */
#ifndef L4_HTTP_TRUE_CLIENT_H
#define L4_HTTP_TRUE_CLIENT_H

#include "http/room.h"

/* Finds whom the request that was judged last is from. A list that is malformed where it is looked
 * at leaves the peer's address. */
void l4_true_client_find(struct l4_loop *loop, uint32_t index);

#endif
