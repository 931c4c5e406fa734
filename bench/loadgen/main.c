#include <arpa/inet.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "loadgen.h"

static const char usage[] =
    "usage: l4lb-loadgen JOB [OPTIONS]\n"
    "  serve  the server of all jobs; prints its port and ends with its standard input\n"
    "  rr     round trips over open connections\n"
    "  bulk   bytes in one direction (--up: to the server)\n"
    "  conn   new connections, one round trip on each\n"
    "  hold   idle connections, until standard input ends\n"
    "  tls-full, tls-resumed  TLS connections, one round trip on each\n"
    "  tls-bulk  bytes in one direction inside TLS\n"
    "  udp    datagrams and their echoes, one session for each connection of -c\n"
    "  -a, --address IP       address to connect to (127.0.0.1)\n"
    "  -f, --from IP          first of 8 addresses to connect from (TCP to 127/8: 127.0.0.1)\n"
    "  -p, --port PORT        port to connect to; serve: port to listen on (0: any free one)\n"
    "  -c, --connections N    number of connections (64)\n"
    "  -s, --size BYTES       size of one message (64)\n"
    "  -t, --seconds S        duration (2)\n"
    "  -i, --interval MS      rr, conn: pause of a connection between two messages (0)\n"
    "  -u, --up               bulk: send to the server\n"
    "  -w, --window N         udp: datagrams in flight in each session (1), at most 64\n"
    "  -g, --gso              udp: send each window in one call with UDP_SEGMENT\n"
    "Prints one JSON object at the end. Exit status: 0 done, 1 failed, 2 usage error.\n";

static const struct {
    const char *name;
    int (*run)(const struct options *options);
} jobs[] = {{"serve", serve},
            {"rr", run_rr},
            {"bulk", run_bulk},
            {"conn", run_conn},
            {"hold", run_hold},
            {"tls-full", run_tls_full},
            {"tls-resumed", run_tls_resumed},
            {"tls-bulk", run_tls_bulk},
            {"udp", run_udp}};

static _Noreturn void misused(void)
{
    fputs(usage, stderr);
    exit(2);
}

static double number(const char *text, double min, double max)
{
    char *end;
    const double value = strtod(text, &end);
    if (end == text || *end || !(value >= min && value <= max))
        misused();
    return value;
}

static void read_options(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {{"address", required_argument, NULL, 'a'},
                                          {"from", required_argument, NULL, 'f'},
                                          {"port", required_argument, NULL, 'p'},
                                          {"connections", required_argument, NULL, 'c'},
                                          {"size", required_argument, NULL, 's'},
                                          {"seconds", required_argument, NULL, 't'},
                                          {"interval", required_argument, NULL, 'i'},
                                          {"up", no_argument, NULL, 'u'},
                                          {"window", required_argument, NULL, 'w'},
                                          {"gso", no_argument, NULL, 'g'},
                                          {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "a:f:p:c:s:t:i:uw:g", known, NULL)) != -1;) {
        switch (c) {
        case 'a':
            if (inet_pton(AF_INET, optarg, &options->to.sin_addr) != 1)
                misused();
            break;
        case 'f':
            if (inet_pton(AF_INET, optarg, &options->from) != 1)
                misused();
            break;
        case 'p':
            options->to.sin_port = htons((uint16_t)number(optarg, 0, 65535));
            break;
        case 'c':
            options->connections = (unsigned)number(optarg, 1, CONNECTIONS_MAX);
            break;
        case 's':
            options->size = (size_t)number(optarg, 1, SIZE_MAX_BYTES);
            break;
        case 't':
            options->seconds = number(optarg, 0.01, 3600);
            break;
        case 'i':
            options->interval_ms = number(optarg, 0, 60000);
            break;
        case 'u':
            options->up = true;
            break;
        case 'w':
            options->window = (unsigned)number(optarg, 1, 64);
            break;
        case 'g':
            options->gso = true;
            break;
        default:
            misused();
        }
    }
}

int main(int argc, char **argv)
{
    struct options options = {
        .to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
        .connections = 64,
        .size = 64,
        .seconds = 2,
        .window = 1,
    };
    struct rlimit files;
    if (argc < 2 || !strcmp(argv[1], "--help")) {
        fputs(usage, argc < 2 ? stderr : stdout);
        return argc < 2 ? 2 : 0;
    }
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    read_options(argc - 1, argv + 1, &options);
    for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++) {
        if (!strcmp(argv[1], jobs[i].name))
            return jobs[i].run(&options);
    }
    misused();
}
