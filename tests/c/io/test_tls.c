/* TLS halves in the pump, and bundles: whole, cut off and damaged. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/bounds.h"
#include "check.h"
#include "io/pump.h"
#include "io/tls.h"
#include "sockets.h"

enum { BIG = 1 << 18 };

static uint8_t bundle[16384];
static size_t bundle_bytes;
static struct l4_pipes pipes;
static struct l4_tls_room room;
static char scratch[L4_SCRATCH_BYTES];
static struct l4_pump pump = {.pipes = &pipes, .scratch = scratch, .tls = &room};
static struct l4_half front, back; /* the halves towards client and backend */
static int backend;                /* the backend's end of its socket */
static SSL_CTX *client_context;
static SSL *client;

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

/* Makes a profile with a certificate of its own for "a.test". */
static void make_bundle(void)
{
    const struct l4_bundle_profile profile = {
        .id = 1, .flags = L4_TLS_TICKETS, .min_version = TLS1_2_VERSION, .lifetime_s = 60};
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x509 = X509_new();
    ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
    X509_gmtime_adj(X509_getm_notBefore(x509), 0);
    X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_ASC,
                               (const uint8_t *)"a.test", -1, -1, 0);
    X509_set_issuer_name(x509, X509_get_subject_name(x509));
    X509_set_pubkey(x509, key);
    X509_sign(x509, key, EVP_sha256());
    BIO *chain = BIO_new(BIO_s_mem()), *secret = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(chain, x509);
    PEM_write_bio_PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL);
    bundle_bytes = 0;
    put(L4_BUNDLE_PROFILE, &profile, sizeof profile);
    put(L4_BUNDLE_ALPN, "\x02h2", 3);
    put(L4_BUNDLE_CONTEXT, "", 0);
    put_pem(L4_BUNDLE_CHAIN, chain);
    put_pem(L4_BUNDLE_KEY, secret);
    put(L4_BUNDLE_NAME, "a.test", 6);
    const struct l4_bundle_profile to_backends = {
        .id = 2, .flags = L4_TLS_CLIENT | L4_TLS_TICKETS, .min_version = TLS1_3_VERSION};
    put(L4_BUNDLE_PROFILE, &to_backends, sizeof to_backends);
    put(L4_BUNDLE_CONTEXT, "", 0);
    X509_free(x509);
    EVP_PKEY_free(key);
}

/* Loads this many bytes of the bundle. Returns the last step's answer; *to: the complete store. */
static int load(size_t bytes, struct l4_tls_store **to)
{
    struct l4_tls_loader loader;
    int result = l4_tls_load_start(&loader, bundle, bytes);
    for (result = result ? result : 1; result == 1;)
        result = l4_tls_load_step(&loader);
    *to = result == 0 ? loader.store : NULL;
    if (result)
        l4_tls_load_stop(&loader);
    return result;
}

