/* HTTP/2 with clients: connections and their streams, over nghttp2.
 *
 * why: long for a header: connections and streams know each other.
 *
 * A connection is a session in the state HTTP2 (http/stage_http2.c). Each of its streams is a
 * session of its own, whose client half is no socket: io/stream_ops.h has a row of functions for
 * it, which gives the engine the stream's request as HTTP/1 and takes its answer as HTTP/1. So a
 * request is picked, queued, retried, limited and counted by the same code, whatever it came by.
 *
 * This part knows no session. nghttp2 calls it back with what a client has sent; it notes what
 * streams are to be told, and the loop tells them afterwards (http/h2_turn.h). Frames to be sent
 * gather in a buffer of the connection, which leaves once in a loop iteration, or when it is full.
 * All memory is bounded: L4_H2_MEMORY for a worker, windows and queues for a connection.
 */
#ifndef L4_HTTP_H2_H
#define L4_HTTP_H2_H

#include <nghttp2/nghttp2.h>

#include "core/h2head.h"
#include "io/pump.h"
#include "shm/http.h"

struct l4_h2_conn;

enum l4_h2_stream_flags {
    L4_H2_NEW = 1 << 0,       /* no session has been opened for it */
    L4_H2_WOKEN = 1 << 1,     /* in the list of streams that have events */
    L4_H2_WAITS = 1 << 2,     /* in its connection's list of streams that want to send */
    L4_H2_ENDED = 1 << 3,     /* the client has sent all of its request */
    L4_H2_CHUNKED = 1 << 4,   /* the engine gets the body in chunks, because no length was told */
    L4_H2_LAST = 1 << 5,      /* ... and has got the last chunk */
    L4_H2_HEAD = 1 << 6,      /* the request's method is HEAD */
    L4_H2_TOO_LARGE = 1 << 7, /* the request's head has no end */
    L4_H2_ANSWERED = 1 << 8,  /* the answer's head was sent */
    L4_H2_COMPLETE = 1 << 9,  /* the answer has no more bytes */
    L4_H2_SENT_END = 1 << 10, /* ... and the client was told so */
    L4_H2_CLOSED = 1 << 11,   /* nghttp2 knows it no more */
    L4_H2_RELEASED = 1 << 12, /* its session has ended, or was never opened */
    L4_H2_CUT = 1 << 13,      /* we reset it, for no fault of the client */
};

struct l4_h2_stream {
    struct l4_h2_conn *conn;
    struct l4_half *half; /* the client half of its session */
    int32_t id;
    uint32_t session; /* row of its session */
    uint32_t events;  /* of epoll, that its session is to be told */
    uint16_t flags;   /* enum l4_h2_stream_flags */
    uint8_t provoked; /* the code with which its client made us reset it; 0: it did not */
    struct l4_h2_stream *next, *prev;             /* streams of its connection */
    struct l4_h2_stream *woken_next, *waits_next; /* in the lists that its flags tell of */
    /* What has come and was not taken: the rest of the head, then bytes of the body. */
    char *in;
    uint32_t in_at, in_have, in_size, in_head;
    /* Bytes of the answer's body that are offered to nghttp2 at this moment. */
    const char *out;
    size_t out_bytes;
    uint64_t left; /* bytes of the answer's body; UINT64_MAX: not known */
};

struct l4_h2_list {
    struct l4_h2_stream *first, *last;
};

struct l4_h2_conn {
    struct l4_h2 *room;
    const struct l4_pump *pump;
    struct l4_half *half, *holder; /* its socket; the half whose pipe takes unsent bytes */
    nghttp2_session *session;
    uint32_t number;              /* row of its session */
    struct l4_h2_stream *streams; /* all of them */
    struct l4_h2_list waits;      /* those that want to send */
    uint32_t served;              /* streams that have a session */
    uint32_t requests;            /* so far */
    uint32_t malformed;           /* requests that were reset before they had a session, not yet
                                     counted as refused */
    uint8_t abuse;                /* enum l4_h2_abuse */
    bool dirty;                   /* in the list of connections with work left */
    bool broken;                  /* nothing can be sent any more */
    bool opened;                  /* streams that wait may go on: a window was opened */
    bool crammed;                 /* ... once the buffer has room again */
    bool goes;                    /* the client was told that no more streams are taken */
    bool gone;                    /* ... and which one was the last */
    uint64_t rest_ms;             /* since when no stream is served */
    uint64_t list_ms;             /* since when a header list is under way; 0: none is */
    int32_t list_of;              /* ... for this stream */
    uint64_t blocked_ms;          /* since when the client reads nothing; 0: it reads */
    uint64_t goes_ms;
    uint64_t
        lingers_ms; /* since when our end is told and the client's bytes are discarded; 0: no */
    _Atomic uint64_t buckets[L4_ABUSES]; /* core/token_bucket.h */
    struct l4_h2_head head;              /* the header list under way */
    char *text;                          /* its memory */
    uint32_t text_size;
    uint32_t list_bytes; /* of that list, as HTTP/2 counts them */
    char *out;           /* frames to be sent; NULL: none */
    uint32_t out_used;
    struct l4_h2_conn *next_dirty;
};

