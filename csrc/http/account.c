#include "http/account.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "base/assert.h"
#include "base/random.h"
#include "core/http_route.h"
#include "core/http_texts.h"
#include "core/talkers.h"
#include "http/limit.h"
#include "http/outward.h"
#include "http/record.h"
#include "http/serve.h"
#include "http/tunnel.h"
#include "run/account.h"
#include "shm/ring.h"

static struct l4_request *row_of(const struct l4_loop *loop, uint32_t index)
{
    return l4_table_request(loop->table, loop->setup.index, index);
}

static struct l4_http_tally *tally_of(const struct l4_loop *loop, const struct l4_session *s)
{
    return l4_table_http_tally(loop->table, loop->setup.index, s->listener);
}

static struct l4_http_column *column_of(const struct l4_loop *loop, const struct l4_session *s)
{
    return l4_table_http_column(loop->table, loop->setup.index, s->backend);
}

void l4_account_begin(struct l4_loop *loop, uint32_t index)
{
    struct l4_request *row = row_of(loop, index);
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    const struct l4_session *s = l4_session_at(loop, index);
    L4_SET(row->number, x->number);
    row->started_us = x->started_us;
    row->route = L4_NONE;
    row->minor = 0;
    row->flags = (uint8_t)((s->half[L4_CLIENT].flags & L4_HALF_TLS ? L4_REQUEST_TLS : 0) |
                           (s->stream ? L4_REQUEST_HTTP2 : 0));
    memset(&row->text, 0, offsetof(struct l4_request_text, method));
    L4_SET(row->counted, 1);
    L4_OWN_ADD(tally_of(loop, s)->requests, 1);
}

/* ---- texts ----------------------------------------------------------------------------------- */

/* Copies a text into its place. Returns how much of it fitted. */
static uint16_t put(struct l4_request *row, char *to, size_t size, const char *at, size_t bytes)
{
    const size_t taken = bytes < size ? bytes : size;
    if (taken < bytes)
        row->flags |= L4_REQUEST_CUT;
    if (taken)
        memcpy(to, at, taken);
    return (uint16_t)taken;
}

static uint16_t put_field(struct l4_request *row, char *to, size_t size, const char *bytes,
                          const struct l4_h1_head *head, enum l4_field_id id)
{
    if (!l4_h1_has(head, id))
        return 0;
    const struct l4_h1_text *value = &head->fields[head->first[id]].value;
    return put(row, to, size, bytes + value->at, value->bytes);
}

enum { ID_BYTES = 32 }; /* a request's id: 128 bits in hexadecimal */

/* Takes the id that a proxy which is believed has given the request. Returns false if there is
 * none that may be passed on. */
static bool take_id(struct l4_loop *loop, uint32_t index, struct l4_text name,
                    struct l4_request_text *text)
{
    const struct l4_h1_head *head = &loop->http->judged.head;
    const char *bytes = l4_http_block(loop->http, l4_exchange_at(loop, index)->block);
    if (!l4_serve_trusts(loop, l4_session_at(loop, index)))
        return false;
    for (uint32_t i = 0; i < head->field_count; i++) {
        const struct l4_h1_field *field = &head->fields[i];
        if (field->name.bytes != name.bytes || !field->value.bytes ||
            field->value.bytes > sizeof text->id ||
            strncasecmp(bytes + field->name.at, name.at, name.bytes) != 0)
            continue;
        memcpy(text->id, bytes + field->value.at, field->value.bytes);
        text->id_bytes = field->value.bytes;
        return true;
    }
    return false;
}

/* Gives the request an id that no other one has, where its listener names a field for it. */
static void put_id(struct l4_loop *loop, uint32_t index, struct l4_request_text *text)
{
    const struct l4_texts texts = l4_texts_begin(loop->table);
    const uint32_t listener = l4_session_at(loop, index)->listener;
    const struct l4_text name = l4_texts_listener(&texts, listener).request_id;
    if (!name.bytes || take_id(loop, index, name, text))
        return;
    for (uint32_t at = 0; at < ID_BYTES;) {
        uint64_t random = l4_random(&loop->random);
        for (int i = 0; i < 16; i++, random >>= 4)
            text->id[at++] = "0123456789abcdef"[random & 15];
    }
    text->id_bytes = ID_BYTES;
}

