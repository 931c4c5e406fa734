/* Finds the server id in a QUIC packet, which names the packet's backend.
 *
 * draft-ietf-quic-load-balancers, the plaintext scheme: a connection id that a backend has chosen
 * begins with an octet whose upper three bits are the configuration, followed by the server id.
 * Long headers (RFC 9000, 17.2; any version, RFC 8999) contain the length of the id; short
 * headers do not. A client's first packets have an id that the client made up. Such an id usually
 * names no backend. Pure; every byte is the client's claim.
 */
#ifndef L4_CORE_QUIC_H
#define L4_CORE_QUIC_H

#include <stddef.h>
#include <stdint.h>

enum { L4_QUIC_UNROUTABLE = 7 }; /* the configuration of ids without a server id */

/* Returns the server id in the packet, `id_bytes` long, if its connection id is of this
 * configuration; else NULL. */
const uint8_t *l4_quic_server_id(const uint8_t *data, size_t bytes, uint32_t config,
                                 uint32_t id_bytes);

#endif
