# cython: language_level=3
"""Messages of HTTP/1 read, written anew and decoded: the C code without a connection."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset


cdef extern from "base/text.h":
    struct l4_text:
        const char *at
        size_t bytes


cdef extern from "core/h1.h":
    enum l4_method:
        pass
    enum l4_framing:
        pass
    struct l4_h1_bounds:
        uint32_t head
        uint32_t target
        uint16_t fields
        bint refuse_underscores
    struct l4_h1_text:
        uint16_t at
        uint16_t bytes
    struct l4_h1_field:
        l4_h1_text name
        l4_h1_text value
        uint8_t id
        uint8_t flags
    struct l4_h1_head:
        uint32_t bytes
        uint8_t minor
        uint8_t framing
        bint keep_alive
        bint upgrade
        bint tunnel
        bint expects_continue
        bint has_length
        uint16_t status
        uint16_t field_count
        uint64_t length
        l4_h1_text method_text
        l4_h1_text target
        l4_h1_text reason
        l4_h1_text host
        l4_h1_field fields[100]
    long l4_h1_end(const char *bytes, size_t count, size_t *scanned)
    int l4_h1_request(const char *head, size_t count, const l4_h1_bounds *bounds, l4_h1_head *out)
    int l4_h1_answer(const char *head, size_t count, const l4_h1_bounds *bounds, l4_method asked,
                     l4_h1_head *out)
    l4_method l4_method_find(const char *name, size_t bytes)
    const char *l4_h1_fault_word(unsigned fault)
    unsigned l4_h1_fault_status(unsigned fault)


cdef extern from "core/chunks.h":
    enum l4_chunks_result:
        L4_CHUNKS_DATA
        L4_CHUNKS_MORE
        L4_CHUNKS_DONE
        L4_CHUNKS_BAD
    struct l4_chunks:
        uint8_t state
    l4_chunks_result l4_chunks_next(l4_chunks *chunks, const char *bytes, size_t count,
                                    size_t *used, l4_text *data)
    size_t l4_chunk_head(char *to, uint64_t bytes)


cdef extern from "core/h1write.h":
    struct l4_text_out:
        char *to
        size_t size
        size_t used
        bint full
    enum l4_connection_word:
        L4_CONNECTION_NONE
        L4_CONNECTION_CLOSE
        L4_CONNECTION_KEEP_ALIVE
        L4_CONNECTION_UPGRADE
    struct l4_h1_rules:
        l4_framing framing
        bint tell_length
        uint64_t length
        l4_connection_word connection
    struct l4_request_rules:
        l4_h1_rules head
        l4_text target
        l4_text host
        bint drop_underscores
    struct l4_answer_rules:
        l4_h1_rules head
    void l4_h1_write_request(l4_text_out *out, const char *bytes, const l4_h1_head *head,
                             const l4_request_rules *rules)
    void l4_h1_write_answer(l4_text_out *out, const char *bytes, const l4_h1_head *head,
                            const l4_answer_rules *rules)


FRAMINGS = ("none", "length", "chunked", "until_close")
CONNECTIONS = ("", "close", "keep-alive", "upgrade")


class HeadError(Exception):
    """A head that is refused: with a word and a status."""

    def __init__(self, word, status):
        super().__init__(word)
        self.word = word
        self.status = status


cdef class Head:
    """A head that was read."""

    cdef l4_h1_head head
    cdef bytes raw

    cdef bytes text(self, l4_h1_text place):
        return self.raw[place.at:place.at + place.bytes]

    @property
    def size(self):
        return self.head.bytes

    @property
    def version(self):
        return (1, self.head.minor)

    @property
    def method(self):
        return self.text(self.head.method_text)

    @property
    def target(self):
        return self.text(self.head.target)

    @property
    def host(self):
        return self.text(self.head.host)

    @property
    def status(self):
        return self.head.status

    @property
    def reason(self):
        return self.text(self.head.reason)

    @property
    def framing(self):
        return FRAMINGS[self.head.framing]

    @property
    def length(self):
        return self.head.length if self.head.has_length else None

    @property
    def keep_alive(self):
        return self.head.keep_alive

    @property
    def upgrade(self):
        return self.head.upgrade

    @property
    def tunnel(self):
        return self.head.tunnel

    @property
    def fields(self):
        return [(self.text(self.head.fields[i].name), self.text(self.head.fields[i].value))
                for i in range(self.head.field_count)]

    def write_request(self, target, host, *, connection=""):
        """The request's head in its normal form."""
        cdef l4_request_rules rules
        cdef bytes kept_target = target, kept_host = host
        memset(&rules, 0, sizeof(rules))
        self._frame(&rules.head, self.framing, connection)
        rules.target = l4_text(kept_target, len(kept_target))
        rules.host = l4_text(kept_host, len(kept_host))
        rules.drop_underscores = True
        cdef bytearray room = bytearray(70000)
        cdef l4_text_out out = l4_text_out(<char *>room, len(room), 0, False)
        l4_h1_write_request(&out, self.raw, &self.head, &rules)
        return None if out.full else bytes(room[:out.used])

    def write_answer(self, framing, *, connection=""):
        """The answer's head in its normal form."""
        cdef l4_answer_rules rules
        memset(&rules, 0, sizeof(rules))
        self._frame(&rules.head, framing, connection)
        cdef bytearray room = bytearray(70000)
        cdef l4_text_out out = l4_text_out(<char *>room, len(room), 0, False)
        l4_h1_write_answer(&out, self.raw, &self.head, &rules)
        return None if out.full else bytes(room[:out.used])

    cdef _frame(self, l4_h1_rules *rules, framing, connection):
        rules.framing = <l4_framing><int>FRAMINGS.index(framing)
        rules.length = self.head.length
        rules.tell_length = self.head.has_length
        rules.connection = <l4_connection_word><int>CONNECTIONS.index(connection)


