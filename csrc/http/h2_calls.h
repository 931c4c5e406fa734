/* What nghttp2 calls back: what a client has sent is kept, and what streams are to be told is
 * noted. No session is touched here. */
#ifndef L4_HTTP_H2_CALLS_H
#define L4_HTTP_H2_CALLS_H

#include "http/h2.h"

void l4_h2_set_calls(nghttp2_session_callbacks *callbacks);

/* Memory that counts. l4_h2_alloc grows `old`, which may be NULL; returns NULL if there is none. */
void *l4_h2_alloc(struct l4_h2 *h2, void *old, size_t bytes);
void l4_h2_free(struct l4_h2 *h2, void *memory);

/* The source of an answer's body for nghttp2. */
ssize_t l4_h2_read_body(nghttp2_session *session, int32_t id, uint8_t *to, size_t max,
                        uint32_t *flags, nghttp2_data_source *source, void *user);

#endif
