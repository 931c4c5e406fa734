#include "core/true_client.h"

#include <sys/socket.h>

#include "core/access.h"
#include "core/hops.h"

bool l4_true_client_trusts(const struct l4_table *table, const struct l4_http_listener *rules,
                           const struct l4_addr *peer)
{
    return peer->family == AF_UNIX || l4_access_find_named(table, &rules->trusted_set, peer);
}

bool l4_true_client_in(const struct l4_table *table, const struct l4_http_listener *rules,
                       const char *bytes, const struct l4_h1_head *head, struct l4_addr *client)
{
    const enum l4_field_id id = L4_GET(rules->forwarded) == L4_HTTP_FORWARDED_RFC7239
                                    ? L4_FIELD_FORWARDED
                                    : L4_FIELD_X_FORWARDED_FOR;
    if (!l4_h1_has(head, id))
        return false;
    struct l4_hops hops = l4_hops_begin(bytes, head, id);
    struct l4_addr addr;
    bool found = false, trusted = true;
    while (trusted) {
        const enum l4_hops_result result = l4_hops_next(&hops, &addr);
        if (result == L4_HOPS_BAD)
            return false;
        if (result == L4_HOPS_END)
            break;
        *client = addr;
        found = true;
        trusted = l4_access_find_named(table, &rules->trusted_set, &addr);
    }
    return found;
}

bool l4_true_client_of(const struct l4_table *table, const struct l4_http_listener *rules,
                       const struct l4_addr *peer, const char *head, size_t bytes,
                       struct l4_addr *client)
{
    static const struct l4_h1_bounds widest = {
        .head = L4_H1_HEAD_MAX, .target = L4_H1_HEAD_MAX, .fields = L4_H1_FIELDS_MAX};
    struct l4_h1_head parsed;
    return l4_true_client_trusts(table, rules, peer) &&
           !l4_h1_request(head, bytes, &widest, &parsed) &&
           l4_true_client_in(table, rules, head, &parsed, client);
}
