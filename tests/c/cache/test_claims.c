/* Who fetches an object, and purges: one at a time, and nothing that is older than a purge is found
 * after it. */
#include <pthread.h>
#include <sched.h>

#include "stored.h"

/* Few objects fill the ring, so one of them is moved nearly always. */
enum { MOVED = 2, MOVED_WORDS = LARGEST / 8 - 100, MOVED_ROUNDS = 150, TO_MOVE = 30 };

struct purger {
    struct l4_cache *cache;
    _Atomic uint32_t put;      /* objects that the other thread has put */
    _Atomic uint32_t put_till; /* ... before the purges begin */
    _Atomic uint32_t purged;
    uint32_t back; /* objects that were there again after their purge */
};

/* Purges one object after the other, which another thread moves meanwhile. */
static void *purge_all(void *context)
{
    struct purger *purger = context;
    while (atomic_load(&purger->put) < atomic_load(&purger->put_till))
        sched_yield();
    for (uint32_t i = 0; i < MOVED; i++) {
        char key[32];
        l4_cache_purge(purger->cache, hash_of(i), key_of(i, key), false);
        atomic_fetch_add(&purger->purged, 1);
        for (int looks = 0; looks < 50; looks++) {
            for (uint32_t k = 0; k <= i; k++)
                purger->back += look(purger->cache, k) != -1;
        }
    }
    return NULL;
}

TEST(what_is_purged_while_it_is_moved_does_not_come_back)
{
    struct pair pair;
    pthread_t thread;
    open_pair(&pair, 2 << 20);
    struct purger purger = {.cache = &pair.b};
    for (int round = 0; round < MOVED_ROUNDS; round++) {
        for (uint32_t i = 0; i < MOVED; i++) {
            put(&pair.a, i, 1, MOVED_WORDS);
            for (int uses = 0; uses < L4_CACHE_USES_MAX; uses++)
                look(&pair.a, i);
        }
        atomic_store(&purger.purged, 0);
        atomic_store(&purger.put, 0);
        /* why so: each moment on the way round the ring has its turn. */
        atomic_store(&purger.put_till, (uint32_t)round % TO_MOVE);
        CHECK(!pthread_create(&thread, NULL, purge_all, &purger));
        for (uint32_t i = 1000; atomic_load(&purger.purged) < MOVED; i++) {
            put(&pair.a, i, 1, MOVED_WORDS); /* what is used goes round in the ring */
            atomic_fetch_add(&purger.put, 1);
            for (uint32_t k = atomic_load(&purger.purged); k < MOVED; k++) {
                struct l4_cache_read read;
                if (!find(&pair.a, k, &read))
                    continue;
                l4_cache_use(&read);
                l4_cache_release(&pair.a, &read);
            }
        }
        pthread_join(thread, NULL);
    }
    CHECK_EQ(0, purger.back);
    CHECK(atomic_load(&pair.a.self->moved) > 0);
    close_pair(&pair);
}

/* ---- who fetches --------------------------------------------------------------------------------
 */

TEST(one_fetches_and_others_wait_until_it_ends)
{
    struct pair pair;
    struct l4_cache_claim first, second;
    open_pair(&pair, 4 << 20);
    CHECK_EQ(L4_CACHE_FETCH, l4_cache_claim(&pair.a, hash_of(1), 100, &first));
    CHECK_EQ(L4_CACHE_WAIT, l4_cache_claim(&pair.b, hash_of(1), 100, &second));
    CHECK_EQ(L4_CACHE_WAIT, l4_cache_claim(&pair.a, hash_of(1), 100, &second));
    CHECK_EQ(L4_CACHE_FETCH, l4_cache_claim(&pair.b, hash_of(2), 100, &second));
    l4_cache_end_claim(&pair.a, &first, 0);
    CHECK_EQ(L4_CACHE_FETCH, l4_cache_claim(&pair.b, hash_of(1), 100, &first));
    l4_cache_end_claim(&pair.b, &first, 105);
    CHECK_EQ(L4_CACHE_PASS, l4_cache_claim(&pair.a, hash_of(1), 104, &first));
    CHECK_EQ(L4_CACHE_FETCH, l4_cache_claim(&pair.a, hash_of(1), 105, &first));
    close_pair(&pair);
}

