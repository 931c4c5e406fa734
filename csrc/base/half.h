/* One socket of a session and what is held for the direction that starts at it.
 *
 * Kept in the shared table (so that a session can be described and handed over) and worked on by
 * io/pump. It owns its socket and, while bytes read from that socket wait for the other one, a
 * pipe of the worker's pool with `piped` bytes in it.
 */
#ifndef L4_BASE_HALF_H
#define L4_BASE_HALF_H

#include <stdint.h>

enum l4_side {
    L4_CLIENT,
    L4_BACKEND,
    L4_NO_SIDE
}; /* of a session; the first two index its halves */

enum l4_half_flags {
    L4_HALF_IN = 1 << 0,     /* may be readable: not yet seen empty since the last edge */
    L4_HALF_OUT = 1 << 1,    /* may be writable: not yet seen full since the last edge */
    L4_HALF_HUP = 1 << 2,    /* the kernel said that an end or an error is coming: read up to it */
    L4_HALF_EOF = 1 << 3,    /* its end was read */
    L4_HALF_SHUT = 1 << 4,   /* the other side's end was passed on to it */
    L4_HALF_RESET = 1 << 5,  /* it failed; what came before has been read */
    L4_HALF_BROKEN = 1 << 6, /* a write to it failed: it can only be read up to its end */
    L4_HALF_BULKY = 1 << 7,  /* its direction moves by splice */
    L4_HALF_URGENT = 1 << 8, /* it sent urgent data: a short read no longer means empty */
    L4_HALF_SENT = 1 << 9,   /* something was sent to it; the next small send must not wait */
    L4_HALF_NODELAY = 1 << 10, /* small sends to it never wait */
    L4_HALF_WATCHED = 1 << 11, /* it is in the worker's epoll set */
    L4_HALF_UNSENT = 1 << 12,  /* records that it must be sent first wait in its own buffer: only
                                  of a half that speaks TLS, where no pipe can be had */
    L4_HALF_TLS = 1 << 15,     /* it speaks TLS: io/tls.h has the rest, by its fd */
};

#define L4_NO_PIPE 0xffffu

struct l4_half {
    int32_t fd;     /* -1: none */
    uint16_t flags; /* enum l4_half_flags */
    uint16_t pipe;  /* of the worker's pool, L4_NO_PIPE: none */
    uint32_t piped; /* bytes in that pipe */
};
_Static_assert(sizeof(struct l4_half) == 12, "struct l4_half is part of the shared table");

#endif
