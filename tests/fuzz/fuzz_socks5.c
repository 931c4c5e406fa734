/* SOCKS5's messages: a naive twin reads the same, and every beginning of a message is one. */
#include <stdlib.h>

#include "require.h"
#include "socks5_twin.h"

static bool (*const kinds[])(const uint8_t *, size_t) = {twin_greets_alike, twin_logs_in_alike,
                                                         twin_requests_alike};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    /* Copies of these exact sizes let a sanitizer see a read past their end. */
    const size_t most = bytes < L4_SOCKS_BYTES_MAX + 2 ? bytes : L4_SOCKS_BYTES_MAX + 2;
    for (size_t part = 0; part <= most; part++) {
        uint8_t *copy = malloc(part ? part : 1);
        REQUIRE(copy != NULL);
        memcpy(copy, data, part);
        for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++)
            REQUIRE(kinds[kind](copy, part));
        free(copy);
    }
    return 0;
}
