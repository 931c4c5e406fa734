/* The rows of a worker's TCP sessions: taken, filled, linked into lists, timed, and given back.
 *
 * A row that ended is free again only after the turn: events already taken from the kernel may
 * still name it. What a session does in its states is its stages' to say (run/stage.h); here is the
 * one setter of its state, with the edges that there are.
 */
#ifndef L4_RUN_ROW_H
#define L4_RUN_ROW_H

#include "run/loop.h"
#include "shm/count.h"
#include "shm/edge_rows.h"

/* No row is in use. */
void l4_row_start(struct l4_loop *loop);

/* A row for a new session; it can be returned at once. The caller fills it, then publishes it. */
uint32_t l4_row_take(struct l4_loop *loop);
void l4_row_return(struct l4_loop *loop, uint32_t index);

/* Fills a row, of TCP or of UDP, with all that a session has when it begins now. */
void l4_row_reset(const struct l4_loop *loop, struct l4_session *s, uint32_t listener,
                  uint32_t pool, const struct l4_addr *client);

/* From now on the row is a session for all who look, by a number that none had before. */
void l4_row_publish(struct l4_loop *loop, struct l4_session *s);

/* The session has ended: its row is free after this turn. */
void l4_row_free(struct l4_loop *loop, uint32_t index);

/* Makes the rows that ended in this turn free. */
void l4_row_sweep(struct l4_loop *loop);

/* The one setter of a state. A session that had work left over has it no more in another state.
 * Asserts the edge, and that the session is in no list that the new state has no place in. */
void l4_row_enter(struct l4_loop *loop, uint32_t index, enum l4_session_state state);

/* It has work left over: it is resumed in the next turn. */
void l4_row_later(struct l4_loop *loop, uint32_t index);

/* (Re)starts its timer. */
void l4_row_wake_in(struct l4_loop *loop, uint32_t index, uint64_t ms);

/* The end of the wait of its state, and the milliseconds left to it; 0 or less: it has passed. */
void l4_row_set_deadline(struct l4_loop *loop, struct l4_session *s, uint64_t ms);
int32_t l4_row_left_ms(const struct l4_loop *loop, const struct l4_session *s);

/* Starts its timer for the end of that wait. */
void l4_row_wake_at_deadline(struct l4_loop *loop, uint32_t index);

/* Adds its client, or both its sockets, to the epoll set, once. Returns 0 or -errno. */
__attribute__((warn_unused_result)) int l4_row_watch_client(struct l4_loop *loop, uint32_t index);
__attribute__((warn_unused_result)) int l4_row_watch(struct l4_loop *loop, uint32_t index);
void l4_row_unwatch(struct l4_loop *loop, uint32_t index);

static inline bool l4_row_speaks_tls(const struct l4_session *s)
{
    return (s->half[L4_CLIENT].flags | s->half[L4_BACKEND].flags) & L4_HALF_TLS;
}

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

static inline const struct l4_edge *l4_row_edge(const struct l4_loop *loop,
                                                const struct l4_session *s)
{
    return &l4_table_listener(loop->table, s->listener)->edge;
}

static inline struct l4_facts *l4_row_facts(const struct l4_loop *loop, uint32_t index)
{
    return l4_table_facts(loop->table, loop->setup.index, index);
}

#endif
