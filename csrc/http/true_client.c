#include "http/true_client.h"

#include "core/access.h"
#include "core/hops.h"
#include "http/serve.h"
#include "shm/http.h"

void l4_true_client_find(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    const struct l4_http_listener *rules = l4_serve_rules(loop, s);
    const struct l4_h1_head *head = &loop->http->judged.head;
    const enum l4_field_id id = L4_GET(rules->forwarded) == L4_HTTP_FORWARDED_RFC7239
                                    ? L4_FIELD_FORWARDED
                                    : L4_FIELD_X_FORWARDED_FOR;
    if (head->first[id] == L4_H1_NO_FIELD || !l4_serve_trusts(loop, s))
        return;
    struct l4_hops hops =
        l4_hops_begin(l4_http_block(loop->http, l4_exchange_at(loop, index)->block), head, id);
    struct l4_addr addr, client;
    bool found = false, trusted = true;
    while (trusted) {
        const enum l4_hops_result result = l4_hops_next(&hops, &addr);
        if (result == L4_HOPS_BAD)
            return;
        if (result == L4_HOPS_END)
            break;
        client = addr;
        found = true;
        trusted = l4_access_find_named(loop->table, &rules->trusted_set, &addr);
    }
    if (!found)
        return;
    l4_table_request(loop->table, loop->setup.index, index)->client = client;
    s->known |= L4_FACT_CLAIMED;
}
