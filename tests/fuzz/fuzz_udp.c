/* UDP: a run of datagrams is split into the datagrams that were sent, and sessions are found by
 * client as in a plain list. The input is a script of clients' acts. */
#include <string.h>
#include <sys/socket.h>

#include "core/flow.h"
#include "io/dgram.h"
#include "require.h"

enum { ROWS = 8 };

static void take_apart(const uint8_t *data, size_t bytes, uint32_t segment)
{
    const struct l4_dgram run = {.data = data, .bytes = (uint32_t)bytes, .segment = segment};
    struct l4_dgram piece;
    uint32_t at = 0, total = 0, count = 0;
    while (l4_dgram_piece(&run, &at, &piece)) {
        REQUIRE(piece.data == data + total && piece.bytes + total <= bytes);
        REQUIRE(piece.bytes <= segment || !segment);
        total += piece.bytes;
        count++;
    }
    REQUIRE(total == bytes && count == l4_dgram_count(&run));
}

static struct l4_flow_key key_of(uint8_t byte)
{
    return (struct l4_flow_key){
        .client = {.family = AF_INET, .port = 1000 + byte % 4, .ip = {127, 0, 0, byte / 4 % 4}},
        .local = {.family = AF_INET, .port = 53, .ip = {127, 0, 0, 1}},
        .listener = byte / 16 % 2,
        .subflow = byte / 32 % 3,
    };
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    const struct l4_hash_key hash_key = {1, 2};
    struct l4_flow_key known[ROWS];
    bool used[ROWS] = {false}, loose[ROWS] = {false};
    struct l4_flows flows;
    uint32_t held = 0;
    if (bytes)
        take_apart(data, bytes, data[0]);
    if (l4_flows_init(&flows, ROWS, &hash_key))
        return 0;
    for (size_t i = 0; i + 1 < bytes && i < 4096; i += 2) {
        const struct l4_flow_key key = key_of(data[i + 1]);
        uint32_t row = l4_flows_find(&flows, &key), expected = L4_NONE;
        for (uint32_t r = 0; r < ROWS; r++)
            if (used[r] && !loose[r] && memcmp(&known[r], &key, sizeof key) == 0)
                expected = r;
        REQUIRE(row == expected);
        if (row == L4_NONE && data[i] % 8 < 4) {
            row = l4_flows_add(&flows, &key);
            if (row == L4_NONE) {
                REQUIRE(held == ROWS);
                row = l4_flows_victim(&flows);
                REQUIRE(row < ROWS && used[row]);
                l4_flows_remove(&flows, row);
                used[row] = false;
                held--;
                continue;
            }
            REQUIRE(row < ROWS && !used[row]);
            known[row] = key;
            used[row] = true;
            loose[row] = false;
            held++;
        } else if (row != L4_NONE && data[i] % 8 == 4) {
            l4_flows_remove(&flows, row);
            used[row] = false;
            held--;
        } else if (row != L4_NONE && data[i] % 8 == 5) {
            l4_flows_prove(&flows, row);
        } else if (row != L4_NONE && data[i] % 8 == 6) {
            l4_flows_loosen(&flows, row);
            loose[row] = true;
        } else if (row != L4_NONE) {
            l4_flows_touch(&flows, row);
        }
        REQUIRE(l4_flows_held(&flows) == held);
    }
    l4_flows_close(&flows);
    return 0;
}
