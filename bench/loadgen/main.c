#include <arpa/inet.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "loadgen.h"

static const char usage[] =
    "usage: l4lb-loadgen JOB [OPTIONS]\n"
    "  serve  the server of all jobs; prints its port, ends with its standard input\n"
    "  rr     round trips over held connections\n"
    "  bulk   bytes one way (--up: to the server)\n"
    "  conn   new connections, one round trip each\n"
    "  hold   connections that do nothing, until the standard input ends\n"
    "  tls-full, tls-resumed  TLS connections, one round trip each\n"
    "  tls-bulk  bytes one way inside TLS\n"
    "  udp    datagrams that come back, over so many sessions\n"
    "  -a, --address IP       127.0.0.1\n"
    "  -p, --port PORT        serve: 0, any free one\n"
    "  -c, --connections N    64\n"
    "  -s, --size BYTES       64, of one message\n"
    "  -t, --seconds S        2\n"
    "  -i, --interval MS      rr, conn: 0, rest of a connection between two messages\n"
    "  -u, --up\n"
    "  -w, --window N         udp: 1, datagrams under way in each session, at most 64\n"
    "  -g, --gso              udp: each window is one send with UDP_SEGMENT\n"
    "Prints one JSON object when it is done. Exit status 0, 1 it failed, 2 usage.\n";

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

static double number(const char *text, double least, double most)
{
    char *end;
    const double value = strtod(text, &end);
    if (end == text || *end || !(value >= least && value <= most))
        misused();
    return value;
}

static void read_options(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {{"address", required_argument, NULL, 'a'},
                                          {"port", required_argument, NULL, 'p'},
                                          {"connections", required_argument, NULL, 'c'},
                                          {"size", required_argument, NULL, 's'},
                                          {"seconds", required_argument, NULL, 't'},
                                          {"interval", required_argument, NULL, 'i'},
                                          {"up", no_argument, NULL, 'u'},
                                          {"window", required_argument, NULL, 'w'},
                                          {"gso", no_argument, NULL, 'g'},
                                          {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "a:p:c:s:t:i:uw:g", known, NULL)) != -1;) {
        switch (c) {
        case 'a':
            if (inet_pton(AF_INET, optarg, &options->to.sin_addr) != 1)
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
