/* Retries: a request that failed at one backend is sent to another one.
 *
 * A request is sent again only if nothing of its answer has reached the client, if all of it is
 * still in its block, and if sending it twice does no harm (RFC 9110, 9.2.2). Each pool has a
 * budget: its retries are a share of its requests, so that a pool whose backends all fail does not
 * get several times its load. The budget is exact over all workers.
 */
#ifndef L4_HTTP_RETRY_H
#define L4_HTTP_RETRY_H

#include "http/room.h"
#include "run/row.h"

/* A request has come for the session's pool: the pool's budget grows. */
void l4_retry_earn(struct l4_loop *loop, uint32_t index);

/* Is all of the request still there, and does the pool's configuration allow this cause, one bit of
 * enum l4_http_retry_on? */
bool l4_retry_may(const struct l4_loop *loop, uint32_t index, uint32_t cause);

/* May another backend be tried when one could not be reached? No budget bounds that: an attempt to
 * connect is no request. */
bool l4_retry_connects(const struct l4_loop *loop, uint32_t index);

/* Leaves the session's backend and takes a place at another one, for this cause. Returns false if
 * that is not allowed, or if no other backend has a place: then the session stays where it is. */
bool l4_retry_elsewhere(struct l4_loop *loop, uint32_t index, uint32_t cause);

#endif
