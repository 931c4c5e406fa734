#include "cache/count.h"

#include <unistd.h>

#include "cache/store.h"
#include "cache/words.h"

enum {
    PIECE = 512, /* words that are read at a time */
    PIECES_MAX = L4_CACHE_COUNTED / PIECE
};

static uint64_t objects_of(const uint64_t *words, uint64_t count, uint32_t logs)
{
    uint64_t found = 0;
    for (uint64_t i = 0; i < count; i++)
        found += words[i] && l4_word_owner(words[i]) < logs;
    return found;
}

static bool read_at(int fd, void *to, uint64_t bytes, uint64_t at)
{
    return pread(fd, to, bytes, (off_t)at) == (ssize_t)bytes;
}

int64_t l4_cache_count(int fd, uint64_t at, uint64_t bytes)
{
    struct l4_cache_header plan;
    uint64_t words[PIECE], found = 0;
    if (!read_at(fd, &plan, sizeof plan, at) || !l4_cache_is_sound(&plan, bytes) || !plan.buckets)
        return -1;
    const uint64_t all = (uint64_t)plan.buckets * L4_CACHE_WAYS, step = all < PIECE ? all : PIECE;
    /* All are powers of two, so nothing is left over. */
    const uint64_t apart = all > L4_CACHE_COUNTED ? all / PIECES_MAX : step;
    for (uint64_t word = 0; word < all; word += apart) {
        /* why not in the memory itself: to look at a page that nobody has written would take it. */
        if (!read_at(fd, words, step * sizeof *words, at + plan.index_at + word * sizeof *words))
            return -1;
        found += objects_of(words, step, plan.logs);
    }
    return (int64_t)(found * (apart / step));
}
