/* The rows of a worker's TCP sessions: allocated, filled, linked into lists, timed, and freed.
 *
 * A row whose session ended is free only after the loop iteration, because events already taken
 * from the kernel may still name it. The stages say what a session does in each state
 * (run/stage.h). This file has the only setter of the state, with the allowed edges.
 */
#ifndef L4_RUN_ROW_H
#define L4_RUN_ROW_H

#include "run/loop.h"
#include "shm/count.h"
#include "shm/http.h"
#include "shm/policy_rows.h"

/* Starts with no row in use. */
void l4_row_start(struct l4_loop *loop);

/* l4_row_take: returns a row for a new session; the caller fills it, then publishes it.
 * l4_row_return: frees at once a row that was not published. */
uint32_t l4_row_take(struct l4_loop *loop);
void l4_row_return(struct l4_loop *loop, uint32_t index);

/* Fills a row, of TCP or of UDP, with what a session has when it begins now. */
void l4_row_reset(const struct l4_loop *loop, struct l4_session *s, uint32_t listener,
                  uint32_t pool, const struct l4_addr *client);

/* Makes the row a session for every reader of the table, under a serial number that no session of
 * this worker had before. */
void l4_row_publish(struct l4_loop *loop, struct l4_session *s);

/* The session has ended: its row is free after this loop iteration. */
void l4_row_free(struct l4_loop *loop, uint32_t index);

/* Frees the rows whose sessions ended in this loop iteration. */
void l4_row_sweep(struct l4_loop *loop);

/* The only setter of a state. Takes the session out of the list of sessions with work left over.
 * Asserts that the edge is allowed, and that the session is in no other list. */
void l4_row_enter(struct l4_loop *loop, uint32_t index, enum l4_session_state state);

/* The session has work left over: it is resumed in the next loop iteration. */
void l4_row_later(struct l4_loop *loop, uint32_t index);

/* The session goes on when a pipe or a block is free. what: &loop->pipeless or &loop->blockless. */
void l4_row_lacks(struct l4_loop *loop, struct l4_list *what, uint32_t index);

/* So many are free: those that have waited longest are resumed in the next loop iteration. */
void l4_row_found(struct l4_loop *loop, struct l4_list *what, uint32_t count);

/* (Re)starts the session's timer. */
void l4_row_wake_in(struct l4_loop *loop, uint32_t index, uint64_t ms);

/* l4_row_set_deadline: sets the deadline of the session's state. l4_row_left_ms: the milliseconds
 * left to it; 0 or less: it has passed. */
void l4_row_set_deadline(struct l4_loop *loop, struct l4_session *s, uint64_t ms);
int32_t l4_row_left_ms(const struct l4_loop *loop, const struct l4_session *s);

/* Starts the session's timer for that deadline. */
void l4_row_wake_at_deadline(struct l4_loop *loop, uint32_t index);

/* Adds the client's socket (l4_row_watch_client) or both sockets (l4_row_watch) to the epoll set,
 * once. Returns 0 or -errno. l4_row_unwatch takes both out. */
__attribute__((warn_unused_result)) int l4_row_watch_client(struct l4_loop *loop, uint32_t index);
__attribute__((warn_unused_result)) int l4_row_watch(struct l4_loop *loop, uint32_t index);
void l4_row_unwatch(struct l4_loop *loop, uint32_t index);

static inline bool l4_row_speaks_tls(const struct l4_session *s)
{
    return (s->half[L4_CLIENT].flags | s->half[L4_BACKEND].flags) & L4_HALF_TLS;
}

/* Has it sockets that another worker can take over? */
static inline bool l4_row_is_portable(const struct l4_session *s)
{
    return !s->stream && !l4_row_speaks_tls(s);
}

/* Will the session, once it rests, go to another worker? */
bool l4_row_moves_soon(const struct l4_loop *loop, const struct l4_session *s);

/* Rows of the shared table that belong to a session. */

static inline struct l4_column *l4_row_column(const struct l4_loop *loop,
                                              const struct l4_session *s)
{
    return l4_table_column(loop->table, loop->setup.index, s->backend);
}

static inline struct l4_tally *l4_row_tally(const struct l4_loop *loop, const struct l4_session *s)
{
    return l4_table_tally(loop->table, loop->setup.index, s->listener);
}

static inline struct l4_pool *l4_row_pool(const struct l4_loop *loop, const struct l4_session *s)
{
    return l4_table_pool(loop->table, s->pool);
}

static inline const struct l4_policy *l4_row_policy(const struct l4_loop *loop,
                                                    const struct l4_session *s)
{
    return &l4_table_listener(loop->table, s->listener)->edge;
}

/* Whom the session's present request is from; of a session that is no HTTP, its client. */
static inline const struct l4_addr *l4_row_client(const struct l4_loop *loop,
                                                  const struct l4_session *s)
{
    return s->known & L4_FACT_CLAIMED
               ? &l4_table_request(loop->table, loop->setup.index, (uint32_t)(s - loop->sessions))
                      ->client
               : &s->client;
}

static inline struct l4_facts *l4_row_facts(const struct l4_loop *loop, uint32_t index)
{
    return l4_table_facts(loop->table, loop->setup.index, index);
}

#endif
