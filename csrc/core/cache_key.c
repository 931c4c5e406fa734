#include "core/cache_key.h"

static void put_query(struct l4_text_out *out, const struct l4_url *url,
                      const struct l4_key_rules *rules)
{
    struct l4_text rest = url->query;
    bool first = true;
    if (!rules->ignored.count) {
        l4_text_put(out, L4_TEXT("?"));
        l4_text_put(out, rest);
        return;
    }
    while (rest.bytes) {
        const struct l4_text argument = {rest.at, l4_text_until(rest, '&')};
        const struct l4_text name = {argument.at, l4_text_until(argument, '=')};
        rest = l4_text_after(rest, argument.bytes < rest.bytes ? argument.bytes + 1 : rest.bytes);
        if (!argument.bytes || l4_name_list_has(&rules->ignored, name))
            continue;
        l4_text_put(out, first ? L4_TEXT("?") : L4_TEXT("&"));
        l4_text_put(out, argument);
        first = false;
    }
}

size_t l4_cache_key(const struct l4_url *url, const struct l4_key_rules *rules,
                    char to[static L4_CACHE_KEY_MAX])
{
    struct l4_text_out out = {.to = to, .size = L4_CACHE_KEY_MAX};
    if (rules->scheme)
        l4_text_put(&out, url->scheme);
    l4_text_put(&out, L4_TEXT("://"));
    if (rules->host)
        l4_text_put(&out, url->host);
    l4_text_put(&out, url->path);
    if (rules->query && url->has_query)
        put_query(&out, url, rules);
    return out.full ? 0 : out.used;
}
