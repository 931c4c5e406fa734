#include "core/cidr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "shm/seq.h"

typedef unsigned __int128 wide; /* an address as a number; IPv4 is in its upper 32 bits */

static wide number_of(const uint8_t *ip)
{
    uint64_t halves[2];
    memcpy(halves, ip, sizeof halves);
    return (wide)be64toh(halves[0]) << 64 | be64toh(halves[1]);
}

/* ---- contents of a set ----------------------------------------------------------------------- */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "keys are copied from wider numbers");

/* A link refers to a part of the set by its kind (2 bits), a size (6 bits) and a place (24 bits,
 * in units of 8 bytes). A part covers all addresses that begin with the bits on the path to it.
 * It looks at the bits that follow, the rest. */
enum kind {
    VALUE, /* no part: the value itself is in the place's bits */
    NODE,  /* 2^size links, selected by the first `size` bits of the rest */
    GATE,  /* struct gate: everything below it has one longer prefix */
    LEAF   /* keys, then one value more than keys, a byte each; see key_bytes */
};

enum {
    UNIT = 8,
    LEAF_KEYS = 16, /* at most */
    GATE_BITS = 3,  /* a shared prefix of this length gets a gate; shorter ones cost little */
    TAIL = LEAF_KEYS * 5 +
           8, /* bytes after the set: a leaf's small keys are read as if it were full */
};
_Static_assert(sizeof(struct l4_cidr) <= 2 * UNIT, "the first part follows it");
_Static_assert(L4_SETS_BYTES <= (1 << 24) * UNIT, "a link reaches everything in a half");

struct gate {
    uint64_t prefix[2]; /* upper and lower half of the rest; the first `bits` count */
    uint32_t link;      /* the part below it */
    uint8_t bits, before, after;
};

/* Sizes of a leaf's keys, which are the first bits of the rest: the smallest size in which its
 * cuts differ. */
static const uint32_t key_bytes[4] = {2, 4, 8, 16};

static uint32_t link_to(enum kind kind, uint32_t size, size_t at)
{
    return (uint32_t)kind | size << 2 | (uint32_t)(at / UNIT) << 8;
}

static uint32_t value_link(uint8_t value)
{
    return link_to(VALUE, 0, (size_t)value * UNIT);
}

/* ---- from networks to cuts ------------------------------------------------------------------- */

struct span {
    wide first, last;
    uint8_t bits, value;
};

/* A cut: this value is the answer from `first` to the next cut. */
struct cut {
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

static size_t spans_of(const struct l4_prefix *networks, size_t count, uint16_t family,
                       struct span *spans)
{
    const uint32_t width = family == AF_INET6 ? 128 : 32;
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (networks[i].net.family != family)
            continue;
        const uint32_t bits = networks[i].bits < width ? networks[i].bits : width;
        const wide host = bits ? ((wide)1 << (128 - bits)) - 1 : ~(wide)0;
        const wide first = number_of(networks[i].net.ip) & ~host;
        spans[n++] = (struct span){first, first | host, (uint8_t)bits, networks[i].value};
    }
    qsort(spans, n, sizeof *spans, by_place);
    return n;
}

static void cut_at(struct cut *cuts, size_t *count, wide first, uint8_t value)
{
    if (*count && cuts[*count - 1].first == first)
        (*count)--;
    if ((*count ? cuts[*count - 1].value : 0) == value)
        return;
    cuts[(*count)++] = (struct cut){first, value};
}

/* Walks the sorted spans, which are nested or separate, and keeps the open ones on a stack. */
static size_t cuts_of(const struct span *spans, size_t count, struct cut *cuts)
{
    struct span open[130];
    size_t depth = 0, n = 0;
    for (size_t i = 0; i <= count; i++) {
        while (depth && (i == count || open[depth - 1].last < spans[i].first)) {
            const wide after = open[depth - 1].last + 1;
            depth--;
            if (after != 0) /* nothing follows the last address; 2^128 has become 0 */
                cut_at(cuts, &n, after, depth ? open[depth - 1].value : 0);
        }
        if (i == count)
            break;
        if (depth && open[depth - 1].bits == spans[i].bits)
            depth--; /* the same network again */
        open[depth++] = spans[i];
        cut_at(cuts, &n, spans[i].first, spans[i].value);
    }
    return n;
}

/* ---- from cuts to a set ---------------------------------------------------------------------- */

struct memory {
    char *set;
    size_t used, room;
    bool full;
};

/* The input of one part: the cuts in its range, the first address and depth (bits on the path) of
 * the range, and the value before the first cut. */
struct piece {
    const struct cut *cuts;
    size_t count;
    wide first;
    uint32_t depth;
    uint8_t before;
};

