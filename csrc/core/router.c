#include "core/router.h"

#include <string.h>

#include "core/request_values.h"

/* ---- the memory, of which nothing is trusted ------------------------------------------------ */

/* Returns an array of `size` bytes an element, or NULL if it is not within the memory. */
static const void *array_of(const struct l4_router_memory *memory, struct l4_router_list list,
                            size_t size)
{
    if (list.at % 4 || list.at > memory->bytes || list.count > (memory->bytes - list.at) / size)
        return NULL;
    return memory->at + list.at;
}

struct l4_text l4_router_text(const struct l4_router_memory *memory, struct l4_router_list text)
{
    if (!text.count || text.at > memory->bytes || text.count > memory->bytes - text.at)
        return (struct l4_text){NULL, 0};
    return (struct l4_text){memory->at + text.at, text.count};
}

static struct l4_text item_of(const struct l4_router_memory *memory, const void *items, uint32_t i)
{
    return l4_router_text(memory, ((const struct l4_router_list *)items)[i]);
}

/* ---- texts ---------------------------------------------------------------------------------- */

static bool begins(struct l4_text text, struct l4_text with)
{
    return text.bytes >= with.bytes && (!with.bytes || !memcmp(text.at, with.at, with.bytes));
}

static bool ends(struct l4_text text, struct l4_text with)
{
    return text.bytes >= with.bytes &&
           (!with.bytes || !memcmp(text.at + text.bytes - with.bytes, with.at, with.bytes));
}

/* True if text is the pattern, in which each * stands for any text. Linear: each piece between two
 * stars is looked for once, behind the piece before it. */
static bool is_like(struct l4_text text, struct l4_text pattern)
{
    size_t piece = l4_text_until(pattern, '*');
    if (piece == pattern.bytes)
        return l4_text_is(text, pattern);
    if (!begins(text, (struct l4_text){pattern.at, piece}))
        return false;
    text = l4_text_after(text, piece);
    for (pattern = l4_text_after(pattern, piece + 1);
         (piece = l4_text_until(pattern, '*')) < pattern.bytes;
         pattern = l4_text_after(pattern, piece + 1)) {
        if (!piece)
            continue;
        const char *found = text.bytes ? memmem(text.at, text.bytes, pattern.at, piece) : NULL;
        if (!found)
            return false;
        text = l4_text_after(text, (size_t)(found - text.at) + piece);
    }
    return ends(text, pattern);
}

static bool is_server_name(struct l4_text name, struct l4_text wanted)
{
    if (!name.bytes || !wanted.bytes)
        return false;
    if (*wanted.at == '.')
        return name.bytes > wanted.bytes && ends(name, wanted);
    return l4_text_is(name, wanted) || (wanted.bytes == 1 && *wanted.at == '*');
}

/* ---- conditions ----------------------------------------------------------------------------- */

struct look { /* one condition, and the request that it is about */
    const struct l4_router_memory *memory;
    const struct l4_router_request *request;
    const void *items;
    uint32_t count;
    struct l4_text name;
    bool found; /* a value of this name is there */
};

static bool any_like(struct look *look, struct l4_text value)
{
    look->found = true;
    for (uint32_t i = 0; i < look->count; i++) {
        if (is_like(value, item_of(look->memory, look->items, i)))
            return true;
    }
    return false;
}

/* True if there is no value, and one item is empty. */
static bool may_be_absent(const struct look *look)
{
    for (uint32_t i = 0; !look->found && i < look->count; i++) {
        if (!item_of(look->memory, look->items, i).bytes)
            return true;
    }
    return false;
}

/* Decodes a value of a query into `to`. An invalid % stands for itself. */
static struct l4_text decoded(struct l4_text text, char to[static L4_QUERY_VALUE_MAX])
{
    uint32_t used = 0;
    while (text.bytes && used < L4_QUERY_VALUE_MAX)
        to[used++] = l4_query_byte(&text);
    return (struct l4_text){to, used};
}

static bool in_values(struct look *look, enum l4_values_kind kind)
{
    char buffer[L4_QUERY_VALUE_MAX];
    struct l4_values values = l4_values_of(look->request, kind, look->name);
    struct l4_text value;
    while (l4_values_next(&values, &value)) {
        if (any_like(look, kind == L4_VALUES_ARGUMENT ? decoded(value, buffer) : value))
            return true;
    }
    return may_be_absent(look);
}

static bool in_network(const struct look *look)
{
    const struct l4_router_net *nets = look->items;
    for (uint32_t i = 0; i < look->count; i++) {
        const struct l4_router_net net = nets[i];
        if (look->request->source && net.bits <= 128 &&
            l4_addr_within(look->request->source, &net.net, net.bits))
            return true;
    }
    return false;
}

