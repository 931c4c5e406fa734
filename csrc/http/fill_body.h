/* Where the parts of an answer that is kept lie until it is stored (http/fill.h): its texts in a
 * block, its body in further blocks, in a file, or where others read it while it comes. Of
 * csrc/http only. */
#ifndef L4_HTTP_FILL_BODY_H
#define L4_HTTP_FILL_BODY_H

#include "http/caches.h"

/* Adds a block to the fill. Returns it; NULL: there is none. */
char *l4_fill_add_block(struct l4_loop *loop, struct l4_fill *fill);

/* Returns what the fill's texts say, as an object without a body. */
struct l4_cache_new l4_fill_new(const struct l4_loop *loop, uint32_t index);

/* Goes on in a file. Returns false if there is none to be had. */
bool l4_fill_go_to_disk(struct l4_loop *loop, uint32_t index);

/* Has others read the answer while it comes, if that is possible. */
void l4_fill_grow(struct l4_loop *loop, uint32_t index);

/* Those that read the answer meanwhile have all of it, or get no more. */
void l4_fill_end_growing(struct l4_loop *loop, uint32_t index, bool whole);

#endif
