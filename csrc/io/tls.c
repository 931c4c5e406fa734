#include "io/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/assert.h"
#include "base/bounds.h"
#include "io/sock.h"
#include "io/tls_hooks.h"

_Static_assert(L4_TLS_BYTES / L4_TLS_FRAGMENT_MIN * L4_TLS_OVERHEAD + 1024 < L4_TLS_SLACK &&
                   L4_TLS_BYTES + L4_TLS_SLACK <= L4_PIPE_MIN_BYTES,
               "the records of one pass fit the buffer, and a pipe");

static struct l4_tls *tls_of(const struct l4_pump *pump, const struct l4_half *half)
{
    return pump->tls->by_fd[half->fd];
}

/* ---- the BIO: between OpenSSL and the socket ------------------------------------------------- */

static int bio_read(BIO *bio, char *to, int size)
{
    struct l4_tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (tls->ended)
        return 0;
    if (!tls->drained) {
        const ssize_t got = recv(tls->half->fd, to, (size_t)size, 0);
        if (got > 0) {
            tls->drained = l4_io_is_drained(tls->half, got, (size_t)size);
            return (int)got;
        }
        tls->ended = got == 0;
        if (got < 0 && errno != EAGAIN)
            tls->error = errno;
        if (got == 0 || errno != EAGAIN)
            return (int)got;
        tls->drained = true;
    }
    BIO_set_retry_read(bio);
    return -1;
}

/* Appends records to the half's own buffer. Returns false if there is no room. */
static bool keep_unsent(struct l4_tls *tls, const char *bytes, size_t count)
{
    const size_t all = tls->unsent_bytes + count;
    char *grown = all > L4_TLS_UNSENT_MAX ? NULL : realloc(tls->unsent, all);
    if (!grown)
        return false;
    memcpy(grown + tls->unsent_bytes, bytes, count);
    tls->unsent = grown;
    tls->unsent_bytes = (uint32_t)all;
    tls->half->flags |= L4_HALF_UNSENT;
    return true;
}

static void drop_unsent(struct l4_tls *tls)
{
    free(tls->unsent);
    tls->unsent = NULL;
    tls->unsent_bytes = 0;
    tls->half->flags &= (uint16_t)~L4_HALF_UNSENT;
}

static bool tls_settle(const struct l4_pump *pump, struct l4_half *to)
{
    struct l4_tls *tls = tls_of(pump, to);
    while (tls->unsent_bytes && (to->flags & (L4_HALF_OUT | L4_HALF_BROKEN)) == L4_HALF_OUT) {
        const ssize_t sent = send(to->fd, tls->unsent, tls->unsent_bytes, MSG_NOSIGNAL);
        if (sent < 0) {
            l4_io_not_sent(to);
        } else {
            tls->unsent_bytes -= (uint32_t)sent;
            memmove(tls->unsent, tls->unsent + sent, tls->unsent_bytes);
        }
    }
    if (!tls->unsent_bytes || to->flags & L4_HALF_BROKEN)
        drop_unsent(tls);
    return !tls->unsent_bytes;
}

/* Sends data outside of a pass: handshakes, alerts, answers to key updates. */
static int write_now(BIO *bio, struct l4_tls *tls, const char *bytes, int count)
{
    struct l4_half *half = tls->half, *other = tls->other;
    if (half->flags & (L4_HALF_BROKEN | L4_HALF_SHUT))
        return count;
    if (!tls->unsent_bytes && (!other || !other->piped)) {
        l4_io_before_send(half, (size_t)count);
        const ssize_t sent = send(half->fd, bytes, (size_t)count, MSG_NOSIGNAL);
        if (sent > 0)
            return (int)sent;
        l4_io_not_sent(half);
        if (half->flags & L4_HALF_BROKEN)
            return count;
    }
    if (other) {
        const uint32_t before = other->piped;
        if (!tls->unsent_bytes)
            (void)l4_io_hold(tls->pump, other, bytes, (size_t)count);
        if (other->piped > before)
            return (int)(other->piped - before);
        /* why: data in the pipe is sent after the half's own buffer. */
        if (!other->piped && keep_unsent(tls, bytes, (size_t)count))
            return count;
    }
    BIO_set_retry_write(bio);
    return -1;
}

