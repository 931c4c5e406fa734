/* Datagrams in batches: many in one system call and, if the kernel can, many in one message.
 *
 * With UDP_GRO the kernel delivers a run of datagrams of equal size as one message; with
 * UDP_SEGMENT it sends such a run. A run keeps its boundaries: all datagrams but the last have
 * `segment` bytes. Each buffer holds the largest possible datagram, so none is ever cut. A run
 * that the kernel refuses is sent one datagram at a time. This file knows nothing of sessions.
 */
#ifndef L4_IO_DGRAM_H
#define L4_IO_DGRAM_H

#include <netinet/in.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/addr.h"
#include "base/bounds.h"

struct l4_dgram { /* one datagram, or a run of them */
    const uint8_t *data;
    uint32_t bytes;
    uint32_t segment;     /* size of each datagram but the last */
    struct l4_addr peer;  /* the sender */
    struct l4_addr local; /* the destination; family 0 if the socket does not report it. Port 0 */
    uint32_t scope;       /* interface that it arrived on, for link-local addresses; else 0 */
};

/* Returns the number of datagrams in d. */
static inline uint32_t l4_dgram_count(const struct l4_dgram *d)
{
    return d->segment && d->bytes > d->segment ? (d->bytes + d->segment - 1) / d->segment : 1;
}

/* Gets the datagram of a run at *at, and moves *at on. Returns false after the last. */
bool l4_dgram_piece(const struct l4_dgram *run, uint32_t *at, struct l4_dgram *piece);

union l4_dgram_name {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

enum { L4_DGRAM_CONTROL = 128 }; /* room for a size and an address, with their headers */

/* Convert from and to the kernel's form, where a socket of both families has IPv4 as IPv6. */
struct l4_addr l4_dgram_addr_of(const union l4_dgram_name *name);
socklen_t l4_dgram_name_of(const struct l4_addr *addr, uint32_t scope, bool mapped,
                           union l4_dgram_name *name);

/* ---- receiving ------------------------------------------------------------------------------- */

struct l4_dgram_inbox {
    uint8_t *memory;
    bool named; /* messages come with their sender and local address */
    struct mmsghdr heads[L4_UDP_BATCH];
    struct iovec parts[L4_UDP_BATCH];
    union l4_dgram_name names[L4_UDP_BATCH];
    alignas(8) char controls[L4_UDP_BATCH][L4_DGRAM_CONTROL];
    struct l4_dgram got[L4_UDP_BATCH];
};

__attribute__((warn_unused_result)) int l4_dgram_inbox_init(struct l4_dgram_inbox *inbox,
                                                            bool named);
void l4_dgram_inbox_close(struct l4_dgram_inbox *inbox);

/* Receives up to `count` messages into the buffers from `first` on, where they stay until a
 * buffer is used again. Returns their number, or -errno; fewer than `count`: no more waited. */
int l4_dgram_receive(struct l4_dgram_inbox *inbox, int fd, uint32_t first, uint32_t count);

/* ---- sending --------------------------------------------------------------------------------- */

struct l4_dgram_to {
    const struct l4_addr *peer;  /* NULL: the peer that the socket is connected to */
    const struct l4_addr *local; /* the address to send from; NULL: the kernel chooses */
    uint32_t scope;
    bool six;       /* it leaves through an IPv6 socket */
    uint32_t owner; /* consecutive messages of one owner may become one run */
};

struct l4_dgram_outbox {
    bool runs; /* the kernel accepts runs */
    uint32_t messages, parts_used;
    struct mmsghdr heads[L4_UDP_BATCH];
    struct iovec parts[L4_UDP_BATCH];
    union l4_dgram_name names[L4_UDP_BATCH];
    alignas(8) char controls[L4_UDP_BATCH][L4_DGRAM_CONTROL];
    struct l4_dgram_message {
        uint32_t owner;
        uint32_t bytes, segment, count;
        bool whole; /* its last datagram is as long as the others: the run can grow */
    } messages_of[L4_UDP_BATCH];
};

/* True if this kernel supports UDP_SEGMENT. */
bool l4_dgram_runs_supported(void);

void l4_dgram_outbox_init(struct l4_dgram_outbox *outbox);

/* Adds a message, whose bytes must stay until it was sent. False: the outbox is full, send first.
 * merge: the message may become part of the previous one. */
bool l4_dgram_put(struct l4_dgram_outbox *outbox, const struct l4_dgram_to *to,
                  const struct l4_dgram *d, bool merge);

struct l4_dgram_sent {
    uint32_t lost;  /* datagrams that the kernel did not accept */
    uint32_t unfit; /* length of a datagram that cannot be sent in a run; 0: none */
    uint32_t unfit_owner;
};

/* Sends all messages. Returns 0, or -errno if the connected peer is not there. Unsent messages
 * then stay, to be sent to another peer or dropped by l4_dgram_forget. */
int l4_dgram_send(struct l4_dgram_outbox *outbox, int fd, struct l4_dgram_sent *sent);

/* Drops all messages; returns the number of their datagrams. */
uint32_t l4_dgram_forget(struct l4_dgram_outbox *outbox);

bool l4_dgram_peer_gone(int error); /* is the peer gone? */

#endif
