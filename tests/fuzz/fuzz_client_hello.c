/* ClientHellos: no byte is read past its end, no answer depends on what comes later. */
#include <string.h>

#include "core/client_hello.h"
#include "require.h"

/* Checks that a hello counts as complete with its last byte, and not before. */
static void await(const uint8_t *data, size_t bytes)
{
    size_t due;
    const enum l4_hello_result result = l4_hello_await(data, bytes, &due);
    if (result == L4_HELLO_MORE)
        REQUIRE(due > bytes && due <= L4_HELLO_BYTES_MAX);
    for (size_t part = 0; result == L4_HELLO_WHOLE && part < bytes && part < 2048; part++)
        REQUIRE(l4_hello_await(data, part, &due) != L4_HELLO_NONE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct l4_hello hello, early;
    await(data, bytes);
    const enum l4_hello_result result = l4_hello_read(data, bytes, &hello);
    if (result == L4_HELLO_MORE)
        REQUIRE(hello.due > bytes);
    if (result != L4_HELLO_WHOLE) {
        REQUIRE(hello.name_bytes == 0 && hello.alpn_bytes == 0);
        return 0;
    }
    REQUIRE(hello.name_bytes <= L4_HELLO_NAME_MAX && hello.name[hello.name_bytes] == 0);
    REQUIRE(hello.alpn_bytes <= sizeof hello.alpn);
    for (uint32_t i = 0; i < hello.name_bytes; i++)
        REQUIRE(hello.name[i] > ' ' && hello.name[i] <= '~');
    for (uint32_t at = 0; at < hello.alpn_bytes; at += 1u + hello.alpn[at])
        REQUIRE(at + 1u + hello.alpn[at] <= hello.alpn_bytes);
    for (size_t part = 0; part < bytes && part < 2048; part++) {
        const enum l4_hello_result before = l4_hello_read(data, part, &early);
        REQUIRE(before != L4_HELLO_NONE);
        if (before == L4_HELLO_WHOLE)
            REQUIRE(early.name_bytes == hello.name_bytes &&
                    memcmp(early.name, hello.name, hello.name_bytes) == 0);
    }
    return 0;
}
