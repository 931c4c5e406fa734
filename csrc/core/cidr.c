#include "core/cidr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned __int128 wide; /* an address as a number, in the low bits for IPv4 */

enum { KEYS4 = 16, KEYS6 = 8 };

static const uint32_t keys_in_block[2] = {KEYS4, KEYS6};
static const uint32_t key_bytes[2] = {4, 16};

static wide number_of(const uint8_t *ip, uint32_t bytes)
{
    wide n = 0;
    for (uint32_t i = 0; i < bytes; i++)
        n = n << 8 | ip[i];
    return n;
}

/* ---- from networks to intervals -------------------------------------------------------------- */

struct span {
    wide first, last;
    uint8_t bits, value;
};

struct cut { /* from `first` on, up to the next cut, this value holds */
    wide first;
    uint8_t value;
};

static int by_place(const void *one, const void *other)
{
    const struct span *a = one, *b = other;
    if (a->first != b->first)
        return a->first < b->first ? -1 : 1;
    if (a->bits != b->bits)
        return a->bits < b->bits ? -1 : 1;
    return (int)a->value - (int)b->value;
}

static size_t spans_of(const struct l4_prefix *networks, size_t count, uint32_t tree,
                       struct span *spans)
{
    const uint16_t family = tree ? AF_INET6 : AF_INET;
    const uint32_t width = tree ? 128 : 32;
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (networks[i].net.family != family)
            continue;
        const uint32_t bits = networks[i].bits < width ? networks[i].bits : width;
        const wide all = width == 128 ? ~(wide)0 : ((wide)1 << width) - 1;
        const wide host = bits == 0 ? all : bits == width ? 0 : ((wide)1 << (width - bits)) - 1;
        const wide first = number_of(networks[i].net.ip, width / 8) & ~host;
        spans[n++] = (struct span){first, first | host, (uint8_t)bits, networks[i].value};
    }
    qsort(spans, n, sizeof *spans, by_place);
    return n;
}

static void cut_at(struct cut *cuts, size_t *count, wide first, uint8_t value)
{
    if (*count && cuts[*count - 1].first == first)
        (*count)--;
    if (*count && cuts[*count - 1].value == value)
        return;
    cuts[(*count)++] = (struct cut){first, value};
}

/* Walks the sorted spans, which nest or are apart, with those that are open on a stack. */
static size_t cuts_of(const struct span *spans, size_t count, struct cut *cuts)
{
    struct span open[130];
    size_t depth = 0, n = 0;
    cut_at(cuts, &n, 0, 0);
    for (size_t i = 0; i <= count; i++) {
        while (depth && (i == count || open[depth - 1].last < spans[i].first)) {
            const wide after = open[depth - 1].last + 1;
            depth--;
            /* why: past the last address there is nothing; 2^128 has come round to 0. For IPv4
             * the cut at 2^32 is dropped when keys are written. */
            if (after != 0)
                cut_at(cuts, &n, after, depth ? open[depth - 1].value : 0);
        }
        if (i == count)
            break;
        if (depth && open[depth - 1].bits == spans[i].bits)
            depth--; /* the same network once more */
        open[depth++] = spans[i];
        cut_at(cuts, &n, spans[i].first, spans[i].value);
    }
    return n;
}

/* ---- from intervals to a tree ---------------------------------------------------------------- */

struct memory {
    char *at;
    size_t used, room;
};

/* The offset of so many bytes of the set, whole cache lines; 0: there is no room. */
static uint32_t take(struct memory *memory, size_t bytes)
{
    const size_t at = memory->used;
    bytes = (bytes + 63) & ~(size_t)63;
    if (memory->room - at < bytes)
        return 0;
    memory->used += bytes;
    return (uint32_t)at;
}

static void put_key(void *keys, uint32_t tree, size_t i, wide key)
{
    if (tree)
        ((wide *)keys)[i] = key;
    else
        ((uint32_t *)keys)[i] = (uint32_t)key;
}

