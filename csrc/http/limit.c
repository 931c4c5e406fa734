#include "http/limit.h"

#include "base/assert.h"
#include "core/http_texts.h"
#include "core/rate_table.h"
#include "core/request_values.h"
#include "http/serve.h"
#include "run/admission.h"
#include "shm/http.h"

enum { STATUS_FIRST = 400, STATUSES = 200 }; /* those that can count as errors */

/* ---- one limit ------------------------------------------------------------------------------- */

static void tell_wait(struct l4_loop *loop, uint32_t index, uint64_t wait_us)
{
    l4_exchange_at(loop, index)->retry_after_s = (uint32_t)((wait_us + 999999) / 1000000);
}

/* Takes one of the requests that a limit allows. */
static bool take(struct l4_loop *loop, uint32_t index, const struct l4_router_limit *limit,
                 uint64_t hash)
{
    uint64_t wait_us;
    if (l4_rate_table_take(l4_table_rates(loop->table), L4_RATE_GROUPS, hash, loop->now_us,
                           l4_rate_of(limit->rate, limit->burst), &wait_us) != L4_RATE_EMPTY)
        return true;
    tell_wait(loop, index, wait_us);
    return false;
}

/* Returns the key by which requests of the request's source are counted under `salt`. */
static uint64_t source_of(const struct l4_loop *loop, const struct l4_session *s, uint64_t salt)
{
    return l4_admission_source(loop, s, l4_row_client(loop, s), salt);
}

/* Turns a request away. Answers L4_STAY in a dry run. */
static struct l4_step refuse(struct l4_loop *loop, uint32_t index, uint32_t status, bool dry_run,
                             enum l4_reason reason)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    L4_ASSERT(l4_reason_is_rejection(reason));
    if (dry_run) {
        const struct l4_session *s = l4_session_at(loop, index);
        L4_OWN_ADD(l4_row_tally(loop, s)->dry_run[reason - L4_REJECTED_FIRST], 1);
        x->retry_after_s = 0;
        return l4_stay();
    }
    x->fault = reason == L4_END_REJECTED_ERROR_RATE ? "error_rate" : "request_rate";
    return l4_serve_refuse(loop, index, (uint16_t)(status ? status : 429), reason);
}

/* ---- rates of requests ----------------------------------------------------------------------- */

/* The limits of a listener, or of a route. */
struct limits {
    struct l4_router_limit all, source, key;
    struct l4_text value; /* of the request, by which `key` counts; empty: it does not */
    uint64_t salt;        /* tells these limits from all others */
};

static struct l4_step apply(struct l4_loop *loop, uint32_t index, const struct limits *limits)
{
    const struct l4_session *s = l4_session_at(loop, index);
    const struct l4_hash_key *secret = &loop->table->header->hash_key;
    const struct l4_router_limit *full = NULL;
    if (limits->source.rate &&
        !take(loop, index, &limits->source, source_of(loop, s, limits->salt)))
        full = &limits->source;
    else if (limits->key.rate && limits->value.bytes &&
             !take(loop, index, &limits->key,
                   l4_hash_again(l4_hash(secret, limits->value.at, limits->value.bytes),
                                 ~limits->salt)))
        full = &limits->key;
    else if (limits->all.rate && !take(loop, index, &limits->all, limits->salt))
        full = &limits->all;
    if (!full)
        return l4_stay();
    return refuse(loop, index, full->status, full->dry_run, L4_END_REJECTED_REQUEST_RATE);
}

enum limited { LISTENER, ROUTE };

static uint64_t salt_of(const struct l4_loop *loop, enum limited what, uint32_t number)
{
    const uint32_t named[] = {what, number};
    return l4_hash(&loop->table->header->hash_key, named, sizeof named);
}

/* Returns the value by which the listener's requests_per_key counts the request. */
static struct l4_text listener_value(const struct l4_loop *loop, uint32_t listener, uint32_t kind,
                                     const struct l4_router_request *request)
{
    struct l4_texts texts;
    struct l4_text value;
    do {
        texts = l4_texts_begin(loop->table);
        value = l4_request_key(request, kind, l4_texts_listener(&texts, listener).limit_key);
    } while (!l4_texts_hold(loop->table, &texts)); /* a reload has replaced the name */
    return value;
}

static struct l4_step limit_rates(struct l4_loop *loop, uint32_t index,
                                  const struct l4_router_request *request)
{
    const struct l4_session *s = l4_session_at(loop, index);
    const struct l4_http_listener *rules = l4_serve_rules(loop, s);
    struct limits limits = {
        .all = {L4_GET(rules->request_rate), L4_GET(rules->request_burst),
                L4_GET(rules->request_status), L4_GET(rules->request_dry_run)},
        .source = {L4_GET(rules->source_request_rate), L4_GET(rules->source_request_burst),
                   L4_GET(rules->source_request_status), L4_GET(rules->source_request_dry_run)},
        .key = {L4_GET(rules->key_request_rate), L4_GET(rules->key_request_burst),
                L4_GET(rules->key_request_status), L4_GET(rules->key_request_dry_run)},
    };
    if (!limits.all.rate && !limits.source.rate && !limits.key.rate)
        return l4_stay();
    if (limits.key.rate)
        limits.value = listener_value(loop, s->listener, L4_GET(rules->key_request_kind), request);
    limits.salt = salt_of(loop, LISTENER, L4_GET(l4_row_policy(loop, s)->limits.head));
    return apply(loop, index, &limits);
}

