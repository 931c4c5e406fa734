/* Bodies in chunks: the data is the same however they are split, and however they are encoded. */
#include <stdlib.h>
#include <string.h>

#include "core/chunks.h"
#include "require.h"

struct decoded {
    enum l4_chunks_result result;
    size_t used, bytes;
    char *data;
};

static struct decoded decode(const char *body, size_t count, size_t piece)
{
    struct decoded d = {.result = L4_CHUNKS_MORE, .data = malloc(count + 1)};
    struct l4_chunks chunks = {0};
    REQUIRE(d.data != NULL);
    while (d.used < count && (d.result == L4_CHUNKS_MORE || d.result == L4_CHUNKS_DATA)) {
        const size_t left = count - d.used;
        struct l4_text run;
        size_t used;
        d.result = l4_chunks_next(&chunks, body + d.used, left < piece ? left : piece, &used, &run);
        REQUIRE(used > 0 && used <= left && run.bytes <= used);
        REQUIRE((d.result == L4_CHUNKS_DATA) == (run.bytes > 0));
        if (run.bytes)
            memcpy(d.data + d.bytes, run.at, run.bytes);
        d.bytes += run.bytes;
        d.used += used;
    }
    return d;
}

/* Encodes data in chunks of a size, decodes it again, and compares. */
static void encode(const struct decoded *d, size_t size)
{
    const size_t room = d->bytes + (d->bytes / size + 1) * (L4_CHUNK_HEAD_MAX + 2) + 5;
    char *body = malloc(room);
    size_t at = 0;
    REQUIRE(body != NULL);
    for (size_t from = 0; from < d->bytes; from += size) {
        const size_t run = d->bytes - from < size ? d->bytes - from : size;
        at += l4_chunk_head(body + at, run);
        memcpy(body + at, d->data + from, run);
        memcpy(body + at + run, L4_CHUNK_END, 2);
        at += run + 2;
    }
    memcpy(body + at, L4_CHUNKS_END, 5);
    at += 5;
    const struct decoded again = decode(body, at, 1 + size / 2);
    REQUIRE(again.result == L4_CHUNKS_DONE && again.used == at && again.bytes == d->bytes);
    REQUIRE(memcmp(again.data, d->data, d->bytes) == 0);
    free(again.data);
    free(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t count)
{
    const char *body = (const char *)input;
    const struct decoded whole = decode(body, count, count + 1);
    for (size_t piece = 1; piece < 8; piece++) {
        const struct decoded split = decode(body, count, piece);
        REQUIRE(split.used == whole.used && split.bytes == whole.bytes);
        REQUIRE((split.result == L4_CHUNKS_DONE) == (whole.result == L4_CHUNKS_DONE));
        REQUIRE((split.result == L4_CHUNKS_BAD) == (whole.result == L4_CHUNKS_BAD));
        REQUIRE(memcmp(split.data, whole.data, whole.bytes) == 0);
        free(split.data);
    }
    encode(&whole, 1 + count % 40);
    encode(&whole, 5000);
    free(whole.data);
    return 0;
}
