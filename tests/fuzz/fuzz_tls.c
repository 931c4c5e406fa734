/* Conversations of a TLS client with a plain backend through the pump, both directions at once. The
 * input decides buffers, pipes, versions, sizes, key updates, and when each side reads. Every byte
 * is compared. A conversation that stops or breaks is a finding. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bounds.h"
#include "io/pump.h"
#include "io/tls.h"
#include "require.h"

enum { CHUNK = 60000, LONGEST = 300000, STILL_TURNS = 4000 };

static struct {
    const uint8_t *at, *end;
    uint64_t state;
} input;

static uint8_t bundle[16384];
static size_t bundle_bytes;
static struct l4_pipes pipes;
static struct l4_tls_room room;
static char scratch[L4_SCRATCH_BYTES];
static struct l4_pump pump = {.pipes = &pipes, .scratch = scratch, .tls = &room};

struct side { /* one end of the conversation, outside the pump */
    uint64_t sent, got;
};

struct talk {
    struct l4_half front, back; /* towards client and backend */
    int backend;                /* the backend's end of its socket */
    SSL *client;
    bool tls12;
    size_t unwritten; /* bytes of a write that OpenSSL wants to be repeated */
    uint64_t size;    /* bytes in each direction */
    struct side up, down;
};

/* ---- choices --------------------------------------------------------------------------------- */

/* Returns a number below `below` from the input. After its end the numbers come from a generator.
 */
static uint32_t choose(uint32_t below)
{
    const uint64_t byte = input.at < input.end ? *input.at++ : 0;
    input.state = (input.state ^ byte) * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(input.state >> 33) % below;
}

static uint8_t byte_at(uint64_t i, uint8_t direction)
{
    return (uint8_t)((i * 2654435761u >> 13) ^ direction * 77u);
}

/* ---- certificates ---------------------------------------------------------------------------- */

static void put(uint32_t type, const void *bytes, uint32_t count)
{
    const uint32_t head[2] = {type, count};
    memcpy(bundle + bundle_bytes, head, sizeof head);
    memcpy(bundle + bundle_bytes + sizeof head, bytes, count);
    bundle_bytes += sizeof head + count;
}

static void put_pem(uint32_t type, BIO *pem)
{
    char *bytes;
    const long count = BIO_get_mem_data(pem, &bytes);
    put(type, bytes, (uint32_t)count);
    BIO_free(pem);
}

static void make_bundle(void)
{
    const struct l4_bundle_profile profile = {
        .id = 1, .flags = L4_TLS_TICKETS, .min_version = TLS1_2_VERSION, .lifetime_s = 60};
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x509 = X509_new();
    ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
    X509_gmtime_adj(X509_getm_notBefore(x509), 0);
    X509_gmtime_adj(X509_getm_notAfter(x509), 360000);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_ASC,
                               (const uint8_t *)"a.test", -1, -1, 0);
    X509_set_issuer_name(x509, X509_get_subject_name(x509));
    X509_set_pubkey(x509, key);
    X509_sign(x509, key, EVP_sha256());
    BIO *chain = BIO_new(BIO_s_mem()), *secret = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(chain, x509);
    PEM_write_bio_PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL);
    put(L4_BUNDLE_PROFILE, &profile, sizeof profile);
    put(L4_BUNDLE_CONTEXT, "", 0);
    put_pem(L4_BUNDLE_CHAIN, chain);
    put_pem(L4_BUNDLE_KEY, secret);
    put(L4_BUNDLE_NAME, "a.test", 6);
    X509_free(x509);
    EVP_PKEY_free(key);
}

static void open_room(void)
{
    struct l4_tls_loader loader;
    REQUIRE(l4_tls_open(&room, 4096, 4) == 0);
    int result = l4_tls_load_start(&loader, bundle, bundle_bytes);
    for (result = result ? result : 1; result == 1;)
        result = l4_tls_load_step(&loader);
    REQUIRE(result == 0);
    l4_tls_adopt(&room, loader.store);
}

/* ---- a conversation -------------------------------------------------------------------------- */

