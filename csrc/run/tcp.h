/* The TCP plane: what a worker does with all its TCP sessions in each loop iteration, at its start
 * and at its end. */
#ifndef L4_RUN_TCP_H
#define L4_RUN_TCP_H

#include "run/plane.h"

extern const struct l4_plane l4_plane_tcp;

#endif
