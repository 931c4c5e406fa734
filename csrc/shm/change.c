#include "shm/change.h"

#include <string.h>

/* why bounded: a supervisor that died inside the change leaves address_seq odd for good; what is
 * read then is what it had written of an address that is hardly ever changed. */
struct l4_addr l4_table_target(const struct l4_backend *backend, char *path)
{
    struct l4_addr addr = {0};
    for (int i = 0; i < 1000; i++) {
        const uint32_t seq = atomic_load_explicit(&backend->address_seq, memory_order_acquire);
        addr = backend->addr;
        if (addr.family == AF_UNIX)
            memcpy(path, backend->path, sizeof backend->path);
        atomic_thread_fence(memory_order_acquire);
        if (!(seq & 1) && L4_GET(backend->address_seq) == seq)
            break;
    }
    return addr;
}