struct l4_step l4_limit_route(struct l4_loop *loop, uint32_t index,
                              const struct l4_router_request *request,
                              const struct l4_http_choice *choice)
{
    const struct l4_router_route *route = &choice->answer.route;
    struct limits limits = {.all = route->requests,
                            .source = route->requests_per_source,
                            .key = route->requests_per_key};
    if (!limits.all.rate && !limits.source.rate && !limits.key.rate)
        return l4_stay();
    if (limits.key.rate)
        limits.value = l4_request_key(request, route->key_kind,
                                      l4_router_text(&choice->memory, route->key_name));
    limits.salt = salt_of(loop, ROUTE, route->slot);
    return apply(loop, index, &limits);
}

bool l4_limit_rule(struct l4_loop *loop, uint32_t index, const struct l4_router_route *rule)
{
    const struct l4_router_limit *limit = &rule->requests_per_source;
    const struct l4_session *s = l4_session_at(loop, index);
    return !limit->rate ||
           take(loop, index, limit, source_of(loop, s, salt_of(loop, ROUTE, rule->slot)));
}

/* ---- errors ---------------------------------------------------------------------------------- */

/* The bucket of errors of the request's source. */
struct errors {
    struct l4_rate rate;
    uint64_t hash;
};

/* Returns false if the listener does not limit errors. why the rule in the hash: after a change of
 * the rule every source begins anew, and no word says for a day that a bucket is empty. */
static bool errors_of(const struct l4_loop *loop, const struct l4_session *s, struct errors *errors)
{
    const struct l4_http_listener *rules = l4_serve_rules(loop, s);
    const uint32_t limit = L4_GET(rules->error_limit), window = L4_GET(rules->error_window_ms);
    if (!limit)
        return false;
    const uint64_t step_us = 1000ull * window / limit;
    const uint32_t rule[] = {L4_GET(l4_row_policy(loop, s)->limits.head), limit, window};
    errors->rate = (struct l4_rate){.step_us = step_us ? step_us : 1, .burst = limit};
    errors->hash = source_of(loop, s, l4_hash(&loop->table->header->hash_key, rule, sizeof rule));
    return true;
}

static struct l4_step limit_errors(struct l4_loop *loop, uint32_t index)
{
    const struct l4_session *s = l4_session_at(loop, index);
    const struct l4_http_listener *rules = l4_serve_rules(loop, s);
    struct errors errors;
    if (!errors_of(loop, s, &errors))
        return l4_stay();
    const uint64_t wait_us = l4_rate_table_wait_us(l4_table_rates(loop->table), L4_RATE_GROUPS,
                                                   errors.hash, loop->now_us, errors.rate);
    if (!wait_us)
        return l4_stay();
    tell_wait(loop, index, wait_us);
    return refuse(loop, index, L4_GET(rules->error_status), L4_GET(rules->error_dry_run),
                  L4_END_REJECTED_ERROR_RATE);
}

static bool is_error(const struct l4_http_listener *rules, uint16_t status)
{
    const uint32_t bit = (uint32_t)status - STATUS_FIRST;
    const uint64_t words[] = {L4_GET(rules->error_statuses0), L4_GET(rules->error_statuses1),
                              L4_GET(rules->error_statuses2), L4_GET(rules->error_statuses3)};
    return bit < STATUSES && words[bit / 64] >> (bit % 64) & 1;
}

void l4_limit_answered(struct l4_loop *loop, uint32_t index, enum l4_reason reason)
{
    const struct l4_session *s = l4_session_at(loop, index);
    struct errors errors;
    uint64_t wait_us;
    if (!L4_GET(l4_serve_rules(loop, s)->error_limit) || reason == L4_END_REJECTED_ERROR_RATE ||
        !is_error(l4_serve_rules(loop, s), l4_exchange_at(loop, index)->status) ||
        !errors_of(loop, s, &errors))
        return;
    (void)l4_rate_table_take(l4_table_rates(loop->table), L4_RATE_GROUPS, errors.hash, loop->now_us,
                             errors.rate, &wait_us);
}

/* ---- a listener ------------------------------------------------------------------------------ */

struct l4_step l4_limit_listener(struct l4_loop *loop, uint32_t index,
                                 const struct l4_router_request *request)
{
    const struct l4_step step = limit_errors(loop, index);
    return step.kind == L4_STAY ? limit_rates(loop, index, request) : step;
}