static uint32_t put(struct memory *memory, struct piece piece);

/* Takes `bytes` of the set and returns their offset; 0: there is no room. */
static size_t take(struct memory *memory, size_t bytes)
{
    const size_t at = memory->used;
    bytes = (bytes + UNIT - 1) / UNIT * UNIT;
    if (memory->full || memory->room - at < bytes + TAIL) {
        memory->full = true;
        return 0;
    }
    memory->used += bytes;
    return at;
}

static uint32_t put_leaf(struct memory *memory, const struct piece *piece)
{
    wide low = 0;
    for (size_t i = 0; i < piece->count; i++)
        low |= piece->cuts[i].first << piece->depth;
    uint32_t width = 0;
    while (width < 3 && low << key_bytes[width] * 8)
        width++;
    const size_t key = key_bytes[width];
    const size_t at = take(memory, piece->count * (key + 1) + 1);
    if (!at)
        return 0;
    char *keys = memory->set + at, *values = keys + piece->count * key;
    values[0] = (char)piece->before;
    for (size_t i = 0; i < piece->count; i++) {
        const wide n = piece->cuts[i].first << piece->depth >> (128 - key * 8);
        memcpy(keys + i * key, &n, key);
        values[i + 1] = (char)piece->cuts[i].value;
    }
    return link_to(LEAF, (uint32_t)(piece->count - 1) | width << 4, at);
}

static uint32_t put_gate(struct memory *memory, const struct piece *piece, uint32_t bits)
{
    const size_t at = take(memory, sizeof(struct gate));
    if (!at)
        return 0;
    const wide prefix = piece->cuts[0].first << piece->depth >> (128 - bits) << (128 - bits);
    struct piece below = *piece;
    below.depth += bits;
    below.first |= prefix >> piece->depth;
    struct gate *gate = (struct gate *)(memory->set + at);
    *gate = (struct gate){
        .prefix = {(uint64_t)(prefix >> 64), (uint64_t)prefix},
        .link = put(memory, below),
        .bits = (uint8_t)bits,
        .before = piece->before,
        .after = piece->cuts[piece->count - 1].value,
    };
    return link_to(GATE, 0, at);
}

static uint32_t put_node(struct memory *memory, const struct piece *piece)
{
    uint32_t bits = 0;
    while (piece->count >> bits >= LEAF_KEYS)
        bits++;
    const size_t at = take(memory, sizeof(uint32_t) << bits);
    if (!at)
        return 0;
    uint32_t *links = (uint32_t *)(memory->set + at);
    struct piece part = {piece->cuts, 0, piece->first, piece->depth + bits, piece->before};
    const struct cut *end = piece->cuts + piece->count;
    for (size_t i = 0; i < (size_t)1 << bits; i++) {
        const wide last = part.first + (((wide)1 << (128 - part.depth)) - 1);
        for (part.count = 0; part.cuts + part.count < end; part.count++)
            if (part.cuts[part.count].first > last)
                break;
        links[i] = put(memory, part);
        part.before = part.count ? part.cuts[part.count - 1].value : part.before;
        part.cuts += part.count;
        part.first = last + 1;
    }
    return link_to(NODE, bits, at);
}

static uint32_t put(struct memory *memory, struct piece piece)
{
    if (piece.count && piece.cuts[0].first == piece.first) {
        piece.before = piece.cuts[0].value;
        piece.cuts++;
        piece.count--;
    }
    if (!piece.count)
        return value_link(piece.before);
    if (piece.count <= LEAF_KEYS)
        return put_leaf(memory, &piece);
    const wide differ = piece.cuts[0].first ^ piece.cuts[piece.count - 1].first;
    const uint32_t equal = differ >> 64 ? (uint32_t)__builtin_clzll((uint64_t)(differ >> 64))
                                        : 64 + (uint32_t)__builtin_clzll((uint64_t)differ);
    if (equal - piece.depth >= GATE_BITS)
        return put_gate(memory, &piece, equal - piece.depth);
    return put_node(memory, &piece);
}

int64_t l4_cidr_build(const struct l4_prefix *networks, size_t count, void *to, size_t room)
{
    static const uint16_t families[2] = {AF_INET, AF_INET6};
    struct memory memory = {.set = to, .used = 2 * UNIT, .room = room};
    if (room < sizeof(struct l4_cidr) + TAIL)
        return -ENOSPC;
    struct span *spans = malloc((count + 1) * sizeof *spans);
    struct cut *cuts = malloc((2 * count + 1) * sizeof *cuts);
    if (!spans || !cuts) {
        free(spans);
        free(cuts);
        return -ENOMEM;
    }
    struct l4_cidr *set = to;
    *set = (struct l4_cidr){0};
    for (int i = 0; i < 2; i++) {
        const size_t n = spans_of(networks, count, families[i], spans);
        set->roots[i] =
            put(&memory, (struct piece){.cuts = cuts, .count = cuts_of(spans, n, cuts)});
    }
    free(spans);
    free(cuts);
    set->bytes = (uint32_t)((memory.used + TAIL + 63) & ~(size_t)63);
    if (memory.full || set->bytes > room)
        return -ENOSPC;
    return set->bytes;
}

