#include "packet/published.h"

#include <stdlib.h>
#include <string.h>

#include "core/effective_weight.h"
#include "core/passive.h"
#include "shm/row_reuse.h"

enum { NONE16 = 0xffff };

/* ---- rows ------------------------------------------------------------------------------------ */

uint32_t l4_published_backend(const struct l4_forwarder *f, uint32_t backend)
{
    if (backend >= L4_FORWARD_BACKENDS_MAX)
        return L4_NONE;
    const struct l4_forward_backend *b = L4_MAPPED(f->backends, struct l4_forward_backend, backend);
    return b->family && b->row < f->table->plan.caps.backends ? b->row : L4_NONE;
}

uint32_t l4_published_pool(const struct l4_forwarder *f, uint32_t pool)
{
    if (pool >= L4_FORWARD_POOLS_MAX)
        return L4_NONE;
    const uint32_t row = L4_MAPPED(f->pools, struct l4_forward_pool, pool)->row;
    return row < f->table->plan.caps.pools ? row : L4_NONE;
}

uint32_t l4_published_listener(const struct l4_forwarder *f, uint32_t listener)
{
    if (listener >= L4_FORWARD_LISTENERS_MAX)
        return L4_NONE;
    const struct l4_forward_listener *l =
        L4_MAPPED(f->listeners, struct l4_forward_listener, listener);
    return l->used && l->row < f->table->plan.caps.listeners ? l->row : L4_NONE;
}

/* ---- health ---------------------------------------------------------------------------------- */

/* In which tiers the backend serves: core/pick.c. */
static uint32_t usable(const struct l4_forwarder *f, const struct l4_backend *b)
{
    if (!L4_GET(b->used) || L4_GET(b->state) != L4_READY || l4_share(b) == 0)
        return 0;
    if (L4_GET(b->health) == L4_DOWN || l4_passive_ejected(b, f->now_us / 1000))
        return L4_FORWARD_ANY;
    return L4_FORWARD_ANY | (L4_GET(b->flags) & L4_BACKUP ? L4_FORWARD_BACKUP : L4_FORWARD_PRIMARY);
}

static bool serves(uint32_t bits)
{
    return bits & (L4_FORWARD_PRIMARY | L4_FORWARD_BACKUP);
}

static void follow_health(struct l4_forwarder *f)
{
    for (uint32_t i = 0; i < L4_FORWARD_BACKENDS_MAX; i++) {
        struct l4_forward_backend *b = L4_MAPPED(f->backends, struct l4_forward_backend, i);
        if (!b->family)
            break; /* rows are given from the first on: l4lb/packet/numbers.py */
        const uint32_t row = l4_published_backend(f, i);
        const uint32_t bits = row == L4_NONE ? 0 : usable(f, l4_table_backend(f->table, row));
        if (b->usable == bits)
            continue;
        f->down |= serves(b->usable) && !serves(bits);
        __atomic_store_n(&b->usable, bits, __ATOMIC_RELAXED);
    }
}

/* ---- views ----------------------------------------------------------------------------------- */

struct span {
    uint32_t at, end;
};

static int by_place(const void *a, const void *b)
{
    const struct span *one = a, *other = b;
    return (one->at > other->at) - (one->at < other->at);
}

static struct span span_of(const struct l4_forward_view *view)
{
    return (struct span){view->slots_at,
                         view->slots_at + view->slots + view->maglev + view->members};
}

/* Finds room for `count` slots that no view in force, and no view of the other half but `but`,
 * takes. Returns L4_NONE if there is none. */
static uint32_t find_room(const struct l4_forwarder *f, uint32_t but, uint32_t count)
{
    struct span *taken = calloc(2 * L4_FORWARD_POOLS_MAX, sizeof *taken);
    uint32_t used = 0, at = 0;
    if (!taken)
        return L4_NONE;
    for (uint32_t i = 0; i < 2 * L4_FORWARD_POOLS_MAX; i++) {
        const struct span one = span_of(L4_MAPPED(f->views, struct l4_forward_view, i));
        if (i != but && one.end > one.at)
            taken[used++] = one;
    }
    qsort(taken, used, sizeof *taken, by_place);
    for (uint32_t i = 0; i < used; i++) {
        if (taken[i].at >= at && taken[i].at - at >= count)
            break;
        at = taken[i].end > at ? taken[i].end : at;
    }
    free(taken);
    /* why whole elements: an element has several slots, and has one writer at a time. */
    at = (at + L4_FORWARD_SLOTS_EACH - 1) / L4_FORWARD_SLOTS_EACH * L4_FORWARD_SLOTS_EACH;
    return at <= f->slot_count && f->slot_count - at >= count ? at : L4_NONE;
}

static void put_slots(struct l4_forwarder *f, uint32_t at, const uint16_t *rows, uint32_t count,
                      const uint16_t *numbers)
{
    for (uint32_t i = 0; i < count; i++) {
        struct l4_forward_slots *four =
            L4_MAPPED(f->slots, struct l4_forward_slots, (at + i) / L4_FORWARD_SLOTS_EACH);
        const uint32_t bits = (at + i) % L4_FORWARD_SLOTS_EACH * 16;
        const uint64_t number = rows[i] < f->table->plan.caps.backends ? numbers[rows[i]] : NONE16;
        four->backends = (four->backends & ~(0xffffull << bits)) | number << bits;
    }
}

