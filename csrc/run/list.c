#include "run/list.h"

#include "base/assert.h"
#include "shm/table.h"

void l4_list_init(struct l4_list *list, enum l4_list_kind kind)
{
    L4_ASSERT(kind > L4_LIST_NONE && kind < L4_LIST_KINDS);
    *list = (struct l4_list){.head = L4_NONE, .tail = L4_NONE, .kind = kind};
}

/* In which kinds of list may a session in its state be? */
static bool is_allowed(const struct l4_session *s, enum l4_list_kind kind)
{
    static const uint32_t kinds[L4_SESSION_STATES] = {
        [L4_SESSION_FREE] = 1u << L4_LIST_FREE | 1u << L4_LIST_ENDED,
        [L4_SESSION_TLS_CLIENT] = 1u << L4_LIST_READY,
        [L4_SESSION_TLS_BACKEND] = 1u << L4_LIST_READY,
        [L4_SESSION_RELAY] = 1u << L4_LIST_READY,
        [L4_SESSION_QUEUE] = 1u << L4_LIST_QUEUE,
        [L4_SESSION_REQUEST] = 1u << L4_LIST_READY | 1u << L4_LIST_BLOCKLESS,
        [L4_SESSION_EXCHANGE] = 1u << L4_LIST_READY | 1u << L4_LIST_PIPELESS,
        [L4_SESSION_HTTP2] = 1u << L4_LIST_READY,
        [L4_SESSION_CACHED] = 1u << L4_LIST_READY | 1u << L4_LIST_PIPELESS,
        [L4_SESSION_INSPECT] = 1u << L4_LIST_READY | 1u << L4_LIST_PIPELESS,
    };
    return kinds[L4_GET(s->state)] >> kind & 1;
}

/* Links a row that is in no list between two neighbours; L4_NONE is an end of the list. */
static void link_between(struct l4_session *rows, struct l4_list *list, uint32_t index,
                         uint32_t prev, uint32_t next)
{
    struct l4_session *s = &rows[index];
    L4_ASSERT(s->list == L4_LIST_NONE && is_allowed(s, list->kind));
    s->list = (uint8_t)list->kind;
    s->prev = prev;
    s->next = next;
    *(prev == L4_NONE ? &list->head : &rows[prev].next) = index;
    *(next == L4_NONE ? &list->tail : &rows[next].prev) = index;
    list->count++;
}

void l4_list_append(struct l4_session *rows, struct l4_list *list, uint32_t index)
{
    link_between(rows, list, index, list->tail, L4_NONE);
}

void l4_list_push(struct l4_session *rows, struct l4_list *list, uint32_t index)
{
    link_between(rows, list, index, L4_NONE, list->head);
}

void l4_list_insert(struct l4_session *rows, struct l4_list *list, uint32_t index, uint32_t before)
{
    L4_ASSERT(before == L4_NONE || rows[before].list == list->kind);
    link_between(rows, list, index, before, before == L4_NONE ? list->head : rows[before].next);
}

void l4_list_remove(struct l4_session *rows, struct l4_list *list, uint32_t index)
{
    struct l4_session *s = &rows[index];
    uint32_t *before = s->prev == L4_NONE ? &list->head : &rows[s->prev].next;
    uint32_t *after = s->next == L4_NONE ? &list->tail : &rows[s->next].prev;
    L4_ASSERT(s->list == list->kind && *before == index && *after == index && list->count);
    *before = s->next;
    *after = s->prev;
    s->list = L4_LIST_NONE;
    list->count--;
    L4_ASSERT((list->count == 0) == (list->head == L4_NONE && list->tail == L4_NONE));
}

uint32_t l4_list_take(struct l4_session *rows, struct l4_list *list)
{
    const uint32_t index = list->head;
    if (index != L4_NONE)
        l4_list_remove(rows, list, index);
    return index;
}
