/* A client of a forward proxy is connected to the host that it has named: from here on its session
 * is a relay. It stays a request of HTTP for the log, which has one line for it, at its end. */
#ifndef L4_HTTP_TUNNEL_H
#define L4_HTTP_TUNNEL_H

#include "http/room.h"
#include "run/stage.h"

/* Tells the client that it is connected. Answers RELAY. */
struct l4_step l4_tunnel_begin(struct l4_loop *loop, uint32_t index);

/* It goes to another worker, and is a session of TCP from now on: its line is written. */
void l4_tunnel_part(struct l4_loop *loop, uint32_t index);

/* Writes to the exchange how many bytes have passed. */
void l4_tunnel_measure(const struct l4_loop *loop, uint32_t index);

#endif
