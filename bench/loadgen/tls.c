/* The TLS jobs: each thread is a client that makes one connection after the other. Certificates are
 * not verified, so that the client's part of a handshake is small. */
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loadgen.h"

enum { THREADS_MAX = 256 };

static const struct options *job;
static SSL_CTX *context;
static bool resumes, bulk;
static uint64_t end_us;
static atomic_ullong done, resumed, errors, bytes;

/* Keeps the newest session for the next connection: TLS 1.3 sends tickets after the handshake. */
static int keep(SSL *ssl, SSL_SESSION *session)
{
    SSL_SESSION **mine = SSL_get_app_data(ssl);
    SSL_SESSION_free(*mine);
    *mine = session;
    return 1;
}

static bool exchange(SSL *ssl)
{
    static char in[CHUNK];
    char byte = bulk ? 'D' : 'E';
    if (SSL_write(ssl, &byte, 1) != 1)
        return false;
    if (!bulk)
        return SSL_read(ssl, &byte, 1) == 1;
    while (now_us() < end_us) {
        const int got = SSL_read(ssl, in, sizeof in);
        if (got <= 0)
            return false;
        bytes += (unsigned long long)got;
    }
    return true;
}

static void visit(SSL_SESSION **session)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    SSL *ssl = SSL_new(context);
    SSL_set_fd(ssl, fd);
    SSL_set_app_data(ssl, session);
    if (resumes && *session)
        SSL_set_session(ssl, *session);
    if (connect(fd, (const struct sockaddr *)&job->to, sizeof job->to) || SSL_connect(ssl) != 1 ||
        !exchange(ssl)) {
        errors++;
    } else {
        done++;
        resumed += SSL_session_reused(ssl) == 1;
        SSL_shutdown(ssl);
    }
    SSL_free(ssl);
    close(fd);
}

static void *work(void *unused)
{
    (void)unused;
    SSL_SESSION *session = NULL;
    while (now_us() < end_us)
        visit(&session);
    SSL_SESSION_free(session);
    return NULL;
}

static int run(const struct options *options, const char *name)
{
    static pthread_t threads[THREADS_MAX];
    const unsigned count = options->connections < THREADS_MAX ? options->connections : THREADS_MAX;
    job = options;
    context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_session_cache_mode(context,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_sess_set_new_cb(context, keep);
    const uint64_t start = now_us();
    end_us = start + (uint64_t)(options->seconds * 1e6);
    for (unsigned i = 0; i < count; i++) {
        if (pthread_create(&threads[i], NULL, work, NULL))
            give_up("thread");
    }
    for (unsigned i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    const double seconds = (double)(now_us() - start) / 1e6;
    printf("{\"job\": \"%s\", \"seconds\": %.4f, \"done\": %llu, \"per_second\": %.1f, "
           "\"resumed\": %llu, \"bytes\": %llu, \"gbit_per_second\": %.3f, \"errors\": %llu}\n",
           name, seconds, done, (double)done / seconds, resumed, bytes,
           (double)bytes * 8 / seconds / 1e9, errors);
    return 0;
}

int run_tls_full(const struct options *options)
{
    return run(options, "tls-full");
}

int run_tls_resumed(const struct options *options)
{
    resumes = true;
    return run(options, "tls-resumed");
}

int run_tls_bulk(const struct options *options)
{
    bulk = true;
    return run(options, "tls-bulk");
}
