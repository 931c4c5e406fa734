#include "http/icap.h"

#include <errno.h>

#include "base/assert.h"
#include "base/hash.h"
#include "core/h1write.h"
#include "http/inspect.h"
#include "http/serve.h"
#include "io/sock.h"
#include "io/stream_ops.h"

enum {
    OUT_ROOM = 160 << 10,  /* heads of ICAP and of HTTP, and what frames a body */
    FRAMES_ROOM = 4 << 10, /* ... of it */
};

static enum l4_icap_result fail(struct l4_icap_talk *talk, enum l4_icap_fault fault)
{
    talk->fault = (uint8_t)fault;
    return L4_ICAP_FAILS;
}

/* ---- engines that are known ------------------------------------------------------------------ */

static uint64_t key_of(const struct l4_loop *loop, const struct l4_icap_service *service)
{
    char text[sizeof service->addr + L4_ICAP_PATH_MAX];
    memcpy(text, &service->addr, sizeof service->addr);
    memcpy(text + sizeof service->addr, service->path, service->path_bytes);
    return l4_hash(&loop->table->header->hash_key, text,
                   sizeof service->addr + service->path_bytes) |
           1;
}

/* Returns the row of an engine. If there are too many, one that is known least long is forgotten.
 */
static struct l4_engine *engine_of(struct l4_loop *loop, const struct l4_icap_service *service)
{
    struct l4_engine *engines = loop->http->inspections->engines, *oldest = engines;
    const uint64_t key = key_of(loop, service);
    for (uint32_t i = 0; i < L4_ENGINES_MAX; i++) {
        if (engines[i].key == key)
            return &engines[i];
        if (engines[i].until_ms < oldest->until_ms)
            oldest = &engines[i];
    }
    *oldest = (struct l4_engine){.key = key};
    return oldest;
}

/* ---- what is said ---------------------------------------------------------------------------- */

static void add(struct l4_icap_talk *talk, struct l4_text text)
{
    L4_ASSERT(talk->piece_count < L4_ICAP_PIECES);
    if (text.bytes)
        talk->pieces[talk->piece_count++] = text;
}

/* Puts a text behind what was written so far (out.sent bytes), and says it. */
static void say(struct l4_icap_talk *talk, struct l4_text text)
{
    struct l4_held *out = &talk->out;
    L4_ASSERT(text.bytes <= out->room - out->sent);
    char *at = out->at + out->sent;
    l4_text_copy(at, text);
    out->sent += text.bytes;
    add(talk, (struct l4_text){at, text.bytes});
}

/* Says a part of the body as one chunk, and what follows it. */
static void say_part(struct l4_icap_talk *talk, size_t from, size_t to, struct l4_text end)
{
    char line[L4_CHUNK_HEAD_MAX];
    if (to > from) {
        say(talk, (struct l4_text){line, l4_chunk_head(line, to - from)});
        add(talk, (struct l4_text){talk->shown->at + from, to - from});
    }
    say(talk, end);
}

static void begin_pieces(struct l4_icap_talk *talk)
{
    talk->piece = talk->piece_count = 0;
    talk->piece_sent = 0;
    talk->out.sent = 0;
}

/* Writes what is asked. Returns false if it does not fit. */
static bool write_ask(struct l4_icap_talk *talk)
{
    const struct l4_icap_service *service = &talk->service;
    const size_t bytes = talk->shown->bytes;
    const bool mod = talk->method != L4_ICAP_OPTIONS;
    const bool previews = mod && bytes && talk->engine->has_preview;
    const size_t most = talk->engine->preview;
    struct l4_icap_ask ask = {
        .method = (enum l4_icap_method)talk->method,
        .host = {service->host, service->host_bytes},
        .path = {service->path, service->path_bytes},
        .request = (uint32_t)talk->request.bytes,
        .answer = (uint32_t)talk->answer.bytes,
        .has_body = bytes,
        .has_preview = previews,
        .preview = (uint32_t)(bytes < most ? bytes : most),
    };
    begin_pieces(talk);
    struct l4_text_out out = {.to = talk->out.at, .size = OUT_ROOM - FRAMES_ROOM};
    l4_icap_put_ask(&out, &ask);
    if (mod) {
        l4_text_put(&out, talk->request);
        l4_text_put(&out, talk->answer);
    }
    if (out.full)
        return false;
    talk->out.sent = out.used;
    add(talk, (struct l4_text){out.to, out.used});
    talk->previewed = previews ? ask.preview : bytes;
    talk->rest_due = talk->previewed < bytes;
    if (!mod || !bytes)
        return true;
    const bool whole = previews && !talk->rest_due;
    const struct l4_text after =
        talk->previewed ? L4_TEXT(L4_CHUNK_END L4_CHUNKS_END) : L4_TEXT(L4_CHUNKS_END);
    say_part(talk, 0, talk->previewed, whole ? L4_TEXT(L4_CHUNK_END "0; ieof\r\n\r\n") : after);
    return true;
}

