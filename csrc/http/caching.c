#include "http/caching.h"

#include <strings.h>

#include "base/assert.h"
#include "cache/ban.h"
#include "core/access.h"
#include "core/validate.h"
#include "core/vary.h"
#include "http/cached.h"
#include "http/fill.h"
#include "http/follow.h"
#include "http/on_disk.h"
#include "http/serve.h"
#include "run/session.h"

/* ---- the key --------------------------------------------------------------------------------- */

static uint16_t usual_port(bool secure)
{
    return secure ? 443 : 80;
}

static uint16_t port_of(const struct l4_host *host, bool secure)
{
    return host->port ? host->port : usual_port(secure);
}

static struct l4_text host_text(const struct l4_host *host, bool secure,
                                char to[static L4_HOST_MAX + 8])
{
    if (port_of(host, secure) == usual_port(secure))
        return (struct l4_text){host->name, host->bytes};
    const int bytes =
        snprintf(to, L4_HOST_MAX + 8, "%.*s:%u", (int)host->bytes, host->name, host->port);
    return (struct l4_text){to, (size_t)bytes};
}

static bool is_secure(const struct l4_loop *loop, uint32_t index)
{
    return l4_session_at(loop, index)->half[L4_CLIENT].flags & L4_HALF_TLS;
}

/* Writes the key of a path and a query at the request's host to caches->key. Returns false if it is
 * too long. */
static bool write_key(struct l4_loop *loop, uint32_t index, struct l4_text path,
                      struct l4_text query)
{
    struct l4_caches *caches = loop->http->caches;
    const struct l4_http_judged *judged = l4_serve_judged(loop, index);
    const uint32_t parts = L4_GET(l4_caching_rules(loop, index)->key);
    const bool secure = is_secure(loop, index);
    char host[L4_HOST_MAX + 8];
    struct l4_texts texts;
    do {
        texts = l4_texts_begin(loop->table);
        const struct l4_cache_texts its = l4_caching_texts(loop, index, &texts);
        struct l4_text ignored[L4_CACHE_IGNORED_MAX];
        struct l4_key_rules rules = {.scheme = parts & L4_KEY_SCHEME,
                                     .host = parts & L4_KEY_HOSTNAME,
                                     .query = parts & L4_KEY_ARGUMENTS,
                                     .ignored = {ignored, 0}};
        for (uint32_t i = 0; i < its.ignored_count && i < L4_CACHE_IGNORED_MAX; i++)
            ignored[rules.ignored.count++] = l4_texts_read(&texts, its.ignored[i]);
        const struct l4_url url = {.scheme = secure ? L4_TEXT("https") : L4_TEXT("http"),
                                   .host = host_text(&judged->host, secure, host),
                                   .path = path,
                                   .query = query,
                                   .has_query = query.at};
        caches->key_bytes = (uint32_t)l4_cache_key(&url, &rules, caches->key);
    } while (!l4_texts_hold(loop->table, &texts));
    return caches->key_bytes;
}

static struct l4_text key_text(const struct l4_loop *loop)
{
    return (struct l4_text){loop->http->caches->key, loop->http->caches->key_bytes};
}

static uint64_t key_hash(const struct l4_loop *loop)
{
    return l4_hash(&loop->table->header->hash_key, loop->http->caches->key,
                   loop->http->caches->key_bytes);
}

/* Who answers: objects of several pools never mix, nor those of several routes, which may ask the
 * pool in several ways. */
static uint64_t pool_hash(const struct l4_loop *loop, uint32_t index)
{
    const struct l4_session *s = l4_session_at(loop, index);
    const char *name = l4_row_pool(loop, s)->name;
    return l4_hash_again(l4_hash(&loop->table->header->hash_key, name, strlen(name)),
                         (uint64_t)l4_exchange_at(loop, index)->route + 1);
}

/* ---- looking --------------------------------------------------------------------------------- */

struct fit {
    const struct l4_bans *bans;
    uint64_t name; /* of the cache */
    const char *bytes;
    const struct l4_h1_head *request;
    const struct l4_name_list *cookies; /* that do not count */
};

static struct fit fit_of(struct l4_loop *loop, uint32_t index, const char *bytes,
                         const struct l4_h1_head *head)
{
    return (struct fit){loop->http->caches->bans, l4_caching_open(loop, index)->name, bytes, head,
                        l4_caching_cookies(loop, index)};
}

