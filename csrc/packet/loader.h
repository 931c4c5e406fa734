/* The shield's program and its maps. See packet/bpf.h for rights and for how it is attached.
 *
 * Functions return 0 or -errno, if nothing else is said.
 */
#ifndef L4_PACKET_LOADER_H
#define L4_PACKET_LOADER_H

#include <stddef.h>
#include <stdint.h>

#include "packet/bpf.h"
#include "packet/layout.h"
#include "packet/networks.h"

struct l4_shield {
    bool is_xdp; /* a program of XDP, and not of tc */
    int program;
    int maps[L4_SHIELD_MAPS]; /* enum l4_shield_map */
};

/* Loads the program from the object file in memory, with new maps. The descriptors are closed by an
 * exec. why: room for the kernel's reasons as text, with a NUL. */
L4_MUST_CHECK int l4_shield_load(const void *object, size_t bytes, bool is_xdp,
                                 struct l4_shield *shield, char *why, size_t room);

/* Are these descriptors a shield's, with the maps of this layout? Sets is_xdp. Returns 0 or
 * -EPROTO. */
L4_MUST_CHECK int l4_shield_check(struct l4_shield *shield);

/* Closes the descriptors. */
void l4_shield_close(struct l4_shield *shield);

/* ---- interfaces ----------------------------------------------------------------------------- */

/* Attaches the program by a link: of tcx, or of XDP, in_driver: in the interface's driver or else
 * in front of tc. Returns the descriptor of the link; -EOPNOTSUPP: the kernel has no tcx, or the
 * driver no XDP; -EBUSY, -EEXIST: another program of XDP is there. */
L4_MUST_CHECK int l4_shield_link(const struct l4_shield *shield, int interface, bool in_driver);

/* Puts this program in the place of the one that is attached by the link. */
L4_MUST_CHECK int l4_shield_relink(const struct l4_shield *shield, int link);

/* Attaches the program as the filter of clsact with this handle; it replaces a filter with the same
 * handle. */
L4_MUST_CHECK int l4_shield_filter(const struct l4_shield *shield, int interface, uint32_t handle);

/* Removes the filter with this handle. Returns 0 also if there is none. */
L4_MUST_CHECK int l4_shield_unfilter(int interface, uint32_t handle);

/* ---- maps ----------------------------------------------------------------------------------- */

L4_MUST_CHECK int l4_shield_put(const struct l4_shield *shield, enum l4_shield_map map,
                                const void *key, const void *value);

/* Returns 0 also if the key is not there. */
L4_MUST_CHECK int l4_shield_drop(const struct l4_shield *shield, enum l4_shield_map map,
                                 const void *key);

/* Copies the keys of a map, at most `max`. Returns their number. */
L4_MUST_CHECK int64_t l4_shield_keys(const struct l4_shield *shield, enum l4_shield_map map,
                                     void *keys, size_t max);

/* Sets the rows of a listener's counts to the sums over all processors. */
L4_MUST_CHECK int l4_shield_read_counts(const struct l4_shield *shield, uint32_t listener,
                                        struct l4_shield_count sums[static L4_SHIELD_ROWS]);

/* Puts networks into the maps. Returns 0, or -errno (-ENOSPC: there is no room); then it has taken
 * out again what it had put in. */
L4_MUST_CHECK int l4_shield_fill(const struct l4_shield *shield,
                                 const struct l4_shield_network *networks, size_t count);

/* Takes networks out of the maps. */
void l4_shield_empty(const struct l4_shield *shield, const struct l4_shield_network *networks,
                     size_t count);

/* ---- tests ---------------------------------------------------------------------------------- */

/* Runs the program on a packet, as if it came in at the interface. Returns its answer (TC_ACT_*)
 * or -errno - 1000. */
int l4_shield_run(const struct l4_shield *shield, const void *packet, uint32_t bytes, int interface,
                  uint32_t segments, uint32_t repeat, uint32_t *ns);

#endif
