# cython: language_level=3
"""Pieces of requests and answers that workers leave for the recorder (csrc/shm/record.h)."""

from libc.stdint cimport uint32_t, uint64_t

from l4lb.native cimport c
from l4lb.native.pieces import Piece

BYTES = sizeof(c.l4_records)
# enum l4_record_kind
BEGIN, REQUEST, ANSWER, BODY, END = (
    <int>c.L4_RECORD_BEGIN, <int>c.L4_RECORD_REQUEST, <int>c.L4_RECORD_ANSWER,
    <int>c.L4_RECORD_BODY, <int>c.L4_RECORD_END,
)


cdef c.l4_records *_records(area) except NULL:
    cdef unsigned char[::1] view = area
    if <size_t>view.shape[0] < sizeof(c.l4_records):
        raise ValueError("the memory is too small for records")
    return <c.l4_records *>&view[0]


def refused(area):
    """Returns how many requests were chosen and did not fit, of all workers."""
    cdef c.l4_records *records = _records(area)
    return sum([records.rings[worker].refused for worker in range(c.L4_WORKERS_MAX)])


cdef class Reader:
    """The only reader of the rings."""

    cdef object area
    cdef c.l4_records *records
    cdef uint64_t positions[c.L4_WORKERS_MAX]
    cdef bytearray room

    def __init__(self, area):
        """area: a buffer of BYTES, zeros at first. Raises ValueError if it is smaller."""
        self.area = area
        self.records = _records(area)
        self.room = bytearray(c.L4_RECORD_PIECE_MAX)
        for worker in range(c.L4_WORKERS_MAX):
            self.positions[worker] = c.l4_record_first(&self.records.rings[worker])

    def take(self, uint32_t worker, limit):
        """Returns up to `limit` pieces of a worker, and frees their room."""
        cdef c.l4_record_piece piece
        cdef c.l4_record_ring *ring
        cdef char *to = self.room
        cdef uint32_t rule, record
        if worker >= <uint32_t>c.L4_WORKERS_MAX:
            raise IndexError(worker)
        ring = &self.records.rings[worker]
        found = []
        while len(found) < limit:
            if not c.l4_record_take(ring, &self.positions[worker], &piece, to):
                break
            rule = min(<uint32_t>piece.rule_bytes, piece.bytes)
            record = min(rule + <uint32_t>piece.record_bytes, piece.bytes)
            if piece.kind != c.L4_RECORD_BEGIN:
                rule = record = 0
            found.append(Piece(
                piece.kind, piece.slot, piece.number, to[:rule].decode("utf-8", "replace"),
                to[rule:record].decode("utf-8", "replace"), to[record:piece.bytes], piece.cut,
            ))
        c.l4_record_release(ring, self.positions[worker])
        return found
