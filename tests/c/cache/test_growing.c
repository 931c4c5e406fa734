/* Answers that are read while they are fetched: every byte that a reader gets is one of the answer
 * that it has found, whatever becomes of the answer, of its place and of its writer. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cache/growing.h"
#include "stored.h"

enum { NOW_MS = 1000, STORM_MS = 1500, PIECE = 4096 };

static struct l4_cache_claim claims[64];

/* Announces an answer of `bytes` bytes. */
static uint32_t announce(struct l4_cache *cache, uint32_t number, uint64_t bytes)
{
    struct l4_cache_claim *claim = &claims[number % 64];
    char key[32];
    if (l4_cache_claim(cache, hash_of(number), 100, claim) != L4_CACHE_FETCH)
        return L4_NONE;
    const struct l4_cache_new new = {
        .hash = hash_of(number),
        .pool = POOL,
        .claim = claim->word,
        .status = 200,
        .key = key_of(number, key),
        .vary = L4_TEXT("v"),
        .tags = L4_TEXT("tag"),
        .head = L4_TEXT("HTTP/1.1 200 OK\r\n\r\n"),
        .fd_bytes = bytes,
    };
    return l4_growing_begin(cache, &new, NULL, NOW_MS);
}

static uint64_t claim_word(uint32_t number)
{
    return claims[number % 64].word;
}

/* A reader's room for an object with its texts. */
static struct l4_cached *room(void)
{
    static _Alignas(64) char bytes[sizeof(struct l4_cached) + L4_GROWING_TEXTS_MAX];
    return (struct l4_cached *)bytes;
}

static bool found(struct l4_cache *cache, uint64_t claim, struct l4_growing_read *read)
{
    return l4_growing_find(cache, claim, room(), sizeof(struct l4_cached) + L4_GROWING_TEXTS_MAX,
                           read);
}

static enum l4_growing_state look_at(struct l4_cache *cache, const struct l4_growing_read *read,
                                     uint64_t *filled)
{
    uint64_t since_ms;
    return l4_growing_look(cache, read, filled, &since_ms);
}

TEST(what_has_come_is_read_and_no_more)
{
    struct pair pair;
    struct l4_growing_read read;
    uint64_t filled, since_ms;
    char to[16];
    open_pair(&pair, 4 << 20);
    const uint32_t row = announce(&pair.a, 1, 10);
    CHECK(row != L4_NONE);
    CHECK(!found(&pair.b, claim_word(1) + 1, &read));
    CHECK(found(&pair.b, claim_word(1), &read));
    CHECK_EQ(10, room()->body_bytes);
    CHECK(l4_text_is(L4_TEXT("http://a/1"), l4_cached_key(room())));
    CHECK(l4_text_is(L4_TEXT("HTTP/1.1 200 OK\r\n\r\n"), l4_cached_head(room())));
    CHECK_EQ(0, l4_growing_copy(&pair.b, &read, 0, to, sizeof to));
    l4_growing_add(&pair.a, row, L4_TEXT("abcd"), NOW_MS + 5);
    CHECK_EQ(L4_GROWING_ON, l4_growing_look(&pair.b, &read, &filled, &since_ms));
    CHECK_EQ(4, filled);
    CHECK_EQ(NOW_MS + 5, since_ms);
    CHECK_EQ(3, l4_growing_copy(&pair.b, &read, 1, to, sizeof to));
    CHECK(!memcmp(to, "bcd", 3));
    CHECK_EQ(2, l4_growing_copy(&pair.b, &read, 1, to, 2));
    CHECK_EQ(0, l4_growing_copy(&pair.b, &read, 4, to, sizeof to));
    CHECK_EQ(0, l4_growing_copy(&pair.b, &read, 40, to, sizeof to));
    l4_growing_add(&pair.a, row, L4_TEXT("efghij"), NOW_MS + 6);
    l4_growing_end(&pair.a, row, true);
    CHECK_EQ(L4_GROWING_WHOLE, look_at(&pair.b, &read, &filled));
    CHECK_EQ(10, filled);
    CHECK_EQ(6, l4_growing_copy(&pair.b, &read, 4, to, sizeof to));
    CHECK(!found(&pair.b, claim_word(1), &read)); /* the object is there now */
    close_pair(&pair);
}

TEST(an_end_without_the_rest_and_a_dead_writer_are_seen)
{
    struct pair pair;
    struct l4_growing_read lost, dead;
    uint64_t filled;
    char to[16];
    open_pair(&pair, 4 << 20);
    const uint32_t row = announce(&pair.a, 1, 10);
    CHECK(announce(&pair.a, 2, 10) != L4_NONE);
    CHECK(found(&pair.b, claim_word(1), &lost) && found(&pair.b, claim_word(2), &dead));
    l4_growing_add(&pair.a, row, L4_TEXT("abcd"), NOW_MS);
    l4_growing_end(&pair.a, row, false);
    CHECK_EQ(L4_GROWING_LOST, look_at(&pair.b, &lost, &filled));
    CHECK_EQ(4, filled);
    CHECK_EQ(L4_GROWING_ON, look_at(&pair.b, &dead, &filled));
    l4_cache_forget(memory, 0);
    CHECK_EQ(L4_GROWING_OVER, look_at(&pair.b, &dead, &filled));
    l4_cache_close(&pair.a);
    open_cache(&pair.a, 0); /* the worker in its place */
    CHECK_EQ(L4_GROWING_OVER, look_at(&pair.b, &lost, &filled));
    CHECK_EQ(-1, l4_growing_copy(&pair.b, &dead, 0, to, sizeof to));
    CHECK(!found(&pair.b, claim_word(2), &dead));
    close_pair(&pair);
}

