/* Purges: what they mean, from when on, and what becomes of old ones. */
#include <stdlib.h>
#include <string.h>

#include "cache/ban.h"
#include "check.h"

static struct l4_bans *bans;
enum { CACHE = 7 };

static void begin(void)
{
    free(bans);
    bans = calloc(1, sizeof *bans);
    CHECK(bans);
    CHECK(!l4_bans_are_known(bans));
    l4_bans_format(bans, 1, 0);
    CHECK(l4_bans_are_known(bans));
}

/* An object with its key and tags behind it. */
struct object {
    struct l4_cached cached;
    char texts[256];
};

static struct l4_cached *object_of(struct object *to, const char *key, const char *tags)
{
    memset(to, 0, sizeof *to);
    to->cached.key_bytes = (uint16_t)strlen(key);
    to->cached.tags_bytes = (uint16_t)strlen(tags);
    memcpy(to->texts, key, strlen(key));
    memcpy(to->texts + strlen(key), tags, strlen(tags));
    atomic_store(&to->cached.cleared, l4_ban_last(bans));
    return &to->cached;
}

/* Is an object of this key dead after a purge that comes now? */
static bool dies(enum l4_ban_kind kind, const char *text, const char *key, const char *tags)
{
    struct object object;
    struct l4_cached *cached = object_of(&object, key, tags);
    CHECK(!l4_ban_is_dead(bans, CACHE, cached));
    l4_ban_add(bans, CACHE, kind, (struct l4_text){text, strlen(text)}, false);
    return l4_ban_is_dead(bans, CACHE, cached);
}

TEST(a_purge_means_what_its_kind_says)
{
    begin();
    CHECK(dies(L4_BAN_URL, "http://a/b?c", "http://a/b?c", ""));
    CHECK(!dies(L4_BAN_URL, "http://a/b", "http://a/b?c", ""));
    CHECK(dies(L4_BAN_PREFIX, "http://a/b", "http://a/b?c", ""));
    CHECK(dies(L4_BAN_PREFIX, "http://a/b", "http://a/b", ""));
    CHECK(!dies(L4_BAN_PREFIX, "http://a/b?cd", "http://a/b?c", ""));
    CHECK(dies(L4_BAN_ALL, "", "http://a/b?c", ""));
}

TEST(a_host_is_meant_with_and_without_its_port)
{
    begin();
    CHECK(dies(L4_BAN_HOST, "a.test", "http://a.test/b", ""));
    CHECK(dies(L4_BAN_HOST, "a.test", "http://a.test:8080/b", ""));
    CHECK(dies(L4_BAN_HOST, "a.test:8080", "http://a.test:8080/b", ""));
    CHECK(!dies(L4_BAN_HOST, "a.test:81", "http://a.test:8080/b", ""));
    CHECK(!dies(L4_BAN_HOST, "test", "http://a.test/test", ""));
    CHECK(dies(L4_BAN_HOST, "[::1]", "http://[::1]:80/", ""));
    CHECK(dies(L4_BAN_HOST, "a.test", "://a.test/b", ""));
    CHECK(!dies(L4_BAN_HOST, "b", "no-colon", ""));
}

TEST(a_tag_is_one_of_a_list)
{
    begin();
    CHECK(dies(L4_BAN_TAG, "news", "http://a/", "news"));
    CHECK(dies(L4_BAN_TAG, "news", "http://a/", "top news,all"));
    CHECK(dies(L4_BAN_TAG, "all", "http://a/", "top news,  all"));
    CHECK(!dies(L4_BAN_TAG, "new", "http://a/", "news"));
    CHECK(!dies(L4_BAN_TAG, "", "http://a/", "a,,b"));
}

TEST(a_purge_of_another_cache_means_nothing)
{
    struct object object;
    begin();
    struct l4_cached *cached = object_of(&object, "http://a/", "");
    l4_ban_add(bans, CACHE + 1, L4_BAN_ALL, L4_TEXT(""), false);
    CHECK(!l4_ban_is_dead(bans, CACHE, cached));
    CHECK(l4_ban_cache("a") != l4_ban_cache("b"));
}

TEST(what_came_after_a_purge_stays)
{
    struct object object;
    begin();
    l4_ban_add(bans, CACHE, L4_BAN_ALL, L4_TEXT(""), false);
    CHECK(!l4_ban_is_dead(bans, CACHE, object_of(&object, "http://a/", "")));
}

TEST(a_soft_purge_marks)
{
    struct object object;
    begin();
    struct l4_cached *cached = object_of(&object, "http://a/", "");
    l4_ban_add(bans, CACHE, L4_BAN_URL, L4_TEXT("http://a/"), true);
    CHECK(!l4_ban_is_dead(bans, CACHE, cached));
    CHECK(atomic_load(&cached->soft));
    CHECK_EQ(l4_ban_last(bans), atomic_load(&cached->cleared));
}

TEST(purges_that_are_not_remembered_any_more_count_for_all)
{
    struct object object, newer;
    begin();
    struct l4_cached *old = object_of(&object, "http://a/", "");
    for (int i = 0; i < L4_CACHE_BANS - 1; i++)
        l4_ban_add(bans, CACHE, L4_BAN_URL, L4_TEXT("http://b/"), false);
    struct l4_cached *cleared = object_of(&newer, "http://a/", "");
    CHECK(!l4_ban_is_dead(bans, CACHE, old));
    atomic_store(&old->cleared, 0);
    l4_ban_add(bans, CACHE, L4_BAN_URL, L4_TEXT("http://b/"), false);
    CHECK(l4_ban_is_dead(bans, CACHE, old));
    CHECK(!l4_ban_is_dead(bans, CACHE, cleared));
}

