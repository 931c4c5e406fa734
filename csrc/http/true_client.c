#include "http/true_client.h"

#include "core/true_client.h"
#include "http/serve.h"
#include "shm/http.h"

void l4_true_client_find(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    const struct l4_h1_head *head = &loop->http->judged.head;
    const char *bytes = l4_http_block(loop->http, l4_exchange_at(loop, index)->block);
    struct l4_addr client;
    if (!l4_serve_trusts(loop, s) ||
        !l4_true_client_in(loop->table, l4_serve_rules(loop, s), bytes, head, &client))
        return;
    l4_table_request(loop->table, loop->setup.index, index)->client = client;
    s->known |= L4_FACT_CLAIMED;
}
