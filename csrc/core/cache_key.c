#include "core/cache_key.h"

struct out {
    char *to;
    size_t used;
    bool full;
};

static void put(struct out *out, struct l4_text text)
{
    if (out->full || text.bytes > L4_CACHE_KEY_MAX - out->used) {
        out->full = true;
        return;
    }
    l4_text_copy(out->to + out->used, text);
    out->used += text.bytes;
}

static bool is_ignored(struct l4_text name, const struct l4_key_rules *rules)
{
    for (size_t i = 0; i < rules->ignored_count; i++) {
        struct l4_text ignored = rules->ignored[i];
        struct l4_text begin = name;
        if (ignored.bytes && ignored.at[ignored.bytes - 1] == '*') {
            ignored.bytes--;
            if (begin.bytes > ignored.bytes)
                begin.bytes = ignored.bytes;
        }
        if (l4_text_is(begin, ignored))
            return true;
    }
    return false;
}

static void put_query(struct out *out, const struct l4_url *url, const struct l4_key_rules *rules)
{
    struct l4_text rest = url->query;
    bool first = true;
    if (!rules->ignored_count) {
        put(out, L4_TEXT("?"));
        put(out, rest);
        return;
    }
    while (rest.bytes) {
        const struct l4_text argument = {rest.at, l4_text_until(rest, '&')};
        const struct l4_text name = {argument.at, l4_text_until(argument, '=')};
        rest = l4_text_after(rest, argument.bytes < rest.bytes ? argument.bytes + 1 : rest.bytes);
        if (!argument.bytes || is_ignored(name, rules))
            continue;
        put(out, first ? L4_TEXT("?") : L4_TEXT("&"));
        put(out, argument);
        first = false;
    }
}

size_t l4_cache_key(const struct l4_url *url, const struct l4_key_rules *rules,
                    char to[static L4_CACHE_KEY_MAX])
{
    struct out out = {to, 0, false};
    if (rules->scheme)
        put(&out, url->scheme);
    put(&out, L4_TEXT("://"));
    if (rules->host)
        put(&out, url->host);
    put(&out, url->path);
    if (rules->query && url->has_query)
        put_query(&out, url, rules);
    return out.full ? 0 : out.used;
}