/* True if the regular expression at `at` matches the text, by one step a byte. */
static bool follows(const struct l4_router_memory *memory, uint32_t at, struct l4_text text)
{
    const struct l4_router_dfa *dfa = array_of(memory, (struct l4_router_list){at, 1}, sizeof *dfa);
    if (!dfa)
        return false;
    const uint32_t classes = dfa->classes;
    const struct l4_router_list steps = dfa->steps, ends = dfa->ends;
    const uint16_t *next = array_of(memory, steps, sizeof *next);
    const uint8_t *is_end = array_of(memory, ends, sizeof *is_end);
    uint64_t state = dfa->start;
    for (size_t i = 0; i < text.bytes; i++) {
        const uint64_t step = state * classes + dfa->class_of[text.at[i] & 127];
        if (!next || step >= steps.count)
            return false;
        state = next[step];
    }
    return is_end && state < ends.count && is_end[state] == 1;
}

static bool in_path(const struct look *look, uint32_t kind, uint32_t *matched)
{
    const struct l4_router_request *request = look->request;
    for (uint32_t i = 0; i < look->count; i++) {
        const struct l4_text item = item_of(look->memory, look->items, i);
        if (kind == L4_ROUTER_PREFIX && begins(request->path, item)) {
            *matched = (uint32_t)item.bytes;
            return true;
        }
        if ((kind == L4_ROUTER_PATH && l4_text_is(request->path, item)) ||
            (kind == L4_ROUTER_SUFFIX && ends(request->path, item)) ||
            (kind == L4_ROUTER_REGEX &&
             follows(look->memory, ((const struct l4_router_list *)look->items)[i].at,
                     request->path)))
            return true;
    }
    return false;
}

static bool in_texts(const struct look *look, uint32_t kind)
{
    const struct l4_router_request *request = look->request;
    static const struct l4_text schemes[] = {
        [L4_SCHEME_HTTP] = {"http", 4}, [L4_SCHEME_HTTPS] = {"https", 5}};
    for (uint32_t i = 0; i < look->count; i++) {
        const struct l4_text item = item_of(look->memory, look->items, i);
        if ((kind == L4_ROUTER_METHOD && l4_text_is(request->method, item)) ||
            (kind == L4_ROUTER_SNI && is_server_name(request->sni, item)) ||
            (kind == L4_ROUTER_SCHEME && request->scheme <= L4_SCHEME_HTTPS &&
             l4_text_is(schemes[request->scheme], item)))
            return true;
    }
    return false;
}

static bool is_over(const struct look *look, uint64_t count)
{
    const struct l4_router_number *number = look->items;
    return look->count && count > ((uint64_t)number->high << 32 | number->low);
}

static uint64_t count_fields(const struct l4_router_request *request)
{
    struct l4_text name, value;
    uint32_t count = 0;
    while (request->field && request->field(request->fields, count, &name, &value))
        count++;
    return count;
}

static bool holds(const struct l4_router_memory *memory, const struct l4_router_request *request,
                  const struct l4_router_condition *condition, uint32_t *matched)
{
    const uint32_t kind = condition->kind;
    const size_t size =
        kind == L4_ROUTER_SOURCE ? sizeof(struct l4_router_net) : sizeof(struct l4_router_list);
    struct look look = {memory,
                        request,
                        array_of(memory, condition->items, size),
                        condition->items.count,
                        l4_router_text(memory, condition->name),
                        false};
    if (!look.items)
        return false;
    switch (kind) {
    case L4_ROUTER_SCHEME:
    case L4_ROUTER_METHOD:
    case L4_ROUTER_SNI:
        return in_texts(&look, kind);
    case L4_ROUTER_OTHER_METHOD:
        return !in_texts(&look, L4_ROUTER_METHOD);
    case L4_ROUTER_QUERY_OVER:
        return is_over(&look, request->query.bytes);
    case L4_ROUTER_BODY_OVER:
        return is_over(&look, request->body);
    case L4_ROUTER_FIELDS_OVER:
        return is_over(&look, count_fields(request));
    case L4_ROUTER_PATH:
    case L4_ROUTER_PREFIX:
    case L4_ROUTER_SUFFIX:
    case L4_ROUTER_REGEX:
        return in_path(&look, kind, matched);
    case L4_ROUTER_SOURCE:
        return in_network(&look);
    case L4_ROUTER_HEADER:
        return in_values(&look, L4_VALUES_FIELD);
    case L4_ROUTER_COOKIE:
        return in_values(&look, L4_VALUES_COOKIE);
    case L4_ROUTER_QUERY:
        return in_values(&look, L4_VALUES_ARGUMENT);
    default:
        return false;
    }
}

