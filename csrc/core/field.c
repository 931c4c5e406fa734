#include "core/field.h"

#include <string.h>

enum {
    LONGEST = sizeof "strict-transport-security" - 1,
};

struct known {
    const char *name;
    uint8_t bytes, flags;
};

static const struct known known[L4_FIELD_IDS] = {
#define X(id, name, flags) {name, sizeof(name) - 1, flags},
    L4_FIELDS(X)
#undef X
};

/* The first name of each length, or of the next length that has one. */
static const uint8_t first_of[LONGEST + 2] = {
    [0] = L4_FIELD_TE,
    [1] = L4_FIELD_TE,
    [2] = L4_FIELD_TE,
    [3] = L4_FIELD_AGE,
    [4] = L4_FIELD_DATE,
    [5] = L4_FIELD_PROXY,
    [6] = L4_FIELD_ACCEPT,
    [7] = L4_FIELD_REFERER,
    [8] = L4_FIELD_LOCATION,
    [9] = L4_FIELD_FORWARDED,
    [10] = L4_FIELD_CONNECTION,
    [11] = L4_FIELD_RETRY_AFTER,
    [12] = L4_FIELD_CONTENT_TYPE,
    [13] = L4_FIELD_AUTHORIZATION,
    [14] = L4_FIELD_CONTENT_LENGTH,
    [15] = L4_FIELD_ACCEPT_ENCODING,
    [16] = L4_FIELD_CONTENT_LOCATION,
    [17] = L4_FIELD_TRANSFER_ENCODING,
    [18] = L4_FIELD_PROXY_AUTHENTICATE,
    [19] = L4_FIELD_PROXY_AUTHORIZATION,
    [20] = L4_FIELD_STRICT_TRANSPORT_SECURITY,
    [21] = L4_FIELD_STRICT_TRANSPORT_SECURITY,
    [22] = L4_FIELD_STRICT_TRANSPORT_SECURITY,
    [23] = L4_FIELD_STRICT_TRANSPORT_SECURITY,
    [24] = L4_FIELD_STRICT_TRANSPORT_SECURITY,
    [25] = L4_FIELD_STRICT_TRANSPORT_SECURITY,
    [26] = L4_FIELD_IDS,
};

bool l4_field_named(const char *name, const char *lower, size_t bytes)
{
    /* why: of bytes that are no control bytes, `| 0x20` makes a letter of none but a letter, and a
     * digit or `-` of none but itself. */
    const uint64_t fold = 0x2020202020202020u;
    for (; bytes >= 8; name += 8, lower += 8, bytes -= 8) {
        uint64_t found, wanted;
        memcpy(&found, name, 8);
        memcpy(&wanted, lower, 8);
        if ((found | fold) != wanted)
            return false;
    }
    for (size_t i = 0; i < bytes; i++) {
        if ((name[i] | 0x20) != lower[i])
            return false;
    }
    return true;
}

enum l4_field_id l4_field_find(const char *name, size_t bytes)
{
    if (bytes > LONGEST)
        return L4_FIELD_OTHER;
    for (uint8_t id = first_of[bytes]; id < first_of[bytes + 1]; id++) {
        if ((name[0] | 0x20) == known[id].name[0] && l4_field_named(name, known[id].name, bytes))
            return (enum l4_field_id)id;
    }
    return L4_FIELD_OTHER;
}

static bool tells_of_a_client(const char *name, size_t bytes)
{
    static const char prefix[] = "x-forwarded-";
    return bytes > strlen(prefix) && l4_field_named(name, prefix, strlen(prefix));
}

uint8_t l4_field_flags(enum l4_field_id id, const char *name, size_t bytes, bool underscore)
{
    if (id != L4_FIELD_OTHER)
        return known[id].flags;
    if (!underscore)
        return tells_of_a_client(name, bytes) ? L4_FIELD_TELLS_CLIENT : 0;
    /* why so long: the prefix of "x-forwarded-" is all that matters of a longer name. */
    char twin[LONGEST];
    const size_t looked = bytes < LONGEST ? bytes : LONGEST;
    for (size_t i = 0; i < looked; i++)
        twin[i] = (char)(name[i] == '_' ? '-' : name[i]);
    uint8_t flags = tells_of_a_client(twin, looked) ? L4_FIELD_TELLS_CLIENT : 0;
    const enum l4_field_id like = l4_field_find(twin, bytes == looked ? looked : LONGEST + 1);
    if (like != L4_FIELD_OTHER)
        flags = known[like].flags & L4_FIELD_FRAMES ? L4_FIELD_IS_HOP : known[like].flags;
    return flags | L4_FIELD_HAS_UNDERSCORE;
}

bool l4_field_is(struct l4_text text, const char *lower)
{
    return text.bytes == strlen(lower) && l4_field_named(text.at, lower, text.bytes);
}

bool l4_field_is_value(struct l4_text text)
{
    for (size_t i = 0; i < text.bytes; i++) {
        const unsigned char c = (unsigned char)text.at[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}
