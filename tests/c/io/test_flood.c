/* Whether a listener is under a flood or only late, judged by its queue at each look. */
#include <string.h>

#include "base/bounds.h"
#include "check.h"
#include "io/flood.h"
#include "sockets.h"

enum { ROOM = 1000 };

static struct l4_flood flood;
static uint64_t now_ms;

/* Looks at a queue with these bytes and drops. Returns whether it is under a flood. */
static bool look(uint32_t waits, uint32_t drops)
{
    const struct l4_flood_queue queue = {.waits = waits, .room = ROOM, .drops = drops};
    now_ms += L4_FLOOD_LOOK_MS;
    l4_flood_judge(&flood, &queue, now_ms);
    return flood.on;
}

static void begin(void)
{
    flood = (struct l4_flood){0};
    now_ms = 1000;
}

TEST(a_full_queue_that_gets_shorter_is_no_flood)
{
    begin();
    for (uint32_t waits = ROOM; waits > 0; waits -= 100)
        CHECK(!look(waits, 77));
}

TEST(what_was_dropped_before_the_first_look_is_no_flood)
{
    begin();
    CHECK(!look(ROOM, 500));
    CHECK(!look(ROOM, 500));
}

TEST(a_queue_that_grows_past_half_of_its_room_is_a_flood_until_it_is_below)
{
    begin();
    CHECK(!look(100, 0));
    CHECK(!look(400, 0)); /* the queue grows, and has room */
    CHECK(look(600, 0));
    CHECK(look(550, 0));
    CHECK(!look(450, 0));
    CHECK(!look(440, 0));
}

TEST(drops_are_a_flood_whatever_waits)
{
    begin();
    CHECK(!look(900, 3));
    CHECK(look(800, 4));
    CHECK(look(700, 4));
    CHECK(!look(300, 4));
    CHECK(look(300, 5));
}

TEST(a_socket_tells_what_waits_and_what_found_no_room)
{
    int pair[2];
    struct l4_flood_queue empty, some, full;
    const int small = 4096;
    char bytes[1000] = {0};
    udp_pair(pair);
    setsockopt(pair[1], SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    CHECK_EQ(0, l4_flood_read(pair[1], &empty));
    CHECK(empty.waits == 0 && empty.drops == 0 && empty.room >= (uint32_t)small);
    CHECK_EQ(sizeof bytes, send(pair[0], bytes, sizeof bytes, 0));
    CHECK_EQ(0, l4_flood_read(pair[1], &some));
    CHECK(some.waits >= sizeof bytes && some.drops == 0);
    for (int i = 0; i < 100; i++)
        CHECK_EQ(sizeof bytes, send(pair[0], bytes, sizeof bytes, 0));
    CHECK_EQ(0, l4_flood_read(pair[1], &full));
    CHECK(full.waits > some.waits && full.drops > 0);
    close(pair[0]);
    close(pair[1]);
}

TEST(looks_are_so_far_apart_as_they_say)
{
    int pair[2];
    udp_pair(pair);
    begin();
    l4_flood_look(&flood, pair[1], now_ms);
    CHECK_EQ(now_ms, flood.looked_ms);
    l4_flood_look(&flood, pair[1], now_ms + L4_FLOOD_LOOK_MS - 1);
    CHECK_EQ(now_ms, flood.looked_ms);
    l4_flood_look(&flood, pair[1], now_ms + L4_FLOOD_LOOK_MS);
    CHECK_EQ(now_ms + L4_FLOOD_LOOK_MS, flood.looked_ms);
    close(pair[0]);
    close(pair[1]);
}

MAIN(RUN(a_full_queue_that_gets_shorter_is_no_flood);
     RUN(what_was_dropped_before_the_first_look_is_no_flood);
     RUN(a_queue_that_grows_past_half_of_its_room_is_a_flood_until_it_is_below);
     RUN(drops_are_a_flood_whatever_waits); RUN(a_socket_tells_what_waits_and_what_found_no_room);
     RUN(looks_are_so_far_apart_as_they_say))
