#include "shm/client_info.h"

#include <string.h>

#include "shm/policy_rows.h"

/* Copies a text that its writer ended with a NUL; a process may be writing it now. */
static void put(char *to, size_t room, const char *from)
{
    memcpy(to, from, room - 1);
    to[room - 1] = 0;
}

static void put_protocol(struct l4_client_info *told, const struct l4_facts *facts)
{
    const size_t bytes = facts->alpn[0];
    const size_t taken = bytes < L4_LOG_ALPN_MAX ? bytes : L4_LOG_ALPN_MAX;
    memcpy(told->protocol, facts->alpn + 1, taken);
    told->protocol[taken] = 0;
}

bool l4_client_info_read(const struct l4_table *table, uint32_t worker, uint32_t slot,
                         const struct l4_session *s, struct l4_client_info *told)
{
    const uint32_t known = s->known;
    if (!(known & (L4_FACT_NAME | L4_FACT_VIA | L4_FACT_TLS | L4_FACT_PORT)))
        return false;
    const struct l4_facts *facts = l4_table_facts(table, worker, slot);
    told->via = known & L4_FACT_VIA ? facts->via : (struct l4_addr){0};
    told->port = known & L4_FACT_PORT ? facts->port : 0;
    told->name[0] = told->version[0] = told->cipher[0] = told->protocol[0] = 0;
    if (known & L4_FACT_NAME)
        put(told->name, sizeof told->name, facts->name);
    if (!(known & L4_FACT_TLS))
        return true;
    put(told->version, sizeof told->version, facts->version);
    put(told->cipher, sizeof told->cipher, facts->cipher);
    if (known & L4_FACT_ALPN)
        put_protocol(told, facts);
    return true;
}
