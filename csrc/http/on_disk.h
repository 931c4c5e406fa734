/* What a session has of its cache's folder: objects that are read from files, and answers that are
 * written there (cache/disk.h).
 *
 * An object of a file is used as one in memory: who misses it there reads the file and puts it into
 * memory, the body with it if that is small enough. The body of a larger one stays in its file, and
 * is sent from there.
 */
#ifndef L4_HTTP_ON_DISK_H
#define L4_HTTP_ON_DISK_H

#include "http/caches.h"

/* Puts the object of the key that was written last into memory, if there is a file. Returns false
 * if there is none for this request. */
bool l4_on_disk_load(struct l4_loop *loop, uint32_t index, const char *bytes,
                     const struct l4_h1_head *request);

/* Opens the file that has the body of the object that the session has read. Returns false if that
 * has gone. */
bool l4_on_disk_open(struct l4_loop *loop, uint32_t index);

/* Closes it. */
void l4_on_disk_close(const struct l4_loop *loop, uint32_t index);

/* Removes all answers of a key. Returns false if there is no file of it. */
bool l4_on_disk_remove(const struct l4_loop *loop, uint32_t index, struct l4_text key);

/* Is there a folder that takes bodies of so many bytes? */
static inline bool l4_on_disk_takes(const struct l4_loop *loop, uint32_t index, uint64_t bytes)
{
    const struct l4_open_cache *open = l4_caching_open(loop, index);
    return open->disk.fd && bytes <= open->disk_max;
}

/* Begins the file of the session's fill with the fill's texts, which are in its first block. */
bool l4_on_disk_begin(struct l4_loop *loop, uint32_t index);

/* Adds to it. */
bool l4_on_disk_write(const struct l4_loop *loop, uint32_t index, struct l4_text data);

/* Ends it: it is found from now on. Returns its number; 0: it is lost. */
uint64_t l4_on_disk_end(const struct l4_loop *loop, uint32_t index);

/* Gives it up. */
void l4_on_disk_abort(const struct l4_loop *loop, uint32_t index);

#endif
