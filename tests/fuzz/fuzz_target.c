/* Targets of requests: parts lie in the target, and a host or a path that was read once is read as
 * the same again. The first byte says the forms and the rules. */
#include <stdlib.h>
#include <string.h>

#include "core/target.h"
#include "require.h"

static void within(struct l4_text part, const char *text, size_t bytes)
{
    REQUIRE(!part.at || (part.at >= text && part.bytes <= (size_t)(text + bytes - part.at)));
}

static void try_host(struct l4_text text)
{
    struct l4_host host, again;
    if (l4_host_read(text.at, text.bytes, &host))
        return;
    REQUIRE(host.bytes && host.bytes <= L4_HOST_MAX && !host.name[host.bytes]);
    REQUIRE(strlen(host.name) == host.bytes);
    REQUIRE(!l4_host_read(host.name, host.bytes, &again));
    REQUIRE(again.kind == host.kind && !again.port && !strcmp(again.name, host.name));
}

static void try_path(struct l4_text text, uint32_t rules)
{
    char path[L4_PATH_MATCH_MAX], again[L4_PATH_MATCH_MAX];
    uint32_t bytes, again_bytes;
    const enum l4_target_fault fault = l4_path_read(text.at, text.bytes, rules, path, &bytes);
    REQUIRE(fault < L4_TARGET_FAULT_COUNT && (!fault || !bytes));
    if (fault)
        return;
    REQUIRE(bytes && bytes <= L4_PATH_MATCH_MAX && (path[0] == '/' || bytes == 1));
    for (uint32_t i = 1; i < bytes; i++) {
        REQUIRE(path[i] > ' ' && path[i] < 0x7f && !strchr("?#\\\"<>[]^`{|}", path[i]));
        REQUIRE(!(rules & L4_PATH_MERGES && path[i] == '/' && path[i - 1] == '/'));
    }
    /* A path within a few bytes of the limit may be refused the second time. */
    if (bytes < L4_PATH_MATCH_MAX - 3) {
        REQUIRE(!l4_path_read(path, bytes, rules, again, &again_bytes));
        REQUIRE(again_bytes == bytes && !memcmp(path, again, bytes));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    if (!bytes)
        return 0;
    const uint32_t forms = data[0] & 15, rules = data[0] >> 4 & 3;
    /* A copy of this exact size lets a sanitizer see a read past its end. */
    const size_t count = bytes - 1;
    char *text = malloc(count ? count : 1);
    REQUIRE(text != NULL);
    memcpy(text, data + 1, count);
    try_host((struct l4_text){text, (uint32_t)count});
    try_path((struct l4_text){text, (uint32_t)count}, rules);
    struct l4_target target;
    if (!l4_target_read(text, count, forms, &target)) {
        REQUIRE(target.form & forms);
        within(target.host, text, count);
        within(target.query, text, count);
        if (target.path.at && target.path.bytes > 1)
            within(target.path, text, count);
        if (target.host.at)
            try_host(target.host);
        if (target.path.at)
            try_path(target.path, rules);
    }
    free(text);
    return 0;
}