static int bio_write(BIO *bio, const char *bytes, int count)
{
    struct l4_tls *tls = BIO_get_data(bio);
    struct l4_tls_room *room = tls->room;
    BIO_clear_retry_flags(bio);
    if (!tls->gathers)
        return write_now(bio, tls, bytes, count);
    if (room->gathered + (size_t)count > L4_TLS_BYTES + L4_TLS_SLACK)
        return -1;
    memcpy(room->records + room->gathered, bytes, (size_t)count);
    room->gathered += (size_t)count;
    return count;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)number;
    (void)pointer;
    switch (command) {
    case BIO_CTRL_FLUSH:
    case BIO_CTRL_DUP:
        return 1;
    case BIO_CTRL_EOF:
        return ((struct l4_tls *)BIO_get_data(bio))->ended;
    default:
        return 0;
    }
}

/* ---- the room -------------------------------------------------------------------------------- */

int l4_tls_open(struct l4_tls_room *room, uint32_t fds, uint32_t backends)
{
    *room = (struct l4_tls_room){
        .fds = fds < L4_TLS_FDS_MAX ? fds : L4_TLS_FDS_MAX,
        .backends = backends,
    };
    room->by_fd = calloc(room->fds, sizeof *room->by_fd);
    room->kept = calloc(backends, sizeof *room->kept);
    room->records = malloc(L4_TLS_BYTES + L4_TLS_SLACK);
    room->method = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "l4lb half");
    if (!room->by_fd || !room->kept || !room->records || !room->method)
        return -ENOMEM;
    BIO_meth_set_read(room->method, bio_read);
    BIO_meth_set_write(room->method, bio_write);
    BIO_meth_set_ctrl(room->method, bio_ctrl);
    return 0;
}

void l4_tls_adopt(struct l4_tls_room *room, struct l4_tls_store *store)
{
    for (uint32_t i = 0; room->kept && i < room->backends; i++) {
        SSL_SESSION_free(room->kept[i].session);
        room->kept[i] = (struct l4_tls_kept){0};
    }
    l4_tls_store_free(room->store);
    room->store = store;
}

void l4_tls_close(struct l4_tls_room *room)
{
    l4_tls_adopt(room, NULL);
    OPENSSL_cleanse(&room->keys, sizeof room->keys);
    BIO_meth_free(room->method);
    free(room->records);
    free(room->kept);
    free(room->by_fd);
    *room = (struct l4_tls_room){0};
}

/* ---- one half -------------------------------------------------------------------------------- */

/* OpenSSL has a new session or ticket of a backend; the last one is kept. Returns whether the
 * reference was taken over. */
static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    const struct l4_tls *tls = SSL_get_app_data(ssl);
    if (!tls || tls->backend >= tls->room->backends)
        return 0;
    struct l4_tls_kept *kept = &tls->room->kept[tls->backend];
    /* why: a ticket may come late, on a connection that was verified by earlier settings, or
     * from a backend that had this row before. A session resumed with it would verify nothing
     * again. */
    if (kept->serial != tls->serial ||
        SSL_get_SSL_CTX(ssl) != l4_tls_store_context(tls->room->store, tls->profile))
        return 0;
    SSL_SESSION_free(kept->session);
    kept->session = session;
    return 1;
}