static bool fits(void *context, const struct l4_cached *object)
{
    const struct fit *fit = context;
    return l4_vary_fits(l4_cached_vary(object), fit->bytes, fit->request, fit->cookies) &&
           !l4_ban_is_dead(fit->bans, fit->name, (struct l4_cached *)object);
}

bool l4_caching_fits(struct l4_loop *loop, uint32_t index, const char *bytes,
                     const struct l4_h1_head *head, const struct l4_cached *object)
{
    struct fit fit = fit_of(loop, index, bytes, head);
    return object->hash == l4_caching_at(loop, index)->hash &&
           object->pool == l4_caching_at(loop, index)->pool &&
           l4_text_is(l4_cached_key(object), key_text(loop)) && fits(&fit, object);
}

void l4_caching_drop_read(struct l4_loop *loop, uint32_t index)
{
    l4_cache_release(&l4_caching_open(loop, index)->cache, &l4_caching_at(loop, index)->read);
    l4_on_disk_close(loop, index);
}

bool l4_caching_find(struct l4_loop *loop, uint32_t index, const char *bytes,
                     const struct l4_h1_head *head)
{
    struct l4_caching *c = l4_caching_at(loop, index);
    struct l4_open_cache *open = l4_caching_open(loop, index);
    struct fit fit = fit_of(loop, index, bytes, head);
    l4_caching_drop_read(loop, index);
    if (!l4_cache_find(&open->cache, c->hash, c->pool, key_text(loop), fits, &fit, &c->read))
        return false;
    if (!c->read.object->file || l4_on_disk_open(loop, index))
        return true;
    /* Its file is gone, or there is another one in its place. */
    l4_cache_drop(&open->cache, &c->read);
    return false;
}

/* Finds an object in memory, or on disk. */
static bool find_anywhere(struct l4_loop *loop, uint32_t index, const char *bytes,
                          const struct l4_h1_head *head)
{
    return l4_caching_find(loop, index, bytes, head) ||
           (l4_on_disk_load(loop, index, bytes, head) && l4_caching_find(loop, index, bytes, head));
}

void l4_caching_refresh(struct l4_loop *loop, uint32_t index)
{
    l4_session_open_refresh(loop, index);
}

static const char *request_bytes(const struct l4_loop *loop, uint32_t index)
{
    return l4_http_block(loop->http, l4_exchange_at(loop, index)->block);
}

static struct l4_step fetch(struct l4_loop *loop, uint32_t index, enum l4_caching_state state,
                            enum l4_cache_result result)
{
    l4_caching_at(loop, index)->state = (uint8_t)state;
    l4_exchange_at(loop, index)->cached = (uint8_t)result;
    return l4_go(L4_SESSION_PICK);
}

/* What a request that goes to the backend is, by whether there is an object. */
static enum l4_cache_result missed(const struct l4_caching *c)
{
    return c->read.object ? L4_CACHE_EXPIRED : L4_CACHE_MISS;
}

/* Goes to the backend for this client only. */
static struct l4_step pass(struct l4_loop *loop, uint32_t index)
{
    struct l4_caching *c = l4_caching_at(loop, index);
    const enum l4_cache_result result = missed(c);
    l4_caching_drop_read(loop, index);
    return fetch(loop, index, L4_CACHING_PASS, result);
}

/* Goes to the backend: to fetch for all, if nobody does yet; or waits for who does; or passes. */
static struct l4_step claim(struct l4_loop *loop, uint32_t index, bool last)
{
    struct l4_caching *c = l4_caching_at(loop, index);
    struct l4_cache *cache = &l4_caching_open(loop, index)->cache;
    enum l4_cache_claimed claimed = l4_cache_claim(cache, c->hash, l4_caching_now_s(), &c->claim);
    const enum l4_follow_begun follows =
        claimed == L4_CACHE_WAIT ? l4_follow_begin(loop, index, c->claim.others) : L4_FOLLOW_NO;
    if (follows == L4_FOLLOW_ON)
        return l4_caching_send(loop, index, L4_CACHE_HIT);
    if (follows == L4_FOLLOW_OUTDATED && l4_cache_revoke(cache, c->hash, c->claim.others))
        claimed = l4_cache_claim(cache, c->hash, l4_caching_now_s(), &c->claim);
    /* why: who fetches passes its answer to a client, who may read as slowly as it likes. One of
     * those that waited takes its place; the others ask for themselves. */
    if (claimed == L4_CACHE_WAIT && last && c->claim.others == c->awaited &&
        l4_cache_revoke(cache, c->hash, c->awaited))
        claimed = l4_cache_claim(cache, c->hash, l4_caching_now_s(), &c->claim);
    if (claimed == L4_CACHE_WAIT && !c->awaited)
        c->awaited = c->claim.others;
    if (claimed == L4_CACHE_FETCH) {
        c->cleared = l4_ban_last(loop->http->caches->bans);
        return fetch(loop, index, c->read.object ? L4_CACHING_ASK : L4_CACHING_FETCH, missed(c));
    }
    if (claimed == L4_CACHE_WAIT && !last && L4_GET(l4_caching_rules(loop, index)->collapse_ms)) {
        l4_caching_drop_read(loop, index);
        return l4_go(L4_SESSION_AWAIT);
    }
    return pass(loop, index);
}

