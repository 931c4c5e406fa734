/* Facts about a session's client that are shown to people: in the access log, and for live
 * sessions. Most sessions have none, which costs one test. */
#ifndef L4_SHM_CLIENT_INFO_H
#define L4_SHM_CLIENT_INFO_H

#include <stdbool.h>

#include "shm/table.h"

struct l4_client_info {
    struct l4_addr via; /* the proxy that sent a PROXY header; family 0: none */
    uint16_t port; /* that the client connected to, of a range that is bound as a whole; else 0 */
    char name[L4_HELLO_NAME_MAX + 1]; /* server name; each text is "" if it is not known */
    char version[L4_TLS_VERSION_MAX +
                 1]; /* version of TLS that is terminated here, as the next two */
    char cipher[L4_CIPHER_MAX + 1];
    char protocol[L4_LOG_ALPN_MAX + 1]; /* negotiated ALPN protocol, cut to this length */
};

/* Reads the facts of a session of this worker. Returns false, and leaves told unchanged, if there
 * are none. */
bool l4_client_info_read(const struct l4_table *table, uint32_t worker, uint32_t slot,
                         const struct l4_session *s, struct l4_client_info *told);

#endif
