#include "shm/row_reuse.h"

#include <string.h>

#include "shm/seq.h"

struct l4_addr l4_table_target(const struct l4_backend *backend, char *path)
{
    struct l4_addr addr = {0};
    for (int i = 0; i < L4_SEQ_TRIES; i++) {
        const uint32_t seq = l4_seq_begin(&backend->address_seq);
        addr = backend->addr;
        if (addr.family == AF_UNIX)
            memcpy(path, backend->path, sizeof backend->path);
        if (l4_seq_holds(&backend->address_seq, seq))
            break;
    }
    return addr;
}

void l4_table_move(struct l4_backend *backend, const struct l4_addr *addr, const char *path)
{
    l4_seq_write(&backend->address_seq);
    backend->addr = *addr;
    memcpy(backend->path, path, sizeof backend->path);
    l4_seq_written(&backend->address_seq);
}