static bool all_hold(const struct l4_router_memory *memory, const struct l4_router_request *request,
                     struct l4_router_list list, uint32_t *matched)
{
    const struct l4_router_condition *conditions =
        array_of(memory, list, sizeof(struct l4_router_condition));
    *matched = 0;
    if (!conditions)
        return false;
    for (uint32_t i = 0; i < list.count; i++) {
        const struct l4_router_condition condition = conditions[i];
        if (!holds(memory, request, &condition, matched))
            return false;
    }
    return true;
}

/* ---- the choice ----------------------------------------------------------------------------- */

enum { HASH_BEGIN = 0x811c9dc5, HASH_PRIME = 0x01000193 }; /* FNV-1a, 32 bits */

/* why from its end: on its way it meets the hashes of all wildcards. Nobody but the operator
 * chooses the names in the table, so its key is no secret. */
static uint32_t hash_on(uint32_t hash, char c)
{
    return (hash ^ (unsigned char)c) * (uint32_t)HASH_PRIME;
}

uint32_t l4_router_hash(const char *name, size_t bytes)
{
    uint32_t hash = HASH_BEGIN;
    while (bytes)
        hash = hash_on(hash, name[--bytes]);
    return hash;
}

static bool find_name(const struct l4_router_memory *memory, struct l4_router_list hosts,
                      uint32_t hash, struct l4_text name, struct l4_router_list *names)
{
    const struct l4_router_host *table = array_of(memory, hosts, sizeof(struct l4_router_host));
    if (!table || !hosts.count || hosts.count & (hosts.count - 1))
        return false;
    for (uint32_t i = 0; i < hosts.count; i++) {
        const struct l4_router_host host = table[(hash + i) & (hosts.count - 1)];
        if (!host.name.count)
            return false;
        if (host.hash == hash && l4_text_is(l4_router_text(memory, host.name), name)) {
            *names = host.names;
            return true;
        }
    }
    return false;
}

/* Returns the routes that name this host: those of the host itself, else of the longest wildcard
 * that it is below. */
static struct l4_router_list routes_of(const struct l4_router_memory *memory,
                                       const struct l4_router *router, struct l4_text host)
{
    struct l4_router_list names = {0, 0};
    uint32_t hash = HASH_BEGIN;
    if (!router->hosts.count)
        return names;
    for (size_t at = host.bytes; at;) {
        hash = hash_on(hash, host.at[--at]);
        if (!at || (router->wildcards && host.at[at] == '.'))
            (void)find_name(memory, router->hosts, hash, l4_text_after(host, at), &names);
    }
    return names;
}

/* Two ascending lists of routes, read as one. */
struct candidates {
    const uint16_t *one, *other;
    uint32_t one_left, other_left;
};

static bool next_candidate(struct candidates *all, uint32_t *number)
{
    if (all->one_left && (!all->other_left || *all->one < *all->other)) {
        *number = *all->one++;
        all->one_left--;
        return true;
    }
    if (!all->other_left)
        return false;
    *number = *all->other++;
    all->other_left--;
    return true;
}

bool l4_router_choose(const struct l4_router_memory *memory, uint32_t at,
                      const struct l4_router_request *request, uint32_t from,
                      struct l4_router_answer *answer)
{
    const struct l4_router *found = array_of(memory, (struct l4_router_list){at, 1}, sizeof *found);
    answer->number = L4_NONE;
    if (!found || found->format != L4_ROUTER_FORMAT)
        return false;
    const struct l4_router router = *found;
    const struct l4_router_list named = routes_of(memory, &router, request->host);
    const struct l4_router_route *routes = array_of(memory, router.routes, sizeof *routes);
    struct candidates all = {.one = array_of(memory, named, sizeof(uint16_t)),
                             .other = array_of(memory, router.rest, sizeof(uint16_t))};
    all.one_left = all.one ? named.count : 0;
    all.other_left = all.other ? router.rest.count : 0;
    uint32_t left = request->random, number;
    while (routes && next_candidate(&all, &number)) {
        if (number < from || number >= router.routes.count)
            continue;
        if (!all_hold(memory, request, routes[number].conditions, &answer->matched))
            continue;
        answer->route = routes[number];
        if (!answer->route.has_share || left < answer->route.share) {
            answer->number = number;
            return true;
        }
        left -= answer->route.share;
    }
    return false;
}

uint32_t l4_router_rules(const struct l4_router_memory *memory, uint32_t at,
                         enum l4_router_rule_kind kind)
{
    const struct l4_router *found = array_of(memory, (struct l4_router_list){at, 1}, sizeof *found);
    return found && found->format == L4_ROUTER_FORMAT ? found->rules[kind] : 0;
}

