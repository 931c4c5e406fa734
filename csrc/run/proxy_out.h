/* The PROXY header that is sent to a backend before the client's first byte. */
#ifndef L4_RUN_PROXY_OUT_H
#define L4_RUN_PROXY_OUT_H

#include "run/loop.h"

/* Sends the header that the pool asks for to a backend that has just accepted. Returns 0 or
 * -errno. */
__attribute__((warn_unused_result)) int l4_proxy_out(struct l4_loop *loop, uint32_t index);

#endif
