/* The stages of a session that speaks HTTP, beside those of run/stages.h. The files stage_*.c of
 * this folder export nothing else. http/exchange.h draws their states. */
#ifndef L4_HTTP_STAGES_H
#define L4_HTTP_STAGES_H

#include "run/stage.h"

extern const struct l4_stage l4_stage_request, l4_stage_exchange, l4_stage_reply, l4_stage_http2,
    l4_stage_cached, l4_stage_await, l4_stage_forward, l4_stage_socks, l4_stage_hello,
    l4_stage_inspect;

#endif