TEST(a_purge_that_was_never_written_holds_nothing_up)
{
    struct object object;
    begin();
    struct l4_cached *cached = object_of(&object, "http://a/", "");
    atomic_fetch_add(&bans->last, 1); /* its process died */
    CHECK(!l4_ban_is_dead(bans, CACHE, cached));
    CHECK_EQ(0, atomic_load(&cached->cleared));
    l4_ban_add(bans, CACHE, L4_BAN_URL, L4_TEXT("http://a/"), false);
    CHECK(l4_ban_is_dead(bans, CACHE, cached));
}

/* Puts the purges of one list into the next program's. */
static void restart(void)
{
    struct l4_bans *before = bans;
    struct l4_ban ban;
    bans = calloc(1, sizeof *bans);
    CHECK(bans);
    l4_bans_format(bans, before->epoch + 1, 0);
    for (uint64_t number = 1; number <= l4_ban_last(before); number++) {
        if (l4_ban_read(before, number, &ban))
            l4_ban_restore(bans, &ban);
    }
    free(before);
}

/* Would an object of this stamp be dead? */
static bool dies_by_stamp(uint64_t stamp, const char *key)
{
    struct object object;
    struct l4_cached *cached = object_of(&object, key, "");
    uint64_t cleared;
    if (!l4_ban_of_stamp(bans, stamp, &cleared))
        return true;
    atomic_store(&cached->cleared, cleared);
    return l4_ban_is_dead(bans, CACHE, cached);
}

TEST(a_purge_outlives_its_program)
{
    begin();
    const uint64_t first = l4_ban_stamp(bans, l4_ban_last(bans));
    l4_ban_add(bans, CACHE, L4_BAN_URL, L4_TEXT("http://a/1"), false);
    const uint64_t second = l4_ban_stamp(bans, l4_ban_last(bans));
    l4_ban_add(bans, CACHE, L4_BAN_URL, L4_TEXT("http://a/2"), false);
    const uint64_t third = l4_ban_stamp(bans, l4_ban_last(bans));
    for (int programs = 0; programs < 3; programs++) {
        CHECK(dies_by_stamp(first, "http://a/1") && dies_by_stamp(first, "http://a/2"));
        CHECK(!dies_by_stamp(second, "http://a/1") && dies_by_stamp(second, "http://a/2"));
        CHECK(!dies_by_stamp(third, "http://a/1") && !dies_by_stamp(third, "http://a/2"));
        CHECK(!dies_by_stamp(first, "http://a/3"));
        restart();
    }
    l4_ban_add(bans, CACHE, L4_BAN_URL, L4_TEXT("http://a/3"), false);
    CHECK(dies_by_stamp(third, "http://a/3") && !dies_by_stamp(third, "http://a/2"));
}

TEST(a_stamp_that_no_list_can_have_given_is_dead)
{
    begin();
    CHECK(dies_by_stamp(l4_ban_stamp(bans, 1), "http://a/"));      /* of a purge to come */
    CHECK(dies_by_stamp(2ull << L4_BAN_EPOCH_SHIFT, "http://a/")); /* of a program to come */
    restart();
    bans->floor = 1ull << L4_BAN_EPOCH_SHIFT | 5;
    CHECK(dies_by_stamp(1ull << L4_BAN_EPOCH_SHIFT | 4, "http://a/"));
    CHECK(!dies_by_stamp(1ull << L4_BAN_EPOCH_SHIFT | 5, "http://a/"));
}

TEST(a_restored_purge_that_is_forgotten_counts_for_all)
{
    begin();
    const uint64_t old = l4_ban_stamp(bans, 0);
    for (int i = 0; i < 10; i++)
        l4_ban_add(bans, CACHE, L4_BAN_URL, L4_TEXT("http://b/"), false);
    const uint64_t newer = l4_ban_stamp(bans, 10);
    restart();
    for (int i = 0; i < L4_CACHE_BANS - 11; i++)
        l4_ban_add(bans, CACHE, L4_BAN_URL, L4_TEXT("http://b/"), false);
    CHECK(!dies_by_stamp(old, "http://a/") && !dies_by_stamp(newer, "http://a/"));
    l4_ban_add(bans, CACHE, L4_BAN_URL, L4_TEXT("http://b/"), false);
    CHECK(dies_by_stamp(old, "http://a/") && !dies_by_stamp(newer, "http://a/"));
    for (int i = 0; i < 10; i++)
        l4_ban_add(bans, CACHE, L4_BAN_URL, L4_TEXT("http://b/"), false);
    CHECK(dies_by_stamp(newer, "http://a/"));
}

/* clang-format off */
MAIN(RUN(a_purge_means_what_its_kind_says); RUN(a_host_is_meant_with_and_without_its_port);
     RUN(a_tag_is_one_of_a_list); RUN(a_purge_of_another_cache_means_nothing);
     RUN(what_came_after_a_purge_stays); RUN(a_soft_purge_marks);
     RUN(purges_that_are_not_remembered_any_more_count_for_all);
     RUN(a_purge_that_was_never_written_holds_nothing_up);
     RUN(a_purge_outlives_its_program); RUN(a_stamp_that_no_list_can_have_given_is_dead);
     RUN(a_restored_purge_that_is_forgotten_counts_for_all))
