/* Server ids in QUIC packets, at every length that a packet can be cut to. */
#include <string.h>

#include "base/random.h"
#include "check.h"
#include "core/quic.h"

static const uint8_t *find(const uint8_t *data, size_t bytes)
{
    return l4_quic_server_id(data, bytes, 1, 2);
}

TEST(a_short_header_has_its_id_after_the_first_octet)
{
    const uint8_t packet[] = {0x40, 0x25, 0xab, 0xcd, 1, 2, 3, 4};
    CHECK(find(packet, sizeof packet) == packet + 2);
    for (size_t bytes = 0; bytes < 4; bytes++)
        CHECK(find(packet, bytes) == NULL);
}

TEST(a_long_header_tells_how_long_its_id_is)
{
    const uint8_t packet[] = {0xc0, 0, 0, 0, 1, 5, 0x25, 0xab, 0xcd, 1, 2, 0, 0};
    CHECK(find(packet, sizeof packet) == packet + 7);
    for (size_t bytes = 0; bytes < 11; bytes++)
        CHECK(find(packet, bytes) == NULL);
    uint8_t changed[sizeof packet];
    for (uint32_t length = 0; length < 256; length++) {
        memcpy(changed, packet, sizeof packet);
        changed[5] = (uint8_t)length;
        CHECK_EQ(length >= 3 && length <= 7, find(changed, sizeof changed) != NULL);
    }
}

TEST(another_configuration_says_nothing)
{
    for (uint32_t config = 0; config < 8; config++) {
        const uint8_t packet[] = {0x40, (uint8_t)(config << 5 | 0x1f), 0xab, 0xcd, 1};
        CHECK_EQ(config == 1, find(packet, sizeof packet) != NULL);
    }
    const uint8_t packet[] = {0x40, 0xe0, 0xab, 0xcd, 1};
    CHECK(l4_quic_server_id(packet, sizeof packet, 7, 2) == NULL);
}

TEST(what_it_finds_lies_within_the_packet)
{
    uint64_t random = 3;
    uint8_t packet[40];
    for (int i = 0; i < 200000; i++) {
        for (size_t b = 0; b < sizeof packet; b++)
            packet[b] = (uint8_t)l4_random(&random);
        const size_t bytes = l4_random(&random) % sizeof packet;
        const uint32_t id_bytes = 1 + (uint32_t)(l4_random(&random) % 15);
        const uint8_t *id =
            l4_quic_server_id(packet, bytes, (uint32_t)(l4_random(&random) % 8), id_bytes);
        CHECK(!id || (id > packet && id + id_bytes <= packet + bytes));
    }
}

MAIN(RUN(a_short_header_has_its_id_after_the_first_octet);
     RUN(a_long_header_tells_how_long_its_id_is); RUN(another_configuration_says_nothing);
     RUN(what_it_finds_lies_within_the_packet))
