#include "cache/find.h"

#include "cache/words.h"

enum { CLAIM_TRIES = 8, READ_TRIES = 64 };

/* ---- texts -------------------------------------------------------------------------------------
 */

/* Returns the text that lies behind another one. */
static struct l4_text behind(struct l4_text before, size_t bytes)
{
    return (struct l4_text){before.at + before.bytes, bytes};
}

struct l4_text l4_cached_key(const struct l4_cached *object)
{
    return (struct l4_text){(const char *)(object + 1), object->key_bytes};
}

struct l4_text l4_cached_vary(const struct l4_cached *object)
{
    return behind(l4_cached_key(object), object->vary_bytes);
}

struct l4_text l4_cached_tags(const struct l4_cached *object)
{
    return behind(l4_cached_vary(object), object->tags_bytes);
}

struct l4_text l4_cached_head(const struct l4_cached *object)
{
    return behind(l4_cached_tags(object), object->head_bytes);
}

struct l4_text l4_cached_body(const struct l4_cached *object)
{
    return behind(l4_cached_head(object), object->body_bytes);
}

/* ---- the index ---------------------------------------------------------------------------------
 */

static bool swap(_Atomic uint64_t *word, uint64_t from, uint64_t to)
{
    return atomic_compare_exchange_strong(word, &from, to);
}

void l4_cache_publish(struct l4_cache *cache, uint64_t hash, uint64_t old, uint64_t word)
{
    _Atomic uint64_t *bucket = l4_cache_bucket(cache, hash);
    /* why twice: another worker may take the place first. Then a third one is not looked for. */
    for (uint32_t i = 0; old && i < L4_CACHE_WAYS; i++) {
        if (atomic_load_explicit(&bucket[i], memory_order_relaxed) == old)
            old = swap(&bucket[i], old, word) ? word : 0;
        if (old == word)
            return;
    }
    for (uint32_t i = 0; i < L4_CACHE_WAYS; i++) {
        if (!atomic_load_explicit(&bucket[i], memory_order_relaxed) && swap(&bucket[i], 0, word))
            return;
    }
    /* An object of the bucket is lost: which one is as good as random. */
    _Atomic uint64_t *victim = &bucket[l4_word_place(word) % L4_CACHE_WAYS];
    swap(victim, atomic_load(victim), word);
}

bool l4_cache_replace(struct l4_cache *cache, uint64_t hash, uint64_t old, uint64_t word)
{
    _Atomic uint64_t *bucket = l4_cache_bucket(cache, hash);
    for (uint32_t i = 0; i < L4_CACHE_WAYS; i++) {
        if (atomic_load_explicit(&bucket[i], memory_order_relaxed) == old &&
            swap(&bucket[i], old, word))
            return true;
    }
    return false;
}

bool l4_cache_withdraw(struct l4_cache *cache, uint64_t hash, uint64_t word)
{
    return l4_cache_replace(cache, hash, word, 0);
}

/* ---- reading -----------------------------------------------------------------------------------
 */

static void set_pin(struct l4_cache *cache, uint32_t owner, uint32_t region, bool on)
{
    _Atomic uint64_t *pins = &cache->self->pins[owner];
    const uint64_t bit = 1ull << region, now = atomic_load_explicit(pins, memory_order_relaxed);
    atomic_store(pins, on ? now | bit : now & ~bit);
}

/* Reads the object of a word of the index as it was at one moment. Returns false if it is none of
 * this hash, or not there any more; else the caller releases it. */
static bool read_once(struct l4_cache *cache, uint64_t hash, const _Atomic uint64_t *at,
                      uint64_t word, struct l4_cache_read *read)
{
    const uint32_t owner = l4_word_owner(word);
    const uint32_t region = l4_cache_region(cache, l4_word_place(word));
    if (!cache->held[owner][region]++)
        set_pin(cache, owner, region, true);
    *read = (struct l4_cache_read){l4_cache_at(cache, word), word};
    /* Its owner either sees the pin, or has taken the word out before. */
    if (atomic_load(at) == word && read->object->hash == hash)
        return true;
    l4_cache_release(cache, read);
    return false;
}

/* Reads the object of a place of the index. Returns false if there is none of this hash; else the
 * caller releases it. why again: an object that its owner moves meanwhile has another word there.
 */
