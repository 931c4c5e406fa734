/* Files with domain names: every name of a file is found in the set that is made of it, and a
 * look-up in a set of random bytes does no harm. The first byte is the format. */
#include <stdlib.h>
#include <string.h>

#include "core/names_text.h"
#include "require.h"

static const struct l4_hash_key key = {1, 2};

static void find_all(const char *text, size_t bytes, enum l4_names_format format,
                     const struct l4_names *set)
{
    struct l4_names_text reader;
    struct l4_host host;
    uint64_t line = 0;
    l4_names_text_begin(&reader, text, bytes, format);
    for (;;) {
        const enum l4_names_result result = l4_names_text_next(&reader, &host);
        REQUIRE(reader.line >= line);
        line = reader.line;
        if (result == L4_NAMES_END)
            return;
        REQUIRE(reader.word.at >= text);
        REQUIRE(reader.word.bytes <= (size_t)(text + bytes - reader.word.at));
        if (result != L4_NAMES_NAME)
            continue;
        uint32_t labels = 1;
        for (size_t i = 0; i < host.bytes; i++)
            labels += host.name[i] == '.';
        REQUIRE(labels > L4_NAMES_LABELS_MAX ||
                l4_names_find(set, host.name, host.bytes) == host.bytes);
    }
}

static void find_in_any_memory(const char *text, size_t bytes)
{
    struct l4_names set;
    void *memory = malloc(bytes ? bytes : 1);
    REQUIRE(memory != NULL);
    memcpy(memory, text, bytes);
    if (bytes >= sizeof(uint32_t))
        *(uint32_t *)memory = L4_NAMES_FORMAT;
    if (!l4_names_open(&set, memory, bytes))
        REQUIRE(l4_names_find(&set, "a.b.example", 11) <= 11);
    free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    if (!bytes)
        return 0;
    struct l4_names_draft draft;
    struct l4_names_text reader;
    struct l4_names set;
    uint64_t added = 0;
    int error;
    const enum l4_names_format format = data[0] % L4_NAMES_FORMATS;
    const size_t count = bytes - 1;
    char *text = malloc(count ? count : 1);
    REQUIRE(text != NULL);
    memcpy(text, data + 1, count);
    l4_names_begin(&draft, &key);
    l4_names_text_begin(&reader, text, count, format);
    while (l4_names_text_add(&reader, 0, &draft, &added, &error) != L4_NAMES_END)
        REQUIRE(!error);
    REQUIRE(draft.count == added);
    const int64_t size = l4_names_size(&draft);
    REQUIRE(size > 0 && draft.count <= added);
    void *memory = malloc((size_t)size);
    REQUIRE(memory != NULL);
    l4_names_write(&draft, memory);
    REQUIRE(!l4_names_open(&set, memory, (size_t)size));
    find_all(text, count, format, &set);
    find_in_any_memory(text, count);
    free(memory);
    l4_names_end(&draft);
    free(text);
    return 0;
}