static bool meet(struct l4_tls *tls, const struct l4_tls_peer *peer)
{
    SSL_set_connect_state(tls->ssl);
    X509_VERIFY_PARAM *verify = SSL_get0_param(tls->ssl);
    /* why: RFC 6066, 3 has no IP addresses as server names; an address is only verified. */
    const bool named = *peer->name && !X509_VERIFY_PARAM_set1_ip_asc(verify, peer->name);
    ERR_clear_error();
    if (named) {
        X509_VERIFY_PARAM_set_hostflags(verify, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        if (!SSL_set_tlsext_host_name(tls->ssl, peer->name) ||
            !X509_VERIFY_PARAM_set1_host(verify, peer->name, 0))
            return false;
    } else if (!*peer->name && *peer->ip && !X509_VERIFY_PARAM_set1_ip_asc(verify, peer->ip)) {
        return false;
    }
    if (peer->backend >= tls->room->backends)
        return true;
    struct l4_tls_kept *kept = &tls->room->kept[peer->backend];
    if (kept->serial != peer->serial) {
        SSL_SESSION_free(kept->session);
        *kept = (struct l4_tls_kept){.serial = peer->serial};
    }
    /* why no error: if OpenSSL cannot resume the session, a full handshake follows. */
    if (kept->session && !SSL_set_session(tls->ssl, kept->session))
        ERR_clear_error();
    SSL_CTX_sess_set_new_cb(SSL_get_SSL_CTX(tls->ssl), keep_session);
    tls->backend = peer->backend;
    tls->serial = peer->serial;
    return true;
}

int l4_tls_start(const struct l4_pump *pump, struct l4_half *half, uint32_t profile,
                 const struct l4_tls_peer *peer)
{
    struct l4_tls_room *room = pump->tls;
    SSL_CTX *context = room ? l4_tls_store_context(room->store, profile) : NULL;
    if (!context || (uint32_t)half->fd >= room->fds)
        return -ENOENT;
    struct l4_tls *tls = malloc(sizeof *tls);
    if (!tls)
        return -ENOMEM;
    *tls = (struct l4_tls){
        .ssl = SSL_new(context),
        .room = room,
        .pump = pump,
        .half = half,
        .profile = profile,
        .backend = L4_NONE,
    };
    BIO *bio = BIO_new(room->method);
    if (!tls->ssl || !bio || !SSL_set_app_data(tls->ssl, tls)) {
        SSL_free(tls->ssl);
        BIO_free(bio);
        free(tls);
        return -ENOMEM;
    }
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->ssl, bio, bio);
    half->flags |= L4_HALF_TLS;
    L4_ASSERT(!room->by_fd[half->fd]);
    room->by_fd[half->fd] = tls;
    room->live++;
    if (!peer) {
        SSL_set_accept_state(tls->ssl);
    } else if (!meet(tls, peer)) {
        ERR_clear_error();
        return -ENOMEM;
    }
    return 0;
}

static void tls_release(const struct l4_pump *pump, struct l4_half *half)
{
    struct l4_tls *tls = tls_of(pump, half);
    /* why: otherwise OpenSSL regards the session as failed, and not to be resumed. */
    if (SSL_is_init_finished(tls->ssl))
        SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(tls->ssl);
    L4_ASSERT(tls->half == half && pump->tls->live > 0);
    pump->tls->by_fd[half->fd] = NULL;
    pump->tls->live--;
    drop_unsent(tls);
    half->flags &= (uint16_t)~L4_HALF_TLS;
    free(tls);
}

/* Prepares a call of OpenSSL: nothing is known of the socket, and OpenSSL's error queue is
 * empty. */
static struct l4_tls *enter(const struct l4_pump *pump, struct l4_half *half, struct l4_half *other)
{
    struct l4_tls *tls = tls_of(pump, half);
    tls->other = other;
    tls->drained = false;
    ERR_clear_error();
    return tls;
}

void l4_tls_moved(const struct l4_pump *pump, struct l4_half *half)
{
    struct l4_tls *tls = tls_of(pump, half);
    tls->half = half;
    tls->other = NULL;
}

enum l4_shake l4_tls_shake(const struct l4_pump *pump, struct l4_half *half)
{
    struct l4_tls *tls = enter(pump, half, NULL);
    const int done = SSL_do_handshake(tls->ssl);
    if (done == 1) {
        /* Data behind the handshake may have been read already. */
        half->flags |= L4_HALF_IN;
        return L4_SHAKE_DONE;
    }
    switch (SSL_get_error(tls->ssl, done)) {
    case SSL_ERROR_WANT_READ:
        half->flags &= (uint16_t)~L4_HALF_IN;
        return L4_SHAKE_WAITS;
    case SSL_ERROR_WANT_WRITE:
        return L4_SHAKE_WAITS;
    default:
        return L4_SHAKE_FAILED;
    }
}

