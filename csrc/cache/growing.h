/* Answers that others read while they are fetched.
 *
 * Who fetches an answer of known length announces it with its texts, and adds the body as that
 * comes: to a place of its own in the cache's memory, or to a file. Those that wait for the object
 * read what is there so far. An answer that is whole stays readable until its place is needed.
 *
 * A place has one writer, and is used again without asking its readers: who has copied bytes looks
 * whether they were still those of the answer (a sequence lock: the serial). So a reader that dies
 * or sleeps holds nobody up, and a writer that dies leaves nothing that has to be repaired.
 */
#ifndef L4_CACHE_GROWING_H
#define L4_CACHE_GROWING_H

#include <sys/types.h>

#include "cache/disk.h"
#include "cache/find.h"

enum {
    L4_GROWING_ROWS = 16,            /* answers that one worker announces at one time */
    L4_GROWING_TEXTS_MAX = 16 << 10, /* bytes of all texts of one of them */
    L4_GROWING_BYTES_MAX = 16 << 20, /* bytes of all bodies of one worker, or one object if that
                                      * is larger */
    L4_GROWING_OBJECTS = 4,          /* ... for so many objects of the largest size */
};

enum l4_growing_state {
    L4_GROWING_ON,    /* more comes */
    L4_GROWING_WHOLE, /* all is there */
    L4_GROWING_LOST,  /* no more comes */
    L4_GROWING_OVER,  /* its place has another answer, or its writer has died */
};

/* One announced answer. Written by its owner only. */
struct l4_growing {
    alignas(64) _Atomic uint64_t serial; /* of the answer; 0: there is none */
    _Atomic uint64_t filled;             /* bytes of the body that are there */
    _Atomic uint64_t filled_ms;          /* CLOCK_MONOTONIC: since when */
    _Atomic uint32_t state;              /* L4_GROWING_ON, _WHOLE or _LOST */
    uint32_t folder;                     /* of its file */
    int32_t pid;                         /* of its file; 0: it is in memory */
    uint64_t file;                       /* number of its file */
    uint64_t claim;                      /* word of the claim for which it is fetched */
    uint64_t at;                         /* where the body begins in its owner's place */
    struct l4_cached object;             /* file and marker are 0 */
    char texts[L4_GROWING_TEXTS_MAX];    /* behind `object`, as those of an object are */
};

_Static_assert(offsetof(struct l4_growing, texts) ==
                   offsetof(struct l4_growing, object) + sizeof(struct l4_cached),
               "the texts are behind the object");

/* A reader's idea of an announced answer. */
struct l4_growing_read {
    uint64_t serial; /* 0: none */
    uint32_t worker, row, epoch;
};

/* Returns the bytes that one worker's answers take. */
uint64_t l4_growing_bytes(uint64_t object_max);

/* ---- the writer ----------------------------------------------------------------------------- */

/* Announces an answer with a body of new->fd_bytes: in memory, or in the file that is being
 * written. Returns its row; L4_NONE: there is no room. */
uint32_t l4_growing_begin(struct l4_cache *cache, const struct l4_cache_new *new,
                          const struct l4_disk_writer *file, uint64_t now_ms);

/* Adds to the body of an answer in memory. */
void l4_growing_add(const struct l4_cache *cache, uint32_t row, struct l4_text data,
                    uint64_t now_ms);

/* So many bytes of the body are in the file now. */
void l4_growing_note(const struct l4_cache *cache, uint32_t row, uint64_t filled, uint64_t now_ms);

/* The body of an answer in memory, as far as it is there. */
struct l4_text l4_growing_body(const struct l4_cache *cache, uint32_t row);

/* The serial of the answer, which an object has that it was stored as. */
uint64_t l4_growing_serial(const struct l4_cache *cache, uint32_t row);

/* Ends it. why readers go on: they may be slower. */
void l4_growing_end(const struct l4_cache *cache, uint32_t row, bool whole);

/* Forgets all answers of a worker that was there before this one. */
void l4_growing_forget(const struct l4_cache *cache);

/* ---- a reader ------------------------------------------------------------------------------- */

/* Returns the serial of the answer that is announced for a claim; 0: none. */
uint64_t l4_growing_of(const struct l4_cache *cache, uint64_t claim);

/* Reads the answer that is announced for a claim. to: the object, with its texts behind it.
 * Returns false if there is none. */
bool l4_growing_find(const struct l4_cache *cache, uint64_t claim, struct l4_cached *to,
                     size_t to_bytes, struct l4_growing_read *read);

/* How far an answer is. *filled: bytes of the body; *since_ms: since when. */
enum l4_growing_state l4_growing_look(const struct l4_cache *cache,
                                      const struct l4_growing_read *read, uint64_t *filled,
                                      uint64_t *since_ms);

/* Copies what is there of the body in memory, from `at` on. Returns the bytes; 0: none yet; -1: the
 * answer is over. */
ssize_t l4_growing_copy(const struct l4_cache *cache, const struct l4_growing_read *read,
                        uint64_t at, char *to, size_t max);

/* Opens the file of an answer, which may have its own name by now. Returns the descriptor; 0: the
 * answer is in memory; -1: the file is gone. *body_at: where the body begins. */
int l4_growing_open(const struct l4_cache *cache, const struct l4_growing_read *read,
                    const struct l4_disk *disk, uint64_t *body_at);

#endif
