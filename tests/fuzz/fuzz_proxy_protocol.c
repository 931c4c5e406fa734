/* PROXY headers: a header that was read can be written and read again without a change. */
#include <string.h>

#include "core/proxy_protocol.h"
#include "require.h"

static void write_and_read_again(const struct l4_proxy *header)
{
    uint8_t said[L4_PROXY_BYTES_MAX], tlvs[L4_PROXY_BYTES_MAX];
    struct l4_proxy again;
    const struct l4_proxy_write say = {
        .version = header->version,
        .local = header->local,
        .from = header->from,
        .to = header->to,
        .tlvs = tlvs,
        .tlvs_bytes = l4_proxy_pass_on(header, tlvs, sizeof tlvs),
    };
    REQUIRE(l4_proxy_is_row(tlvs, say.tlvs_bytes) && say.tlvs_bytes <= header->tlvs_bytes);
    const size_t bytes = l4_proxy_write(&say, said);
    REQUIRE(bytes <= sizeof said);
    REQUIRE(l4_proxy_read(said, bytes, &again) == L4_PROXY_WHOLE && again.bytes == bytes);
    if (!header->local && header->from.family != AF_UNIX) {
        REQUIRE(l4_addr_equal(&again.from, &header->from));
        REQUIRE(l4_addr_equal(&again.to, &header->to));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct l4_proxy header, early;
    const enum l4_proxy_result result = l4_proxy_read(data, bytes, &header);
    if (result == L4_PROXY_MORE)
        REQUIRE(header.bytes > bytes);
    if (result != L4_PROXY_WHOLE)
        return 0;
    REQUIRE(header.bytes <= bytes && header.bytes <= L4_PROXY_BYTES_MAX);
    REQUIRE(header.tlvs_bytes <= header.bytes);
    for (size_t part = 0; part < header.bytes; part++) {
        REQUIRE(l4_proxy_read(data, part, &early) == L4_PROXY_MORE);
        REQUIRE(early.bytes > part && early.bytes <= header.bytes);
    }
    write_and_read_again(&header);
    return 0;
}
