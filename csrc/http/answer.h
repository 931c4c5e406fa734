/* The head of a backend's answer: read, judged, and passed on; and what follows if none comes. */
#ifndef L4_HTTP_ANSWER_H
#define L4_HTTP_ANSWER_H

#include "http/room.h"
#include "run/row.h"
#include "run/stage.h"

/* Reads what the backend has sent, up to the answer's head, and passes the head on. Answers where
 * the session goes if there was none, or if the backend agreed to another protocol. */
struct l4_step l4_answer_read(struct l4_loop *loop, uint32_t index);

/* Frees what was kept of a head that is not whole. */
void l4_answer_drop_part(struct l4_loop *loop, uint32_t index);

/* The answer failed, or will not come: its connection is not used again. Answers the end. */
struct l4_step l4_answer_failed(struct l4_loop *loop, uint32_t index, enum l4_reason reason);

/* Tells passive health of a fault of the session's backend. */
void l4_answer_fault(struct l4_loop *loop, uint32_t index);

#endif
