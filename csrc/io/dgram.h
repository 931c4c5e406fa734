/* Datagrams in batches: many a system call, and where the kernel can, many a message.
 *
 * With UDP_GRO the kernel hands over a run of equal datagrams as one message, with UDP_SEGMENT it
 * takes one; a run keeps its boundaries (all datagrams but the last are `segment` bytes). Every
 * place holds the largest datagram there is, so none is ever cut. What the kernel refuses to send
 * as a run is sent one by one. It knows no session.
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
    uint32_t segment;     /* of each datagram but the last */
    struct l4_addr peer;  /* who sent it */
    struct l4_addr local; /* where to; family 0 if the socket does not tell. Port 0 */
    uint32_t scope;       /* interface that it came by, of link-local addresses; else 0 */
};

/* How many datagrams that is. */
static inline uint32_t l4_dgram_count(const struct l4_dgram *d)
{
    return d->segment && d->bytes > d->segment ? (d->bytes + d->segment - 1) / d->segment : 1;
}

/* The datagram of a run that begins at *at, which moves on; false after the last. */
bool l4_dgram_piece(const struct l4_dgram *run, uint32_t *at, struct l4_dgram *piece);

union l4_dgram_name {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

enum { L4_DGRAM_CONTROL = 128 }; /* for a size and an address, with their heads */

/* From the kernel's form, in which a socket of both families writes IPv4 as IPv6, and to it. */
struct l4_addr l4_dgram_addr_of(const union l4_dgram_name *name);
socklen_t l4_dgram_name_of(const struct l4_addr *addr, uint32_t scope, bool mapped,
                           union l4_dgram_name *name);

/* ---- receiving ------------------------------------------------------------------------------- */

struct l4_dgram_inbox {
    uint8_t *memory;
    bool named; /* messages are told with their sender and local address */
    struct mmsghdr heads[L4_UDP_BATCH];
    struct iovec parts[L4_UDP_BATCH];
    union l4_dgram_name names[L4_UDP_BATCH];
    alignas(8) char controls[L4_UDP_BATCH][L4_DGRAM_CONTROL];
    struct l4_dgram got[L4_UDP_BATCH];
};

__attribute__((warn_unused_result)) int l4_dgram_inbox_init(struct l4_dgram_inbox *inbox,
                                                            bool named);
void l4_dgram_inbox_close(struct l4_dgram_inbox *inbox);

/* Receives up to `count` messages into the places from `first` on. Returns how many, or -errno;
 * fewer than asked means that no more waited. They stay there until the place is used again. */
int l4_dgram_receive(struct l4_dgram_inbox *inbox, int fd, uint32_t first, uint32_t count);

/* ---- sending --------------------------------------------------------------------------------- */

struct l4_dgram_to {
    const struct l4_addr *peer;  /* NULL: the one that the socket is connected to */
    const struct l4_addr *local; /* the address to send from; NULL: the kernel chooses */
    uint32_t scope;
    bool six;       /* it leaves through a socket of IPv6 */
    uint32_t owner; /* messages of one owner, one after the other, may become one run */
};

struct l4_dgram_outbox {
    bool runs; /* the kernel takes runs */
    uint32_t messages, parts_used;
    struct mmsghdr heads[L4_UDP_BATCH];
    struct iovec parts[L4_UDP_BATCH];
    union l4_dgram_name names[L4_UDP_BATCH];
    alignas(8) char controls[L4_UDP_BATCH][L4_DGRAM_CONTROL];
    struct l4_dgram_message {
        uint32_t owner;
        uint32_t bytes, segment, count;
        bool whole; /* its last datagram is as long as the others: it can grow */
    } messages_of[L4_UDP_BATCH];
};

/* Does this kernel know UDP_SEGMENT? */
bool l4_dgram_runs_supported(void);

void l4_dgram_outbox_init(struct l4_dgram_outbox *outbox);

/* Puts a message, whose bytes must stay until it was sent. False: it is full, send first.
 * merge: it may become part of the message before it. */
bool l4_dgram_put(struct l4_dgram_outbox *outbox, const struct l4_dgram_to *to,
                  const struct l4_dgram *d, bool merge);

struct l4_dgram_sent {
    uint32_t lost;  /* datagrams that the kernel did not take */
    uint32_t unfit; /* the length of a datagram that cannot be sent in a run; 0: none was */
    uint32_t unfit_owner;
};

/* Sends all. Returns 0, or -errno of a connected peer that is not there; what was not sent then
 * stays, to be sent to another or dropped by l4_dgram_forget. */
int l4_dgram_send(struct l4_dgram_outbox *outbox, int fd, struct l4_dgram_sent *sent);

/* Drops what is in it; returns how many datagrams that was. */
uint32_t l4_dgram_forget(struct l4_dgram_outbox *outbox);

bool l4_dgram_peer_gone(int error); /* does a connected socket's error say so? */

#endif