bool l4_router_inspection(const struct l4_router_memory *memory, const struct l4_router_route *rule,
                          struct l4_router_inspection *inspection)
{
    const struct l4_router_inspection *found =
        rule->inspection.count ? array_of(memory, rule->inspection, sizeof *found) : NULL;
    if (!found)
        return false;
    *inspection = *found;
    return true;
}

bool l4_router_recording(const struct l4_router_memory *memory, const struct l4_router_route *rule,
                         struct l4_router_recording *recording)
{
    const struct l4_router_recording *found =
        rule->recording.count ? array_of(memory, rule->recording, sizeof *found) : NULL;
    if (!found)
        return false;
    *recording = *found;
    return true;
}

bool l4_router_read(const struct l4_router_memory *memory, uint32_t at, uint32_t number,
                    struct l4_router_answer *answer)
{
    const struct l4_router *found = array_of(memory, (struct l4_router_list){at, 1}, sizeof *found);
    answer->number = L4_NONE;
    answer->matched = 0;
    if (!found || found->format != L4_ROUTER_FORMAT)
        return false;
    const struct l4_router_list list = found->routes;
    const struct l4_router_route *routes = array_of(memory, list, sizeof *routes);
    if (!routes || number >= list.count)
        return false;
    answer->number = number;
    answer->route = routes[number];
    return true;
}

bool l4_router_find(const struct l4_router_memory *memory, uint32_t at, uint32_t slot,
                    struct l4_router_answer *answer)
{
    for (uint32_t number = 0; l4_router_read(memory, at, number, answer); number++) {
        if (answer->route.slot == slot)
            return true;
    }
    return false;
}

/* ---- what an answer says -------------------------------------------------------------------- */

static struct l4_text part_of(const struct l4_router_memory *memory,
                              const struct l4_router_part *part,
                              const struct l4_router_request *request, uint32_t matched)
{
    static const struct l4_text schemes[] = {{"http", 4}, {"https", 5}};
    switch (part->kind) {
    case L4_PART_TEXT:
        return l4_router_text(memory, part->text);
    case L4_PART_SCHEME:
        return schemes[request->scheme == L4_SCHEME_HTTPS];
    case L4_PART_HOST:
        return request->host;
    case L4_PART_PATH:
        return request->path;
    case L4_PART_REST:
        return l4_text_after(request->path,
                             matched < request->path.bytes ? matched : request->path.bytes);
    default:
        return request->query;
    }
}

/* Writes a part behind `used` bytes. Returns how many there are then; 0: there is no room. */
static uint32_t write_part(struct l4_text text, bool of_path, char *to, uint32_t used,
                           uint32_t room)
{
    /* why: a location that begins with // names another host. */
    while (of_path && text.bytes && *text.at == '/' &&
           ((used == 1 && *to == '/') || (!used && text.bytes > 1 && text.at[1] == '/')))
        text = l4_text_after(text, 1);
    if (text.bytes > room - used)
        return 0;
    l4_text_copy(to + used, text);
    return used + (uint32_t)text.bytes;
}

uint32_t l4_router_write(const struct l4_router_memory *memory, struct l4_router_list parts,
                         const struct l4_router_request *request, uint32_t matched, char *to,
                         uint32_t room)
{
    const struct l4_router_part *list = array_of(memory, parts, sizeof *list);
    uint32_t used = 0;
    for (uint32_t i = 0; list && i < parts.count; i++) {
        const struct l4_router_part part = list[i];
        const struct l4_text text = part_of(memory, &part, request, matched);
        const bool of_path = part.kind == L4_PART_PATH || part.kind == L4_PART_REST;
        if (!text.at)
            continue;
        if (part.kind == L4_PART_QUERY) {
            if (used == room)
                return 0;
            to[used++] = '?';
        }
        const uint32_t now = write_part(text, of_path, to, used, room);
        if (!now && (used || text.bytes > room))
            return 0;
        used = now;
    }
    return used;
}

bool l4_router_change(const struct l4_router_memory *memory, struct l4_router_list changes,
                      uint32_t index, enum l4_router_change_kind *kind, struct l4_text *name,
                      struct l4_text *value)
{
    const struct l4_router_change *list = array_of(memory, changes, sizeof *list);
    if (!list || index >= changes.count)
        return false;
    const struct l4_router_change change = list[index];
    *kind = change.kind == L4_CHANGE_SET ? L4_CHANGE_SET : L4_CHANGE_REMOVE;
    *name = l4_router_text(memory, change.name);
    *value = l4_router_text(memory, change.value);
    return name->bytes > 0;
}
