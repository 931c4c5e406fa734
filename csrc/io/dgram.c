#include "io/dgram.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"

/* why: not a multiple of a page or of the cache's size. Otherwise the first lines of all buffers
 * would compete for a few lines of the cache. */
enum { STRIDE = L4_UDP_BYTES + 5 * 64 };

bool l4_dgram_piece(const struct l4_dgram *run, uint32_t *at, struct l4_dgram *piece)
{
    if (*at >= run->bytes && !(*at == 0 && run->bytes == 0))
        return false;
    const uint32_t left = run->bytes - *at;
    *piece = *run;
    piece->data = run->data + *at;
    piece->bytes = run->segment && run->segment < left ? run->segment : left;
    piece->segment = piece->bytes;
    *at += piece->bytes ? piece->bytes : 1;
    return true;
}

/* ---- addresses ------------------------------------------------------------------------------- */

struct l4_addr l4_dgram_addr_of(const union l4_dgram_name *name)
{
    struct l4_addr addr = {0};
    addr.family = name->any.sa_family;
    if (addr.family == AF_INET) {
        addr.port = ntohs(name->in.sin_port);
        memcpy(addr.ip, &name->in.sin_addr, 4);
    } else {
        addr.port = ntohs(name->in6.sin6_port);
        memcpy(addr.ip, &name->in6.sin6_addr, 16);
        l4_addr_unmap(&addr);
    }
    return addr;
}

socklen_t l4_dgram_name_of(const struct l4_addr *addr, uint32_t scope, bool mapped,
                           union l4_dgram_name *name)
{
    if (addr->family == AF_INET && mapped) {
        name->in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(addr->port)};
        memset(&name->in6.sin6_addr.s6_addr[10], 0xff, 2);
        memcpy(&name->in6.sin6_addr.s6_addr[12], addr->ip, 4);
        return sizeof name->in6;
    }
    if (addr->family == AF_INET) {
        name->in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(addr->port)};
        memcpy(&name->in.sin_addr, addr->ip, 4);
        return sizeof name->in;
    }
    name->in6 = (struct sockaddr_in6){
        .sin6_family = AF_INET6, .sin6_port = htons(addr->port), .sin6_scope_id = scope};
    memcpy(&name->in6.sin6_addr, addr->ip, 16);
    return sizeof name->in6;
}

/* ---- receiving ------------------------------------------------------------------------------- */

int l4_dgram_inbox_init(struct l4_dgram_inbox *inbox, bool named)
{
    inbox->named = named;
    inbox->memory = malloc((size_t)L4_UDP_BATCH * STRIDE);
    if (!inbox->memory)
        return -ENOMEM;
    for (uint32_t i = 0; i < L4_UDP_BATCH; i++) {
        struct msghdr *head = &inbox->heads[i].msg_hdr;
        inbox->parts[i] =
            (struct iovec){.iov_base = inbox->memory + (size_t)i * STRIDE, .iov_len = L4_UDP_BYTES};
        *head = (struct msghdr){.msg_iov = &inbox->parts[i], .msg_iovlen = 1};
        head->msg_name = named ? &inbox->names[i] : NULL;
        head->msg_namelen = named ? sizeof inbox->names[i] : 0;
        head->msg_control = inbox->controls[i];
        head->msg_controllen = L4_DGRAM_CONTROL;
    }
    return 0;
}

void l4_dgram_inbox_close(struct l4_dgram_inbox *inbox)
{
    free(inbox->memory);
    inbox->memory = NULL;
}

static void read_controls(struct msghdr *head, struct l4_dgram *d)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(head); c; c = CMSG_NXTHDR(head, c)) {
        if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
            int segment;
            memcpy(&segment, CMSG_DATA(c), sizeof segment);
            if (segment > 0)
                d->segment = (uint32_t)segment;
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            /* why: spec_dst can be used as a source address, even if the datagram came to a
             * broadcast or multicast address (ip(7)). */
            d->local = (struct l4_addr){.family = AF_INET};
            memcpy(d->local.ip, &info.ipi_spec_dst, 4);
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            d->local.family = AF_INET6;
            memcpy(d->local.ip, &info.ipi6_addr, 16);
            l4_addr_unmap(&d->local);
            if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
                d->scope = info.ipi6_ifindex;
        }
    }
}

int l4_dgram_receive(struct l4_dgram_inbox *inbox, int fd, uint32_t first, uint32_t count)
{
    L4_ASSERT(first + count <= L4_UDP_BATCH);
    const int got = recvmmsg(fd, inbox->heads + first, count, MSG_DONTWAIT, NULL);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    for (uint32_t i = first; i < first + (uint32_t)got; i++) {
        struct msghdr *head = &inbox->heads[i].msg_hdr;
        struct l4_dgram *d = &inbox->got[i];
        d->data = inbox->parts[i].iov_base;
        d->bytes = d->segment = inbox->heads[i].msg_len;
        d->scope = 0;
        d->local.family = 0;
        if (inbox->named) {
            d->peer = l4_dgram_addr_of(&inbox->names[i]);
            d->local = (struct l4_addr){0};
            if (d->peer.family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&inbox->names[i].in6.sin6_addr))
                d->scope = inbox->names[i].in6.sin6_scope_id;
            head->msg_namelen = sizeof inbox->names[i];
        }
        read_controls(head, d);
        head->msg_controllen = L4_DGRAM_CONTROL;
        head->msg_flags = 0;
    }
    return got;
}