/* ---- looking up ------------------------------------------------------------------------------ */

/* Returns how many of a leaf's keys are not above x. Small keys are compared all sixteen at once,
 * whatever the count. */
L4_READS_UNDER_SEQ static inline uint32_t rank2(const char *keys, uint32_t count, uint16_t x)
{
    typedef uint16_t subflows __attribute__((vector_size(16)));
    const subflows first = {0, 1, 2, 3, 4, 5, 6, 7};
    subflows sum = {0};
    for (uint32_t i = 0; i < LEAF_KEYS; i += 8) {
        subflows row;
        memcpy(&row, keys + i * sizeof x, sizeof row);
        sum -= (subflows)((row <= x) & (first + (uint16_t)i < (uint16_t)count));
    }
    const uint64_t halves[2] = {(uint64_t)(wide)sum, (uint64_t)((wide)sum >> 64)};
    return (uint32_t)(((halves[0] + halves[1]) * 0x0001000100010001u) >> 48);
}

L4_READS_UNDER_SEQ static inline uint32_t rank4(const char *keys, uint32_t count, uint32_t x)
{
    typedef uint32_t subflows __attribute__((vector_size(16)));
    const subflows first = {0, 1, 2, 3};
    subflows sum = {0};
    for (uint32_t i = 0; i < LEAF_KEYS; i += 4) {
        subflows row;
        memcpy(&row, keys + i * sizeof x, sizeof row);
        sum -= (subflows)((row <= x) & (first + i < count));
    }
    return sum[0] + sum[1] + sum[2] + sum[3];
}

L4_READS_UNDER_SEQ static inline uint32_t rank8(const char *keys, uint32_t count, uint64_t x)
{
    uint32_t rank = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t key;
        memcpy(&key, keys + i * sizeof key, sizeof key);
        rank += key <= x;
    }
    return rank;
}

L4_READS_UNDER_SEQ static inline uint32_t rank16(const char *keys, uint32_t count, wide x)
{
    uint32_t rank = 0;
    for (uint32_t i = 0; i < count; i++) {
        wide key;
        memcpy(&key, keys + i * sizeof key, sizeof key);
        rank += key <= x;
    }
    return rank;
}

L4_READS_UNDER_SEQ static inline uint8_t find_in_leaf(const char *set, size_t room, uint32_t link,
                                                      wide rest)
{
    const uint32_t count = (link >> 2 & 15) + 1, width = link >> 6 & 3, key = key_bytes[width];
    const size_t at = (size_t)(link >> 8) * UNIT;
    if (at + (width > 1 ? count : LEAF_KEYS) * (key + 1) + 1 > room)
        return 0;
    const char *keys = set + at;
    const uint64_t upper = (uint64_t)(rest >> 64);
    const uint32_t rank = width == 0   ? rank2(keys, count, (uint16_t)(upper >> 48))
                          : width == 1 ? rank4(keys, count, (uint32_t)(upper >> 32))
                          : width == 2 ? rank8(keys, count, upper)
                                       : rank16(keys, count, rest);
    return (uint8_t)keys[count * key + rank];
}

/* Reads a link once; another process may be writing it. */
L4_READS_UNDER_SEQ static inline uint32_t link_at(const char *set, size_t at)
{
    return *(const volatile uint32_t *)(set + at);
}

L4_READS_UNDER_SEQ uint8_t l4_cidr_find(const struct l4_cidr *set, size_t room,
                                        const struct l4_addr *addr)
{
    const bool six = addr->family == AF_INET6;
    const char *base = (const char *)set;
    if (room < sizeof *set || (!six && addr->family != AF_INET))
        return 0;
    wide rest = number_of(addr->ip);
    size_t at = offsetof(struct l4_cidr, roots) + (six ? sizeof(uint32_t) : 0);
    for (uint32_t depth = 0; depth <= 128;) {
        const uint32_t link = link_at(base, at), size = link >> 2 & 63;
        const enum kind kind = link & 3;
        at = (size_t)(link >> 8) * UNIT;
        if (kind == VALUE)
            return (uint8_t)(link >> 8);
        if (kind == LEAF)
            return find_in_leaf(base, room, link, rest);
        uint32_t bits = size;
        if (kind == GATE) {
            const struct gate *gate = (const struct gate *)(base + at);
            if (at + sizeof *gate > room)
                return 0;
            const wide prefix = (wide)gate->prefix[0] << 64 | gate->prefix[1];
            bits = *(const volatile uint8_t *)&gate->bits;
            if (!bits || bits > 127)
                return 0;
            if ((rest ^ prefix) >> (128 - bits))
                return rest < prefix ? gate->before : gate->after;
            at += offsetof(struct gate, link);
        } else if (size) {
            at += (size_t)((uint64_t)(rest >> 64) >> (64 - size)) * sizeof(uint32_t);
        }
        if (!bits || at > room - sizeof(uint32_t))
            return 0;
        rest <<= bits;
        depth += bits;
    }
    return 0;
}

