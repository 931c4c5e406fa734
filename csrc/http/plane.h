/* The plane of HTTP (run/plane.h). Its clients are sessions of TCP's rows; the plane has what is
 * beside them. */
#ifndef L4_HTTP_PLANE_H
#define L4_HTTP_PLANE_H

#include "run/plane.h"

extern const struct l4_plane l4_plane_http;

#endif
