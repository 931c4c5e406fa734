/* What a client of SOCKS5 is told when its request fails (RFC 1928; core/socks5.h). */
#ifndef L4_HTTP_SOCKS_H
#define L4_HTTP_SOCKS_H

#include "http/outward.h"

/* What of a conversation is awaited. */
enum l4_socks_phase { L4_SOCKS_GREETING, L4_SOCKS_LOGIN, L4_SOCKS_REQUEST };

/* Does the session's client speak SOCKS? */
static inline bool l4_socks_is_spoken(const struct l4_loop *loop, const struct l4_session *s)
{
    return L4_GET(l4_table_listener(loop->table, s->listener)->http.speaks_socks);
}

/* Writes the refusal of what was awaited, as the status of the session's exchange says. Returns the
 * bytes, which are never more than L4_SOCKS_REPLY_MAX. */
size_t l4_socks_refusal(const struct l4_loop *loop, uint32_t index, char *to);

#endif