/* ---- going through --------------------------------------------------------------------------- */

/* Sets *last to the last address of the range that begins at `first` and has this depth. */
static wide range_end(wide first, uint32_t depth)
{
    return depth > 127 ? first : first | ((wide)-1 >> depth);
}

/* Returns the value of a leaf for the address, and where the next cut is; `end`: there is none. */
static uint8_t span_in_leaf(const char *set, size_t room, uint32_t link, wide n, uint32_t depth,
                            wide *end)
{
    const uint32_t count = (link >> 2 & 15) + 1, key = key_bytes[link >> 6 & 3];
    const size_t at = (size_t)(link >> 8) * UNIT;
    const wide above = depth ? n >> (128 - depth) << (128 - depth) : 0;
    uint32_t rank = 0;
    if (at + (size_t)count * (key + 1) + 1 > room)
        return 0;
    for (; rank < count; rank++) {
        wide cut = 0;
        memcpy(&cut, set + at + (size_t)rank * key, key);
        cut = above | cut << (128 - key * 8) >> depth;
        if (cut > n) {
            *end = cut - 1;
            break;
        }
    }
    return (uint8_t)set[at + (size_t)count * key + rank];
}

uint8_t l4_cidr_span(const struct l4_cidr *set, size_t room, const struct l4_addr *addr,
                     struct l4_addr *last)
{
    const bool six = addr->family == AF_INET6;
    const char *base = (const char *)set;
    const wide n = number_of(addr->ip);
    size_t at = offsetof(struct l4_cidr, roots) + (six ? sizeof(uint32_t) : 0);
    wide end = 0;
    uint8_t value = 0;
    for (uint32_t depth = 0; depth <= 128;) {
        const wide first = depth ? n >> (128 - depth) << (128 - depth) : 0;
        const wide rest = depth > 127 ? 0 : n << depth;
        const uint32_t link = link_at(base, at), size = link >> 2 & 63;
        end = range_end(first, depth);
        at = (size_t)(link >> 8) * UNIT;
        if ((link & 3) == VALUE) {
            value = (uint8_t)(link >> 8);
            break;
        }
        if ((link & 3) == LEAF) {
            value = span_in_leaf(base, room, link, n, depth, &end);
            break;
        }
        uint32_t bits = size;
        if ((link & 3) == GATE) {
            const struct gate *gate = (const struct gate *)(base + at);
            const wide prefix = (wide)gate->prefix[0] << 64 | gate->prefix[1];
            bits = gate->bits;
            L4_ASSERT(bits > 0 && bits < 128);
            if ((rest ^ prefix) >> (128 - bits)) {
                value = rest < prefix ? gate->before : gate->after;
                if (rest < prefix)
                    end = (first | prefix >> depth) - 1;
                break;
            }
            at += offsetof(struct gate, link);
        } else if (size) {
            at += (size_t)((uint64_t)(rest >> 64) >> (64 - size)) * sizeof(uint32_t);
        }
        depth += bits;
    }
    *last = (struct l4_addr){.family = addr->family};
    for (int i = 0; i < (six ? 16 : 4); i++)
        last->ip[i] = (uint8_t)(end >> (120 - 8 * i));
    return value;
}

/* ---- text ------------------------------------------------------------------------------------ */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == ',';
}

/* why not ::ffff:0:0/96 too: lists of private and reserved networks contain it, and mean this
 * form of addresses, not all of IPv4. */
static void unmap(struct l4_prefix *network)
{
    if (network->net.family != AF_INET6 || network->bits <= 96)
        return;
    l4_addr_unmap(&network->net);
    if (network->net.family == AF_INET)
        network->bits -= 96;
}

/* Parses one network; bits after its prefix may be set. */
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
                      size_t max)
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
            unmap(&one);
            one.value = value;
            if ((uint64_t)count < max)
                networks[count] = one;
            count++;
        }
        text = next ? next + 1 : end;
    }
    return count;
}