/* A request that may only be answered from the cache (RFC 9111, 5.2.1.7). */
static struct l4_step refuse(struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    x->status = 504;
    x->reply = L4_REPLY_PLAIN;
    x->cached = L4_CACHE_MISS;
    return l4_go(L4_SESSION_REPLY);
}

static struct l4_step look(struct l4_loop *loop, uint32_t index, bool last)
{
    struct l4_caching *c = l4_caching_at(loop, index);
    const struct l4_h1_head *head = &l4_serve_judged(loop, index)->head;
    const char *bytes = request_bytes(loop, index);
    struct l4_cache_control asked;
    l4_fresh_asked(bytes, head, &asked);
    const bool only = l4_cache_says(&asked, L4_CACHE_ONLY_IF_CACHED);
    if (find_anywhere(loop, index, bytes, head)) {
        const bool soft = atomic_load_explicit(&c->read.object->soft, memory_order_relaxed);
        enum l4_fresh_use use =
            l4_fresh_use(&c->read.object->freshness, &asked, l4_caching_now_s());
        if (use == L4_USE && soft)
            use = L4_USE_STALE;
        if (use == L4_USE)
            return l4_caching_send(loop, index, L4_CACHE_HIT);
        if (use == L4_USE_STALE) {
            if (!c->alone)
                l4_caching_refresh(loop, index);
            return l4_caching_send(loop, index, L4_CACHE_UPDATING);
        }
    }
    if (only)
        return refuse(loop, index);
    /* why: what HEAD and a range get can be no object; who waits for it waits in vain. */
    const bool fetches = head->method == L4_METHOD_GET && !l4_h1_has(head, L4_FIELD_RANGE);
    return fetches ? claim(loop, index, last) : pass(loop, index);
}

bool l4_caching_write_key(struct l4_loop *loop, uint32_t index)
{
    const struct l4_target *target = &l4_serve_judged(loop, index)->target;
    return write_key(loop, index, target->path, target->query);
}

bool l4_caching_has_news(const struct l4_loop *loop, uint32_t index)
{
    const struct l4_caching *c = l4_caching_at(loop, index);
    const struct l4_cache *cache = &l4_caching_open(loop, index)->cache;
    const uint64_t claim = l4_cache_claim_of(cache, c->hash, l4_caching_now_s());
    const uint64_t growing = claim ? l4_growing_of(cache, claim) : 0;
    return !claim || (growing && growing != c->follow.refused);
}

struct l4_step l4_caching_look(struct l4_loop *loop, uint32_t index, bool last)
{
    l4_caching_at(loop, index)->waited = true;
    if (!l4_caching_write_key(loop, index))
        return pass(loop, index);
    const struct l4_step step = look(loop, index, last);
    return step.kind == L4_GO && step.state == L4_SESSION_AWAIT ? l4_stay() : step;
}

/* ---- purging --------------------------------------------------------------------------------- */

uint32_t l4_caching_purge(struct l4_loop *loop, uint32_t index, uint64_t hash, struct l4_text key)
{
    struct l4_cache *cache = &l4_caching_open(loop, index)->cache;
    l4_cache_note_purge(cache, hash);
    const bool removed = l4_on_disk_remove(loop, index, key);
    return l4_cache_purge(cache, hash, key, false) + removed;
}

/* Is this the method by which clients purge? */
static bool is_purge(const struct l4_loop *loop, uint32_t index)
{
    const struct l4_h1_head *head = &loop->http->judged.head;
    const struct l4_text method = l4_h1_text(request_bytes(loop, index), head->method_text);
    struct l4_texts texts;
    bool is;
    if (head->method != L4_METHOD_OTHER)
        return false;
    do {
        texts = l4_texts_begin(loop->table);
        const struct l4_cache_texts its = l4_caching_texts(loop, index, &texts);
        is = its.purge.bytes && l4_text_is(its.purge, method);
    } while (!l4_texts_hold(loop->table, &texts));
    return is;
}

