/* QUIC packets: a server id lies completely in the packet, and bytes after it change nothing. */
#include <stdlib.h>
#include <string.h>

#include "base/bounds.h"
#include "core/quic.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    if (bytes < 2)
        return 0;
    const uint32_t config = data[0] & 7, id_bytes = 1 + data[1] % L4_SERVER_ID_MAX;
    const size_t packet_bytes = bytes - 2;
    uint8_t *packet = malloc(packet_bytes ? packet_bytes : 1);
    memcpy(packet, data + 2, packet_bytes);
    const uint8_t *id = l4_quic_server_id(packet, packet_bytes, config, id_bytes);
    if (id) {
        const size_t end = (size_t)(id - packet) + id_bytes;
        REQUIRE(id > packet && end <= packet_bytes);
        REQUIRE(id[-1] >> 5 == config && config != L4_QUIC_UNROUTABLE);
        memset(packet + end, 0xa5, packet_bytes - end);
        const uint8_t *again = l4_quic_server_id(packet, packet_bytes, config, id_bytes);
        REQUIRE(!again || again == id);
    }
    free(packet);
    return 0;
}
