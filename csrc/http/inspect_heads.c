#include "http/inspect_heads.h"

#include <string.h>

#include "base/assert.h"
#include "core/h1write.h"
#include "http/serve.h"

static const struct l4_h1_bounds widest = {
    .head = L4_H1_HEAD_MAX, .target = L4_H1_HEAD_MAX, .fields = L4_H1_FIELDS_MAX};

static const char *request_bytes(const struct l4_loop *loop, uint32_t index)
{
    return l4_http_block(loop->http, l4_exchange_at(loop, index)->block);
}

/* Writes a request's head with another framing. What is of one connection only is dropped. */
static void write_request(struct l4_text_out *out, const char *bytes, const struct l4_h1_head *head,
                          enum l4_framing framing, uint64_t length, bool upgrades)
{
    const struct l4_request_rules rules = {
        .head = {.framing = framing,
                 .length = length,
                 .connection = upgrades ? L4_CONNECTION_UPGRADE : L4_CONNECTION_NONE},
        .target = l4_h1_text(bytes, head->target),
        .host = l4_h1_text(bytes, head->host),
        .forwarded = L4_FORWARDED_OFF,
        .trusted = true, /* whether it is believed is judged where the backend's is written */
        .drop_expect = true,
    };
    l4_h1_write_request(out, bytes, head, &rules);
}

bool l4_inspect_write_heads(struct l4_loop *loop, uint32_t index)
{
    struct l4_inspecting *in = l4_inspect_at(loop, index);
    struct l4_icap_talk *talk = &in->talk;
    const struct l4_http_judged *judged = l4_serve_judged(loop, index);
    const bool answers = in->side == L4_BACKEND;
    const size_t body = in->body[in->side].bytes;
    if (!in->shown.at && !l4_held_open(&in->shown, L4_ICAP_HEADS_MAX))
        return false;
    struct l4_text_out out = {.to = in->shown.at, .size = in->shown.room};
    write_request(&out, request_bytes(loop, index), &judged->head,
                  !answers && body ? L4_FRAMING_LENGTH : L4_FRAMING_NONE, body, false);
    talk->request = (struct l4_text){out.to, out.used};
    talk->answer = (struct l4_text){NULL, 0};
    talk->shown = &in->body[in->side];
    if (answers && !out.full) {
        const size_t before = out.used;
        struct l4_h1_head head;
        if (!l4_inspect_read_answer(loop, index, (struct l4_text){in->head.at, in->head.bytes},
                                    body, &head))
            return false;
        const struct l4_answer_rules rules = {
            .head = {.framing = L4_FRAMING_LENGTH, .length = body}};
        l4_h1_write_answer(&out, in->head.at, &head, &rules);
        talk->answer = (struct l4_text){out.to + before, out.used - before};
    }
    return !out.full;
}

/* ---- a request that goes on ------------------------------------------------------------------ */

/* Is it still a request of this method, for this target at this host? why: what may be asked, and
 * of whom, was judged by what the client has sent. */
static bool is_same_request(const char *a, const struct l4_h1_head *of_a, const char *b,
                            const struct l4_h1_head *of_b)
{
    return l4_text_is(l4_h1_text(a, of_a->method_text), l4_h1_text(b, of_b->method_text)) &&
           l4_text_is(l4_h1_text(a, of_a->target), l4_h1_text(b, of_b->target)) &&
           l4_text_is(l4_h1_text(a, of_a->host), l4_h1_text(b, of_b->host));
}

/* Puts a head in place of that in the block. What came behind the request stays. */
static bool replace(struct l4_loop *loop, uint32_t index, const char *head, size_t bytes)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    char *block = l4_http_block(loop->http, x->block);
    const size_t behind = x->have - x->head_bytes;
    L4_ASSERT(x->body_bytes == 0);
    if (bytes + behind > L4_HTTP_BLOCK_BYTES)
        return false;
    memmove(block + bytes, block + x->head_bytes, behind);
    memcpy(block, head, bytes);
    x->head_bytes = (uint32_t)bytes;
    x->have = (uint32_t)(bytes + behind);
    loop->http->judged.session = L4_NONE;
    return true;
}

bool l4_inspect_renew(struct l4_loop *loop, uint32_t index, struct l4_text changed, bool has_length,
                      uint64_t length)
{
    const struct l4_http_judged *judged = l4_serve_judged(loop, index);
    const char *bytes = request_bytes(loop, index);
    const struct l4_h1_head *head = &judged->head;
    const bool upgrades = judged->head.upgrade, had_body = head->framing != L4_FRAMING_NONE;
    struct l4_h1_head other, written;
    if (changed.at) {
        if (changed.bytes > L4_HTTP_HEAD_MAX ||
            l4_h1_request(changed.at, changed.bytes, &widest, &other) ||
            other.bytes != changed.bytes || !is_same_request(bytes, head, changed.at, &other))
            return false;
        bytes = changed.at;
        head = &other;
    }
    struct l4_text_out out = {.to = loop->http->written, .size = L4_HTTP_HEAD_MAX};
    const enum l4_framing framing = !has_length          ? L4_FRAMING_CHUNKED
                                    : length || had_body ? L4_FRAMING_LENGTH
                                                         : L4_FRAMING_NONE;
    write_request(&out, bytes, head, framing, length, upgrades);
    return !out.full && head->host.bytes && !l4_h1_request(out.to, out.used, &widest, &written) &&
           replace(loop, index, out.to, out.used);
}

/* ---- an answer ------------------------------------------------------------------------------- */

bool l4_inspect_read_answer(const struct l4_loop *loop, uint32_t index, struct l4_text text,
                            uint64_t bytes, struct l4_h1_head *head)
{
    const struct l4_h1_bounds bounds = {.head = L4_HTTP_ANSWER_HEAD_MAX,
                                        .fields = L4_H1_FIELDS_MAX};
    const enum l4_method method = (enum l4_method)l4_exchange_at(loop, index)->method;
    if (!text.at || text.bytes > L4_HTTP_ANSWER_HEAD_MAX ||
        l4_h1_answer(text.at, text.bytes, &bounds, method, head) || head->bytes != text.bytes ||
        head->status < 200 || head->tunnel)
        return false;
    if (head->framing == L4_FRAMING_NONE) /* of HEAD, and of statuses without a body */
        return true;
    head->framing = L4_FRAMING_LENGTH;
    head->has_length = true;
    head->length = bytes;
    return true;
}
