"""csrc/shm/record.h."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t


cdef extern from "shm/record.h":
    enum:
        L4_RECORD_PIECE_MAX
        L4_RECORD_BEGIN
        L4_RECORD_REQUEST
        L4_RECORD_ANSWER
        L4_RECORD_BODY
        L4_RECORD_END

    struct l4_record_piece:
        uint32_t bytes
        uint8_t kind
        uint8_t rule_bytes
        uint8_t record_bytes
        uint8_t cut
        uint32_t slot
        uint64_t number

    struct l4_record_ring:
        uint64_t refused

    struct l4_records:
        l4_record_ring *rings

    bint l4_record_take(const l4_record_ring *ring, uint64_t *position, l4_record_piece *piece,
                        char *to)
    uint64_t l4_record_first(const l4_record_ring *ring)
    void l4_record_release(l4_record_ring *ring, uint64_t position)
