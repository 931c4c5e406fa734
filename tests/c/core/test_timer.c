/* The timer wheel against a naive oracle: an array of due times. */
#include <stdlib.h>

#include "check.h"
#include "core/timer.h"

enum { TIMERS = 200 };

static struct l4_timer links[TIMERS];
static struct l4_wheel wheel;

TEST(no_timer_means_no_wait)
{
    l4_wheel_init(&wheel, links, TIMERS, 1000);
    CHECK_EQ(-1, l4_wheel_wait_ms(&wheel, 1000));
    CHECK_EQ(L4_NONE, l4_wheel_expire(&wheel, 100000000));
}

TEST(a_timer_fires_once_and_not_before_its_time)
{
    l4_wheel_init(&wheel, links, TIMERS, 1000);
    l4_wheel_start(&wheel, 7, 1500);
    CHECK(l4_wheel_wait_ms(&wheel, 1000) >= 500);
    CHECK_EQ(L4_NONE, l4_wheel_expire(&wheel, 1499));
    CHECK_EQ(7, l4_wheel_expire(&wheel, 1500 + L4_WHEEL_TICK_MS));
    CHECK_EQ(L4_NONE, l4_wheel_expire(&wheel, 5000));
}

TEST(a_stopped_timer_never_fires)
{
    l4_wheel_init(&wheel, links, TIMERS, 0);
    l4_wheel_start(&wheel, 1, 100);
    l4_wheel_start(&wheel, 2, 100);
    l4_wheel_start(&wheel, 3, 100);
    l4_wheel_stop(&wheel, 2);
    l4_wheel_stop(&wheel, 2);
    uint32_t seen = 0;
    for (uint32_t n; (n = l4_wheel_expire(&wheel, 200)) != L4_NONE;)
        seen |= 1u << n;
    CHECK_EQ(1 << 1 | 1 << 3, seen);
}

TEST(a_timer_beyond_the_wheel_comes_early_and_can_be_started_again)
{
    const uint64_t far = 10 * (uint64_t)L4_WHEEL_SLOTS * L4_WHEEL_TICK_MS;
    l4_wheel_init(&wheel, links, TIMERS, 0);
    l4_wheel_start(&wheel, 0, far);
    int rounds = 0;
    for (uint64_t now = 0; now < far + 2 * L4_WHEEL_TICK_MS; now += L4_WHEEL_TICK_MS) {
        if (l4_wheel_expire(&wheel, now) == L4_NONE)
            continue;
        if (now >= far)
            break;
        rounds++;
        l4_wheel_start(&wheel, 0, far);
    }
    CHECK(rounds >= 10 && rounds <= 12);
}

TEST(a_long_sleep_hands_out_everything_that_is_due)
{
    l4_wheel_init(&wheel, links, TIMERS, 0);
    for (uint32_t n = 0; n < TIMERS; n++)
        l4_wheel_start(&wheel, n, n * 150);
    int fired = 0;
    while (l4_wheel_expire(&wheel, 1000000000) != L4_NONE)
        fired++;
    CHECK_EQ(TIMERS, fired);
    CHECK_EQ(-1, l4_wheel_wait_ms(&wheel, 1000000000));
}

/* Each timer that the wheel hands out was due; each that is due for more than a tick has been
 * handed out; and the wait never passes the first due time by more than a tick. */
TEST(random_starts_and_stops_agree_with_a_naive_twin)
{
    uint64_t due[TIMERS] = {0}, now = 12345;
    srand(7);
    l4_wheel_init(&wheel, links, TIMERS, now);
    for (int step = 0; step < 200000; step++) {
        const uint32_t n = (uint32_t)rand() % TIMERS;
        switch (rand() % 4) {
        case 0:
        case 1:
            due[n] = now + (uint64_t)rand() % 30000 + 1;
            l4_wheel_start(&wheel, n, due[n]);
            break;
        case 2:
            due[n] = 0;
            l4_wheel_stop(&wheel, n);
            break;
        case 3:
            now += (uint64_t)rand() % 40;
            for (uint32_t fired; (fired = l4_wheel_expire(&wheel, now)) != L4_NONE;) {
                CHECK(due[fired] && due[fired] <= now);
                due[fired] = 0;
            }
            uint64_t first = UINT64_MAX;
            for (uint32_t i = 0; i < TIMERS; i++) {
                CHECK(!due[i] || due[i] + L4_WHEEL_TICK_MS >= now);
                if (due[i] && due[i] < first)
                    first = due[i];
            }
            if (first != UINT64_MAX)
                CHECK(now + (uint64_t)l4_wheel_wait_ms(&wheel, now) <= first + L4_WHEEL_TICK_MS);
        }
    }
}

MAIN(RUN(no_timer_means_no_wait); RUN(a_timer_fires_once_and_not_before_its_time);
     RUN(a_stopped_timer_never_fires);
     RUN(a_timer_beyond_the_wheel_comes_early_and_can_be_started_again);
     RUN(a_long_sleep_hands_out_everything_that_is_due);
     RUN(random_starts_and_stops_agree_with_a_naive_twin))
