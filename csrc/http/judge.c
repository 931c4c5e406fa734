#include "http/judge.h"

#include <string.h>

#include "base/assert.h"
#include "http/body.h"
#include "http/serve.h"

static struct l4_verdict_of_head refusal(unsigned status, const char *word)
{
    return (struct l4_verdict_of_head){
        .status = (uint16_t)status,
        .reason = status == 413 || status == 414 || status == 431 ? L4_END_REJECTED_TOO_LARGE
                                                                  : L4_END_REJECTED_BAD_REQUEST,
        .word = word,
    };
}

static const struct l4_verdict_of_head accepted;

static struct l4_h1_bounds bounds_of(const struct l4_http_listener *rules)
{
    const uint32_t head = L4_GET(rules->max_head), fields = L4_GET(rules->max_fields);
    return (struct l4_h1_bounds){
        .head = head < L4_HTTP_HEAD_MAX ? head : L4_HTTP_HEAD_MAX - 1,
        .target = L4_GET(rules->max_target),
        .fields = (uint16_t)(fields < L4_H1_FIELDS_MAX ? fields : L4_H1_FIELDS_MAX),
        .refuse_underscores = L4_GET(rules->underscores) == L4_UNDERSCORES_REFUSE,
    };
}

static uint32_t forms_of(enum l4_method method)
{
    if (method == L4_METHOD_CONNECT)
        return L4_FORM_AUTHORITY;
    const uint32_t usual = L4_FORM_ORIGIN | L4_FORM_ABSOLUTE;
    return method == L4_METHOD_OPTIONS ? usual | L4_FORM_ASTERISK : usual;
}

/* Judges whom the request is for. The host of an absolute target wins over Host (RFC 9112,
 * 3.2.2). */
static struct l4_verdict_of_head judge_host(struct l4_http_judged *judged, const char *head)
{
    const struct l4_h1_text *field = &judged->head.host;
    const struct l4_text *target = &judged->target.host;
    struct l4_host told;
    judged->host = (struct l4_host){0};
    if (field->bytes || l4_h1_has(&judged->head, L4_FIELD_HOST)) {
        const enum l4_target_fault fault = l4_host_read(head + field->at, field->bytes, &told);
        if (fault)
            return refusal(l4_target_fault_status(fault), l4_target_fault_word(fault));
        judged->host = told;
    }
    if (target->at) {
        const enum l4_target_fault fault = l4_host_read(target->at, target->bytes, &judged->host);
        if (fault)
            return refusal(l4_target_fault_status(fault), l4_target_fault_word(fault));
    }
    return accepted;
}

/* Reads the path as it is matched. */
static struct l4_verdict_of_head judge_path(const struct l4_http_listener *rules,
                                            struct l4_http_judged *judged)
{
    judged->path_bytes = 0;
    if (judged->target.form == L4_FORM_AUTHORITY)
        return accepted;
    const enum l4_target_fault fault = l4_path_read(
        judged->target.path.at, judged->target.path.bytes,
        L4_GET(rules->merge_slashes) ? L4_PATH_MERGES : 0, judged->path, &judged->path_bytes);
    return fault ? refusal(l4_target_fault_status(fault), l4_target_fault_word(fault)) : accepted;
}

static struct l4_verdict_of_head judge_target(struct l4_http_judged *judged, const char *head)
{
    const struct l4_h1_text *text = &judged->head.target;
    const enum l4_target_fault fault =
        l4_target_read(head + text->at, text->bytes, forms_of((enum l4_method)judged->head.method),
                       &judged->target);
    if (fault)
        return refusal(l4_target_fault_status(fault), l4_target_fault_word(fault));
    return judge_host(judged, head);
}

static bool is_idempotent(uint8_t method)
{
    return method == L4_METHOD_GET || method == L4_METHOD_HEAD || method == L4_METHOD_OPTIONS ||
           method == L4_METHOD_PUT || method == L4_METHOD_DELETE;
}

/* Notes in the exchange what the head says. */
static void note(struct l4_exchange *x, const struct l4_h1_head *head, uint64_t max_body)
{
    x->method = head->method;
    x->minor = head->minor;
    x->flags &= ~(uint32_t)(L4_X_CLIENT_STAYS | L4_X_UPGRADE | L4_X_EXPECTS | L4_X_IDEMPOTENT);
    x->flags |=
        (uint32_t)((head->keep_alive ? L4_X_CLIENT_STAYS : 0) | (head->upgrade ? L4_X_UPGRADE : 0) |
                   (head->expects_continue ? L4_X_EXPECTS : 0) |
                   (is_idempotent(head->method) ? L4_X_IDEMPOTENT : 0));
    x->up = l4_body_of(head, (enum l4_framing)head->framing, max_body);
}

/* Reads the whole head in the session's block. The verdict is about its bytes and these bounds. */
static struct l4_verdict_of_head read_head(struct l4_loop *loop, uint32_t index,
                                           const struct l4_h1_bounds *bounds)
{
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    const struct l4_http_listener *rules = l4_serve_rules(loop, l4_session_at(loop, index));
    struct l4_http_judged *judged = &loop->http->judged;
    const char *head = l4_http_block(loop->http, x->block);
    judged->session = L4_NONE;
    const enum l4_h1_fault fault = l4_h1_request(head, x->head_bytes, bounds, &judged->head);
    if (fault)
        return refusal(l4_h1_fault_status(fault), l4_h1_fault_word(fault));
    struct l4_verdict_of_head verdict = judge_target(judged, head);
    if (verdict.status)
        return verdict;
    judged->session = index;
    judged->number = x->number;
    verdict = judge_path(rules, judged);
    return verdict;
}

struct l4_verdict_of_head l4_judge_request(struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    const struct l4_http_listener *rules = l4_serve_rules(loop, l4_session_at(loop, index));
    const struct l4_h1_head *head = &loop->http->judged.head;
    const struct l4_h1_bounds bounds = bounds_of(rules);
    const struct l4_verdict_of_head verdict = read_head(loop, index, &bounds);
    if (verdict.status)
        return verdict;
    const uint64_t max = L4_GET(rules->max_body);
    note(x, head, max);
    if (max && head->framing == L4_FRAMING_LENGTH && head->length > max)
        return refusal(413, "body_too_large");
    /* why: these two ask the proxy itself for something, which only a forward proxy does, or
     * none. */
    if ((x->method == L4_METHOD_CONNECT && !L4_GET(rules->is_forward)) ||
        x->method == L4_METHOD_TRACE)
        return refusal(405, "method_not_allowed");
    return accepted;
}

void l4_judge_again(struct l4_loop *loop, uint32_t index)
{
    /* why not the listener's: a reload may have made them narrower since the request came. Its path
     * may have become one that is refused: then no path is known. */
    static const struct l4_h1_bounds widest = {
        .head = L4_H1_HEAD_MAX, .target = L4_H1_HEAD_MAX, .fields = L4_H1_FIELDS_MAX};
    (void)read_head(loop, index, &widest);
    L4_ASSERT(loop->http->judged.session == index);
}