static void pair(int ends[2], int bytes)
{
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
    for (int i = 0; i < 2; i++) {
        setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
        setsockopt(ends[i], SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    }
}

static void make_client(struct talk *talk, int fd)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    talk->tls12 = choose(2);
    if (talk->tls12)
        SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
    if (talk->tls12 && choose(2))
        SSL_CTX_set_cipher_list(context, "ECDHE-ECDSA-AES256-SHA384:ECDHE-ECDSA-AES128-SHA");
    const uint32_t fragments = choose(3);
    if (fragments)
        SSL_CTX_set_tlsext_max_fragment_length(context, (uint8_t)fragments);
    talk->client = SSL_new(context);
    SSL_CTX_free(context);
    SSL_set_fd(talk->client, fd);
    SSL_set_mode(talk->client, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

static void shake(struct talk *talk)
{
    enum l4_shake shaken = L4_SHAKE_WAITS;
    for (int i = 0; i < 20000 && (shaken == L4_SHAKE_WAITS || !SSL_is_init_finished(talk->client));
         i++) {
        SSL_connect(talk->client);
        talk->front.flags |= L4_HALF_IN | L4_HALF_OUT;
        if (shaken == L4_SHAKE_WAITS)
            shaken = l4_tls_shake(&pump, &talk->front);
    }
    REQUIRE(shaken == L4_SHAKE_DONE && SSL_is_init_finished(talk->client));
}

/* Returns what epoll would report for a half. */
static void note_edges(struct l4_half *half)
{
    struct pollfd one = {.fd = half->fd, .events = POLLIN | POLLOUT | POLLRDHUP};
    if (poll(&one, 1, 0) <= 0)
        return;
    const uint32_t events = (one.revents & POLLIN ? EPOLLIN : 0) |
                            (one.revents & POLLOUT ? EPOLLOUT : 0) |
                            (one.revents & (POLLERR | POLLHUP) ? EPOLLERR : 0);
    l4_half_note(half, events);
}

static void client_writes(struct talk *talk, uint8_t *bytes)
{
    size_t count = 1 + choose(choose(3) ? CHUNK : 20);
    if (talk->up.sent == talk->size)
        return;
    if (talk->unwritten)
        count = talk->unwritten;
    if (count > talk->size - talk->up.sent)
        count = talk->size - talk->up.sent;
    for (size_t i = 0; i < count; i++)
        bytes[i] = byte_at(talk->up.sent + i, 0);
    ERR_clear_error();
    const int wrote = SSL_write(talk->client, bytes, (int)count);
    talk->unwritten = wrote > 0 ? 0 : count;
    if (wrote > 0) {
        talk->up.sent += (uint64_t)wrote;
        return;
    }
    const int error = SSL_get_error(talk->client, wrote);
    REQUIRE(error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ);
}

static void backend_writes(struct talk *talk, uint8_t *bytes)
{
    size_t count = 1 + choose(choose(3) ? CHUNK : 20);
    if (count > talk->size - talk->down.sent)
        count = talk->size - talk->down.sent;
    for (size_t i = 0; i < count; i++)
        bytes[i] = byte_at(talk->down.sent + i, 1);
    const ssize_t sent = count ? send(talk->backend, bytes, count, MSG_NOSIGNAL) : 0;
    talk->down.sent += sent > 0 ? (uint64_t)sent : 0;
}

static void client_reads(struct talk *talk, uint8_t *bytes)
{
    ERR_clear_error();
    const int got = SSL_read(talk->client, bytes, 1 + (int)choose(CHUNK));
    for (int i = 0; i < got; i++)
        REQUIRE(bytes[i] == byte_at(talk->down.got + (uint64_t)i, 1));
    talk->down.got += got > 0 ? (uint64_t)got : 0;
    const int error = got > 0 ? SSL_ERROR_NONE : SSL_get_error(talk->client, got);
    REQUIRE(got > 0 || error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE);
}

static void backend_reads(struct talk *talk, uint8_t *bytes)
{
    const ssize_t got = recv(talk->backend, bytes, 1 + choose(CHUNK), 0);
    for (ssize_t i = 0; i < got; i++)
        REQUIRE(bytes[i] == byte_at(talk->up.got + (uint64_t)i, 0));
    talk->up.got += got > 0 ? (uint64_t)got : 0;
}

/* Makes one turn of all sides. Returns a number that changes when anything has moved. */
static uint64_t turn(struct talk *talk)
{
    static uint8_t bytes[CHUNK + 1];
    uint64_t moved = 0;
    if (choose(40) == 0 && !talk->tls12 && !talk->unwritten)
        SSL_key_update(talk->client,
                       choose(2) ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
    for (int i = 0; i < 2; i++) {
        client_writes(talk, bytes);
        backend_writes(talk, bytes);
    }
    note_edges(&talk->front);
    note_edges(&talk->back);
    REQUIRE(l4_pump(&pump, &talk->front, &talk->back, &moved) != L4_PUMP_LOST);
    REQUIRE(l4_pump(&pump, &talk->back, &talk->front, &moved) != L4_PUMP_LOST);
    REQUIRE(!((talk->front.flags | talk->back.flags) & L4_HALF_BROKEN));
    if (choose(3))
        client_reads(talk, bytes);
    if (choose(3))
        backend_reads(talk, bytes);
    return talk->up.sent + talk->up.got + talk->down.sent + talk->down.got + moved;
}

static void run(struct talk *talk)
{
    uint64_t before = 0;
    int still = 0;
    while (talk->up.got < talk->size || talk->down.got < talk->size) {
        const uint64_t now = turn(talk);
        still = now == before ? still + 1 : 0;
        before = now;
        REQUIRE(still < STILL_TURNS);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int outside[2], inside[2];
    struct talk talk = {0};
    if (!bundle_bytes)
        make_bundle();
    signal(SIGPIPE, SIG_IGN);
    input.at = data;
    input.end = data + size;
    input.state = size;
    l4_pipes_init(&pipes, choose(5));
    open_room();
    const int bytes = 4096 << choose(6);
    pump.max = choose(4) ? 0 : 1460 + choose(50000);
    pair(outside, bytes);
    pair(inside, bytes);
    const uint16_t open = L4_HALF_IN | L4_HALF_OUT;
    talk.size = 1 + choose(LONGEST);
    talk.front = (struct l4_half){.fd = outside[1], .flags = open, .pipe = L4_NO_PIPE};
    talk.back = (struct l4_half){.fd = inside[0], .flags = open, .pipe = L4_NO_PIPE};
    talk.backend = inside[1];
    make_client(&talk, outside[0]);
    REQUIRE(l4_tls_start(&pump, &talk.front, 1, NULL) == 0);
    shake(&talk);
    run(&talk);
    l4_half_close(&pump, &talk.front, choose(2) ? L4_CLOSE : L4_CLOSE_IN_ORDER);
    l4_half_close(&pump, &talk.back, choose(2) ? L4_CLOSE_RESET : L4_CLOSE);
    SSL_free(talk.client);
    close(outside[0]);
    close(talk.backend);
    l4_pipes_close(&pipes);
    REQUIRE(room.live == 0);
    l4_tls_close(&room);
    ERR_clear_error();
    return 0;
}