TEST(a_claim_can_be_taken_away)
{
    struct pair pair;
    struct l4_cache_claim slow, next;
    open_pair(&pair, 4 << 20);
    CHECK_EQ(L4_CACHE_FETCH, l4_cache_claim(&pair.a, hash_of(1), 100, &slow));
    CHECK_EQ(L4_CACHE_WAIT, l4_cache_claim(&pair.b, hash_of(1), 100, &next));
    CHECK_EQ(slow.word, next.others);
    CHECK(l4_cache_revoke(&pair.b, hash_of(1), next.others));
    CHECK(!l4_cache_revoke(&pair.b, hash_of(1), next.others));
    CHECK_EQ(L4_CACHE_FETCH, l4_cache_claim(&pair.b, hash_of(1), 100, &next));
    CHECK(!l4_cache_has_claim(&pair.a, &slow));
    CHECK(l4_cache_is_current(&pair.a, &slow)); /* nothing was purged: its answer is still good */
    l4_cache_end_claim(&pair.a, &slow, 0);
    CHECK(l4_cache_has_claim(&pair.b, &next));
    CHECK_EQ(0, l4_cache_purge(&pair.a, hash_of(1), L4_TEXT("?"), false));
    CHECK(!l4_cache_is_current(&pair.b, &next));
    CHECK(!l4_cache_has_claim(&pair.b, &next));
    l4_cache_end_claim(&pair.b, &next, 0);
    close_pair(&pair);
}

TEST(a_claim_becomes_the_object_unless_it_is_gone)
{
    struct l4_cache cache;
    struct l4_cache_claim claim;
    char key[32];
    make(4 << 20);
    open_cache(&cache, 0);
    CHECK_EQ(L4_CACHE_FETCH, l4_cache_claim(&cache, hash_of(1), 100, &claim));
    struct l4_cache_new new = {
        .hash = hash_of(1), .pool = POOL, .claim = claim.word, .key = key_of(1, key)};
    CHECK_EQ(L4_CACHE_STORED, l4_cache_put(&cache, &new, all, NULL));
    CHECK(!l4_cache_has_claim(&cache, &claim));
    CHECK_EQ(1, l4_cache_purge(&cache, hash_of(1), new.key, false));
    CHECK_EQ(L4_CACHE_FETCH, l4_cache_claim(&cache, hash_of(1), 100, &claim));
    new.claim = claim.word;
    l4_cache_purge(&cache, hash_of(1), new.key, false);
    CHECK_EQ(L4_CACHE_OVERTAKEN, l4_cache_put(&cache, &new, all, NULL));
    CHECK_EQ(-1, look(&cache, 1));
    l4_cache_close(&cache);
}

TEST(a_dead_workers_claims_are_free)
{
    struct pair pair;
    struct l4_cache_claim claim;
    open_pair(&pair, 4 << 20);
    CHECK_EQ(L4_CACHE_FETCH, l4_cache_claim(&pair.a, hash_of(1), 100, &claim));
    l4_cache_forget(memory, 0);
    CHECK_EQ(L4_CACHE_FETCH, l4_cache_claim(&pair.b, hash_of(1), 100, &claim));
    close_pair(&pair);
}

/* clang-format off */
MAIN(RUN(what_is_purged_while_it_is_moved_does_not_come_back);
     RUN(one_fetches_and_others_wait_until_it_ends);
     RUN(a_claim_can_be_taken_away);
     RUN(a_claim_becomes_the_object_unless_it_is_gone);
     RUN(a_dead_workers_claims_are_free))
