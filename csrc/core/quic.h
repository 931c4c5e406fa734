/* Which backend does a QUIC packet belong to?
 *
 * draft-ietf-quic-load-balancers, the plaintext scheme: a connection id that a backend has chosen
 * begins with an octet whose upper three bits name the configuration, then its server id. Long
 * headers (RFC 9000, 17.2; any version, RFC 8999) tell the length of the id, short ones do not. A
 * client's very first packets carry an id that the client made up: if that does not happen to name
 * a backend, the packet is nobody's yet. Pure; every byte is the client's word.
 */
#ifndef L4_CORE_QUIC_H
#define L4_CORE_QUIC_H

#include <stddef.h>
#include <stdint.h>

enum { L4_QUIC_UNROUTABLE = 7 }; /* the configuration of ids that say nothing */

/* The server id in the packet, `id_bytes` long, if its connection id is of this configuration;
 * NULL: it says nothing. */
const uint8_t *l4_quic_server_id(const uint8_t *data, size_t bytes, uint32_t config,
                                 uint32_t id_bytes);

#endif
