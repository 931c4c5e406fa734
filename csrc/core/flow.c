#include "core/flow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

int l4_flows_init(struct l4_flows *flows, uint32_t capacity, const struct l4_hash_key *hash_key)
{
    uint32_t buckets = 16;
    while (buckets < capacity)
        buckets *= 2;
    *flows = (struct l4_flows){.capacity = capacity, .mask = buckets - 1, .free = L4_NONE};
    flows->hash_key = *hash_key;
    flows->nodes = calloc(capacity ? capacity : 1, sizeof *flows->nodes);
    flows->buckets = malloc(buckets * sizeof *flows->buckets);
    if (!flows->nodes || !flows->buckets) {
        l4_flows_close(flows);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < buckets; i++)
        flows->buckets[i] = L4_NONE;
    for (int age = 0; age < L4_FLOW_AGES; age++)
        flows->oldest[age] = flows->newest[age] = L4_NONE;
    return 0;
}

void l4_flows_close(struct l4_flows *flows)
{
    free(flows->nodes);
    free(flows->buckets);
    flows->nodes = NULL;
    flows->buckets = NULL;
}

/* ---- the lists of ages ----------------------------------------------------------------------- */

static void append(struct l4_flows *flows, uint32_t row, enum l4_flow_age age)
{
    L4_ASSERT(row < flows->fresh && age < L4_FLOW_AGES);
    struct l4_flow_node *node = &flows->nodes[row];
    node->age = (uint8_t)age;
    node->newer = L4_NONE;
    node->older = flows->newest[age];
    if (node->older != L4_NONE)
        flows->nodes[node->older].newer = row;
    else
        flows->oldest[age] = row;
    flows->newest[age] = row;
    flows->count[age]++;
}

static void unlist(struct l4_flows *flows, uint32_t row)
{
    L4_ASSERT(row < flows->fresh);
    const struct l4_flow_node *node = &flows->nodes[row];
    L4_ASSERT(node->used && flows->count[node->age] > 0);
    L4_ASSERT((node->older != L4_NONE ? flows->nodes[node->older].newer
                                      : flows->oldest[node->age]) == row);
    if (node->older != L4_NONE)
        flows->nodes[node->older].newer = node->newer;
    else
        flows->oldest[node->age] = node->newer;
    if (node->newer != L4_NONE)
        flows->nodes[node->newer].older = node->older;
    else
        flows->newest[node->age] = node->older;
    flows->count[node->age]--;
}

void l4_flows_touch(struct l4_flows *flows, uint32_t row)
{
    L4_ASSERT(row < flows->fresh && flows->nodes[row].used);
    const enum l4_flow_age age = flows->nodes[row].age;
    if (flows->newest[age] == row)
        return;
    unlist(flows, row);
    append(flows, row, age);
}

void l4_flows_prove(struct l4_flows *flows, uint32_t row)
{
    unlist(flows, row);
    append(flows, row, L4_FLOW_OLD);
}

uint32_t l4_flows_victim(const struct l4_flows *flows)
{
    const uint32_t share = flows->capacity / L4_UDP_YOUNG_SHARE;
    if (flows->count[L4_FLOW_YOUNG] > share || flows->oldest[L4_FLOW_OLD] == L4_NONE)
        return flows->oldest[L4_FLOW_YOUNG];
    return flows->oldest[L4_FLOW_OLD];
}

/* ---- the buckets ----------------------------------------------------------------------------- */

static uint32_t bucket_of(const struct l4_flows *flows, const struct l4_flow_key *key)
{
    return (uint32_t)l4_hash(&flows->hash_key, key, sizeof *key) & flows->mask;
}

uint32_t l4_flows_find(const struct l4_flows *flows, const struct l4_flow_key *key)
{
    uint32_t row = flows->buckets[bucket_of(flows, key)];
    while (row != L4_NONE && memcmp(&flows->nodes[row].key, key, sizeof *key) != 0)
        row = flows->nodes[row].next;
    return row;
}

static void occupy(struct l4_flows *flows, uint32_t row, const struct l4_flow_key *key)
{
    L4_ASSERT(row < flows->capacity && row < flows->fresh);
    struct l4_flow_node *node = &flows->nodes[row];
    L4_ASSERT(!node->used);
    node->key = *key;
    node->used = true;
    node->bucket = bucket_of(flows, key);
    node->next = flows->buckets[node->bucket];
    flows->buckets[node->bucket] = row;
    append(flows, row, L4_FLOW_YOUNG);
}

uint32_t l4_flows_add(struct l4_flows *flows, const struct l4_flow_key *key)
{
    uint32_t row = flows->free;
    if (row != L4_NONE)
        flows->free = flows->nodes[row].next;
    else if (flows->fresh < flows->capacity)
        row = flows->fresh++;
    else
        return L4_NONE;
    occupy(flows, row, key);
    return row;
}

static void release(struct l4_flows *flows, uint32_t row)
{
    L4_ASSERT(row < flows->fresh);
    flows->nodes[row].used = false;
    flows->nodes[row].bucket = L4_NONE;
    flows->nodes[row].next = flows->free;
    flows->free = row;
}

void l4_flows_restore(struct l4_flows *flows, uint32_t row, const struct l4_flow_key *key)
{
    L4_ASSERT(flows->fresh <= row && row < flows->capacity);
    while (flows->fresh < row)
        release(flows, flows->fresh++);
    flows->fresh = row + 1;
    occupy(flows, row, key);
}

void l4_flows_loosen(struct l4_flows *flows, uint32_t row)
{
    struct l4_flow_node *node = &flows->nodes[row];
    L4_ASSERT(row < flows->fresh && node->used);
    if (node->bucket == L4_NONE)
        return;
    uint32_t *link = &flows->buckets[node->bucket];
    while (*link != row) {
        L4_ASSERT(*link != L4_NONE);
        link = &flows->nodes[*link].next;
    }
    *link = node->next;
    node->bucket = L4_NONE;
}

void l4_flows_remove(struct l4_flows *flows, uint32_t row)
{
    l4_flows_loosen(flows, row);
    unlist(flows, row);
    release(flows, row);
}
