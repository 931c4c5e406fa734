/* What is said to a backend before the client's first byte: a PROXY header. */
#ifndef L4_RUN_PROXY_OUT_H
#define L4_RUN_PROXY_OUT_H

#include "run/loop.h"

/* Says to the backend that has just accepted what its pool is to be told. Returns 0 or -errno. */
__attribute__((warn_unused_result)) int l4_proxy_out(struct l4_loop *loop, uint32_t index);

#endif
