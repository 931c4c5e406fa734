/* The text that names a resource in a cache: its URL, without what the configuration ignores. */
#ifndef L4_CORE_CACHE_KEY_H
#define L4_CORE_CACHE_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/name_list.h"

enum { L4_CACHE_KEY_MAX = 8192 }; /* bytes of a key; a longer URL is not cached */

/* What of a URL names the resource. */
struct l4_key_rules {
    bool scheme, host, query;
    struct l4_name_list ignored; /* arguments */
};

/* The parts of a URL as the client sent them; the host in lower case, with its port unless it is
 * the scheme's. */
struct l4_url {
    struct l4_text scheme, host, path, query;
    bool has_query; /* `/a?` is not `/a` */
};

/* Writes SCHEME://HOST/PATH?QUERY. Arguments keep their order: for some servers it matters. Returns
 * the bytes; 0: the key is too long. */
size_t l4_cache_key(const struct l4_url *url, const struct l4_key_rules *rules,
                    char to[static L4_CACHE_KEY_MAX]);

#endif