static bool read_word(struct l4_cache *cache, uint64_t hash, const _Atomic uint64_t *at,
                      struct l4_cache_read *read)
{
    uint64_t word = atomic_load_explicit(at, memory_order_acquire);
    for (int i = 0; i < READ_TRIES; i++) {
        if (!l4_word_is_object(cache, word) || !l4_word_is_of(word, hash))
            return false;
        if (read_once(cache, hash, at, word, read))
            return true;
        const uint64_t before = word;
        word = atomic_load_explicit(at, memory_order_acquire);
        if (word == before)
            return false;
    }
    return false;
}

void l4_cache_release(struct l4_cache *cache, struct l4_cache_read *read)
{
    const uint32_t owner = l4_word_owner(read->word);
    const uint32_t region = l4_cache_region(cache, l4_word_place(read->word));
    if (read->word && !--cache->held[owner][region])
        set_pin(cache, owner, region, false);
    *read = (struct l4_cache_read){NULL, 0};
}

static bool is_newer(const struct l4_cached *a, const struct l4_cached *b)
{
    if (a->freshness.date_s != b->freshness.date_s)
        return a->freshness.date_s > b->freshness.date_s;
    return a->freshness.answered_s >= b->freshness.answered_s;
}

bool l4_cache_next(struct l4_cache *cache, uint64_t hash, struct l4_text key, uint32_t *way,
                   struct l4_cache_read *read)
{
    const _Atomic uint64_t *bucket = l4_cache_bucket(cache, hash);
    while (*way < L4_CACHE_WAYS) {
        if (!read_word(cache, hash, &bucket[(*way)++], read))
            continue;
        if (l4_text_is(l4_cached_key(read->object), key))
            return true;
        l4_cache_release(cache, read);
    }
    return false;
}

bool l4_cache_find(struct l4_cache *cache, uint64_t hash, uint64_t pool, struct l4_text key,
                   bool (*fits)(void *context, const struct l4_cached *object), void *context,
                   struct l4_cache_read *read)
{
    struct l4_cache_read one, best = {NULL, 0};
    for (uint32_t way = 0; l4_cache_next(cache, hash, key, &way, &one);) {
        struct l4_cache_read worse = one;
        if (one.object->pool == pool && (!best.object || is_newer(one.object, best.object)) &&
            fits(context, one.object)) {
            worse = best;
            best = one;
        }
        l4_cache_release(cache, &worse);
    }
    *read = best;
    return best.object;
}

void l4_cache_use(const struct l4_cache_read *read)
{
    struct l4_cached *object = (struct l4_cached *)read->object;
    const uint8_t uses = atomic_load_explicit(&object->uses, memory_order_relaxed);
    if (uses < L4_CACHE_USES_MAX)
        atomic_store_explicit(&object->uses, uses + 1, memory_order_relaxed);
}

/* Takes away the marks of a key: the claims of who fetches it, and that nobody waits for it. */
static void drop_marks(struct l4_cache *cache, uint64_t hash)
{
    _Atomic uint64_t *bucket = l4_cache_bucket(cache, hash);
    for (uint32_t i = 0; i < L4_CACHE_WAYS; i++) {
        const uint64_t word = atomic_load(&bucket[i]);
        if (word && !l4_word_is_object(cache, word) && l4_word_is_of(word, hash))
            swap(&bucket[i], word, 0);
    }
}

static _Atomic uint32_t *purged_of(const struct l4_cache *cache, uint64_t hash)
{
    return &cache->shared->purged[hash % L4_CACHE_PURGED_WORDS];
}

uint32_t l4_cache_purges(const struct l4_cache *cache, uint64_t hash)
{
    return atomic_load(purged_of(cache, hash));
}

void l4_cache_note_purge(struct l4_cache *cache, uint64_t hash)
{
    atomic_fetch_add(purged_of(cache, hash), 1);
}

void l4_cache_drop(struct l4_cache *cache, struct l4_cache_read *read)
{
    l4_cache_withdraw(cache, read->object->hash, read->word);
    l4_cache_release(cache, read);
}

bool l4_cache_revoke(struct l4_cache *cache, uint64_t hash, uint64_t word)
{
    return l4_cache_withdraw(cache, hash, word);
}

uint32_t l4_cache_purge(struct l4_cache *cache, uint64_t hash, struct l4_text key, bool soft)
{
    const _Atomic uint64_t *bucket = l4_cache_bucket(cache, hash);
    struct l4_cache_read read;
    uint32_t purged = 0;
    l4_cache_note_purge(cache, hash);
    drop_marks(cache, hash);
    for (uint32_t way = 0; l4_cache_next(cache, hash, key, &way, &read);) {
        if (soft)
            atomic_store(&((struct l4_cached *)read.object)->soft, 1);
        const bool done = soft ? atomic_load(&bucket[way - 1]) == read.word
                               : l4_cache_withdraw(cache, hash, read.word);
        purged += done;
        way -= !done; /* its owner has moved it meanwhile: its new word is in the same place */
        l4_cache_release(cache, &read);
    }
    return purged;
}

