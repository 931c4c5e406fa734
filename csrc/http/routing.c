#include "http/routing.h"

#include "base/random.h"
#include "http/account.h"
#include "http/caching.h"
#include "http/cookie.h"
#include "http/inspect.h"
#include "http/limit.h"
#include "http/outward.h"
#include "http/record.h"
#include "http/retry.h"
#include "http/serve.h"
#include "shm/http.h"

/* ---- the request, as routes see it ----------------------------------------------------------- */

static bool field_at(const void *of, uint32_t index, struct l4_text *name, struct l4_text *value)
{
    const struct l4_routing_fields *fields = of;
    if (index >= fields->head->field_count)
        return false;
    const struct l4_h1_field *field = &fields->head->fields[index];
    *name = (struct l4_text){fields->bytes + field->name.at, field->name.bytes};
    *value = (struct l4_text){fields->bytes + field->value.at, field->value.bytes};
    return true;
}

static struct l4_text sni_of(const struct l4_loop *loop, uint32_t index)
{
    const struct l4_facts *facts = l4_row_facts(loop, index);
    if (!(l4_session_at(loop, index)->known & L4_FACT_NAME))
        return (struct l4_text){0};
    return (struct l4_text){facts->name, facts->name_bytes};
}

struct l4_router_request l4_routing_request(struct l4_loop *loop, uint32_t index,
                                            struct l4_routing_fields *fields)
{
    const struct l4_session *s = l4_session_at(loop, index);
    const struct l4_http_judged *judged = l4_serve_judged(loop, index);
    const char *bytes = l4_http_block(loop->http, l4_exchange_at(loop, index)->block);
    *fields = (struct l4_routing_fields){&judged->head, bytes};
    return (struct l4_router_request){
        .method = {bytes + judged->head.method_text.at, judged->head.method_text.bytes},
        .host = {judged->host.name, judged->host.bytes},
        .path = {judged->path, judged->path_bytes},
        .query = judged->target.query,
        .sni = sni_of(loop, index),
        .scheme = s->half[L4_CLIENT].flags & L4_HALF_TLS ? L4_SCHEME_HTTPS : L4_SCHEME_HTTP,
        .source = l4_row_client(loop, s),
        .field = field_at,
        .fields = fields,
        .body = judged->head.framing == L4_FRAMING_LENGTH ? judged->head.length : 0,
    };
}

/* ---- the filter ------------------------------------------------------------------------------ */

static void count_hit(const struct l4_loop *loop, uint32_t slot)
{
    L4_OWN_ADD(*l4_table_route_hits(loop->table, loop->setup.index, slot), 1);
}

/* The client is held in silence, and then reset. Who finds no place in the tarpit is told. */
static struct l4_step hold(struct l4_loop *loop, uint32_t index)
{
    if (loop->tarpits >= L4_TARPITS_MAX)
        return l4_serve_refuse(loop, index, 403, L4_END_REJECTED_FILTER);
    l4_serve_free(loop, index);
    return l4_go_to_end(L4_SESSION_TARPIT, L4_END_REJECTED_FILTER);
}

/* The request meets the conditions of a rule. Answers L4_STAY if it may go on. */
static struct l4_step obey(struct l4_loop *loop, uint32_t index, const struct l4_router_route *rule)
{
    const struct l4_session *s = l4_session_at(loop, index);
    struct l4_exchange *x = l4_exchange_at(loop, index);
    const struct l4_router_limit *limit = &rule->requests_per_source;
    if (rule->action == L4_ROUTER_LIMIT && l4_limit_rule(loop, index, rule))
        return l4_stay();
    count_hit(loop, rule->slot);
    x->filter = rule->slot;
    if (limit->dry_run)
        L4_OWN_ADD(l4_row_tally(loop, s)->dry_run[L4_END_REJECTED_FILTER - L4_REJECTED_FIRST], 1);
    if (limit->dry_run || rule->action == L4_ROUTER_LOG) {
        x->retry_after_s = 0;
        return l4_stay();
    }
    x->fault = "filter";
    x->route = rule->slot; /* for the fields of its answer */
    return rule->action == L4_ROUTER_TARPIT
               ? hold(loop, index)
               : l4_serve_refuse(loop, index, (uint16_t)rule->status, L4_END_REJECTED_FILTER);
}

/* Looks at all rules of the listener's filter in their order. Answers L4_STAY if the request may go
 * on. */