/* Takes the objects of the request's URL out, if its client may do that. */
static struct l4_step purge(struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    const struct l4_cache_rules *rules = l4_caching_rules(loop, index);
    struct l4_caching *c = l4_caching_at(loop, index);
    struct l4_open_cache *open = l4_caching_open(loop, index);
    if (!l4_access_find_named(loop->table, &rules->purge_set,
                              l4_row_client(loop, l4_session_at(loop, index)))) {
        x->fault = "purge";
        return l4_serve_refuse(loop, index, 403, L4_END_REJECTED_DENIED);
    }
    const uint32_t purged = l4_caching_purge(loop, index, c->hash, key_text(loop));
    l4_ban_add(loop->http->caches->bans, open->name, L4_BAN_URL, key_text(loop), false);
    L4_OWN_ADD(l4_caching_tally(loop, index)->purged, purged);
    x->status = purged ? 200 : 404;
    x->reply = L4_REPLY_PLAIN;
    return l4_go(L4_SESSION_REPLY);
}

static void drop_url(struct l4_loop *loop, uint32_t index, struct l4_text path,
                     struct l4_text query)
{
    struct l4_open_cache *open = l4_caching_open(loop, index);
    struct l4_bans *bans = loop->http->caches->bans;
    if (!write_key(loop, index, path, query))
        return;
    const uint32_t purged = l4_caching_purge(loop, index, key_hash(loop), key_text(loop));
    if (L4_GET(bans->shared)) /* why: another program has the object in a cache of its own */
        l4_ban_add(bans, open->name, L4_BAN_URL, key_text(loop), false);
    L4_OWN_ADD(l4_caching_tally(loop, index)->purged, purged);
}

/* Takes the objects of a URL out that the answer names, if it is one of the request's host. */
static void drop_named(struct l4_loop *loop, uint32_t index, struct l4_text url)
{
    const struct l4_http_judged *judged = l4_serve_judged(loop, index);
    struct l4_target target;
    struct l4_host host;
    if (!url.bytes || l4_target_read(url.at, url.bytes, L4_FORM_ORIGIN | L4_FORM_ABSOLUTE, &target))
        return;
    if (target.form == L4_FORM_ABSOLUTE) {
        const bool secure = target.scheme == L4_SCHEME_HTTPS;
        if (secure != is_secure(loop, index) ||
            l4_host_read(target.host.at, target.host.bytes, &host) ||
            strcmp(host.name, judged->host.name) != 0 ||
            port_of(&host, secure) != port_of(&judged->host, secure))
            return;
    }
    drop_url(loop, index, target.path, target.query);
}

void l4_caching_invalidate(struct l4_loop *loop, uint32_t index, const char *bytes,
                           const struct l4_h1_head *head)
{
    const struct l4_target *target = &l4_serve_judged(loop, index)->target;
    if (head->status < 200 || head->status >= 400)
        return;
    drop_url(loop, index, target->path, target->query);
    drop_named(loop, index, l4_h1_value(bytes, head, L4_FIELD_LOCATION));
    drop_named(loop, index, l4_h1_value(bytes, head, L4_FIELD_CONTENT_LOCATION));
}

/* ---- the begin ------------------------------------------------------------------------------- */

static bool is_unsafe(uint8_t method)
{
    return method != L4_METHOD_GET && method != L4_METHOD_HEAD && method != L4_METHOD_OPTIONS &&
           method != L4_METHOD_TRACE;
}

struct l4_step l4_caching_begin(struct l4_loop *loop, uint32_t index, uint32_t number)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_open_cache *open = l4_caches_join(loop, number);
    if (!open)
        return l4_go(L4_SESSION_PICK);
    struct l4_caching *c = l4_caching_at(loop, index);
    const struct l4_http_judged *judged = l4_serve_judged(loop, index);
    *c = (struct l4_caching){.fill = {.first = L4_NONE, .last = L4_NONE}};
    x->cache = (uint8_t)number;
    if (is_unsafe(x->method) && !is_purge(loop, index))
        return fetch(loop, index, L4_CACHING_PURGE, L4_CACHE_BYPASS);
    if (x->method == L4_METHOD_OPTIONS || !x->up.done || x->flags & L4_X_UPGRADE ||
        !write_key(loop, index, judged->target.path, judged->target.query))
        return fetch(loop, index, L4_CACHING_PASS, L4_CACHE_BYPASS);
    c->hash = key_hash(loop);
    c->pool = pool_hash(loop, index);
    return is_unsafe(x->method) ? purge(loop, index) : look(loop, index, false);
}