/* ---- who fetches -------------------------------------------------------------------------------
 */

/* A claim's place: 8 bits of worker, 8 bits of its epoch, 16 bits of a number. */
static uint32_t claim_of(const struct l4_cache *cache)
{
    return cache->me << 24 | (atomic_load(&cache->self->epoch) & 0xff) << 16 |
           (cache->claims & 0xffff);
}

static bool is_alive(const struct l4_cache *cache, uint32_t claim)
{
    const uint32_t worker = claim >> 24;
    return worker < L4_CACHE_READERS &&
           (atomic_load(&cache->workers[worker].epoch) & 0xff) == (claim >> 16 & 0xff);
}

/* Returns whether a word is a mark that holds: a claim of a live worker, or one to pass. */
static bool holds(const struct l4_cache *cache, uint64_t word, int64_t now_s)
{
    if (l4_word_owner(word) == L4_CACHE_FILLING)
        return is_alive(cache, l4_word_place(word));
    return l4_word_owner(word) == L4_CACHE_PASSING && (int64_t)l4_word_place(word) > now_s;
}

/* Returns a mark of the key that holds, beside `own`; 0: there is none. Frees those that do not
 * hold any more. */
static uint64_t mark_of(const struct l4_cache *cache, uint64_t hash, int64_t now_s, uint64_t own)
{
    _Atomic uint64_t *bucket = l4_cache_bucket(cache, hash);
    for (uint32_t i = 0; i < L4_CACHE_WAYS; i++) {
        const uint64_t word = atomic_load(&bucket[i]);
        if (!word || word == own || l4_word_is_object(cache, word))
            continue;
        if (!holds(cache, word, now_s))
            swap(&bucket[i], word, 0);
        else if (l4_word_is_of(word, hash))
            return word;
    }
    return 0;
}

enum l4_cache_claimed l4_cache_claim(struct l4_cache *cache, uint64_t hash, int64_t now_s,
                                     struct l4_cache_claim *claim)
{
    *claim = (struct l4_cache_claim){0};
    const uint32_t purged = l4_cache_purges(cache, hash);
    /* why again and again: two that claim at the same moment see each other, and both step back. */
    for (int i = 0; i < CLAIM_TRIES; i++) {
        const uint64_t mark = mark_of(cache, hash, now_s, 0);
        if (mark) {
            claim->others = mark;
            return l4_word_owner(mark) == L4_CACHE_FILLING ? L4_CACHE_WAIT : L4_CACHE_PASS;
        }
        cache->claims++;
        const uint64_t word = l4_word(hash, L4_CACHE_FILLING, claim_of(cache));
        l4_cache_publish(cache, hash, 0, word);
        if (!mark_of(cache, hash, now_s, word)) {
            *claim = (struct l4_cache_claim){hash, word, purged, 0};
            return L4_CACHE_FETCH;
        }
        l4_cache_withdraw(cache, hash, word);
    }
    return L4_CACHE_WAIT;
}

uint64_t l4_cache_claim_of(const struct l4_cache *cache, uint64_t hash, int64_t now_s)
{
    const uint64_t mark = mark_of(cache, hash, now_s, 0);
    return mark && l4_word_owner(mark) == L4_CACHE_FILLING ? mark : 0;
}

bool l4_cache_has_claim(const struct l4_cache *cache, const struct l4_cache_claim *claim)
{
    const _Atomic uint64_t *bucket = l4_cache_bucket(cache, claim->hash);
    for (uint32_t i = 0; claim->word && i < L4_CACHE_WAYS; i++) {
        if (atomic_load(&bucket[i]) == claim->word)
            return true;
    }
    return false;
}

bool l4_cache_is_current(const struct l4_cache *cache, const struct l4_cache_claim *claim)
{
    return claim->word && l4_cache_purges(cache, claim->hash) == claim->purged;
}

void l4_cache_end_claim(struct l4_cache *cache, struct l4_cache_claim *claim, int64_t pass_until_s)
{
    const bool held = claim->word && l4_cache_withdraw(cache, claim->hash, claim->word);
    if (held && pass_until_s)
        l4_cache_publish(cache, claim->hash, 0,
                         l4_word(claim->hash, L4_CACHE_PASSING, (uint64_t)pass_until_s));
    *claim = (struct l4_cache_claim){0};
}
