#include "core/quic.h"

enum {
    LONG_HEADER = 0x80,
    LONG_ID_LENGTH_AT = 5, /* after the first octet and the version */
    ID_MAX = 20,           /* maximum of version 1; longer ids belong to other versions */
};

const uint8_t *l4_quic_server_id(const uint8_t *data, size_t bytes, uint32_t config,
                                 uint32_t id_bytes)
{
    size_t at = 1, length;
    if (bytes == 0)
        return NULL;
    if (data[0] & LONG_HEADER) {
        if (bytes <= LONG_ID_LENGTH_AT)
            return NULL;
        at = LONG_ID_LENGTH_AT + 1;
        length = data[LONG_ID_LENGTH_AT];
        if (length > ID_MAX || length > bytes - at)
            return NULL;
    } else {
        length = bytes - at < ID_MAX ? bytes - at : ID_MAX;
    }
    if (length < 1 + (size_t)id_bytes || config == L4_QUIC_UNROUTABLE || data[at] >> 5 != config)
        return NULL;
    return data + at + 1;
}
