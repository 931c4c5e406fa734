/* The field Proxy-Status (RFC 9209) of an answer that l4lb makes itself: which proxy it is, and
 * which error it met. */
#ifndef L4_HTTP_PROXY_STATUS_H
#define L4_HTTP_PROXY_STATUS_H

#include "base/text.h"
#include "run/loop.h"

enum { L4_PROXY_STATUS_MAX = 192 };

/* Writes the field's value for the session's answer. name: of this proxy; empty: "l4lb". Returns
 * its bytes. */
size_t l4_proxy_status_write(const struct l4_loop *loop, uint32_t index, struct l4_text name,
                             char to[L4_PROXY_STATUS_MAX]);

#endif