static wide get_key(const void *keys, uint32_t tree, size_t i)
{
    return tree ? ((const wide *)keys)[i] : ((const uint32_t *)keys)[i];
}

/* One level over `below` keys taken every `step`; what is left of its last block is filled up with
 * the greatest address. Returns how many blocks it has; 0: there is no room. */
static uint32_t put_level(struct memory *memory, struct l4_cidr_tree *tree, uint32_t kind,
                          const void *below, size_t count, size_t step)
{
    const uint32_t in_block = keys_in_block[kind];
    const size_t keys = (count + step - 1) / step, blocks = (keys + in_block - 1) / in_block;
    const uint32_t at = take(memory, blocks * in_block * key_bytes[kind]);
    if (!at || tree->levels == L4_CIDR_LEVELS)
        return 0;
    void *to = memory->at + at;
    for (size_t i = 0; i < blocks * in_block; i++)
        put_key(to, kind, i, i < keys ? get_key(below, kind, i * step) : ~(wide)0);
    tree->keys_at[tree->levels] = at;
    tree->blocks[tree->levels++] = (uint32_t)blocks;
    return (uint32_t)blocks;
}

static bool put_tree(struct memory *memory, struct l4_cidr_tree *tree, uint32_t kind,
                     const struct cut *cuts, size_t count)
{
    if (!kind && count && cuts[count - 1].first > UINT32_MAX)
        count--;
    const uint32_t in_block = keys_in_block[kind];
    const size_t blocks = (count + in_block - 1) / in_block;
    tree->count = (uint32_t)count;
    tree->values_at = take(memory, blocks * in_block);
    void *keys = malloc(count * key_bytes[kind]);
    if (!tree->values_at || !keys) {
        free(keys);
        return false;
    }
    uint8_t *values = (uint8_t *)memory->at + tree->values_at;
    for (size_t i = 0; i < count; i++)
        put_key(keys, kind, i, cuts[i].first);
    for (size_t i = 0; i < blocks * in_block; i++)
        values[i] = cuts[i < count ? i : count - 1].value;
    uint32_t made = put_level(memory, tree, kind, keys, count, 1);
    size_t step = 1;
    while (made > 1) {
        step *= in_block;
        made = put_level(memory, tree, kind, keys, count, step);
    }
    free(keys);
    return made == 1;
}

int64_t l4_cidr_build(struct l4_prefix *networks, size_t count, void *to, size_t room)
{
    struct memory memory = {.at = to, .room = room < UINT32_MAX ? room : UINT32_MAX};
    struct span *spans = malloc((count + 1) * sizeof *spans);
    struct cut *cuts = malloc((2 * count + 2) * sizeof *cuts);
    int64_t result = spans && cuts ? 0 : -ENOMEM;
    if (!result && room < sizeof(struct l4_cidr))
        result = -ENOSPC;
    if (!result) {
        struct l4_cidr *set = to;
        memset(set, 0, sizeof *set);
        memory.used = (sizeof *set + 63) & ~(size_t)63;
        for (uint32_t kind = 0; kind < 2 && !result; kind++) {
            const size_t n = spans_of(networks, count, kind, spans);
            if (n && !put_tree(&memory, &set->trees[kind], kind, cuts, cuts_of(spans, n, cuts)))
                result = -ENOSPC;
        }
        set->bytes = (uint32_t)memory.used;
        result = result ? result : (int64_t)memory.used;
    }
    free(spans);
    free(cuts);
    return result;
}

/* ---- looking up ------------------------------------------------------------------------------ */

/* How many keys of a block are not above x. */
static inline uint32_t rank4(const uint32_t *keys, uint32_t x)
{
    typedef uint32_t four __attribute__((vector_size(16)));
    typedef int32_t masks __attribute__((vector_size(16)));
    const four *rows = (const four *)keys, probe = {x, x, x, x};
    const masks sum =
        (rows[0] <= probe) + (rows[1] <= probe) + (rows[2] <= probe) + (rows[3] <= probe);
    return (uint32_t) - (sum[0] + sum[1] + sum[2] + sum[3]);
}