static void set_buffers(int fd, int bytes)
{
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

/* Options of a client. */
enum ask {
    ASK_NOTHING,
    ASK_CBC = 1 << 0,         /* a cipher of TLS 1.2 that makes the longest records */
    ASK_FRAGMENTS = 1 << 1,   /* records of 512 bytes */
    ASK_KEY_UPDATES = 1 << 2, /* key updates now and then, while bytes are in flight */
};

static void make_client(int fd, enum ask asks)
{
    client_context = SSL_CTX_new(TLS_client_method());
    if (asks & ASK_CBC) {
        SSL_CTX_set_max_proto_version(client_context, TLS1_2_VERSION);
        SSL_CTX_set_cipher_list(client_context, "ECDHE-ECDSA-AES256-SHA384");
    }
    if (asks & ASK_FRAGMENTS)
        SSL_CTX_set_tlsext_max_fragment_length(client_context, TLSEXT_max_fragment_length_512);
    client = SSL_new(client_context);
    SSL_set_mode(client, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_set_fd(client, fd);
    SSL_set_tlsext_host_name(client, "a.test");
}

static void begin(uint32_t pipes_most, enum ask asks)
{
    int outside[2], inside[2];
    struct l4_tls_store *store;
    make_bundle();
    l4_pipes_init(&pipes, pipes_most);
    CHECK_EQ(0, l4_tls_open(&room, 1024, 4));
    CHECK_EQ(0, load(bundle_bytes, &store));
    l4_tls_adopt(&room, store);
    if (asks & ASK_KEY_UPDATES) { /* with so little room TCP waits for its timers */
        CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, outside));
        CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, inside));
    } else {
        tcp_pair(outside);
        tcp_pair(inside);
    }
    for (int i = 0; i < 2; i++) {
        set_buffers(outside[i], asks & ASK_KEY_UPDATES ? 8 << 10 : 48 << 10);
        /* One receive that fills the scratch buffer makes the maximum number of records. */
        set_buffers(inside[i], asks & ASK_FRAGMENTS ? 1 << 20 : 48 << 10);
        nonblocking(outside[i]);
        nonblocking(inside[i]);
    }
    const uint16_t open = L4_HALF_IN | L4_HALF_OUT;
    front = (struct l4_half){.fd = outside[1], .flags = open, .pipe = L4_NO_PIPE};
    back = (struct l4_half){.fd = inside[0], .flags = open, .pipe = L4_NO_PIPE};
    backend = inside[1];
    make_client(outside[0], asks);
    CHECK_EQ(0, l4_tls_start(&pump, &front, 1, NULL));
    enum l4_shake shaken = L4_SHAKE_WAITS;
    for (int i = 0; i < 1000 && (shaken == L4_SHAKE_WAITS || !SSL_is_init_finished(client)); i++) {
        SSL_connect(client);
        front.flags |= open;
        if (shaken == L4_SHAKE_WAITS)
            shaken = l4_tls_shake(&pump, &front);
        usleep(500);
    }
    CHECK_EQ(L4_SHAKE_DONE, shaken);
}

static void finish(void)
{
    const int fd = SSL_get_fd(client);
    l4_half_close(&pump, &front, L4_CLOSE);
    l4_half_close(&pump, &back, L4_CLOSE);
    CHECK_EQ(0, room.live);
    SSL_free(client);
    SSL_CTX_free(client_context);
    close(fd);
    close(backend);
    l4_tls_close(&room);
    l4_pipes_close(&pipes);
    ERR_clear_error();
}

static char byte_at(size_t i)
{
    return (char)(i * 31 + i / 997);
}

/* Makes one turn of the pump in each direction, as if all events had come. */
static void turn(void)
{
    uint64_t moved = 0;
    front.flags |= L4_HALF_IN | L4_HALF_OUT;
    back.flags |= L4_HALF_IN | L4_HALF_OUT;
    CHECK(l4_pump(&pump, &front, &back, &moved) != L4_PUMP_LOST);
    CHECK(l4_pump(&pump, &back, &front, &moved) != L4_PUMP_LOST);
}

/* BIG bytes each way at once through small buffers; every byte is compared. */
static void flood(enum ask asks)
{
    static char out[40000], in[40000];
    size_t up_sent = 0, up_got = 0, down_sent = 0, down_got = 0;
    for (int idle = 0; idle < 100000 && (up_got < BIG || down_got < BIG); idle++) {
        size_t count = BIG - up_sent < sizeof out ? BIG - up_sent : sizeof out;
        for (size_t i = 0; i < count; i++)
            out[i] = byte_at(up_sent + i);
        if (asks & ASK_KEY_UPDATES && idle % 5 == 0)
            SSL_key_update(client, SSL_KEY_UPDATE_REQUESTED);
        int n = count ? SSL_write(client, out, (int)count) : 0;
        up_sent += n > 0 ? (size_t)n : 0;
        count = BIG - down_sent < sizeof out ? BIG - down_sent : sizeof out;
        for (size_t i = 0; i < count; i++)
            out[i] = byte_at(down_sent + i + 7);
        ssize_t m = count ? send(backend, out, count, MSG_NOSIGNAL) : 0;
        down_sent += m > 0 ? (size_t)m : 0;
        turn();
        if (idle % 3 == 0) { /* reads less often than it could, so that bytes pile up */
            m = recv(backend, in, sizeof in, 0);
            for (ssize_t i = 0; i < m; i++, up_got++)
                CHECK(in[i] == byte_at(up_got));
            n = SSL_read(client, in, sizeof in);
            for (int i = 0; i < n; i++, down_got++)
                CHECK(in[i] == byte_at(down_got + 7));
            usleep(50);
        }
    }
    CHECK_EQ(BIG, up_got);
    CHECK_EQ(BIG, down_got);
}