void l4_tls_why(const struct l4_pump *pump, const struct l4_half *half, char *to, size_t size)
{
    const struct l4_tls *tls = tls_of(pump, half);
    const long verified = SSL_get_verify_result(tls->ssl);
    const unsigned long code = ERR_peek_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    if (verified != X509_V_OK && ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED)
        snprintf(to, size, "certificate: %s", X509_verify_cert_error_string(verified));
    else if (ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_CALLBACK_FAILED)
        snprintf(to, size, "no certificate for the server name"); /* l4_tls_on_server_name */
    else if (reason)
        snprintf(to, size, "%s", reason);
    else
        snprintf(to, size, "%s", tls->error ? strerror(tls->error) : "the peer closed");
    ERR_clear_error();
}

bool l4_tls_facts(const struct l4_pump *pump, const struct l4_half *half,
                  struct l4_tls_facts *facts)
{
    if (half->fd < 0 || !(half->flags & L4_HALF_TLS))
        return false;
    const SSL *ssl = tls_of(pump, half)->ssl;
    *facts = (struct l4_tls_facts){
        .version = SSL_get_version(ssl),
        .cipher = SSL_get_cipher_name(ssl),
        .server_name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name),
        .resumed = SSL_session_reused(ssl) == 1,
    };
    SSL_get0_alpn_selected(ssl, &facts->alpn, &facts->alpn_length);
    const X509 *peer = SSL_get0_peer_certificate(ssl);
    facts->peer_certificate = peer != NULL;
    if (peer)
        X509_NAME_get_text_by_NID(X509_get_subject_name(peer), NID_commonName, facts->peer_name,
                                  sizeof facts->peer_name);
    return true;
}

bool l4_tls_is_elsewhere(const struct l4_pump *pump, const struct l4_half *half, const char *host)
{
    const struct l4_tls *tls = tls_of(pump, half);
    const struct l4_tls_store *store = tls->room->store;
    const char *asked = SSL_get_servername(tls->ssl, TLSEXT_NAMETYPE_host_name);
    bool strict;
    if (!asked)
        return false;
    const SSL_CTX *own = l4_tls_store_named(store, tls->profile, host, &strict);
    return own && own != l4_tls_store_named(store, tls->profile, asked, &strict);
}

/* ---- its row of io/stream_ops.h -------------------------------------------------------------- */

/* Explains a read without data: returns 0 at the end, or -1 with errno. */
static ssize_t nothing(const struct l4_tls *tls, int result)
{
    switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_WANT_READ:
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_WANT_WRITE:
        errno = EBUSY;
        return -1;
    default:
        errno = tls->error ? tls->error : EPROTO;
        return -1;
    }
}

static ssize_t tls_receive(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to,
                           size_t max)
{
    struct l4_tls *tls = enter(pump, from, to);
    size_t total = 0;
    /* why once in any case: a reader that asks for less than a record gets a part of it. */
    do {
        const int got = SSL_read(tls->ssl, pump->scratch + total, (int)(max - total));
        if (got <= 0) {
            const ssize_t why = nothing(tls, got);
            if (!total)
                return why;
            if (why < 0 && errno == EAGAIN)
                from->flags &= (uint16_t)~L4_HALF_IN;
            break;
        }
        total += (size_t)got;
    } while (total + L4_TLS_RECORD <= max);
    return (ssize_t)total;
}

static ssize_t tls_peek(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to,
                        size_t max)
{
    struct l4_tls *tls = enter(pump, from, to);
    const int got = SSL_peek(tls->ssl, pump->scratch, (int)max);
    return got > 0 ? got : nothing(tls, got);
}

static bool tls_take(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to,
                     size_t bytes)
{
    struct l4_tls *tls = enter(pump, from, to);
    return SSL_read(tls->ssl, pump->scratch, (int)bytes) == (int)bytes;
}

