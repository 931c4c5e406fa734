/* The hit ratio of the store (csrc/cache) beside that of LRU, for the same requests and the same
 * bytes: hit_ratio MEMORY_BYTES OBJECT_BYTES OBJECTS REQUESTS SCAN_PERCENT SEED
 *
 * Requests are for objects by Zipf's law (exponent 1); a scan asks for objects that nobody else
 * asks for, one after the other. Prints hits of the store and of LRU as parts of all requests.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/hash.h"
#include "cache/find.h"

static uint64_t state;

static double uniform(void)
{
    state = l4_hash_again(state, 1);
    return (double)(state >> 11) / 9007199254740992.0;
}

/* ---- requests -------------------------------------------------------------------------------- */

static double *sums; /* of the weights up to each object */

static void begin_zipf(uint32_t objects)
{
    sums = malloc(objects * sizeof *sums);
    double sum = 0;
    for (uint32_t i = 0; i < objects; i++)
        sums[i] = sum += 1.0 / (i + 1);
}

static uint32_t zipf(uint32_t objects)
{
    const double at = uniform() * sums[objects - 1];
    uint32_t low = 0, high = objects - 1;
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        if (sums[middle] < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---- LRU: a list through an array of all objects --------------------------------------------- */

static struct {
    uint32_t *next, *prev, head, tail, count, room;
    char *has;
} lru;

enum { NONE = 0xffffffff };

static void unlink_one(uint32_t one)
{
    const uint32_t next = lru.next[one], prev = lru.prev[one];
    *(prev == NONE ? &lru.head : &lru.next[prev]) = next;
    *(next == NONE ? &lru.tail : &lru.prev[next]) = prev;
}

static int lru_ask(uint32_t one)
{
    const int hit = lru.has[one];
    if (hit)
        unlink_one(one);
    else if (lru.count++ >= lru.room) {
        const uint32_t last = lru.tail;
        unlink_one(last);
        lru.has[last] = 0;
    }
    lru.has[one] = 1;
    lru.prev[one] = NONE;
    lru.next[one] = lru.head;
    *(lru.head == NONE ? &lru.tail : &lru.prev[lru.head]) = one;
    lru.head = one;
    return hit;
}

/* ---- the store ------------------------------------------------------------------------------- */

static int all(void *context, const struct l4_cached *object)
{
    (void)context;
    (void)object;
    return 1;
}

static bool any(void *context, const struct l4_cached *object)
{
    return all(context, object);
}

static int store_ask(struct l4_cache *cache, uint32_t one, struct l4_text body)
{
    const uint64_t hash = l4_hash_again(0x1234567, one);
    char key[32];
    const struct l4_text name = {key, (size_t)snprintf(key, sizeof key, "http://a/%u", one)};
    struct l4_cache_read read;
    if (l4_cache_find(cache, hash, 1, name, any, NULL, &read)) {
        l4_cache_use(&read);
        l4_cache_release(cache, &read);
        return 1;
    }
    const struct l4_cache_new new = {
        .hash = hash, .pool = 1, .status = 200, .key = name, .body = &body, .pieces = 1};
    l4_cache_put(cache, &new, any, NULL);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 7)
        return 2;
    const uint64_t memory = strtoull(argv[1], NULL, 10), size = strtoull(argv[2], NULL, 10);
    const uint32_t objects = (uint32_t)atoi(argv[3]), requests = (uint32_t)atoi(argv[4]);
    const double scan = atof(argv[5]) / 100;
    const uint32_t all_objects = objects + requests;
    state = strtoull(argv[6], NULL, 10);
    begin_zipf(objects);
    const uint64_t bytes = l4_cache_bytes(memory, 1, size + 4096);
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct l4_cache cache;
    if (!bytes || at == MAP_FAILED)
        return 1;
    l4_cache_format(at, memory, 1, size + 4096);
    if (!l4_cache_open(&cache, at, bytes, 0))
        return 1;
    /* why this room: as many objects as the store's log has place for. */
    const uint64_t taken = (sizeof(struct l4_cached) + size + 24 + 63) / 64 * 64;
    lru.next = malloc(all_objects * sizeof *lru.next);
    lru.prev = malloc(all_objects * sizeof *lru.prev);
    lru.has = calloc(all_objects, 1);
    lru.head = lru.tail = NONE;
    lru.room = (uint32_t)(memory / taken);
    char *content = calloc(1, size);
    const struct l4_text body = {content, size};
    uint32_t scanned = objects;
    uint64_t hits[2] = {0, 0}, asked = 0;
    for (uint32_t i = 0; i < requests; i++) {
        const uint32_t one = uniform() < scan ? scanned++ : zipf(objects);
        const int stored = store_ask(&cache, one, body), kept = lru_ask(one);
        if (i < requests / 5) /* both are filled first */
            continue;
        asked++;
        hits[0] += (uint64_t)stored;
        hits[1] += (uint64_t)kept;
    }
    printf("%.4f %.4f\n", (double)hits[0] / (double)asked, (double)hits[1] / (double)asked);
    return 0;
}
