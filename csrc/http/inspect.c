#include "http/inspect.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "core/http_route.h"
#include "http/record.h"
#include "http/routing.h"
#include "http/serve.h"

int l4_inspect_start(struct l4_loop *loop)
{
    struct l4_inspections *inspections = calloc(1, sizeof *inspections);
    loop->http->inspections = inspections;
    if (!inspections)
        return -ENOMEM;
    inspections->rows = calloc(loop->table->plan.caps.sessions, sizeof *inspections->rows);
    return inspections->rows ? 0 : -ENOMEM;
}

void l4_inspect_finish(struct l4_loop *loop)
{
    struct l4_inspections *inspections = loop->http->inspections;
    if (inspections)
        free(inspections->rows);
    free(inspections);
    loop->http->inspections = NULL;
}

/* ---- rules ----------------------------------------------------------------------------------- */

void l4_inspect_choose(struct l4_loop *loop, uint32_t index,
                       const struct l4_router_request *request)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_http_inspections chosen;
    if (x->method == L4_METHOD_CONNECT)
        return;
    l4_http_inspections_choose(loop->table, l4_session_at(loop, index)->listener, request, &chosen);
    x->inspects[L4_CLIENT] = chosen.request;
    x->inspects[L4_BACKEND] = chosen.answer;
}

bool l4_inspect_wants_request(struct l4_loop *loop, uint32_t index, uint32_t cache)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    if (!x->inspects[L4_CLIENT] || !l4_inspect_begin(loop, index, L4_CLIENT))
        return false;
    l4_inspect_at(loop, index)->cache = cache;
    x->inspects[L4_CLIENT] = 0;
    return true;
}

bool l4_inspect_has_passed(const struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    const bool passed = x->holds & L4_HOLDS_PASSED;
    x->holds &= (uint8_t)~L4_HOLDS_PASSED;
    return passed;
}

bool l4_inspect_allows_cache(const struct l4_loop *loop, uint32_t index)
{
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    const bool reads = x->method == L4_METHOD_GET || x->method == L4_METHOD_HEAD;
    return !x->inspects[L4_BACKEND] || !reads;
}

static uint16_t copy(char *to, size_t room, struct l4_text text)
{
    const size_t bytes = text.bytes < room ? text.bytes : room;
    l4_text_copy(to, (struct l4_text){text.at, bytes});
    return (uint16_t)bytes;
}

/* Copies the rule with this slot. Returns false if there is none any more. */
static bool read_rule(const struct l4_loop *loop, uint32_t index, uint32_t slot)
{
    struct l4_inspecting *in = l4_inspect_at(loop, index);
    struct l4_icap_service *service = &in->talk.service;
    struct l4_http_choice choice;
    do {
        if (!l4_http_route_find(loop->table, l4_session_at(loop, index)->listener, slot, &choice) ||
            !l4_router_inspection(&choice.memory, &choice.answer.route, &in->rule))
            return false;
        service->addr = in->rule.engine;
        service->host_bytes = copy(service->host, sizeof service->host,
                                   l4_router_text(&choice.memory, in->rule.host));
        service->path_bytes = copy(service->path, sizeof service->path,
                                   l4_router_text(&choice.memory, in->rule.path));
    } while (!l4_http_route_stays(loop->table, &choice));
    in->slot = slot;
    return true;
}

bool l4_inspect_begin(struct l4_loop *loop, uint32_t index, enum l4_side side)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_inspecting *in = l4_inspect_at(loop, index);
    L4_ASSERT(x->inspects[side]);
    if (!(x->holds & L4_HOLDS_ROW))
        *in = (struct l4_inspecting){0};
    x->holds = (uint8_t)((x->holds & ~(L4_HOLDS_LARGE | L4_HOLDS_LOST)) | L4_HOLDS_ROW);
    if (!read_rule(loop, index, x->inspects[side] - 1)) {
        x->inspects[side] = 0;
        return false;
    }
    in->side = side;
    in->phase = L4_INSPECT_COLLECTS;
    in->begun_ms = loop->now_ms;
    in->sink = (struct l4_half){.fd = -1, .flags = L4_HALF_VOID | L4_HALF_OUT, .pipe = L4_NO_PIPE};
    return true;
}

/* ---- what is held ---------------------------------------------------------------------------- */

void l4_inspect_take(struct l4_loop *loop, uint32_t index, struct l4_text data)
{
    struct l4_inspecting *in = l4_inspect_at(loop, index);
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_held *body = &in->body[in->side];
    if (!data.bytes)
        return;
    if (in->side == L4_CLIENT)
        l4_recording_up(loop, index, data);
    /* why more than max_body: what has come is passed on if it may be too large. */
    if ((!body->at && !l4_held_open(body, (size_t)in->rule.max_body + L4_HELD_SLACK)) ||
        !l4_held_add(body, &loop->http->inspections->bytes, data))
        x->holds |= L4_HOLDS_LOST;
    if (body->bytes > in->rule.max_body)
        x->holds |= L4_HOLDS_LARGE;
}

void l4_inspect_end(struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_inspecting *in = l4_inspect_at(loop, index);
    uint64_t *all = &loop->http->inspections->bytes;
    if (!(x->holds & L4_HOLDS_ROW))
        return;
    x->holds = 0;
    l4_icap_free(loop, &in->talk);
    l4_held_close(&in->body[L4_CLIENT], all);
    l4_held_close(&in->body[L4_BACKEND], all);
    l4_held_close(&in->head, all);
    l4_held_close(&in->shown, all);
}

/* ---- what is told ---------------------------------------------------------------------------- */

void l4_inspect_note(struct l4_loop *loop, uint32_t index, enum l4_inspect_verdict verdict)
{
    const struct l4_inspecting *in = l4_inspect_at(loop, index);
    struct l4_exchange *x = l4_exchange_at(loop, index);
    const uint32_t slot = in->rule.slots[verdict];
    if (slot < L4_HTTP_ROUTES_MAX)
        L4_OWN_ADD(*l4_table_route_hits(loop->table, loop->setup.index, slot), 1);
    if (verdict <= x->verdict)
        return;
    x->verdict = (uint8_t)verdict;
    x->inspected = in->slot + 1;
}

void l4_inspect_note_engine(struct l4_loop *loop, uint32_t index)
{
    const struct l4_inspecting *in = l4_inspect_at(loop, index);
    const struct l4_icap_talk *talk = &in->talk;
    const bool fails = talk->fault != L4_ICAP_FAULT_NONE;
    /* why: that is a fault of this host */
    if (!talk->engine || talk->engine->fails == fails || talk->fault == L4_ICAP_FAULT_MEMORY)
        return;
    talk->engine->fails = fails;
    const uint32_t status = talk->fault == L4_ICAP_FAULT_STATUS ? talk->reader.head.status : 0u;
    l4_loop_event(loop, L4_EVENT_ENGINE, in->slot, (uint64_t)status << 8 | talk->fault);
}