/* The maps' numbers of the shared table's rows. */
static uint16_t *numbers_of_rows(const struct l4_forwarder *f)
{
    uint16_t *numbers = malloc(f->table->plan.caps.backends * sizeof *numbers);
    if (!numbers)
        return NULL;
    memset(numbers, 0xff, f->table->plan.caps.backends * sizeof *numbers);
    for (uint32_t i = 0; i < L4_FORWARD_BACKENDS_MAX; i++) {
        if (!L4_MAPPED(f->backends, struct l4_forward_backend, i)->family)
            break;
        const uint32_t row = l4_published_backend(f, i);
        if (row != L4_NONE)
            numbers[row] = (uint16_t)i;
    }
    return numbers;
}

/* Copies the view in force of a pool into the half that is not. Returns false if it must be tried
 * again. */
static bool publish(struct l4_forwarder *f, uint32_t pool, uint32_t row, uint32_t generation)
{
    struct l4_forward_turn *turn = L4_MAPPED(f->turns, struct l4_forward_turn, pool);
    struct l4_view *from = l4_table_view(f->table, row, generation);
    const uint32_t half = 2 * pool + ((turn->generation + 1) & 1);
    const uint32_t members = from->members < f->table->plan.caps.backends ? from->members : 0;
    const uint32_t slots = from->slots <= L4_SLOTS_MAX ? from->slots : 0;
    const uint32_t maglev = from->maglev <= L4_MAGLEV_MAX ? from->maglev : 0;
    uint16_t *numbers = numbers_of_rows(f);
    const uint32_t at = numbers ? find_room(f, half, slots + maglev + members) : L4_NONE;
    if (at != L4_NONE) {
        put_slots(f, at, l4_view_slots(f->table, from), slots, numbers);
        put_slots(f, at + slots, l4_view_maglev(f->table, from), maglev, numbers);
        put_slots(f, at + slots + maglev, l4_view_members(from), members, numbers);
        *L4_MAPPED(f->views, struct l4_forward_view, half) = (struct l4_forward_view){
            .slots_at = at,
            .slots = slots,
            .maglev_at = at + slots,
            .maglev = maglev,
            .members_at = at + slots + maglev,
            .members = members,
            .first_ticket = __atomic_load_n(&turn->ticket, __ATOMIC_RELAXED),
        };
    }
    free(numbers);
    const struct l4_pool *source = l4_table_pool(f->table, row);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (at == L4_NONE || L4_GET(source->view_generation) != generation)
        return false;
    __atomic_store_n(&turn->generation, turn->generation + 1, __ATOMIC_RELEASE);
    turn->published = generation;
    return true;
}

void l4_published_follow(struct l4_forwarder *f)
{
    follow_health(f);
    for (uint32_t i = 0; i < L4_FORWARD_POOLS_MAX; i++) {
        const uint32_t row = l4_published_pool(f, i);
        if (!L4_MAPPED(f->pools, struct l4_forward_pool, i)->used)
            break;
        if (row == L4_NONE)
            continue;
        const uint32_t generation = atomic_load_explicit(
            &l4_table_pool(f->table, row)->view_generation, memory_order_acquire);
        if (generation != L4_MAPPED(f->turns, struct l4_forward_turn, i)->published)
            (void)publish(f, i, row, generation);
    }
}

/* ---- totals ---------------------------------------------------------------------------------- */

void l4_published_totals(struct l4_forwarder *f)
{
    enum { PROCESSORS_MAX = 4096 };
    static struct l4_forward_total rows[PROCESSORS_MAX];
    const int processors = l4_bpf_processors();
    if (processors < 1 || processors > PROCESSORS_MAX)
        return;
    for (uint32_t i = 0; i < L4_FORWARD_BACKENDS_MAX; i++) {
        if (!L4_MAPPED(f->backends, struct l4_forward_backend, i)->family)
            break;
        const uint32_t row = l4_published_backend(f, i);
        if (row == L4_NONE || l4_bpf_get(f->maps[L4_FORWARD_MAP_TOTALS], &i, rows))
            continue;
        struct l4_forward_told *told = L4_MAPPED(f->told, struct l4_forward_told, i);
        struct l4_column *column = l4_table_column(f->table, f->worker, row);
        uint64_t bytes[2] = {0};
        for (int p = 0; p < processors; p++) {
            bytes[0] += rows[p].bytes[0];
            bytes[1] += rows[p].bytes[1];
        }
        L4_OWN_ADD(column->bytes_in, bytes[0] - told->bytes[0]);
        L4_OWN_ADD(column->bytes_out, bytes[1] - told->bytes[1]);
        told->bytes[0] = bytes[0];
        told->bytes[1] = bytes[1];
    }
}