/* Tests each number of pipes: enough, one for both directions, none. */
static void flood_all(enum ask asks)
{
    static const uint32_t pipes_most[] = {8, 1, 0};
    for (int i = 0; i < 3; i++) {
        begin(pipes_most[i], asks);
        flood(asks);
        finish();
    }
}

TEST(a_flood_both_ways_through_small_buffers_is_whole)
{
    flood_all(ASK_NOTHING);
}

TEST(small_fragments_in_the_longest_records_are_whole)
{
    flood_all(ASK_CBC | ASK_FRAGMENTS);
}

TEST(key_updates_break_nothing_with_or_without_pipes)
{
    flood_all(ASK_KEY_UPDATES);
}

TEST(an_end_is_a_close_notify_each_way)
{
    char got[16];
    begin(8, ASK_NOTHING);
    shutdown(backend, SHUT_WR);
    for (int i = 0; i < 1000 && !(front.flags & L4_HALF_SHUT); i++) {
        turn();
        usleep(500);
    }
    CHECK(front.flags & L4_HALF_SHUT);
    int n = -1;
    for (int i = 0; i < 1000 && !(SSL_get_shutdown(client) & SSL_RECEIVED_SHUTDOWN); i++) {
        n = SSL_read(client, got, sizeof got);
        usleep(500);
    }
    CHECK_EQ(SSL_ERROR_ZERO_RETURN, SSL_get_error(client, n));
    SSL_shutdown(client);
    for (int i = 0; i < 1000 && !(back.flags & L4_HALF_SHUT); i++) {
        turn();
        usleep(500);
    }
    CHECK(front.flags & L4_HALF_EOF);
    CHECK(back.flags & L4_HALF_SHUT);
    finish();
}

TEST(facts_of_a_handshake_can_be_read)
{
    struct l4_tls_facts facts;
    begin(8, ASK_NOTHING);
    CHECK(l4_tls_facts(&pump, &front, &facts));
    CHECK_EQ(0, strcmp("a.test", facts.server_name));
    CHECK_EQ(0, strcmp("TLSv1.3", facts.version));
    CHECK(!facts.resumed && !facts.peer_certificate);
    CHECK(!l4_tls_facts(&pump, &back, &facts));
    finish();
}

/* A TLS server of the test's own, with the certificate of the bundle's first profile. */
static SSL *make_server(int fd)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    SSL_CTX *from = l4_tls_store_context(room.store, 1);
    CHECK(SSL_CTX_use_certificate(context, SSL_CTX_get0_certificate(from)));
    CHECK(SSL_CTX_use_PrivateKey(context, SSL_CTX_get0_privatekey(from)));
    SSL_CTX_set_num_tickets(context, 0);
    SSL *server = SSL_new(context);
    SSL_CTX_free(context);
    SSL_set_fd(server, fd);
    return server;
}

/* Returns the half towards backend 1, whose row has this serial, in a session with `server`. */
static void meet(SSL *server, struct l4_half *half, uint32_t serial)
{
    const struct l4_tls_peer peer = {.name = "a.test", .ip = "", .backend = 1, .serial = serial};
    enum l4_shake shaken = L4_SHAKE_WAITS;
    CHECK_EQ(0, l4_tls_start(&pump, half, 2, &peer));
    for (int i = 0; i < 1000 && (shaken == L4_SHAKE_WAITS || !SSL_is_init_finished(server)); i++) {
        half->flags |= L4_HALF_IN | L4_HALF_OUT;
        if (shaken == L4_SHAKE_WAITS)
            shaken = l4_tls_shake(&pump, half);
        SSL_accept(server);
        usleep(500);
    }
    CHECK_EQ(L4_SHAKE_DONE, shaken);
}

