"""csrc/shm/gate.h."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from l4lb.native.c.base cimport *


cdef extern from "core/outside.h":
    enum: L4_OUTSIDE_YES
    const char *l4_outside_word(unsigned outside)
    unsigned l4_outside_judge(const l4_addr *addr)

cdef extern from "shm/gate.h":
    enum:
        L4_GATE_QUESTIONS
        L4_GATE_ANSWERS
        L4_GATE_ADDRS
        L4_GATE_HOST_MAX
        L4_GATE_NAME_MAX
        L4_GATE_ALLOW
        L4_GATE_DENY
        L4_GATE_AUTH
        L4_GATE_NO_NAME
        L4_GATE_FAILED

    struct l4_gate_asked:
        uint64_t key[2]
        uint32_t forward
        l4_addr source
        uint16_t port
        uint16_t host_bytes
        uint16_t method_bytes
        uint16_t path_bytes
        uint16_t credentials_bytes
        uint8_t socks
        char host[255]
        char method[16]
        char path[2048]
        char credentials[512]

    struct l4_gate_answer:
        uint64_t key[2]
        uint64_t until_ms
        uint8_t kind
        uint8_t addrs
        uint8_t rule_bytes
        uint8_t user_bytes
        char rule[64]
        char user[64]
        l4_addr addr[8]

    struct l4_gate_subject:
        uint8_t verdict
        uint8_t forward_bytes
        uint8_t list_bytes
        uint8_t host_bytes
        char forward[64]
        char list[64]
        char host[255]

    struct l4_gate_used:
        uint32_t uses
        l4_gate_answer answer
        l4_gate_subject subject

    struct l4_gate:
        uint32_t generation
        uint64_t asked
        uint64_t answered

    void l4_gate_format(l4_gate *gate)
    bint l4_gate_is_sound(const l4_gate *gate)
    void l4_gate_forget(l4_gate *gate, uint32_t worker)
    uint32_t l4_gate_read(const l4_gate *gate, uint32_t worker, uint32_t row, l4_gate_asked *to)
    void l4_gate_put(l4_gate *gate, const l4_gate_answer *answer, const l4_gate_subject *subject,
                     l4_gate_used *used)
    bint l4_gate_take_uses(l4_gate *gate, uint32_t row, l4_gate_used *used)
    uint32_t l4_gate_renew(l4_gate *gate)
