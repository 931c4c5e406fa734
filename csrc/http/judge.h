/* Judges a request's head: what the client asks for, or why it is refused. */
#ifndef L4_HTTP_JUDGE_H
#define L4_HTTP_JUDGE_H

#include "http/room.h"

struct l4_verdict_of_head {
    uint16_t status;  /* 0: the request is accepted; else the status of the refusal */
    uint8_t reason;   /* enum l4_reason of a refusal */
    const char *word; /* what is wrong, for log and answer */
};

/* Judges the whole head in the session's block. Fills loop->http->judged, and the exchange's own
 * fields: method, version, framing of the body, what the client can do. */
struct l4_verdict_of_head l4_judge_request(struct l4_loop *loop, uint32_t index);

/* Reads the head of a request that was accepted before into loop->http->judged once more. Changes
 * nothing else: the exchange may be in the middle of its body or its answer. */
void l4_judge_again(struct l4_loop *loop, uint32_t index);

#endif