/* What a worker has for all its connections. */
struct l4_h2 {
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    nghttp2_mem mem;
    uint64_t memory;           /* bytes allocated by it and for it */
    struct l4_h2_conn **conns; /* by the row of the session */
    struct l4_h2_stream *streams;
    struct l4_h2_stream *free;
    uint32_t fresh, count; /* streams from `fresh` on were never used; `count`: there are no more */
    struct l4_h2_list woken;
    struct l4_h2_conn *dirty;
    uint64_t now_ms;
    char *spare_out; /* an empty buffer for frames, kept for the next connection; NULL: none */
};

/* What a listener allows a client. */
struct l4_h2_rules {
    uint32_t streams, window, head_list;
};

/* Allocates what is needed for `sessions` rows. Returns 0 or -ENOMEM; in both cases l4_h2_finish
 * frees it. */
__attribute__((warn_unused_result)) int l4_h2_start(struct l4_h2 *h2, uint32_t sessions);
void l4_h2_finish(struct l4_h2 *h2);

/* ---- a connection ---------------------------------------------------------------------------- */

/* Is this head the begin of HTTP/2 (RFC 9113, 3.4)? */
bool l4_h2_is_preface(const char *head, size_t bytes);

/* Begins a connection on the socket of `half`. Returns 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int l4_h2_open(const struct l4_pump *pump, uint32_t number,
                                                   struct l4_half *half, struct l4_half *holder,
                                                   const struct l4_h2_rules *rules);

/* Ends it. Its streams have been released. */
void l4_h2_close(struct l4_h2 *h2, uint32_t number);

static inline struct l4_h2_conn *l4_h2_at(const struct l4_h2 *h2, uint32_t number)
{
    return h2->conns[number];
}

/* Takes what the client has sent. Returns false if the connection is to be ended: conn->abuse says
 * why. */
bool l4_h2_take(struct l4_h2_conn *conn, const char *bytes, size_t count);

/* Sends what can be sent now, and wakes streams that can go on. */
void l4_h2_work(struct l4_h2_conn *conn);

/* Tells the client why the connection ends. */
void l4_h2_say_why(struct l4_h2_conn *conn, uint32_t code);

/* Takes no more streams: says so; then, l4_h2_bid_farewell, which one was the last. */
void l4_h2_say_goodbye(struct l4_h2_conn *conn);
void l4_h2_bid_farewell(struct l4_h2_conn *conn);

/* ---- a stream -------------------------------------------------------------------------------- */

/* Returns a stream that has events, or NULL; it is not woken any more. */
struct l4_h2_stream *l4_h2_next_woken(struct l4_h2 *h2);

/* Gives a new stream to a session. */
void l4_h2_give(struct l4_h2 *h2, struct l4_h2_stream *stream, uint32_t session,
                struct l4_half *half);

/* A new stream gets no session. */
void l4_h2_refuse(struct l4_h2 *h2, struct l4_h2_stream *stream);

/* Frees a stream, which nobody has any more. */
void l4_h2_forget(struct l4_h2 *h2, struct l4_h2_stream *stream);

/* Resets it, for no fault of the client. */
void l4_h2_reset(struct l4_h2_stream *stream, uint32_t code);

/* Its session has ended. */
void l4_h2_release(struct l4_h2_stream *stream);

/* The stream can go on sending, or is to be told something. */
void l4_h2_wake(struct l4_h2_stream *stream, uint32_t events);
void l4_h2_wait(struct l4_h2_stream *stream);

/* Puts the connection into the list of those with work left. */
void l4_h2_touch(struct l4_h2_conn *conn);

/* Lets nghttp2 frame what it has, into the connection's buffer. */
void l4_h2_frame(struct l4_h2_conn *conn);

/* l4_h2_room: returns how many bytes of a body the buffer takes, in as many frames as they need.
 * l4_h2_room_for_frame: in one frame. */
size_t l4_h2_room(const struct l4_h2_conn *conn);
size_t l4_h2_room_for_frame(const struct l4_h2_conn *conn);

static inline struct l4_h2_stream *l4_h2_stream_at(const struct l4_h2 *h2, uint32_t number)
{
    return &h2->streams[number];
}

/* Returns the half that has the socket: for a stream, that of its connection. */
static inline const struct l4_half *l4_h2_socket(const struct l4_pump *pump,
                                                 const struct l4_half *half)
{
    return half->flags & L4_HALF_STREAM
               ? l4_h2_stream_at(pump->h2, l4_half_stream(half))->conn->half
               : half;
}

#endif