/* ---- without a client ------------------------------------------------------------------------ */

/* Copies what the request is into the exchange of a session. */
static void copy_request(struct l4_loop *loop, uint32_t index, uint32_t of, uint32_t block)
{
    const struct l4_exchange *from = l4_exchange_at(loop, of);
    struct l4_request *row = l4_table_request(loop->table, loop->setup.index, index);
    const struct l4_request *asked = l4_table_request(loop->table, loop->setup.index, of);
    *l4_exchange_at(loop, index) = (struct l4_exchange){
        .started_us = loop->now_us,
        .asked_us = loop->now_us,
        .number = 1,
        .block = block,
        .have = from->head_bytes,
        .head_bytes = from->head_bytes,
        .answer_block = L4_NONE,
        .route = from->route,
        .filter = L4_NONE,
        .came_to = L4_NONE,
        .left = L4_NONE,
        .matched = from->matched,
        .timeout_ms = from->timeout_ms,
        .flags = L4_X_IDEMPOTENT,
        .method = from->method,
        .minor = 1,
        .cache = from->cache,
        .cached = L4_CACHE_UPDATING,
        .up = {.done = true},
    };
    memcpy(l4_http_block(loop->http, block), request_bytes(loop, of), from->head_bytes);
    L4_SET(row->counted, 0);
    row->route = asked->route;
    row->client = asked->client;
    row->text = asked->text;
}

bool l4_caching_adopt(struct l4_loop *loop, uint32_t index, uint32_t of)
{
    struct l4_open_cache *open = l4_caching_open(loop, of);
    struct l4_caching *c = l4_caching_at(loop, index);
    const struct l4_caching *its = l4_caching_at(loop, of);
    struct l4_cache_claim claim;
    if (l4_exchange_at(loop, of)->method != L4_METHOD_GET ||
        l4_cache_claim(&open->cache, its->hash, l4_caching_now_s(), &claim) != L4_CACHE_FETCH)
        return false;
    const uint32_t block = l4_http_take_block(loop->http);
    if (block == L4_NONE) {
        l4_cache_end_claim(&open->cache, &claim, 0);
        return false;
    }
    *c = (struct l4_caching){
        .state = L4_CACHING_ASK,
        .alone = true,
        .hash = its->hash,
        .pool = its->pool,
        .cleared = l4_ban_last(loop->http->caches->bans),
        .claim = claim,
        .fill = {.first = L4_NONE, .last = L4_NONE},
    };
    copy_request(loop, index, of, block);
    open->users++;
    (void)l4_caching_find(loop, index, l4_http_block(loop->http, block),
                          &l4_serve_judged(loop, index)->head);
    return true;
}

/* ---- an object as the answer ----------------------------------------------------------------- */

bool l4_caching_may_send_stale(struct l4_loop *loop, uint32_t index)
{
    const struct l4_caching *c = l4_caching_at(loop, index);
    struct l4_cache_control asked;
    if (!l4_exchange_at(loop, index)->cache || c->state != L4_CACHING_ASK || !c->read.object)
        return false;
    l4_fresh_asked(request_bytes(loop, index), &l4_serve_judged(loop, index)->head, &asked);
    return l4_fresh_use_after_error(&c->read.object->freshness, &asked, l4_caching_now_s());
}

/* Judges the client's conditions and its range against the object. */
static void choose_form(struct l4_loop *loop, uint32_t index, int64_t now_s)
{
    struct l4_caching *c = l4_caching_at(loop, index);
    const struct l4_h1_head *request = &l4_serve_judged(loop, index)->head;
    const char *asked = request_bytes(loop, index);
    struct l4_h1_head stored;
    uint64_t first, last;
    if (c->read.object->status != 200 || !l4_is_conditional(request) ||
        !l4_cached_parse(c->read.object, &stored))
        return;
    const struct l4_validators validators =
        l4_validators_of(l4_cached_head(c->read.object).at, &stored, now_s);
    const enum l4_condition condition = l4_condition_of(asked, request, &validators, now_s);
    if (condition != L4_CONDITION_NONE) {
        c->form = condition == L4_CONDITION_FAILED ? L4_CACHED_FAILED : L4_CACHED_NOT_MODIFIED;
        c->end = 0;
        return;
    }
    switch (l4_range_of(asked, request, &validators, c->total, now_s, &first, &last)) {
    case L4_RANGE_PART:
        c->form = L4_CACHED_PART;
        c->at = first;
        c->end = last + 1;
        break;
    case L4_RANGE_EMPTY:
        c->form = L4_CACHED_NO_PART;
        c->end = 0;
        break;
    default:
        break;
    }
}

