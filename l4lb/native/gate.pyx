# cython: language_level=3
"""The gate of forward proxies: questions of workers, and answers to them (csrc/shm/gate.h)."""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy, memset

from l4lb.native cimport c
from l4lb.native.memory cimport host_of, put_ip
from l4lb.native.questions import Question, Subject, Uses

BYTES = sizeof(c.l4_gate)
QUESTIONS = <int>c.L4_GATE_QUESTIONS
ADDRESSES_MAX = <int>c.L4_GATE_ADDRS
NAME_MAX = <int>c.L4_GATE_NAME_MAX
KINDS = {"allow": <int>c.L4_GATE_ALLOW, "deny": <int>c.L4_GATE_DENY, "auth": <int>c.L4_GATE_AUTH,
         "no_name": <int>c.L4_GATE_NO_NAME, "failed": <int>c.L4_GATE_FAILED}


cdef c.l4_gate *_gate(area) except NULL:
    cdef unsigned char[::1] view = area
    if <size_t>view.shape[0] < sizeof(c.l4_gate):
        raise ValueError("the memory is too small for a gate")
    return <c.l4_gate *>&view[0]


def make(area):
    """Begins the gate in a buffer of BYTES zeros."""
    c.l4_gate_format(_gate(area))


def questions(area, worker):
    """Returns what a worker asks now. A question is there until its answer was found."""
    cdef c.l4_gate *gate = _gate(area)
    cdef c.l4_gate_asked asked
    cdef uint32_t serial, row
    found = []
    for row in range(<uint32_t>c.L4_GATE_QUESTIONS):
        serial = c.l4_gate_read(gate, worker, row, &asked)
        if serial:
            found.append(Question(
                worker, row, serial, (asked.key[0], asked.key[1]), asked.forward,
                host_of(&asked.source), asked.port, asked.host[:asked.host_bytes],
                asked.method[:asked.method_bytes], asked.path[:asked.path_bytes],
                asked.credentials[:asked.credentials_bytes], bool(asked.socks),
            ))
    return found


cdef uint8_t _text(char *to, str text, int longest):
    cdef bytes said = text.encode()[:longest]
    memcpy(to, <char *>said, len(said))
    return <uint8_t>len(said)


cdef _uses(const c.l4_gate_used *used):
    cdef const c.l4_gate_subject *of = &used.subject
    return Uses(
        used.uses,
        used.answer.rule[:used.answer.rule_bytes].decode(errors="replace"),
        used.answer.user[:used.answer.user_bytes].decode(errors="replace"),
        Subject(
            of.forward[:of.forward_bytes].decode(errors="replace"),
            of.verdict,
            of.host[:of.host_bytes].decode("ascii", "replace"),
            of.list[:of.list_bytes].decode(errors="replace"),
        ),
    )


def put(area, key, subject, *, kind, until_ms, rule="", user="", addresses=()):
    """Puts the answer to the questions of a key. subject: what its uses are counted for. kind: a
    word of KINDS. until_ms: CLOCK_MONOTONIC. addresses: texts of IP addresses in the order in which
    they are tried; ADDRESSES_MAX at most. Names longer than NAME_MAX bytes are cut.
    Returns the uses of the answer that was there before; None: it had none."""
    cdef c.l4_gate_answer answer
    cdef c.l4_gate_subject of
    cdef c.l4_gate_used used
    memset(&answer, 0, sizeof(answer))
    memset(&of, 0, sizeof(of))
    answer.key[0], answer.key[1] = key
    answer.until_ms = until_ms
    answer.kind = KINDS[kind]
    answer.rule_bytes = _text(answer.rule, rule, c.L4_GATE_NAME_MAX)
    answer.user_bytes = _text(answer.user, user, c.L4_GATE_NAME_MAX)
    for text in addresses[:ADDRESSES_MAX]:
        put_ip(&answer.addr[answer.addrs], text)
        answer.addrs += 1
    of.verdict = subject.verdict
    of.forward_bytes = _text(of.forward, subject.forward, c.L4_GATE_NAME_MAX)
    of.list_bytes = _text(of.list, subject.list, c.L4_GATE_NAME_MAX)
    of.host_bytes = _text(of.host, subject.host, c.L4_GATE_HOST_MAX)
    c.l4_gate_put(_gate(area), &answer, &of, &used)
    return _uses(&used) if used.uses else None


def uses(area):
    """Takes the uses of all answers that were not taken yet. Returns a list of Uses."""
    cdef c.l4_gate *gate = _gate(area)
    cdef c.l4_gate_used used
    cdef uint32_t row
    found = []
    for row in range(<uint32_t>c.L4_GATE_ANSWERS):
        if c.l4_gate_take_uses(gate, row, &used):
            found.append(_uses(&used))
    return found


def renew(area):
    """Other rules are in force: no answer holds any more."""
    c.l4_gate_renew(_gate(area))


def forget(area, worker):
    """Drops all questions of a worker that has died."""
    c.l4_gate_forget(_gate(area), worker)


def counts(area):
    """Returns the questions that were asked and the answers that were given so far."""
    cdef c.l4_gate *gate = _gate(area)
    return gate.asked, gate.answered


def inside(address):
    """Returns why an IP address is not one that clients of forward proxies may reach, in a word
    (csrc/core/outside.h); None if it is outside. Raises ValueError."""
    cdef c.l4_addr addr
    put_ip(&addr, address)
    why = c.l4_outside_judge(&addr)
    return None if why == c.L4_OUTSIDE_YES else c.l4_outside_word(why).decode()
