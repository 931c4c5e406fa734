/* The lists of a worker's TCP session rows: free rows, rows whose session ended in this loop
 * iteration, sessions with work left over, those that lack a pipe or a block, and the clients that
 * wait for each pool.
 *
 * A row is linked through itself, so it is in at most one list, and it says in which kind of list.
 * Every operation gets all rows, because a list is only their numbers. Every operation asserts
 * that the row is in no other list, and that a session in its state may be in such a list (the
 * table in list.c). A session is in no list while it changes its state.
 */
#ifndef L4_RUN_LIST_H
#define L4_RUN_LIST_H

#include <stdint.h>

struct l4_session;

enum l4_list_kind {
    L4_LIST_NONE,
    L4_LIST_FREE,      /* rows without a session */
    L4_LIST_ENDED,     /* rows whose session ended in this loop iteration; they are free after it */
    L4_LIST_READY,     /* sessions with work left over */
    L4_LIST_PIPELESS,  /* sessions that go on when a pipe is free: io/pipe.h */
    L4_LIST_BLOCKLESS, /* sessions that go on when a block is free: http/room.h */
    L4_LIST_QUEUE,     /* sessions that wait for a place at a backend of one pool */
    L4_LIST_KINDS
};

struct l4_list {
    uint32_t head, tail; /* row numbers; L4_NONE: the list is empty */
    uint32_t count;
    enum l4_list_kind kind;
};

void l4_list_init(struct l4_list *list, enum l4_list_kind kind);

/* l4_list_append puts a row that is in no list behind the last row; l4_list_push, before the first
 * one. */
void l4_list_append(struct l4_session *rows, struct l4_list *list, uint32_t index);
void l4_list_push(struct l4_session *rows, struct l4_list *list, uint32_t index);

/* Puts a row that is in no list behind the row `before`, which is in the list; L4_NONE: before the
 * first row. */
void l4_list_insert(struct l4_session *rows, struct l4_list *list, uint32_t index, uint32_t before);

/* Takes a row out of the list that it is in. */
void l4_list_remove(struct l4_session *rows, struct l4_list *list, uint32_t index);

/* Takes the first row out of the list and returns it. Returns L4_NONE if the list is empty. */
uint32_t l4_list_take(struct l4_session *rows, struct l4_list *list);

#endif