void l4_account_judged(struct l4_loop *loop, uint32_t index)
{
    struct l4_request *row = row_of(loop, index);
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    const struct l4_http_judged *judged = &loop->http->judged;
    const struct l4_h1_head *head = &judged->head;
    const char *bytes = l4_http_block(loop->http, x->block);
    struct l4_request_text *text = &row->text;
    row->minor = head->minor;
    text->method_bytes = put(row, text->method, sizeof text->method, bytes + head->method_text.at,
                             head->method_text.bytes);
    text->host_bytes =
        put(row, text->host, sizeof text->host, judged->host.name, judged->host.bytes);
    text->target_bytes =
        put(row, text->target, sizeof text->target, bytes + head->target.at, head->target.bytes);
    text->agent_bytes =
        put_field(row, text->agent, sizeof text->agent, bytes, head, L4_FIELD_USER_AGENT);
    text->referer_bytes =
        put_field(row, text->referer, sizeof text->referer, bytes, head, L4_FIELD_REFERER);
    put_id(loop, index, text);
}

void l4_account_retry(struct l4_loop *loop, uint32_t index, uint32_t cause)
{
    struct l4_http_column *column = column_of(loop, l4_session_at(loop, index));
    L4_ASSERT(cause && (cause & (cause - 1)) == 0 && cause < 1 << 8);
    l4_exchange_at(loop, index)->retry_cause = (uint8_t)cause;
    l4_exchange_at(loop, index)->retries++;
    L4_OWN_ADD(column->retries[__builtin_ctz(cause)], 1);
    if (cause == L4_RETRY_REUSE)
        L4_OWN_ADD(column->stale, 1);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void count(struct l4_loop *loop, uint32_t index, enum l4_reason reason)
{
    const struct l4_session *s = l4_session_at(loop, index);
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_http_tally *tally = tally_of(loop, s);
    const uint32_t class = x->status / 100u < L4_STATUS_CLASSES ? x->status / 100u : 0;
    L4_OWN_ADD(tally->classes[class], 1);
    L4_OWN_ADD(tally->bytes[L4_CLIENT], x->up.bytes);
    L4_OWN_ADD(tally->bytes[L4_BACKEND], x->down.bytes);
    if (reason != L4_END_NONE)
        L4_OWN_ADD(tally->ended[reason], 1);
    if (s->backend == L4_NONE)
        return;
    struct l4_http_column *column = column_of(loop, s);
    L4_OWN_ADD(column->classes[class], 1);
    if (x->flags & L4_X_REUSED)
        L4_OWN_ADD(column->reused, 1);
    else
        L4_OWN_ADD(column->fresh, 1);
}

static void measure(const struct l4_loop *loop, uint32_t index)
{
    const struct l4_session *s = l4_session_at(loop, index);
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_ledger *ledger = l4_table_ledger(loop->table, loop->setup.index, s->pool);
    l4_ledger_add(ledger, L4_MEASURE_REQUEST_US, loop->now_us - x->started_us);
    if (x->flags & L4_X_ANSWERED && s->backend != L4_NONE)
        l4_ledger_add(ledger, L4_MEASURE_ANSWER_US, x->answered_us);
}

static bool is_logged(const struct l4_loop *loop, const struct l4_exchange *x,
                      enum l4_reason reason)
{
    const struct l4_log_rule *rule = &l4_table_stats(loop->table)->log_rule;
    if (!L4_GET(rule->on))
        return false;
    if (reason != L4_END_NONE || x->status >= 500)
        return true;
    if (L4_GET(rule->errors_only) ||
        loop->now_us - x->started_us < 1000ull * L4_GET(rule->min_duration_ms))
        return false;
    const uint32_t share = L4_GET(rule->share);
    return share >= 65536 ||
           l4_hash_below(l4_hash_again(loop->now_us ^ x->number, loop->setup.index), 65536) < share;
}

/* ---- the log --------------------------------------------------------------------------------- */

/* Returns what the row of a session, or of a connection of HTTP/2, tells of a request's end. */
static struct l4_request_end end_of_session(const struct l4_session *s, uint32_t slot,
                                            uint64_t now_us, enum l4_reason reason)
{
    return (struct l4_request_end){
        .ended_us = now_us,
        .listener = s->listener,
        .pool = s->pool,
        .backend = L4_NONE,
        .route = L4_NONE,
        .serial = L4_GET(s->serial),
        .slot = slot,
        .client = s->client,
        .reason = (uint8_t)reason,
    };
}

/* The same, with what the request's row tells. */
static struct l4_request_end end_of_request(const struct l4_table *table, uint32_t worker,
                                            uint32_t slot, uint64_t now_us, enum l4_reason reason)
{
    const struct l4_session *s = l4_table_session(table, worker, slot);
    const struct l4_request *row = l4_table_request(table, worker, slot);
    struct l4_request_end end = end_of_session(s, slot, now_us, reason);
    end.duration_us = now_us > row->started_us ? now_us - row->started_us : 0;
    end.number = L4_GET(row->number);
    end.route = row->route;
    end.minor = row->minor;
    end.flags = row->flags;
    end.text = row->text;
    if (s->known & L4_FACT_CLAIMED) {
        end.client = row->client;
        end.peer = s->client;
    }
    if (s->backend < table->plan.caps.backends) {
        end.backend = s->backend;
        end.backend_serial = L4_GET(l4_table_backend(table, s->backend)->used);
    }
    return end;
}

static void put_fault(struct l4_request_end *end, const char *fault)
{
    if (fault)
        strncpy(end->fault, fault, sizeof end->fault - 1);
}

/* Of a forward proxy: who asked, what decided, and where it went, if it was not answered here. */
static void put_outward(const struct l4_loop *loop, uint32_t index, struct l4_request_end *end)
{
    const struct l4_session *s = l4_session_at(loop, index);
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    if (!l4_outward_is_on(loop, s) || !l4_outward_is_known(loop, index) || x->status == 407)
        return;
    const struct l4_outward *o = l4_outward_at(loop, index);
    end->rule_bytes = o->rule_bytes;
    end->user_bytes = o->user_bytes;
    memcpy(end->rule, o->rule, sizeof end->rule);
    memcpy(end->user, o->user, sizeof end->user);
    const bool went = s->backend != L4_NONE || x->left != L4_NONE;
    if (went && o->allowed && o->next < o->addrs)
        end->outside = o->addr[o->next];
}

/* Copies the name of the rule with this slot (L4_NONE: there is none). Returns its bytes. */
static uint16_t put_rule(const struct l4_loop *loop, const struct l4_session *s, uint32_t slot,
                         char to[static L4_REQUEST_FILTER_MAX])
{
    struct l4_http_choice choice;
    if (slot == L4_NONE || !l4_http_route_find(loop->table, s->listener, slot, &choice))
        return 0;
    struct l4_text name = l4_router_text(&choice.memory, choice.answer.route.name);
    if (name.bytes > L4_REQUEST_FILTER_MAX)
        name.bytes = L4_REQUEST_FILTER_MAX;
    l4_text_copy(to, name);
    /* why asked: a reload may have replaced the text */
    return l4_http_route_stays(loop->table, &choice) ? (uint16_t)name.bytes : 0;
}

/* Notes what is known beside the rows: the client's TLS, and the rules of filter and inspection
 * that the request met. */
static void put_more(const struct l4_loop *loop, uint32_t index, struct l4_request_end *end)
{
    const struct l4_session *s = l4_session_at(loop, index);
    const struct l4_facts *facts = l4_row_facts(loop, index);
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    if (s->known & L4_FACT_TLS)
        memcpy(end->tls, facts->version, sizeof end->tls);
    if (s->known & L4_FACT_NAME && facts->name_bytes <= sizeof end->sni) {
        end->sni_bytes = facts->name_bytes;
        memcpy(end->sni, facts->name, facts->name_bytes);
    }
    put_outward(loop, index, end);
    end->filter_bytes = put_rule(loop, s, x->filter, end->filter);
    end->verdict = x->verdict;
    end->inspect_bytes = put_rule(loop, s, x->inspected - 1, end->inspect);
}

/* All that is told of a request at its end. */
static struct l4_request_end told_of(const struct l4_loop *loop, uint32_t index,
                                     enum l4_reason reason)
{
    const struct l4_session *s = l4_session_at(loop, index);
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    const uint32_t worker = loop->setup.index;
    struct l4_request_end end = end_of_request(loop->table, worker, index, loop->now_us, reason);
    end.bytes_in = x->up.bytes;
    end.bytes_out = x->down.bytes;
    end.head_us = (uint32_t)(x->asked_us - x->started_us);
    end.queue_us = s->queue_us;
    end.connect_us = s->connect_us;
    end.answer_us = x->answered_us;
    end.error = reason == L4_END_NONE ? 0 : s->error;
    end.status = x->status;
    end.retries = (uint8_t)(s->attempts + x->retries);
    end.retry_cause = x->retry_cause;
    end.cached = x->cached;
    if (x->flags & L4_X_REUSED)
        end.flags |= L4_REQUEST_REUSED;
    if (s->backend == L4_NONE) {
        end.backend = x->left;
        end.backend_serial = x->left_serial;
    }
    put_fault(&end, x->fault);
    put_more(loop, index, &end);
    return end;
}

/* ---- ends ------------------------------------------------------------------------------------ */

void l4_account_answer(struct l4_loop *loop, uint32_t index, enum l4_reason reason)
{
    struct l4_request *row = row_of(loop, index);
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    const struct l4_session *s = l4_session_at(loop, index);
    if (!L4_GET(row->counted))
        return;
    L4_SET(row->counted, 0);
    const bool tunnel = s->http == L4_HTTP_TUNNELS;
    if (tunnel) {
        l4_tunnel_measure(loop, index);
        reason = l4_account_is_clean(reason) ? L4_END_NONE : reason;
    }
    count(loop, index, reason);
    l4_limit_answered(loop, index, reason);
    if (l4_reason_is_rejection(reason))
        l4_talkers_reject(l4_table_talkers(loop->table, loop->setup.index), l4_row_client(loop, s),
                          loop->now_ms);
    if (s->pool != L4_NONE && !tunnel && L4_GET(l4_table_stats(loop->table)->measures))
        measure(loop, index);
    const bool logged = is_logged(loop, x, reason);
    if (!logged && !l4_recording_is_on(loop, index))
        return;
    const struct l4_request_end end = told_of(loop, index, reason);
    if (logged)
        (void)L4_RING_PUT(l4_table_request_log(loop->table, loop->setup.index), ring, ends, &end);
    l4_recording_end(loop, index, &end);
}

void l4_account_refused(struct l4_loop *loop, uint32_t index, enum l4_reason reason,
                        const char *fault)
{
    const struct l4_session *s = l4_session_at(loop, index);
    struct l4_http_tally *tally = tally_of(loop, s);
    struct l4_request_log *log = l4_table_request_log(loop->table, loop->setup.index);
    struct l4_request_end end = end_of_session(s, index, loop->now_us, reason);
    L4_ASSERT(l4_reason_is_rejection(reason));
    L4_OWN_ADD(tally->requests, 1);
    L4_OWN_ADD(tally->classes[0], 1);
    L4_OWN_ADD(tally->ended[reason], 1);
    l4_talkers_reject(l4_table_talkers(loop->table, loop->setup.index), &s->client, loop->now_ms);
    if (!L4_GET(l4_table_stats(loop->table)->log_rule.on))
        return;
    end.flags =
        (uint8_t)(L4_REQUEST_HTTP2 | (s->half[L4_CLIENT].flags & L4_HALF_TLS ? L4_REQUEST_TLS : 0));
    put_fault(&end, fault);
    (void)L4_RING_PUT(log, ring, ends, &end);
}

/* ---- after a death --------------------------------------------------------------------------- */

void l4_account_request_lost(const struct l4_table *table, uint32_t worker, uint32_t slot,
                             uint64_t now_us)
{
    struct l4_request *row = l4_table_request(table, worker, slot);
    const struct l4_session *s = l4_table_session(table, worker, slot);
    if (L4_GET(s->state) == L4_SESSION_HTTP2)
        L4_OWN_ADD(l4_table_http_tally(table, worker, s->listener)->http2_closed, 1);
    if (!s->http || !L4_GET(row->counted))
        return;
    struct l4_http_tally *tally = l4_table_http_tally(table, worker, s->listener);
    struct l4_request_log *log = l4_table_request_log(table, worker);
    L4_SET(row->counted, 0);
    L4_OWN_ADD(tally->classes[0], 1);
    L4_OWN_ADD(tally->ended[L4_END_WORKER_DIED], 1);
    if (!L4_GET(l4_table_stats(table)->log_rule.on))
        return;
    const struct l4_request_end end =
        end_of_request(table, worker, slot, now_us, L4_END_WORKER_DIED);
    (void)L4_RING_PUT(log, ring, ends, &end);
}
