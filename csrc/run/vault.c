#include "run/vault.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/assert.h"

enum { VAULT_TRIES = 100 };

/* ---- the vault ------------------------------------------------------------------------------- */

/* Reads the vault as it was at one moment. *bundle is the bundle if its generation is not `known`;
 * the caller then owns it. Returns 0, -EAGAIN if the vault is being written (the supervisor will
 * say when to read it again), or -errno. */
static int read_vault(int fd, uint64_t known, struct l4_vault *head, struct l4_ticket_keys *keys,
                      void **bundle)
{
    struct l4_vault again;
    *bundle = NULL;
    for (int i = 0; i < VAULT_TRIES; i++) {
        if (pread(fd, head, sizeof *head, 0) != sizeof *head || head->magic != L4_VAULT_MAGIC ||
            head->bundle_bytes > L4_TLS_BUNDLE_MAX)
            return -EPROTO;
        bool whole = !(head->sequence & 1) &&
                     pread(fd, keys, sizeof *keys, L4_VAULT_KEYS_AT) == sizeof *keys;
        if (whole && head->bundle_generation != known) {
            *bundle = malloc(head->bundle_bytes ? head->bundle_bytes : 1);
            if (!*bundle)
                return -ENOMEM;
            whole = pread(fd, *bundle, head->bundle_bytes, L4_VAULT_BUNDLE_AT) ==
                    (ssize_t)head->bundle_bytes;
        }
        if (whole && pread(fd, &again, sizeof again, 0) == sizeof again &&
            again.sequence == head->sequence)
            return 0;
        free(*bundle);
        *bundle = NULL;
    }
    return -EAGAIN;
}

static void stop_loading(struct l4_worker_tls *tls)
{
    l4_tls_load_stop(&tls->loader);
    if (tls->bundle)
        OPENSSL_cleanse(tls->bundle, tls->bundle_bytes);
    free(tls->bundle);
    tls->bundle = NULL;
}

/* Reads the vault; its certificates are then loaded step by step. Once the worker has a key, no
 * other process of this user can read its memory. */
static int take_in_vault(struct l4_loop *loop)
{
    struct l4_worker_tls *tls = loop->tls;
    struct l4_vault head;
    struct l4_ticket_keys keys;
    void *bundle;
    const uint64_t known = tls->loader.store ? tls->loading : L4_GET(loop->row->secrets);
    int error = read_vault(loop->setup.vault_fd, known, &head, &keys, &bundle);
    if (!error)
        tls->room.keys = keys;
    OPENSSL_cleanse(&keys, sizeof keys);
    if (error || !bundle)
        return error;
    stop_loading(tls);
    if (head.bundle_bytes)
        prctl(PR_SET_DUMPABLE, 0);
    error = l4_tls_load_start(&tls->loader, bundle, head.bundle_bytes);
    tls->bundle = bundle;
    tls->bundle_bytes = head.bundle_bytes;
    tls->loading = head.bundle_generation;
    if (error)
        stop_loading(tls);
    return error;
}

/* Loads one step. Returns 1 if there is more, 0 at the end, or -errno. */
static int load_step(struct l4_loop *loop)
{
    struct l4_worker_tls *tls = loop->tls;
    L4_ASSERT(tls->loader.store && tls->bundle);
    const int result = l4_tls_load_step(&tls->loader);
    if (result == 0) {
        l4_tls_adopt(&tls->room, tls->loader.store);
        tls->loader.store = NULL;
        L4_SET(loop->row->secrets, tls->loading);
    }
    if (result <= 0)
        stop_loading(tls);
    return result;
}

int l4_vault_open(struct l4_loop *loop)
{
    struct rlimit files = {0};
    if (loop->setup.vault_fd <= 0)
        return 0;
    L4_ASSERT(!loop->tls && !loop->pump.tls);
    L4_SET(loop->row->secrets, 0);
    loop->tls = calloc(1, sizeof *loop->tls);
    if (!loop->tls)
        return -ENOMEM;
    getrlimit(RLIMIT_NOFILE, &files);
    const rlim_t fds = files.rlim_cur < L4_TLS_FDS_MAX ? files.rlim_cur : L4_TLS_FDS_MAX;
    int error = l4_tls_open(&loop->tls->room, (uint32_t)fds, loop->table->plan.caps.backends);
    if (!error)
        error = take_in_vault(loop);
    while (!error && loop->tls->loader.store) {
        const int result = load_step(loop);
        error = result < 0 ? result : 0;
    }
    loop->pump.tls = &loop->tls->room;
    return error;
}

void l4_vault_close(struct l4_loop *loop)
{
    if (!loop->tls)
        return;
    stop_loading(loop->tls);
    l4_tls_close(&loop->tls->room);
    free(loop->tls);
    loop->tls = NULL;
    loop->pump.tls = NULL;
}

void l4_vault_refresh(struct l4_loop *loop)
{
    if (!loop->tls)
        return;
    const int error = take_in_vault(loop);
    if (error && error != -EAGAIN)
        l4_loop_event(loop, L4_EVENT_SECRETS_FAILED, (uint32_t)-error, 0);
}

void l4_vault_tend(struct l4_loop *loop)
{
    if (!loop->tls)
        return;
    loop->tls->spent_us = 0;
    if (!loop->tls->loader.store)
        return;
    const uint64_t until = l4_loop_clock_us() + L4_TLS_LOAD_TURN_US;
    int result = 1;
    while (loop->tls->loader.store && result == 1 && l4_loop_clock_us() < until)
        result = load_step(loop);
    if (result < 0)
        l4_loop_event(loop, L4_EVENT_SECRETS_FAILED, (uint32_t)-result, 0);
    else if (result == 0)
        l4_loop_event(loop, L4_EVENT_SECRETS_LOADED, 0, L4_GET(loop->row->secrets));
}

void l4_vault_thrift(struct l4_loop *loop)
{
    struct l4_worker_tls *tls = loop->tls;
    if (!tls)
        return;
    if (tls->room.live > tls->peak)
        tls->peak = tls->room.live;
    if (tls->peak < L4_TLS_THRIFT_MIN || tls->room.live > tls->peak / 16 ||
        loop->now_ms < tls->thrift_ms)
        return;
    malloc_trim(0);
    tls->peak = tls->room.live;
    tls->thrift_ms = loop->now_ms + L4_TLS_THRIFT_MS;
}
