/* Records requests: counts, histograms, the access log, and what is shown of the present one.
 *
 * Each request whose head was whole, or was refused, has exactly one end.
 */
#ifndef L4_HTTP_ACCOUNT_H
#define L4_HTTP_ACCOUNT_H

#include "http/room.h"
#include "run/row.h"
#include "shm/http.h"

/* A request has begun to count. */
void l4_account_begin(struct l4_loop *loop, uint32_t index);

/* Its head was judged: records what it asks for. */
void l4_account_judged(struct l4_loop *loop, uint32_t index);

/* The request is sent again. cause: one bit of enum l4_http_retry_on. */
void l4_account_retry(struct l4_loop *loop, uint32_t index, uint32_t cause);

/* The exchange is over: its answer is with the client, or its session ends. Counts it once. */
void l4_account_answer(struct l4_loop *loop, uint32_t index, enum l4_reason reason);

/* Counts a request of HTTP/2 that was refused before a session was opened for it. index: the row of
 * its connection. fault: what was wrong, in a word. */
void l4_account_refused(struct l4_loop *loop, uint32_t index, enum l4_reason reason,
                        const char *fault);

/* Counts the request of a session that died with its worker's process, if it had one. The caller
 * knows that no process writes that worker's rows. */
void l4_account_request_lost(const struct l4_table *table, uint32_t worker, uint32_t slot,
                             uint64_t now_us);

#endif
