/* A stream of HTTP/2 as a half of a session: the row of functions l4_io_h2 (io/stream_ops.h). The
 * engine reads the request as HTTP/1 from it, and writes the answer as HTTP/1 to it. */
#ifndef L4_HTTP_H2_STREAM_H
#define L4_HTTP_H2_STREAM_H

#include "http/h2.h"

#endif