/* Sends the gathered output once. Returns how many bytes the socket accepted. */
static size_t send_once(const struct l4_pump *pump, struct l4_half *to)
{
    const struct l4_tls_room *room = pump->tls;
    l4_io_before_send(to, room->gathered);
    const ssize_t sent = send(to->fd, room->records, room->gathered, MSG_NOSIGNAL);
    if (sent < 0)
        l4_io_not_sent(to);
    else if ((size_t)sent < room->gathered)
        to->flags &= (uint16_t)~L4_HALF_OUT;
    return sent > 0 ? (size_t)sent : 0;
}

/* Sends the gathered output behind data that already waits. Returns false if there was no place
 * for it. */
static bool send_gathered(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to)
{
    const struct l4_tls_room *room = pump->tls;
    const size_t done = from->piped ? 0 : send_once(pump, to);
    L4_ASSERT(done <= room->gathered);
    if (done == room->gathered || to->flags & L4_HALF_BROKEN)
        return true;
    return l4_io_hold(pump, from, room->records + done, room->gathered - done);
}

/* Makes records of `bytes` bytes of scratch. Returns false if OpenSSL cannot go on, because of a
 * lack of memory or an earlier error. */
static bool gather(const struct l4_pump *pump, struct l4_tls *tls, size_t bytes)
{
    size_t done = 0;
    L4_ASSERT(!tls->gathers && bytes <= L4_TLS_BYTES);
    pump->tls->gathered = 0;
    tls->gathers = true;
    while (done < bytes) {
        const int taken = SSL_write(tls->ssl, pump->scratch + done, (int)(bytes - done));
        if (taken <= 0)
            break;
        done += (size_t)taken;
    }
    tls->gathers = false;
    return done == bytes;
}

static enum l4_pump_result tls_pass(const struct l4_pump *pump, struct l4_half *from,
                                    struct l4_half *to, size_t bytes)
{
    if (!gather(pump, enter(pump, to, from), bytes)) {
        errno = EPIPE;
        l4_io_not_sent(to);
    } else if (!send_gathered(pump, from, to)) {
        return L4_PUMP_LOST;
    }
    return from->piped || to->flags & L4_HALF_BROKEN ? L4_PUMP_WAITS : L4_PUMP_MORE;
}

static ssize_t tls_offer(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to,
                         size_t bytes)
{
    const size_t max = bytes < L4_TLS_RECORD ? bytes : L4_TLS_RECORD;
    struct l4_tls *tls = enter(pump, to, from);
    const struct l4_tls_room *room = pump->tls;
    bool whole = gather(pump, tls, max);
    const size_t done = whole ? send_once(pump, to) : 0;
    if (to->flags & L4_HALF_BROKEN)
        return -1;
    if (whole && done < room->gathered)
        whole = keep_unsent(tls, room->records + done, room->gathered - done);
    if (whole)
        return (ssize_t)max;
    errno = EPIPE;
    l4_io_not_sent(to);
    return -1;
}

static bool tls_finish(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to)
{
    struct l4_tls *tls = enter(pump, to, from);
    if (!(SSL_get_shutdown(tls->ssl) & SSL_SENT_SHUTDOWN) || tls->unended) {
        const int told = SSL_shutdown(tls->ssl);
        tls->unended = told < 0 && SSL_get_error(tls->ssl, told) == SSL_ERROR_WANT_WRITE;
    }
    if (from->piped || tls->unended || tls->unsent_bytes)
        return false;
    if (!(to->flags & L4_HALF_EOF))
        shutdown(to->fd, SHUT_WR);
    return true;
}

const struct l4_io l4_io_tls = {
    .max = L4_TLS_BYTES,
    .min = L4_TLS_RECORD,
    .receive = tls_receive,
    .peek = tls_peek,
    .take = tls_take,
    .pass = tls_pass,
    .offer = tls_offer,
    .finish = tls_finish,
    .settle = tls_settle,
    .release = tls_release,
};