def head_end(data, scanned=0):
    """(length of the head or 0 or a fault's word, how far it was scanned)."""
    cdef bytes raw = data
    cdef size_t at = scanned
    cdef long found = l4_h1_end(raw, len(raw), &at)
    if found < 0:
        return (l4_h1_fault_word(<unsigned>-found).decode(), at)
    return (found, at)


cdef Head judged(Head head, int fault):
    if fault:
        raise HeadError(l4_h1_fault_word(fault).decode(), l4_h1_fault_status(fault))
    return head


def read_request(data, *, head=32768, target=8192, fields=100, refuse_underscores=False):
    """Reads a request's head; raises HeadError."""
    cdef l4_h1_bounds bounds = l4_h1_bounds(head, target, fields, refuse_underscores)
    cdef Head read = Head()
    read.raw = data
    return judged(read, l4_h1_request(read.raw, len(read.raw), &bounds, &read.head))


def read_answer(data, asked=b"GET"):
    """Reads an answer's head; raises HeadError."""
    cdef l4_h1_bounds bounds = l4_h1_bounds(32768, 8192, 100, False)
    cdef Head read = Head()
    cdef bytes method = asked
    read.raw = data
    return judged(read, l4_h1_answer(read.raw, len(read.raw), &bounds,
                                     l4_method_find(method, len(method)), &read.head))


def decode_chunks(pieces):
    """Decodes a body that comes in pieces: ("done", "more" or "bad", data, bytes used)."""
    cdef l4_chunks chunks
    cdef l4_chunks_result result = L4_CHUNKS_MORE
    cdef l4_text run
    cdef size_t used, at
    cdef bytes piece
    memset(&chunks, 0, sizeof(chunks))
    body, total = [], 0
    for piece in pieces:
        at = 0
        while True:
            result = l4_chunks_next(&chunks, <const char *>piece + at, len(piece) - at, &used, &run)
            at += used
            if result != L4_CHUNKS_DATA:
                break
            body.append(run.at[:run.bytes])
        total += at
        if result != L4_CHUNKS_MORE:
            break
    words = {L4_CHUNKS_MORE: "more", L4_CHUNKS_DONE: "done", L4_CHUNKS_BAD: "bad"}
    return (words[result], b"".join(body), total)


def chunk_head(size):
    """The line that begins a chunk."""
    cdef char to[18]
    return to[:l4_chunk_head(to, size)]