static inline uint32_t rank6(const wide *keys, wide x)
{
    uint32_t rank = 0;
    for (int i = 0; i < KEYS6; i++)
        rank += keys[i] <= x;
    return rank;
}

/* The number of the interval that x is in; UINT32_MAX: this is no set. */
static inline uint32_t interval(const struct l4_cidr *set, size_t room, uint32_t kind, wide x)
{
    const struct l4_cidr_tree *tree = &set->trees[kind];
    const uint32_t in_block = kind ? KEYS6 : KEYS4;
    uint32_t at = 0, level = tree->levels;
    if (level > L4_CIDR_LEVELS)
        return UINT32_MAX;
    while (level-- > 0) {
        const uint32_t blocks = tree->blocks[level];
        const uint32_t block = at < blocks ? at : blocks - 1;
        const size_t first = (size_t)block * in_block, begin = tree->keys_at[level];
        if (begin & 63 || begin + (first + in_block) * (kind ? 16 : 4) > room)
            return UINT32_MAX;
        const char *keys = (const char *)set + begin;
        const uint32_t rank = kind ? rank6((const wide *)keys + first, x)
                                   : rank4((const uint32_t *)keys + first, (uint32_t)x);
        at = (uint32_t)first + rank - 1;
    }
    return at;
}

uint8_t l4_cidr_find(const struct l4_cidr *set, size_t room, const struct l4_addr *addr)
{
    const uint32_t kind = addr->family == AF_INET6;
    if (room < sizeof *set || (!kind && addr->family != AF_INET) || !set->trees[kind].count)
        return 0;
    const wide x = number_of(addr->ip, kind ? 16 : 4);
    const size_t at = set->trees[kind].values_at + (size_t)interval(set, room, kind, x);
    return at < room ? ((const uint8_t *)set)[at] : 0;
}

/* ---- text ------------------------------------------------------------------------------------ */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == ',';
}

/* One network; bits after its prefix may be set. */
static bool parse_one(const char *text, size_t bytes, struct l4_prefix *network)
{
    char host[INET6_ADDRSTRLEN];
    const char *slash = memchr(text, '/', bytes);
    const size_t host_bytes = slash ? (size_t)(slash - text) : bytes;
    if (host_bytes >= sizeof host)
        return false;
    memcpy(host, text, host_bytes);
    host[host_bytes] = 0;
    *network = (struct l4_prefix){0};
    network->net.family = memchr(host, ':', host_bytes) ? AF_INET6 : AF_INET;
    if (inet_pton(network->net.family, host, network->net.ip) != 1)
        return false;
    const uint32_t width = network->net.family == AF_INET6 ? 128 : 32;
    uint32_t bits = 0;
    if (!slash) {
        network->bits = (uint8_t)width;
        return true;
    }
    const char *digit = slash + 1, *end = text + bytes;
    if (digit == end || end - digit > 3)
        return false;
    for (; digit < end; digit++) {
        if (*digit < '0' || *digit > '9')
            return false;
        bits = bits * 10 + (uint32_t)(*digit - '0');
    }
    network->bits = (uint8_t)bits;
    return bits <= width;
}

int64_t l4_cidr_parse(const char *text, size_t bytes, uint8_t value, struct l4_prefix *networks,
                      size_t most)
{
    const char *end = text + bytes;
    int64_t line = 0, count = 0;
    while (text < end) {
        const char *next = memchr(text, '\n', (size_t)(end - text));
        const char *stop = next ? next : end;
        const char *comment = memchr(text, '#', (size_t)(stop - text));
        const char *last = comment ? comment : stop;
        line++;
        while (text < last && is_blank(*text))
            text++;
        while (last > text && is_blank(last[-1]))
            last--;
        if (text < last) {
            struct l4_prefix one;
            if (!parse_one(text, (size_t)(last - text), &one))
                return -line;
            one.value = value;
            if ((uint64_t)count < most)
                networks[count] = one;
            count++;
        }
        text = next ? next + 1 : end;
    }
    return count;
}
