/* Sessions of sources against a naive oracle: an array of counts. */
#include "base/random.h"
#include "check.h"
#include "core/udp_sources.h"

enum { SOURCES = 40, MOST = 64, LIMIT = 5, STEPS = 300000 };

static uint64_t hash_of(uint32_t source)
{
    /* Few different low bits, so that sources collide. */
    return (uint64_t)source << 32 | (source % 3 ? 14 : source % 7);
}

TEST(it_counts_like_a_naive_table)
{
    uint32_t counts[SOURCES] = {0}, all = 0;
    uint64_t random = 9;
    struct l4_sources sources;
    CHECK_EQ(0, l4_sources_init(&sources, MOST));
    for (int i = 0; i < STEPS && check_failures == 0; i++) {
        const uint32_t source = (uint32_t)(l4_random(&random) % SOURCES);
        if (l4_random(&random) % 2 && all < MOST) {
            const bool taken = l4_sources_take(&sources, hash_of(source), LIMIT);
            CHECK_EQ(counts[source] < LIMIT, taken);
            counts[source] += taken;
            all += taken;
        } else if (counts[source]) {
            l4_sources_drop(&sources, hash_of(source));
            counts[source]--;
            all--;
        }
    }
    uint32_t used = 0;
    for (uint32_t i = 0; i <= sources.mask; i++)
        used += sources.slots[i].count;
    CHECK_EQ(all, used);
    l4_sources_close(&sources);
}

TEST(without_a_limit_it_only_counts)
{
    struct l4_sources sources;
    CHECK_EQ(0, l4_sources_init(&sources, MOST));
    for (int i = 0; i < 60; i++)
        CHECK(l4_sources_take(&sources, 7, 0));
    CHECK(!l4_sources_take(&sources, 7, 60));
    l4_sources_drop(&sources, 7);
    CHECK(l4_sources_take(&sources, 7, 60));
    l4_sources_drop(&sources, 8); /* source 8 has no session */
    l4_sources_close(&sources);
}

MAIN(RUN(it_counts_like_a_naive_table); RUN(without_a_limit_it_only_counts))