/* The engine wants the rest of the body. */
static void say_rest(struct l4_icap_talk *talk)
{
    begin_pieces(talk);
    talk->rest_due = false;
    say_part(talk, talk->previewed, talk->shown->bytes, L4_TEXT(L4_CHUNK_END L4_CHUNKS_END));
}

/* Sends what can be sent now. A connection that takes nothing more may still have an answer. */
static bool send_pieces(struct l4_loop *loop, uint32_t index, struct l4_icap_talk *talk)
{
    struct l4_half *engine = l4_serve_backend(loop, index), *client = l4_serve_client(loop, index);
    size_t turn = 0;
    while (talk->piece < talk->piece_count && engine->flags & L4_HALF_OUT &&
           !(engine->flags & L4_HALF_BROKEN)) {
        const struct l4_text left = l4_text_after(talk->pieces[talk->piece], talk->piece_sent);
        struct l4_pump out = loop->pump;
        if (turn >= L4_TURN_BYTES)
            return true;
        out.scratch = (char *)left.at; /* nothing is written there */
        const size_t most = left.bytes < L4_TURN_BYTES ? left.bytes : L4_TURN_BYTES;
        const ssize_t sent = l4_io_raw.offer(&out, client, engine, most);
        if (sent <= 0)
            continue; /* the flags say why */
        turn += (size_t)sent;
        talk->piece_sent += (size_t)sent;
        if (talk->piece_sent == talk->pieces[talk->piece].bytes) {
            talk->piece++;
            talk->piece_sent = 0;
        }
    }
    return false;
}

/* ---- what is heard --------------------------------------------------------------------------- */

static enum l4_icap_result connect_to(struct l4_loop *loop, uint32_t index,
                                      struct l4_icap_talk *talk);

/* The engine has told its options. */
static enum l4_icap_result take_options(struct l4_loop *loop, uint32_t index,
                                        struct l4_icap_talk *talk)
{
    const struct l4_icap_head *head = &talk->reader.head;
    struct l4_engine *engine = talk->engine;
    const bool respmod = talk->answer.bytes;
    const uint32_t ttl_s = head->ttl_s ? head->ttl_s : L4_ICAP_TTL_USUAL_S;
    if (head->status != 200)
        return fail(talk, L4_ICAP_FAULT_STATUS);
    if (respmod ? !head->respmod : !head->reqmod)
        return fail(talk, L4_ICAP_FAULT_METHOD);
    engine->has_preview = head->has_preview;
    engine->preview = head->preview;
    engine->until_ms =
        loop->now_ms + 1000ull * (ttl_s < L4_ICAP_TTL_MAX_S ? ttl_s : L4_ICAP_TTL_MAX_S);
    talk->method = respmod ? L4_ICAP_RESPMOD : L4_ICAP_REQMOD;
    l4_icap_hang_up(loop, index, talk);
    return connect_to(loop, index, talk);
}

/* The engine has said all. */
static enum l4_icap_result take_answer(struct l4_loop *loop, uint32_t index,
                                       struct l4_icap_talk *talk)
{
    const struct l4_icap_head *head = &talk->reader.head;
    const bool respmod = talk->method == L4_ICAP_RESPMOD;
    if (talk->method == L4_ICAP_OPTIONS)
        return take_options(loop, index, talk);
    if (head->status == 204)
        return L4_ICAP_ANSWERS;
    if (head->status != 200)
        return fail(talk, L4_ICAP_FAULT_STATUS);
    if (!head->parts.has_answer && (respmod || !head->parts.has_request))
        return fail(talk, L4_ICAP_FAULT_INVALID);
    return L4_ICAP_ANSWERS;
}

/* Reads `count` bytes that have come. */
static enum l4_icap_result hear(struct l4_loop *loop, uint32_t index, struct l4_icap_talk *talk,
                                const char *bytes, size_t count)
{
    for (size_t at = 0; at < count;) {
        struct l4_text data;
        size_t used;
        const enum l4_icap_heard heard =
            l4_icap_hear(&talk->reader, bytes + at, count - at, &used, &data);
        at += used;
        switch (heard) {
        case L4_ICAP_DATA:
            if (!l4_held_add(&talk->body, &loop->http->inspections->bytes, data))
                return fail(talk, L4_ICAP_FAULT_MEMORY);
            break;
        case L4_ICAP_CONTINUE:
            if (!talk->rest_due || talk->piece < talk->piece_count)
                return fail(talk, L4_ICAP_FAULT_INVALID);
            say_rest(talk);
            break;
        case L4_ICAP_DONE: /* why: what it says beyond its answer cannot be trusted */
            return at == count ? take_answer(loop, index, talk) : fail(talk, L4_ICAP_FAULT_INVALID);
        case L4_ICAP_LARGE:
            return fail(talk, L4_ICAP_FAULT_LARGE);
        case L4_ICAP_BAD:
            return fail(talk, L4_ICAP_FAULT_INVALID);
        case L4_ICAP_MORE:
            break;
        }
    }
    return L4_ICAP_WAITS;
}

