/* Programs of the kernel (BPF): loads them, puts them in front of interfaces, and reads and writes
 * their maps. It knows nothing of what a program does.
 *
 * It stands on libbpf. A process needs CAP_BPF and CAP_NET_ADMIN to load and to attach. After that
 * a descriptor is enough to read and write a map (since Linux 5.19), so a service loads before it
 * gives up its rights.
 *
 * Where the kernel has tcx links (6.6), a program is attached by one: it is detached when the link
 * is pinned nowhere and its last descriptor is closed, so also when all processes of the service
 * have died. An older kernel gets a filter of clsact, which stays until it is detached.
 *
 * Functions return 0 or -errno, if nothing else is said.
 */
#ifndef L4_PACKET_BPF_H
#define L4_PACKET_BPF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define L4_MUST_CHECK __attribute__((warn_unused_result))

enum { L4_BPF_MAPS_MAX = 32 };

/* A map that a program has: what user space takes it for, and how it is made. */
struct l4_bpf_map {
    const char *name;
    uint32_t key, value; /* bytes */
    uint32_t entries;    /* 0: as the object file says */
    int reuse;           /* descriptor of a map to take instead of a new one; -1: none */
};

/* What is loaded of an object file. */
struct l4_bpf_kind {
    const char *program;
    uint32_t type; /* enum bpf_prog_type */
    uint32_t count;
    const struct l4_bpf_map *maps;
};

/* Loads a program from an object file in memory. The descriptors (of the program, and of the maps
 * in the kind's order) are closed by an exec. why: room for the kernel's reasons as text, with a
 * NUL. */
L4_MUST_CHECK int l4_bpf_load(const struct l4_bpf_kind *kind, const void *object, size_t bytes,
                              int *program, int *maps, char *why, size_t room);

/* Are these descriptors those of such a program and its maps? Returns 0 or -EPROTO. */
L4_MUST_CHECK int l4_bpf_check(const struct l4_bpf_kind *kind, int program, const int *maps);

/* ---- interfaces ----------------------------------------------------------------------------- */

/* Attaches the program by a link. attach: enum bpf_attach_type; target: an interface, or for some
 * kinds of programs a descriptor. Returns the descriptor of the link; -EOPNOTSUPP: the kernel has
 * no such links. */
L4_MUST_CHECK int l4_bpf_link(int program, int target, uint32_t attach);

/* Attaches a program of XDP by a link, in the interface's driver or else behind it. Returns the
 * descriptor of the link; -EOPNOTSUPP: the driver has no XDP; -EBUSY, -EEXIST: another program is
 * there. */
L4_MUST_CHECK int l4_bpf_link_xdp(int program, int interface, bool in_driver);

/* Puts this program in the place of the one that is attached by the link. */
L4_MUST_CHECK int l4_bpf_relink(int program, int link);

/* Attaches the program as the filter of clsact with this handle; it replaces a filter with the same
 * handle and priority. */
L4_MUST_CHECK int l4_bpf_filter(int program, int interface, uint32_t handle, uint32_t priority);

/* Removes the filter with this handle. Returns 0 also if there is none. */
L4_MUST_CHECK int l4_bpf_unfilter(int interface, uint32_t handle, uint32_t priority);

/* ---- maps ----------------------------------------------------------------------------------- */

/* absent: only a key that is not there; else -EEXIST. */
L4_MUST_CHECK int l4_bpf_put(int map, const void *key, const void *value, bool absent);

/* value: room for a value; for a map with one for each processor, for as many, each rounded up to 8
 * bytes. Returns -ENOENT if the key is not there. */
L4_MUST_CHECK int l4_bpf_get(int map, const void *key, void *value);

/* Returns how many entries a map can have, or -errno. */
int l4_bpf_entries(int map);

/* Returns the number of processors, or -errno. */
int l4_bpf_processors(void);

/* Returns 0 also if the key is not there. */
int l4_bpf_drop(int map, const void *key);

/* Copies the keys of a map, at most `max`, each of `bytes`. Returns their number. */
L4_MUST_CHECK int64_t l4_bpf_keys(int map, uint32_t bytes, void *keys, size_t max);

/* Gives a map, a program or a link a name in a BPF file system: it then outlives all processes.
 * l4_bpf_pinned returns a descriptor of what has this name. */
L4_MUST_CHECK int l4_bpf_pin(int fd, const char *path);
L4_MUST_CHECK int l4_bpf_pinned(const char *path);

/* ---- tests ---------------------------------------------------------------------------------- */

/* Runs the program on a packet, as if it came in at the interface; 0: at the loopback interface, as
 * programs of XDP must. out: NULL, or room for the
 * packet that the program has made of it; *out_bytes: its room, then the packet's length. Returns
 * the program's answer (TC_ACT_*, XDP_*) or -errno - 1000. */
int l4_bpf_run(int program, const void *packet, uint32_t bytes, void *out, uint32_t *out_bytes,
               int interface, uint32_t segments, uint32_t repeat, uint32_t *ns);

#endif
