#include "cache/peek.h"

bool l4_peek_head(const char *bytes, size_t count, struct l4_h1_head *head)
{
    static const struct l4_h1_bounds widest = {
        .head = L4_H1_HEAD_MAX, .target = L4_H1_HEAD_MAX, .fields = L4_H1_FIELDS_MAX};
    return !l4_h1_request(bytes, count, &widest, head);
}

/* ---- in memory ------------------------------------------------------------------------------- */

static bool fits(void *context, const struct l4_cached *object)
{
    const struct l4_peek *peek = context;
    return l4_vary_fits(l4_cached_vary(object), peek->bytes, peek->request, peek->cookies) &&
           !l4_ban_is_dead(peek->bans, peek->name, (struct l4_cached *)object);
}

/* Is the body there that an object has on the disk? */
static bool has_body(const struct l4_peek *peek, const struct l4_cached *object)
{
    static char texts[L4_DISK_TEXTS_MAX]; /* why static: one thread peeks at one time */
    struct l4_disk_name name;
    struct l4_disk_head head;
    if (!object->file)
        return true;
    l4_disk_name(peek->disk, peek->key, object->marker, l4_cached_vary(object), &name);
    return peek->disk->fd && !l4_disk_peek(peek->disk, &name, &head, texts) &&
           head.serial == object->file;
}

bool l4_peek_memory(const struct l4_peek *peek, uint64_t hash, uint64_t pool,
                    struct l4_cache_read *read)
{
    if (!l4_cache_find(peek->cache, hash, pool, peek->key, fits, (void *)peek, read))
        return false;
    if (has_body(peek, read->object))
        return true;
    l4_cache_release(peek->cache, read);
    return false;
}

/* ---- on the disk ----------------------------------------------------------------------------- */

/* Writes what the request says in a marker's fields. */
static bool write_said(const struct l4_peek *peek, struct l4_text fields,
                       char said[static L4_VARY_MAX], size_t *bytes)
{
    if (peek->request)
        return l4_vary_again(fields, peek->bytes, peek->request, peek->cookies, said, bytes);
    *bytes = fields.bytes < L4_VARY_MAX ? fields.bytes : L4_VARY_MAX;
    l4_text_copy(said, (struct l4_text){fields.at, *bytes});
    return true;
}

/* Reads the file of the key or, if that is a marker, of a variant. */
static enum l4_peeked read_file(const struct l4_peek *peek, struct l4_cached *to,
                                struct l4_disk_head *head)
{
    char *texts = (char *)(to + 1), said[L4_VARY_MAX];
    struct l4_text vary = {said, 0};
    struct l4_disk_name name;
    l4_disk_name(peek->disk, peek->key, 0, vary, &name);
    if (!peek->disk->fd || l4_disk_peek(peek->disk, &name, head, texts))
        return L4_PEEKED_NOTHING;
    *to = l4_disk_object(head);
    to->file = head->serial;
    if (!head->is_marker)
        return L4_PEEKED_OBJECT;
    const struct l4_disk_head marker = *head;
    if (!write_said(peek, l4_cached_vary(to), said, &vary.bytes))
        return L4_PEEKED_NOTHING;
    l4_disk_name(peek->disk, peek->key, marker.serial, vary, &name);
    const bool found = !l4_disk_peek(peek->disk, &name, head, texts) && !head->is_marker;
    *to = l4_disk_object(found ? head : &marker);
    to->file = found ? head->serial : marker.serial;
    to->marker = marker.serial;
    if (found)
        return L4_PEEKED_OBJECT;
    to->vary_bytes = (uint16_t)vary.bytes;
    l4_text_copy(texts + to->key_bytes, vary);
    return L4_PEEKED_VARIANTS;
}

static bool is_wanted(const struct l4_peek *peek, const struct l4_cached *object)
{
    return l4_text_is(l4_cached_key(object), peek->key) &&
           (!peek->request ||
            l4_vary_fits(l4_cached_vary(object), peek->bytes, peek->request, peek->cookies));
}

enum l4_peeked l4_peek_disk(const struct l4_peek *peek, struct l4_cached *to)
{
    struct l4_disk_head head;
    uint64_t cleared;
    const enum l4_peeked found = read_file(peek, to, &head);
    if (found != L4_PEEKED_OBJECT)
        return found;
    const enum l4_peeked other = to->marker ? L4_PEEKED_VARIANTS : L4_PEEKED_NOTHING;
    if (!is_wanted(peek, to) || !l4_ban_of_stamp(peek->bans, head.stamp, &cleared))
        return other;
    atomic_store_explicit(&to->cleared, cleared, memory_order_relaxed);
    return l4_ban_is_dead(peek->bans, peek->name, to) ? other : L4_PEEKED_OBJECT;
}

/* ---- what the request allows ----------------------------------------------------------------- */

enum l4_fresh_use l4_peek_use(const struct l4_peek *peek, const struct l4_cached *object,
                              int64_t now_s)
{
    struct l4_cache_control asked;
    l4_fresh_asked(peek->bytes, peek->request, &asked);
    const enum l4_fresh_use use = l4_fresh_use(&object->freshness, &asked, now_s);
    return use == L4_USE && atomic_load_explicit(&object->soft, memory_order_relaxed) ? L4_USE_STALE
                                                                                      : use;
}

struct l4_peek_request l4_peek_request(const char *bytes, const struct l4_h1_head *head)
{
    struct l4_cache_control asked;
    l4_fresh_asked(bytes, head, &asked);
    const bool get = head->method == L4_METHOD_GET;
    const bool has_body =
        head->framing == L4_FRAMING_CHUNKED || (head->framing == L4_FRAMING_LENGTH && head->length);
    return (struct l4_peek_request){
        .may_answer = (get || head->method == L4_METHOD_HEAD) && !has_body && !head->upgrade,
        .fetches = get && !l4_h1_has(head, L4_FIELD_RANGE),
        .only = l4_cache_says(&asked, L4_CACHE_ONLY_IF_CACHED),
    };
}
