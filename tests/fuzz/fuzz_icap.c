/* What an engine of ICAP says: it is heard alike however it is split, and within its bounds. */
#include <stdlib.h>
#include <string.h>

#include "core/icap.h"
#include "require.h"

enum { ROOM = 2048, BODY_MAX = 600 };

struct heard {
    enum l4_icap_heard last;
    size_t used, bytes;
    char heads[ROOM], body[BODY_MAX];
    struct l4_icap_reader reader;
};

static void hear(struct heard *h, const char *bytes, size_t count, size_t piece)
{
    memset(h, 0, sizeof *h);
    h->reader = (struct l4_icap_reader){.heads = h->heads, .room = ROOM, .max_body = BODY_MAX};
    h->last = L4_ICAP_MORE;
    while (h->used < count && h->last < L4_ICAP_DONE) {
        const size_t left = count - h->used;
        struct l4_text data;
        size_t used;
        h->last =
            l4_icap_hear(&h->reader, bytes + h->used, left < piece ? left : piece, &used, &data);
        REQUIRE(used <= left && h->reader.have <= ROOM);
        REQUIRE(used > 0 || h->last >= L4_ICAP_DONE);
        REQUIRE(h->last != L4_ICAP_DATA || (data.bytes && data.bytes <= BODY_MAX - h->bytes));
        if (h->last == L4_ICAP_DATA) {
            memcpy(h->body + h->bytes, data.at, data.bytes);
            h->bytes += data.bytes;
        }
        h->used += used;
    }
}

/* The parts of a whole message lie within what was read of it. */
static void look_at(const struct heard *h)
{
    const struct l4_text texts[] = {l4_icap_request_of(&h->reader), l4_icap_answer_of(&h->reader)};
    for (size_t i = 0; i < 2 && h->reader.head.status == 200 && h->reader.head.parts.told; i++) {
        REQUIRE(!texts[i].at || (texts[i].at >= h->heads && texts[i].bytes > 0 &&
                                 texts[i].at + texts[i].bytes <= h->heads + h->reader.have));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t count)
{
    static struct heard whole, split;
    const char *bytes = (const char *)input;
    hear(&whole, bytes, count, count + 1);
    if (whole.last == L4_ICAP_DONE)
        look_at(&whole);
    for (size_t piece = 1; piece < 6; piece++) {
        hear(&split, bytes, count, piece);
        const bool ended = whole.last >= L4_ICAP_DONE;
        REQUIRE((split.last >= L4_ICAP_DONE) == ended && (!ended || split.last == whole.last));
        REQUIRE(whole.last != L4_ICAP_DONE ||
                (split.used == whole.used && split.bytes == whole.bytes &&
                 !memcmp(split.body, whole.body, whole.bytes)));
    }
    return 0;
}