TEST(places_and_rows_are_used_again_but_not_those_of_answers_that_grow)
{
    struct pair pair;
    struct l4_growing_read first, last;
    uint64_t filled;
    uint32_t rows[L4_GROWING_OBJECTS];
    open_pair(&pair, 4 << 20);
    for (uint32_t i = 0; i < L4_GROWING_OBJECTS; i++) {
        rows[i] = announce(&pair.a, i, LARGEST);
        CHECK(rows[i] != L4_NONE);
    }
    CHECK(found(&pair.b, claim_word(0), &first) && found(&pair.b, claim_word(3), &last));
    CHECK_EQ(L4_NONE, announce(&pair.a, 10, LARGEST));
    CHECK_EQ(L4_GROWING_ON, look_at(&pair.b, &first, &filled));
    l4_growing_end(&pair.a, rows[0], true);
    CHECK_EQ(L4_GROWING_WHOLE, look_at(&pair.b, &first, &filled));
    CHECK(announce(&pair.a, 11, LARGEST) != L4_NONE); /* in the place of the first */
    CHECK_EQ(L4_GROWING_OVER, look_at(&pair.b, &first, &filled));
    CHECK_EQ(L4_GROWING_ON, look_at(&pair.b, &last, &filled));
    CHECK_EQ(L4_NONE, announce(&pair.a, 12, LARGEST * L4_GROWING_OBJECTS + 1));
    close_pair(&pair);
    open_pair(&pair, 4 << 20);
    for (uint32_t i = 0; i < L4_GROWING_ROWS; i++)
        CHECK(announce(&pair.a, i, 8) != L4_NONE);
    CHECK_EQ(L4_NONE, announce(&pair.a, 20, 8));
    close_pair(&pair);
}

/* ---- a storm --------------------------------------------------------------------------------- */

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* A process announces answers without end; each word of a body tells its answer. It is killed. */
static pid_t start_writer(void)
{
    const pid_t pid = fork();
    if (pid)
        return pid;
    struct l4_cache cache;
    uint64_t words[PIECE / 8];
    open_cache(&cache, 0);
    for (uint32_t number = 0;; number = (number + 1) % 64) {
        const size_t bytes = (size_t)(1 + rand() % 12) * PIECE;
        const uint32_t row = announce(&cache, number, bytes);
        for (size_t done = 0; row != L4_NONE && done < bytes; done += PIECE)
            l4_growing_add(&cache, row, body_of(number, 1, PIECE / 8, words), NOW_MS);
        if (row != L4_NONE)
            l4_growing_end(&cache, row, rand() % 4);
        l4_cache_end_claim(&cache, &claims[number], 0);
    }
}

/* Reads one answer to its end. Returns how many words are not its own. */
static uint32_t read_one(struct l4_cache *cache, uint32_t number, uint32_t *read_bytes)
{
    struct l4_growing_read read;
    char to[PIECE + 40];
    uint32_t wrong = 0;
    uint64_t filled;
    const uint64_t claim = l4_cache_claim_of(cache, hash_of(number), 100);
    if (!claim || !found(cache, claim, &read) || room()->hash != hash_of(number))
        return 0;
    for (uint64_t at = 0; look_at(cache, &read, &filled) != L4_GROWING_OVER && at < filled;) {
        const ssize_t got = l4_growing_copy(cache, &read, at, to, sizeof to / 8 * 8);
        if (got <= 0)
            break;
        for (ssize_t i = 0; i + 8 <= got; i += 8) {
            uint64_t word;
            memcpy(&word, to + i, 8);
            wrong += word != ((uint64_t)number << 32 | 1);
        }
        at += (uint64_t)got;
        *read_bytes += (uint32_t)got;
    }
    return wrong;
}

TEST(no_reader_gets_a_byte_of_another_answer)
{
    struct l4_cache cache;
    uint32_t wrong = 0, bytes = 0;
    make(4 << 20);
    open_cache(&cache, 1);
    const uint64_t until_ms = now_ms() + STORM_MS;
    for (pid_t writer = start_writer(); writer > 0;) {
        const uint64_t kill_ms = now_ms() + 100;
        while (now_ms() < kill_ms) {
            for (uint32_t number = 0; number < 64; number++)
                wrong += read_one(&cache, number, &bytes);
        }
        kill(writer, SIGKILL);
        waitpid(writer, NULL, 0);
        l4_cache_forget(memory, 0);
        writer = now_ms() < until_ms ? start_writer() : 0;
    }
    CHECK_EQ(0, wrong);
    CHECK(bytes > 0);
    l4_cache_close(&cache);
}

MAIN(RUN(what_has_come_is_read_and_no_more);
     RUN(an_end_without_the_rest_and_a_dead_writer_are_seen);
     RUN(places_and_rows_are_used_again_but_not_those_of_answers_that_grow);
     RUN(no_reader_gets_a_byte_of_another_answer))