/* The server sends a ticket, and a byte after it that shows when the pump has read both. */
static void give_ticket(SSL *server, struct l4_half *half)
{
    uint64_t moved = 0;
    CHECK_EQ(1, SSL_new_session_ticket(server));
    CHECK_EQ(1, SSL_write(server, "x", 1));
    for (int i = 0; i < 1000 && !moved; i++) {
        half->flags |= L4_HALF_IN;
        l4_pump(&pump, half, &back, &moved);
        usleep(500);
    }
    CHECK_EQ(1, moved);
}

TEST(a_ticket_that_comes_after_the_settings_have_changed_is_not_kept)
{
    int ends[2];
    struct l4_tls_store *store;
    begin(8, ASK_NOTHING);
    tcp_pair(ends);
    nonblocking(ends[0]);
    nonblocking(ends[1]);
    SSL *server = make_server(ends[1]);
    struct l4_half half = {.fd = ends[0], .flags = L4_HALF_OUT, .pipe = L4_NO_PIPE};
    meet(server, &half, 5);
    give_ticket(server, &half);
    CHECK(room.kept[1].session != NULL);
    CHECK_EQ(0, load(bundle_bytes, &store));
    l4_tls_adopt(&room, store);
    CHECK(room.kept[1].session == NULL);
    give_ticket(server, &half);
    CHECK(room.kept[1].session == NULL);
    l4_half_close(&pump, &half, L4_CLOSE);
    SSL_free(server);
    close(ends[1]);
    finish();
}

TEST(a_ticket_of_the_backend_that_had_a_row_before_is_not_kept)
{
    int ends[2];
    begin(8, ASK_NOTHING);
    tcp_pair(ends);
    nonblocking(ends[0]);
    nonblocking(ends[1]);
    SSL *server = make_server(ends[1]);
    struct l4_half half = {.fd = ends[0], .flags = L4_HALF_OUT, .pipe = L4_NO_PIPE};
    meet(server, &half, 5);
    room.kept[1].serial = 6; /* as the first session with its successor leaves it */
    give_ticket(server, &half);
    CHECK(room.kept[1].session == NULL);
    l4_half_close(&pump, &half, L4_CLOSE);
    SSL_free(server);
    close(ends[1]);
    finish();
}

TEST(a_bundle_that_is_cut_off_or_damaged_is_refused_or_loaded_but_never_more)
{
    struct l4_tls_store *store;
    make_bundle();
    for (size_t bytes = 1; bytes < bundle_bytes; bytes++) {
        if (load(bytes, &store) == 0)
            l4_tls_store_free(store);
    }
    for (size_t at = 0; at < bundle_bytes; at++) {
        bundle[at] ^= 0x55;
        if (load(bundle_bytes, &store) == 0)
            l4_tls_store_free(store);
        bundle[at] ^= 0x55;
    }
    CHECK_EQ(0, load(bundle_bytes, &store));
    CHECK_EQ(1, store->certificates);
    l4_tls_store_free(store);
}

MAIN(RUN(a_flood_both_ways_through_small_buffers_is_whole);
     RUN(small_fragments_in_the_longest_records_are_whole);
     RUN(key_updates_break_nothing_with_or_without_pipes); RUN(an_end_is_a_close_notify_each_way);
     RUN(facts_of_a_handshake_can_be_read);
     RUN(a_ticket_that_comes_after_the_settings_have_changed_is_not_kept);
     RUN(a_ticket_of_the_backend_that_had_a_row_before_is_not_kept);
     RUN(a_bundle_that_is_cut_off_or_damaged_is_refused_or_loaded_but_never_more))