struct l4_step l4_caching_send(struct l4_loop *loop, uint32_t index, enum l4_cache_result result)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_caching *c = l4_caching_at(loop, index);
    const int64_t now_s = l4_caching_now_s();
    x->cached = (uint8_t)result;
    c->state = L4_CACHING_SEND;
    c->form = L4_CACHED_WHOLE;
    c->at = 0;
    c->end = c->total = c->read.object->body_bytes;
    c->age_s = l4_fresh_age(&c->read.object->freshness, now_s);
    c->left_s = (int32_t)((int64_t)c->read.object->freshness.lifetime_s - c->age_s);
    c->pinned_ms = loop->now_ms;
    choose_form(loop, index, now_s);
    l4_cache_use(&c->read);
    return l4_go(L4_SESSION_CACHED);
}

/* ---- rules ----------------------------------------------------------------------------------- */

enum l4_unstorable l4_caching_judge(struct l4_loop *loop, uint32_t index,
                                    const struct l4_exchange_heads *heads,
                                    struct l4_freshness *freshness)
{
    const struct l4_cache_rules *its = l4_caching_rules(loop, index);
    struct l4_texts texts;
    enum l4_unstorable why;
    do {
        texts = l4_texts_begin(loop->table);
        const struct l4_cache_texts lists = l4_caching_texts(loop, index, &texts);
        struct l4_text targeted[L4_CACHE_TARGETED_MAX];
        struct l4_status_lifetime statuses[L4_CACHE_STATUSES_MAX];
        struct l4_fresh_rules rules = {
            .default_s = L4_GET(its->default_s),
            .heuristic_percent = L4_GET(its->heuristic_percent),
            .most_s = L4_GET(its->most_s),
            .while_revalidate_s = L4_GET(its->while_revalidate_s),
            .if_error_s = L4_GET(its->if_error_s),
            .statuses = statuses,
            .targeted = targeted,
        };
        for (uint32_t i = 0; i < lists.targeted_count && i < L4_CACHE_TARGETED_MAX; i++)
            targeted[rules.targeted_count++] = l4_texts_read(&texts, lists.targeted[i]);
        for (uint32_t i = 0; i < lists.status_count && i < L4_CACHE_STATUSES_MAX; i++)
            statuses[rules.status_count++] =
                (struct l4_status_lifetime){lists.statuses[i].status, lists.statuses[i].lifetime_s};
        why = l4_fresh_judge(heads, &rules, freshness);
    } while (!l4_texts_hold(loop->table, &texts));
    return why;
}

/* ---- the end --------------------------------------------------------------------------------- */

bool l4_caching_end_claim(struct l4_loop *loop, uint32_t index, bool passes)
{
    struct l4_cache *cache = &l4_caching_open(loop, index)->cache;
    struct l4_cache_claim *its = &l4_caching_at(loop, index)->claim;
    const bool current = l4_cache_is_current(cache, its);
    l4_cache_end_claim(cache, its, passes ? l4_caching_now_s() + L4_CACHE_PASS_S : 0);
    return current;
}

void l4_caching_end(struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    if (!x->cache)
        return;
    struct l4_caching *c = l4_caching_at(loop, index);
    struct l4_open_cache *open = l4_caching_open(loop, index);
    struct l4_cache_tally *tally = l4_caching_tally(loop, index);
    L4_ASSERT(open->users);
    l4_caching_drop_read(loop, index);
    l4_caching_end_claim(loop, index, false);
    l4_fill_drop(loop, index);
    L4_OWN_ADD(*(c->alone ? &tally->refreshed : &tally->results[x->cached]), 1);
    if (c->waited) {
        L4_OWN_ADD(tally->waited, 1);
        if (x->cached == L4_CACHE_MISS || x->cached == L4_CACHE_EXPIRED)
            L4_OWN_ADD(tally->waited_in_vain, 1);
    }
    open->users--;
    x->cache = 0;
}