/* ---- sending --------------------------------------------------------------------------------- */

bool l4_dgram_runs_supported(void)
{
    int segment = 0;
    socklen_t length = sizeof segment;
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    const bool known = getsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, &length) == 0;
    close(fd);
    return known;
}

void l4_dgram_outbox_init(struct l4_dgram_outbox *outbox)
{
    outbox->messages = outbox->parts_used = 0;
    outbox->runs = l4_dgram_runs_supported();
}

static struct cmsghdr *add_control(struct msghdr *head, char *at, int level, int type,
                                   const void *data, size_t bytes)
{
    struct cmsghdr *c = (struct cmsghdr *)(at + head->msg_controllen);
    *c = (struct cmsghdr){.cmsg_level = level, .cmsg_type = type, .cmsg_len = CMSG_LEN(bytes)};
    memcpy(CMSG_DATA(c), data, bytes);
    head->msg_control = at;
    head->msg_controllen += CMSG_SPACE(bytes);
    return c;
}

static void send_from(struct msghdr *head, char *controls, const struct l4_dgram_to *to)
{
    if (to->local->family == AF_INET) {
        struct in_pktinfo info = {0};
        memcpy(&info.ipi_spec_dst, to->local->ip, 4);
        add_control(head, controls, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    } else {
        struct in6_pktinfo info = {.ipi6_ifindex = to->scope};
        memcpy(&info.ipi6_addr, to->local->ip, 16);
        add_control(head, controls, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
    }
}

/* True if d can become part of the last message. */
static bool fits(const struct l4_dgram_outbox *outbox, uint32_t owner, const struct l4_dgram *d)
{
    if (!outbox->runs || outbox->messages == 0)
        return false;
    const struct l4_dgram_message *last = &outbox->messages_of[outbox->messages - 1];
    const bool same = d->segment == last->segment ||
                      (d->bytes <= last->segment && d->bytes > 0 && d->segment == d->bytes);
    return last->owner == owner && last->whole && same && d->bytes > 0 &&
           last->count + l4_dgram_count(d) <= L4_UDP_SEGMENTS &&
           last->bytes + d->bytes <= L4_UDP_RUN_BYTES;
}

bool l4_dgram_put(struct l4_dgram_outbox *outbox, const struct l4_dgram_to *to,
                  const struct l4_dgram *d, bool merge)
{
    if (outbox->parts_used == L4_UDP_BATCH)
        return false;
    struct iovec *part = &outbox->parts[outbox->parts_used];
    *part = (struct iovec){.iov_base = (void *)d->data, .iov_len = d->bytes};
    if (merge && fits(outbox, to->owner, d)) {
        struct l4_dgram_message *last = &outbox->messages_of[outbox->messages - 1];
        outbox->parts_used++;
        outbox->heads[outbox->messages - 1].msg_hdr.msg_iovlen++;
        last->bytes += d->bytes;
        last->count += l4_dgram_count(d);
        last->whole = last->bytes == last->count * last->segment;
        return true;
    }
    L4_ASSERT(outbox->messages < L4_UDP_BATCH);
    const uint32_t n = outbox->messages++;
    struct msghdr *head = &outbox->heads[n].msg_hdr;
    outbox->parts_used++;
    *head = (struct msghdr){.msg_iov = part, .msg_iovlen = 1};
    if (to->peer) {
        head->msg_name = &outbox->names[n];
        head->msg_namelen = l4_dgram_name_of(to->peer, to->scope, to->six, &outbox->names[n]);
    }
    if (to->local)
        send_from(head, outbox->controls[n], to);
    outbox->messages_of[n] = (struct l4_dgram_message){
        .owner = to->owner,
        .bytes = d->bytes,
        .segment = d->segment,
        .count = l4_dgram_count(d),
    };
    outbox->messages_of[n].whole = d->bytes == outbox->messages_of[n].count * d->segment;
    return true;
}

static void mark_runs(struct l4_dgram_outbox *outbox)
{
    for (uint32_t n = 0; n < outbox->messages; n++) {
        const struct l4_dgram_message *m = &outbox->messages_of[n];
        const uint16_t segment = (uint16_t)m->segment;
        if (m->count > 1)
            add_control(&outbox->heads[n].msg_hdr, outbox->controls[n], IPPROTO_UDP, UDP_SEGMENT,
                        &segment, sizeof segment);
    }
}

bool l4_dgram_peer_gone(int error)
{
    return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH ||
           error == EHOSTDOWN || error == ENETDOWN || error == EPROTO || error == ENOPROTOOPT ||
           error == EOPNOTSUPP ||
           error == EACCES; /* a route of this host that rejects; see l4_dgram_error */
}

/* Copies the parts of a message from byte `at` on, `bytes` of them; returns the number of
 * parts. */
static size_t cut(const struct msghdr *head, size_t at, size_t bytes, struct iovec *to)
{
    size_t count = 0;
    for (size_t i = 0; i < head->msg_iovlen && bytes; i++) {
        const struct iovec *from = &head->msg_iov[i];
        if (at >= from->iov_len) {
            at -= from->iov_len;
            continue;
        }
        const size_t here = from->iov_len - at < bytes ? from->iov_len - at : bytes;
        L4_ASSERT(count < L4_UDP_BATCH);
        to[count++] = (struct iovec){.iov_base = (char *)from->iov_base + at, .iov_len = here};
        bytes -= here;
        at = 0;
    }
    return count;
}

/* Sends the datagrams of a run one by one. Returns 0, or -errno if the peer is not there. */
static int send_singly(struct l4_dgram_outbox *outbox, uint32_t n, int fd,
                       struct l4_dgram_sent *sent)
{
    const struct l4_dgram_message *m = &outbox->messages_of[n];
    struct msghdr head = outbox->heads[n].msg_hdr;
    struct iovec parts[L4_UDP_BATCH];
    if (m->count > 1) /* the size is the last control message */
        head.msg_controllen -= CMSG_SPACE(sizeof(uint16_t));
    if (head.msg_controllen == 0)
        head.msg_control = NULL;
    for (uint32_t at = 0; at < m->bytes; at += m->segment) {
        const uint32_t left = m->bytes - at;
        head.msg_iov = parts;
        head.msg_iovlen =
            cut(&outbox->heads[n].msg_hdr, at, left < m->segment ? left : m->segment, parts);
        if (sendmsg(fd, &head, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
            continue;
        if (at == 0 && !head.msg_name && l4_dgram_peer_gone(errno))
            return -errno;
        sent->lost++;
    }
    return 0;
}

/* Handles the error of the message that the kernel refused. Returns 0: go on with the next
 * one. */
static int refused(struct l4_dgram_outbox *outbox, uint32_t n, int fd, int error,
                   struct l4_dgram_sent *sent)
{
    const struct l4_dgram_message *m = &outbox->messages_of[n];
    if (m->count > 1 && (error == EINVAL || error == EIO || error == EMSGSIZE)) {
        if (error == EIO) /* the outgoing interface has no checksum offload */
            outbox->runs = false;
        sent->unfit = m->segment;
        sent->unfit_owner = m->owner;
        return send_singly(outbox, n, fd, sent);
    }
    if (!outbox->heads[n].msg_hdr.msg_name && l4_dgram_peer_gone(error))
        return -error;
    sent->lost += m->count;
    return 0;
}

/* Keeps the messages from n on, without the control data of mark_runs. */
static void keep_from(struct l4_dgram_outbox *outbox, uint32_t n)
{
    for (uint32_t i = n; i < outbox->messages; i++) {
        struct msghdr *head = &outbox->heads[i].msg_hdr;
        if (outbox->messages_of[i].count > 1)
            head->msg_controllen -= CMSG_SPACE(sizeof(uint16_t));
        outbox->heads[i - n] = outbox->heads[i];
        outbox->messages_of[i - n] = outbox->messages_of[i];
        /* why: only messages of a connected socket are kept; they have no peer name and no local
         * address. */
        outbox->heads[i - n].msg_hdr.msg_control = NULL;
    }
    outbox->messages -= n;
}

/* Sends the messages from n on, as many as possible; returns how many were sent. */
static int send_from_on(struct l4_dgram_outbox *outbox, uint32_t n, int fd)
{
    const struct msghdr *head = &outbox->heads[n].msg_hdr;
    const int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    /* why: a single plain datagram is the most frequent case, and this call is the cheapest. */
    if (n + 1 == outbox->messages && !head->msg_name && !head->msg_control && head->msg_iovlen == 1)
        return send(fd, head->msg_iov->iov_base, head->msg_iov->iov_len, flags) < 0 ? -1 : 1;
    return sendmmsg(fd, outbox->heads + n, outbox->messages - n, flags);
}

int l4_dgram_send(struct l4_dgram_outbox *outbox, int fd, struct l4_dgram_sent *sent)
{
    *sent = (struct l4_dgram_sent){0};
    mark_runs(outbox);
    for (uint32_t n = 0; n < outbox->messages;) {
        const int done = send_from_on(outbox, n, fd);
        if (done > 0) {
            n += (uint32_t)done;
            continue;
        }
        const int error = refused(outbox, n, fd, errno, sent);
        if (error) {
            keep_from(outbox, n);
            return error;
        }
        n++;
    }
    outbox->messages = outbox->parts_used = 0;
    return 0;
}

uint32_t l4_dgram_forget(struct l4_dgram_outbox *outbox)
{
    uint32_t count = 0;
    for (uint32_t n = 0; n < outbox->messages; n++)
        count += outbox->messages_of[n].count;
    outbox->messages = outbox->parts_used = 0;
    return count;
}
