/* A half is one socket of a session, with the state of the direction of data that starts at it.
 *
 * Halves are in the shared table, so that a session can be described and handed over. io/pump works
 * on them. A half owns its socket. While bytes read from that socket wait for the other socket, it
 * also owns a pipe of the worker's pool, with `piped` bytes in it.
 */
#ifndef L4_BASE_HALF_H
#define L4_BASE_HALF_H

#include <stdint.h>

/* A side of a session. The first two are the indices of its halves. */
enum l4_side { L4_CLIENT, L4_BACKEND, L4_NO_SIDE };

enum l4_half_flags {
    L4_HALF_IN = 1 << 0,       /* may be readable: no read has found it empty since the last edge */
    L4_HALF_OUT = 1 << 1,      /* may be writable: no write has found it full since the last edge */
    L4_HALF_HUP = 1 << 2,      /* the kernel announced an end or an error: read up to it */
    L4_HALF_EOF = 1 << 3,      /* the end of its data was read */
    L4_HALF_SHUT = 1 << 4,     /* the other side's end was passed on to this socket */
    L4_HALF_RESET = 1 << 5,    /* the socket failed; the data that came before has been read */
    L4_HALF_BROKEN = 1 << 6,   /* a write to the socket failed: it can only be read up to its end */
    L4_HALF_BULKY = 1 << 7,    /* the direction moves data by splice */
    L4_HALF_URGENT = 1 << 8,   /* the peer sent urgent data: a short read no longer means empty */
    L4_HALF_SENT = 1 << 9,     /* data was sent to this socket; the next small send must not wait */
    L4_HALF_NODELAY = 1 << 10, /* small sends to this socket never wait */
    L4_HALF_WATCHED = 1 << 11, /* the socket is in the worker's epoll set */
    L4_HALF_UNSENT = 1 << 12,  /* TLS records that must be sent first wait in the half's own buffer:
                                  only for a half with TLS, when no pipe is free */
    L4_HALF_STREAM = 1 << 13,  /* no socket, but a stream of a client's connection: http/h2.h. With
                                  TLS if that connection has it */
    L4_HALF_VOID = 1 << 14,    /* nobody: what is sent there is lost. No socket */
    L4_HALF_TLS = 1 << 15,     /* the socket uses TLS: io/tls.h has its state, by fd */
};

#define L4_NO_PIPE 0xffffu

struct l4_half {
    int32_t fd;     /* -1: none; a stream n has -2 - n */
    uint16_t flags; /* enum l4_half_flags */
    uint16_t pipe;  /* a pipe of the worker's pool, or L4_NO_PIPE */
    uint32_t piped; /* bytes in that pipe */
};
_Static_assert(sizeof(struct l4_half) == 12, "struct l4_half is part of the shared table");

/* Has it a socket, or a stream? */
static inline int l4_half_is_open(const struct l4_half *half)
{
    return half->fd >= 0 || half->flags & (L4_HALF_STREAM | L4_HALF_VOID);
}

/* Returns the number of its stream. */
static inline uint32_t l4_half_stream(const struct l4_half *half)
{
    return (uint32_t)(-2 - half->fd);
}

#endif