static struct l4_step pass_filter(struct l4_loop *loop, uint32_t index,
                                  const struct l4_router_request *request)
{
    const uint32_t listener = l4_session_at(loop, index)->listener;
    struct l4_http_choice choice;
    uint32_t from = 0;
    while (l4_http_filter_choose(loop->table, listener, request, from, &choice)) {
        const struct l4_step step = obey(loop, index, &choice.answer.route);
        if (step.kind != L4_STAY)
            return step;
        from = choice.answer.number + 1;
    }
    return l4_stay();
}

/* ---- the choice ------------------------------------------------------------------------------ */

static void note(struct l4_loop *loop, uint32_t index, const struct l4_http_choice *choice)
{
    const uint32_t slot = choice->answer.route.slot;
    struct l4_exchange *x = l4_exchange_at(loop, index);
    x->route = slot;
    x->matched = choice->answer.matched;
    x->timeout_ms = choice->answer.route.timeout_ms;
    l4_table_request(loop->table, loop->setup.index, index)->route = slot;
    count_hit(loop, slot);
}

struct l4_step l4_routing_go_on(struct l4_loop *loop, uint32_t index, uint32_t cache)
{
    if (l4_outward_is_on(loop, l4_session_at(loop, index)))
        return l4_go(L4_SESSION_FORWARD);
    if (!l4_inspect_allows_cache(loop, index))
        cache = 0;
    l4_retry_earn(loop, index);
    l4_exchange_at(loop, index)->came_to = l4_cookie_backend(loop, index);
    return cache ? l4_caching_begin(loop, index, cache) : l4_go(L4_SESSION_PICK);
}

static struct l4_step to_pool(struct l4_loop *loop, uint32_t index, uint32_t cache)
{
    const bool forward = l4_outward_is_on(loop, l4_session_at(loop, index));
    return !forward && l4_inspect_wants_request(loop, index, cache)
               ? l4_go(L4_SESSION_INSPECT)
               : l4_routing_go_on(loop, index, cache);
}

struct l4_step l4_routing_choose(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_http_choice choice;
    struct l4_routing_fields fields;
    struct l4_router_request request = l4_routing_request(loop, index, &fields);
    l4_recording_choose(loop, index, &request);
    struct l4_step step = l4_limit_listener(loop, index, &request);
    if (step.kind != L4_STAY)
        return step;
    step = pass_filter(loop, index, &request);
    if (step.kind != L4_STAY)
        return step;
    l4_inspect_choose(loop, index, &request);
    request.random = (uint32_t)(l4_random(&loop->random) >> 32);
    if (!l4_http_route_choose(loop->table, s->listener, &request, 0, &choice))
        return to_pool(loop, index, L4_GET(l4_serve_rules(loop, s)->cache));
    note(loop, index, &choice);
    const struct l4_router_route *route = &choice.answer.route;
    step = l4_limit_route(loop, index, &request, &choice);
    if (step.kind != L4_STAY)
        return step;
    if (route->action == L4_ROUTER_POOL) {
        if (route->pool < loop->table->plan.caps.pools)
            s->pool = route->pool;
        return to_pool(loop, index, route->cache);
    }
    x->reply = route->action == L4_ROUTER_REDIRECT ? L4_REPLY_REDIRECT : L4_REPLY_ROUTE;
    x->status = (uint16_t)route->status;
    return l4_go(L4_SESSION_REPLY);
}

bool l4_routing_find(const struct l4_loop *loop, uint32_t index, struct l4_http_choice *choice)
{
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    return x->route != L4_NONE &&
           l4_http_route_find(loop->table, l4_session_at(loop, index)->listener, x->route, choice);
}

/* ---- what a route changes -------------------------------------------------------------------- */

size_t l4_routing_changes(const struct l4_http_choice *choice, struct l4_router_list changes,
                          struct l4_field_rule rules[static L4_ROUTE_CHANGES_MAX])
{
    enum l4_router_change_kind kind;
    size_t count = 0;
    while (count < L4_ROUTE_CHANGES_MAX &&
           l4_router_change(&choice->memory, changes, (uint32_t)count, &kind, &rules[count].name,
                            &rules[count].value)) {
        rules[count].action = kind == L4_CHANGE_SET ? L4_FIELD_SET : L4_FIELD_REMOVE;
        count++;
    }
    return count;
}

uint32_t l4_routing_write(struct l4_loop *loop, uint32_t index, const struct l4_http_choice *choice,
                          struct l4_router_list parts, char *to, uint32_t room)
{
    struct l4_routing_fields fields;
    const struct l4_router_request request = l4_routing_request(loop, index, &fields);
    return l4_router_write(&choice->memory, parts, &request, l4_exchange_at(loop, index)->matched,
                           to, room);
}
