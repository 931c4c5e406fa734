/* What has been learnt of a session's client on its way in, as it is told to people: in the access
 * log, and of live sessions. Most sessions have none of it, and pay one look for that. */
#ifndef L4_SHM_TOLD_H
#define L4_SHM_TOLD_H

#include <stdbool.h>

#include "shm/table.h"

struct l4_told {
    struct l4_addr via;               /* who brought it with a PROXY header; family 0: nobody */
    char name[L4_HELLO_NAME_MAX + 1]; /* the server name asked for; each text: "" if not known */
    char version[L4_TLS_VERSION_MAX + 1]; /* of the TLS that ends here, as the next two */
    char cipher[L4_CIPHER_MAX + 1];
    char protocol[L4_LOG_ALPN_MAX + 1]; /* agreed on by ALPN, cut to this length */
};

/* Of a session of this worker. False: there is nothing, and told is as it was. */
bool l4_told_read(const struct l4_table *table, uint32_t worker, uint32_t slot,
                  const struct l4_session *s, struct l4_told *told);

#endif
