#include "http/held.h"

#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "io/stream_ops.h"

bool l4_held_open(struct l4_held *held, size_t room)
{
    L4_ASSERT(!held->at);
    void *memory = mmap(NULL, room, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    *held = (struct l4_held){.at = memory == MAP_FAILED ? NULL : memory, .room = room};
    return held->at;
}

bool l4_held_add(struct l4_held *held, uint64_t *all, struct l4_text data)
{
    L4_ASSERT(held->at);
    if (data.bytes > held->room - held->bytes || *all + data.bytes > L4_HELD_BYTES_MAX)
        return false;
    l4_text_copy(held->at + held->bytes, data);
    held->bytes += data.bytes;
    *all += data.bytes;
    return true;
}

void l4_held_close(struct l4_held *held, uint64_t *all)
{
    if (!held->at)
        return;
    L4_ASSERT(*all >= held->bytes);
    *all -= held->bytes;
    munmap(held->at, held->room);
    *held = (struct l4_held){0};
}

/* Sends what frames the data. */
static bool put(const struct l4_loop *loop, struct l4_half *from, struct l4_half *to, char *bytes,
                size_t count)
{
    struct l4_pump out = loop->pump;
    out.scratch = bytes;
    return l4_io_of(to)->pass(&out, from, to, count) != L4_PUMP_LOST;
}

/* Behind the data: its chunk's end, and the body's. */
static enum l4_held_result end(const struct l4_loop *loop, struct l4_half *from, struct l4_half *to,
                               bool last)
{
    char text[] = L4_CHUNK_END L4_CHUNKS_END;
    return put(loop, from, to, text, last ? sizeof text - 1 : sizeof L4_CHUNK_END - 1)
               ? L4_HELD_DONE
               : L4_HELD_LOST;
}

enum l4_held_result l4_held_pass(const struct l4_loop *loop, struct l4_held *held,
                                 struct l4_half *from, struct l4_half *to, bool chunked, bool last,
                                 uint64_t *moved)
{
    const struct l4_io *io = l4_io_of(to);
    const size_t before = held->sent;
    L4_ASSERT(held->bytes || !last);
    *moved = 0;
    if (from->piped || to->flags & L4_HALF_UNSENT)
        l4_pump_flush(&loop->pump, from, to);
    if (chunked && !held->begun && held->bytes && !from->piped && !(to->flags & L4_HALF_UNSENT)) {
        char line[L4_CHUNK_HEAD_MAX];
        held->begun = true;
        if (!put(loop, from, to, line, l4_chunk_head(line, held->bytes)))
            return L4_HELD_LOST;
    }
    while (held->sent < held->bytes) {
        if (to->flags & L4_HALF_BROKEN)
            return L4_HELD_DONE;
        if (from->piped || to->flags & L4_HALF_UNSENT || !(to->flags & L4_HALF_OUT))
            return L4_HELD_WAITS;
        if (held->sent - before >= L4_TURN_BYTES)
            return L4_HELD_MORE;
        struct l4_pump out = loop->pump;
        const size_t left = held->bytes - held->sent;
        out.scratch = held->at + held->sent;
        const ssize_t sent = io->offer(&out, from, to, left < io->max ? left : io->max);
        if (sent > 0) {
            held->sent += (size_t)sent;
            *moved += (size_t)sent;
        }
    }
    return chunked && held->bytes ? end(loop, from, to, last) : L4_HELD_DONE;
}
