/* The table of UDP sessions against a naive oracle: an array that is searched from end to end. */
#include <string.h>

#include "base/random.h"
#include "check.h"
#include "core/flow.h"

enum { CAPACITY = 24, CLIENTS = 60, STEPS = 200000 };

static const struct l4_hash_key hash_key = {1, 2};
static struct l4_flows flows;

struct twin {
    bool used, found, proven;
    uint32_t client;
    uint64_t touched;
};
static struct twin twins[CAPACITY];
static uint64_t clock_now;

static struct l4_flow_key key_of(uint32_t client)
{
    struct l4_flow_key key = {.listener = client % 3, .subflow = client % 2};
    key.client = (struct l4_addr){.family = 2, .port = (uint16_t)client, .ip = {127, 0, 0, 1}};
    key.local = (struct l4_addr){.family = 2, .port = 53, .ip = {10, 0, 0, (uint8_t)(client % 4)}};
    return key;
}

static uint32_t twin_find(uint32_t client)
{
    for (uint32_t i = 0; i < CAPACITY; i++) {
        if (twins[i].used && twins[i].found && twins[i].client == client)
            return i;
    }
    return L4_NONE;
}

static uint32_t twin_held(void)
{
    uint32_t held = 0;
    for (uint32_t i = 0; i < CAPACITY; i++)
        held += twins[i].used;
    return held;
}

static uint32_t twin_victim(void)
{
    uint32_t oldest[2] = {L4_NONE, L4_NONE}, count[2] = {0, 0};
    for (uint32_t i = 0; i < CAPACITY; i++) {
        if (!twins[i].used)
            continue;
        const int age = twins[i].proven;
        count[age]++;
        if (oldest[age] == L4_NONE || twins[i].touched < twins[oldest[age]].touched)
            oldest[age] = i;
    }
    if (count[0] > CAPACITY / L4_UDP_YOUNG_SHARE || oldest[1] == L4_NONE)
        return oldest[0];
    return oldest[1];
}

/* Applies one random event of a client to both tables. */
static void step(uint64_t *random)
{
    const uint32_t client = (uint32_t)(l4_random(random) % CLIENTS);
    const struct l4_flow_key key = key_of(client);
    uint32_t row = l4_flows_find(&flows, &key);
    CHECK_EQ(twin_find(client), row);
    clock_now++;
    if (row == L4_NONE) {
        row = l4_flows_add(&flows, &key);
        CHECK_EQ(twin_held() == CAPACITY, row == L4_NONE);
        if (row == L4_NONE) {
            row = l4_flows_victim(&flows);
            CHECK_EQ(twin_victim(), row);
            l4_flows_remove(&flows, row);
            twins[row].used = false;
            return;
        }
        CHECK(!twins[row].used);
        twins[row] =
            (struct twin){.used = true, .found = true, .client = client, .touched = clock_now};
        return;
    }
    switch (l4_random(random) % 8) {
    case 0:
        l4_flows_remove(&flows, row);
        twins[row].used = false;
        break;
    case 1:
        l4_flows_loosen(&flows, row);
        l4_flows_loosen(&flows, row);
        twins[row].found = false;
        break;
    case 2:
        l4_flows_prove(&flows, row);
        twins[row].proven = true;
        twins[row].touched = clock_now;
        break;
    default:
        l4_flows_touch(&flows, row);
        twins[row].touched = clock_now;
    }
}

TEST(it_does_what_a_naive_table_does)
{
    uint64_t random = 11;
    memset(twins, 0, sizeof twins);
    CHECK_EQ(0, l4_flows_init(&flows, CAPACITY, &hash_key));
    for (int i = 0; i < STEPS && check_failures == 0; i++) {
        step(&random);
        CHECK_EQ(twin_held(), l4_flows_held(&flows));
        CHECK_EQ(twin_victim(), l4_flows_victim(&flows));
    }
    l4_flows_close(&flows);
}

TEST(rows_that_were_restored_are_found_and_the_gaps_are_free)
{
    const uint32_t restored[] = {2, 3, 7};
    CHECK_EQ(0, l4_flows_init(&flows, 10, &hash_key));
    for (uint32_t i = 0; i < 3; i++) {
        const struct l4_flow_key key = key_of(restored[i]);
        l4_flows_restore(&flows, restored[i], &key);
    }
    for (uint32_t i = 0; i < 3; i++) {
        const struct l4_flow_key key = key_of(restored[i]);
        CHECK_EQ(restored[i], l4_flows_find(&flows, &key));
    }
    uint32_t added = 0;
    for (uint32_t client = 20; client < 40; client++) {
        const struct l4_flow_key key = key_of(client);
        added += l4_flows_add(&flows, &key) != L4_NONE;
    }
    CHECK_EQ(7, added);
    CHECK_EQ(10, l4_flows_held(&flows));
    l4_flows_close(&flows);
}

TEST(strangers_push_out_strangers)
{
    CHECK_EQ(0, l4_flows_init(&flows, 80, &hash_key));
    for (uint32_t client = 0; client < 60; client++) {
        const struct l4_flow_key key = key_of(client);
        l4_flows_prove(&flows, l4_flows_add(&flows, &key));
    }
    for (uint32_t client = 1000; client < 51000; client++) {
        const struct l4_flow_key key = key_of(client);
        uint32_t row = l4_flows_add(&flows, &key);
        if (row == L4_NONE) {
            l4_flows_remove(&flows, l4_flows_victim(&flows));
            row = l4_flows_add(&flows, &key);
        }
        CHECK(row != L4_NONE);
    }
    for (uint32_t client = 0; client < 60; client++) {
        const struct l4_flow_key key = key_of(client);
        CHECK(l4_flows_find(&flows, &key) != L4_NONE);
    }
    l4_flows_close(&flows);
}

MAIN(RUN(it_does_what_a_naive_table_does);
     RUN(rows_that_were_restored_are_found_and_the_gaps_are_free);
     RUN(strangers_push_out_strangers))
