/* Look-ups of networks while sets are swapped and their numbers change hands. */
#include <pthread.h>

#include "check.h"
#include "core/access.h"
#include "table.h"

enum { LOOKS = 100000, MOVES = 200, ONE = 1, OTHER = 2 };

static const struct l4_addr client = {.family = AF_INET, .ip = {192, 0, 2, 7}};
static _Atomic uint32_t name = ONE; /* number of the list that turns the client away */
static _Atomic uint32_t moved;
static _Atomic bool over;

/* Builds both sets again, with one network each; 0: the set does not exist. */
static void publish(const uint8_t values[2])
{
    l4_access_begin(&table);
    for (uint32_t i = 0; i < 2; i++) {
        const struct l4_prefix network = {
            .net = l4_addr_network(&client, 24), .bits = 24, .value = values[i]};
        CHECK_EQ(0, values[i] ? l4_access_put(&table, ONE + i, &network, 1) : 0);
    }
    l4_access_publish(&table);
}

/* Moves the list from number to number. The number that it has left becomes at once a list that
 * lets the client in, or no list. */
static void *moves(void *none)
{
    for (uint32_t i = 0; !L4_GET(over); i++) {
        L4_SET(moved, i);
        const uint32_t to = i & 1 ? ONE : OTHER;
        publish((const uint8_t[]){L4_ACCESS_DENY, L4_ACCESS_DENY});
        atomic_store(&name, to);
        const uint8_t left = i & 2 ? L4_ACCESS_ALLOW : 0;
        publish(to == ONE ? (const uint8_t[]){L4_ACCESS_DENY, left}
                          : (const uint8_t[]){left, L4_ACCESS_DENY});
    }
    return none;
}

TEST(who_is_turned_away_is_so_while_the_list_changes_its_number)
{
    pthread_t writer;
    table_with(1, 1, NULL, L4_ROUND_ROBIN);
    publish((const uint8_t[]){L4_ACCESS_DENY, 0});
    CHECK_EQ(0, pthread_create(&writer, NULL, moves, NULL));
    for (int i = 0; (i < LOOKS || L4_GET(moved) < MOVES) && !check_failures; i++)
        CHECK_EQ(L4_ACCESS_DENY, l4_access_find_named(&table, &name, &client));
    L4_SET(over, true);
    CHECK_EQ(0, pthread_join(writer, NULL));
    l4_table_close(&table);
}

MAIN(RUN(who_is_turned_away_is_so_while_the_list_changes_its_number))