/* Reads what has come, once. *got: something had come. */
static enum l4_icap_result listen_once(struct l4_loop *loop, uint32_t index,
                                       struct l4_icap_talk *talk, size_t *got)
{
    struct l4_half *engine = l4_serve_backend(loop, index), *client = l4_serve_client(loop, index);
    const ssize_t count = l4_io_raw.receive(&loop->pump, engine, client, L4_HTTP_COPY_BYTES);
    *got = count > 0 ? (size_t)count : 0;
    if (count > 0)
        return hear(loop, index, talk, loop->pump.scratch, (size_t)count);
    engine->flags &= (uint16_t)~L4_HALF_IN;
    if (count < 0 && errno == EAGAIN)
        return engine->flags & L4_HALF_BROKEN ? fail(talk, L4_ICAP_FAULT_CLOSED) : L4_ICAP_WAITS;
    return fail(talk, L4_ICAP_FAULT_CLOSED);
}

static enum l4_icap_result listen_on(struct l4_loop *loop, uint32_t index,
                                     struct l4_icap_talk *talk)
{
    size_t turn = 0, got = 1;
    enum l4_icap_result result = L4_ICAP_WAITS;
    while (result == L4_ICAP_WAITS && got && l4_serve_backend(loop, index)->flags & L4_HALF_IN) {
        if (turn >= L4_TURN_BYTES)
            return L4_ICAP_BUSY;
        result = listen_once(loop, index, talk, &got);
        turn += got;
    }
    return result;
}

/* ---- the conversation ------------------------------------------------------------------------ */

/* Begins to connect. */
static enum l4_icap_result connect_to(struct l4_loop *loop, uint32_t index,
                                      struct l4_icap_talk *talk)
{
    struct l4_session *s = l4_session_at(loop, index);
    bool made;
    L4_ASSERT(s->half[L4_BACKEND].fd < 0);
    talk->connected = false;
    talk->reader = (struct l4_icap_reader){.heads = talk->heads.at,
                                           .room = (uint32_t)talk->heads.room,
                                           .max_body = talk->reader.max_body};
    if (!write_ask(talk))
        return fail(talk, L4_ICAP_FAULT_MEMORY);
    const int fd = l4_sock_connect(&talk->service.addr, NULL, NULL, &loop->ports, &made);
    if (fd < 0)
        return fail(talk, L4_ICAP_FAULT_CONNECT);
    s->half[L4_BACKEND] = (struct l4_half){.fd = fd, .flags = L4_HALF_NODELAY, .pipe = L4_NO_PIPE};
    l4_sock_nodelay(fd);
    return l4_spare_watch(loop, index) ? fail(talk, L4_ICAP_FAULT_CONNECT) : L4_ICAP_WAITS;
}

enum l4_icap_result l4_icap_begin(struct l4_loop *loop, uint32_t index, struct l4_icap_talk *talk,
                                  size_t max_body)
{
    talk->fault = L4_ICAP_FAULT_NONE;
    talk->engine = engine_of(loop, &talk->service);
    talk->method = loop->now_ms >= talk->engine->until_ms ? L4_ICAP_OPTIONS
                   : talk->answer.bytes                   ? L4_ICAP_RESPMOD
                                                          : L4_ICAP_REQMOD;
    if (!l4_held_open(&talk->out, OUT_ROOM) || !l4_held_open(&talk->heads, L4_ICAP_HEADS_MAX) ||
        !l4_held_open(&talk->body, max_body + 1))
        return fail(talk, L4_ICAP_FAULT_MEMORY);
    talk->reader.max_body = max_body;
    return connect_to(loop, index, talk);
}

enum l4_icap_result l4_icap_go(struct l4_loop *loop, uint32_t index, struct l4_icap_talk *talk)
{
    const struct l4_half *engine = l4_serve_backend(loop, index);
    if (!talk->connected) {
        if (!(engine->flags & (L4_HALF_OUT | L4_HALF_IN | L4_HALF_HUP)))
            return L4_ICAP_WAITS;
        const int error = l4_sock_connect_result(engine->fd);
        if (error == -EINPROGRESS)
            return L4_ICAP_WAITS;
        if (error)
            return fail(talk, L4_ICAP_FAULT_CONNECT);
        talk->connected = true;
    }
    const bool more = send_pieces(loop, index, talk);
    const uint8_t said = talk->piece;
    enum l4_icap_result result = listen_on(loop, index, talk);
    if (result == L4_ICAP_WAITS && (more || talk->piece != said))
        return L4_ICAP_BUSY; /* there is more to say by now */
    return result;
}

void l4_icap_hang_up(struct l4_loop *loop, uint32_t index, struct l4_icap_talk *talk)
{
    (void)talk;
    l4_half_close(&loop->pump, &l4_session_at(loop, index)->half[L4_BACKEND], L4_CLOSE);
}

void l4_icap_free(struct l4_loop *loop, struct l4_icap_talk *talk)
{
    uint64_t *all = &loop->http->inspections->bytes, none = 0;
    talk->out.bytes = talk->heads.bytes = 0; /* they were not counted */
    l4_held_close(&talk->out, &none);
    l4_held_close(&talk->heads, &none);
    l4_held_close(&talk->body, all);
}
