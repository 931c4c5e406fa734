#include "cache/ban.h"

#include <string.h>

#include "base/hash.h"
#include "cache/find.h"

enum { FORMAT_VERSION = 2 };

/* why a constant key: processes that share a cache must agree, and a purge that takes too much does
 * no harm. */
static const struct l4_hash_key hash_key = {0x6c346c622062616eull, 0x7075726765732121ull};

static uint64_t hash_of(struct l4_text text)
{
    return l4_hash(&hash_key, text.at, text.bytes);
}

static uint64_t format(void)
{
    return 0x6c346c622062616eull ^ sizeof(struct l4_bans) << 8 ^ FORMAT_VERSION;
}

void l4_bans_format(struct l4_bans *bans, uint64_t epoch, uint64_t floor)
{
    bans->epoch = epoch;
    bans->floor = floor;
    bans->format = format();
}

bool l4_bans_are_known(const struct l4_bans *bans)
{
    return bans->format == format();
}

uint64_t l4_ban_cache(const char *name)
{
    return hash_of((struct l4_text){name, strlen(name)});
}

uint64_t l4_ban_add(struct l4_bans *bans, uint64_t cache, enum l4_ban_kind kind,
                    struct l4_text text, bool soft)
{
    const uint64_t number = atomic_fetch_add(&bans->last, 1) + 1;
    struct l4_ban *ban = &bans->rows[number % L4_CACHE_BANS];
    atomic_store(&ban->number, 0);
    ban->cache = cache;
    ban->hash = hash_of(text);
    ban->stamp = l4_ban_stamp(bans, number);
    ban->bytes = (uint32_t)text.bytes;
    ban->kind = (uint8_t)kind;
    ban->soft = soft;
    atomic_store(&ban->number, number);
    return number;
}

/* Copies all but the number. */
static void copy_meaning(struct l4_ban *to, const struct l4_ban *from)
{
    to->cache = from->cache;
    to->hash = from->hash;
    to->stamp = from->stamp;
    to->bytes = from->bytes;
    to->kind = from->kind;
    to->soft = from->soft;
}

void l4_ban_restore(struct l4_bans *bans, const struct l4_ban *ban)
{
    const uint64_t number = atomic_load(&bans->last) + 1;
    struct l4_ban *to = &bans->rows[number % L4_CACHE_BANS];
    copy_meaning(to, ban);
    atomic_store(&to->number, number);
    bans->restored = number;
    atomic_store(&bans->last, number);
}

/* ---- what is meant --------------------------------------------------------------------------- */

static bool is_text(const struct l4_ban *ban, struct l4_text text)
{
    return text.bytes == ban->bytes && hash_of(text) == ban->hash;
}

/* Returns a key's host, with its port. */
static struct l4_text host_of(struct l4_text key)
{
    const char *colon = memchr(key.at, ':', key.bytes);
    const size_t before = colon ? (size_t)(colon - key.at) + 3 : 0; /* behind :// */
    struct l4_text rest = {key.at + before, before < key.bytes ? key.bytes - before : 0};
    rest.bytes = l4_text_until(rest, '/');
    return rest;
}

/* Returns a host without its port. */
static struct l4_text name_of(struct l4_text host)
{
    size_t end = host.bytes;
    while (end && host.at[end - 1] >= '0' && host.at[end - 1] <= '9')
        end--;
    return end && end < host.bytes && host.at[end - 1] == ':' ? (struct l4_text){host.at, end - 1}
                                                              : host;
}

/* Tags are a list, with commas or spaces between them. */
static bool has_tag(const struct l4_ban *ban, struct l4_text tags)
{
    size_t from = 0;
    for (size_t at = 0; at <= tags.bytes; at++) {
        if (at < tags.bytes && tags.at[at] != ',' && tags.at[at] != ' ' && tags.at[at] != '\t')
            continue;
        if (at > from && is_text(ban, (struct l4_text){tags.at + from, at - from}))
            return true;
        from = at + 1;
    }
    return false;
}

static bool means(const struct l4_ban *ban, const struct l4_cached *object)
{
    const struct l4_text key = l4_cached_key(object), host = host_of(key);
    switch (ban->kind) {
    case L4_BAN_URL:
        return is_text(ban, key);
    case L4_BAN_PREFIX:
        return key.bytes >= ban->bytes && is_text(ban, (struct l4_text){key.at, ban->bytes});
    case L4_BAN_HOST:
        return is_text(ban, host) || is_text(ban, name_of(host));
    case L4_BAN_TAG:
        return has_tag(ban, l4_cached_tags(object));
    default:
        return true;
    }
}

/* ---- who is met ------------------------------------------------------------------------------ */

/* Copies a purge as it was at one moment. Returns false if another one is in its place now. *there:
 * it was written. */
static bool read_ban(const struct l4_bans *bans, uint64_t number, struct l4_ban *to, bool *there)
{
    const struct l4_ban *from = &bans->rows[number % L4_CACHE_BANS];
    const uint64_t before = atomic_load(&from->number);
    copy_meaning(to, from);
    atomic_thread_fence(memory_order_acquire);
    *there = before == number && atomic_load(&from->number) == number;
    return *there || before < number;
}

bool l4_ban_read(const struct l4_bans *bans, uint64_t number, struct l4_ban *to)
{
    bool there;
    return read_ban(bans, number, to, &there) && there;
}

bool l4_ban_of_stamp(const struct l4_bans *bans, uint64_t stamp, uint64_t *number)
{
    const uint64_t last = l4_ban_last(bans), of = stamp >> L4_BAN_EPOCH_SHIFT;
    if (of == bans->epoch) {
        *number = stamp & ((1ull << L4_BAN_EPOCH_SHIFT) - 1);
        return *number <= last;
    }
    /* The rows from `low` on are still there; those up to `high` are of earlier programs. */
    const uint64_t oldest = last >= L4_CACHE_BANS ? last - L4_CACHE_BANS + 1 : 0;
    uint64_t low = oldest, high = bans->restored;
    if (of > bans->epoch || stamp < bans->floor || (low && high < low))
        return false;
    while (low < high) {
        struct l4_ban ban;
        const uint64_t middle = low + (high - low + 1) / 2;
        if (!l4_ban_read(bans, middle, &ban))
            return false;
        if (ban.stamp <= stamp)
            low = middle;
        else
            high = middle - 1;
    }
    *number = low;
    return !oldest || low > oldest;
}

bool l4_ban_is_dead(const struct l4_bans *bans, uint64_t cache, struct l4_cached *object)
{
    const uint64_t last = l4_ban_last(bans);
    uint64_t cleared = atomic_load_explicit(&object->cleared, memory_order_relaxed);
    bool whole = true; /* all before this one were there */
    if (last == cleared)
        return false;
    if (last - cleared >= L4_CACHE_BANS)
        return true;
    for (uint64_t number = cleared + 1; number <= last; number++) {
        struct l4_ban ban;
        bool there;
        if (!read_ban(bans, number, &ban, &there))
            return true;
        if (there && ban.cache == cache && means(&ban, object)) {
            if (!ban.soft)
                return true;
            atomic_store_explicit(&object->soft, 1, memory_order_relaxed);
        }
        /* why: one whose process died while it wrote it may never be there. */
        whole = whole && there;
        if (whole)
            cleared = number;
    }
    atomic_store_explicit(&object->cleared, cleared, memory_order_release);
    return false;
}
