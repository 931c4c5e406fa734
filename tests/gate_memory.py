"""The worker's side of the gate (csrc/shm/gate.h) for tests: asks, and finds answers."""

from __future__ import annotations

import ctypes
import mmap
import socket
from dataclasses import dataclass

from l4lb.native import gate

WORKERS, QUESTIONS, ANSWERS = 66, 256, 65_536


class Addr(ctypes.Structure):
    _fields_ = (
        ("family", ctypes.c_uint16),
        ("port", ctypes.c_uint16),
        ("ip", ctypes.c_uint8 * 16),
    )

    def __str__(self) -> str:
        family = socket.AddressFamily(self.family)
        return socket.inet_ntop(family, bytes(self.ip)[: 4 if family == socket.AF_INET else 16])


class Asked(ctypes.Structure):
    _fields_ = (
        ("key", ctypes.c_uint64 * 2),
        ("forward", ctypes.c_uint32),
        ("source", Addr),
        ("port", ctypes.c_uint16),
        ("host_bytes", ctypes.c_uint16),
        ("method_bytes", ctypes.c_uint16),
        ("path_bytes", ctypes.c_uint16),
        ("credentials_bytes", ctypes.c_uint16),
        ("socks", ctypes.c_uint8),
        ("host", ctypes.c_char * 255),
        ("method", ctypes.c_char * 16),
        ("path", ctypes.c_char * 2048),
        ("credentials", ctypes.c_char * 512),
    )


class Question(ctypes.Structure):
    _fields_ = (("serial", ctypes.c_uint32), ("asked", Asked), ("rest", ctypes.c_char * 48))


class Answer(ctypes.Structure):
    _fields_ = (
        ("key", ctypes.c_uint64 * 2),
        ("until_ms", ctypes.c_uint64),
        ("generation", ctypes.c_uint32),
        ("kind", ctypes.c_uint8),
        ("addrs", ctypes.c_uint8),
        ("rule_bytes", ctypes.c_uint8),
        ("user_bytes", ctypes.c_uint8),
        ("rule", ctypes.c_char * 64),
        ("user", ctypes.c_char * 64),
        ("addr", Addr * 8),
    )


class Subject(ctypes.Structure):
    _fields_ = (
        ("verdict", ctypes.c_uint8),
        ("forward_bytes", ctypes.c_uint8),
        ("list_bytes", ctypes.c_uint8),
        ("host_bytes", ctypes.c_uint8),
        ("forward", ctypes.c_char * 64),
        ("list", ctypes.c_char * 64),
        ("host", ctypes.c_char * 255),
    )


class Row(ctypes.Structure):
    _fields_ = (("seq", ctypes.c_uint32), ("answer", Answer), ("subject", Subject))


class Memory(ctypes.Structure):
    _fields_ = (
        ("format", ctypes.c_uint64),
        ("generation", ctypes.c_uint32),
        ("asked", ctypes.c_uint64),
        ("answered", ctypes.c_uint64),
        ("rest", ctypes.c_char * 32),
        ("uses", ctypes.c_uint64 * ANSWERS),
        ("questions", Question * QUESTIONS * WORKERS),
        ("answers", Row * ANSWERS),
    )


assert ctypes.sizeof(Memory) == gate.BYTES, "the gate has another form"


@dataclass(frozen=True)
class Found:
    """An answer. left_ms: for how long it holds, seen from `now_ms`."""

    kind: str
    rule: str
    user: str
    addresses: tuple[str, ...]
    left_ms: int


class Worker:
    """One worker that asks."""

    def __init__(self, area: mmap.mmap | bytearray, index: int = 0) -> None:
        self._area = area
        self._memory = Memory.from_buffer(area)
        self._index = index
        self._key = 0

    def ask(
        self,
        host: str,
        port: int = 443,
        *,
        method: str = "CONNECT",
        path: str = "",
        credentials: bytes = b"",
        source: str = "127.0.0.1",
        forward: int = 1,
        socks: bool = False,
        row: int = 0,
    ) -> int:
        """Asks in a row. Returns the key of the answer."""
        self._key += 1
        question = self._memory.questions[self._index][row]
        asked = question.asked
        asked.key[0], asked.key[1] = self._key, self._index + 1
        asked.forward, asked.port, asked.socks = forward, port, socks
        asked.source.family = socket.AF_INET6 if ":" in source else socket.AF_INET
        packed = socket.inet_pton(asked.source.family, source)
        asked.source.ip[: len(packed)] = packed
        texts = {
            "host": host.encode(),
            "method": method.encode(),
            "path": path.encode(),
            "credentials": credentials,
        }
        for name, text in texts.items():
            at = ctypes.addressof(asked) + getattr(Asked, name).offset
            ctypes.memmove(at, text, len(text))
            setattr(asked, f"{name}_bytes", len(text))
        question.serial += 1 if question.serial % 2 == 0 else 2
        return self._key

    def find(self, key: int, now_ms: int = 0) -> Found | None:
        """Returns the answer with this key, and counts the use; None: there is none that holds."""
        packed = bytes((ctypes.c_uint64 * 2)(key, self._index + 1))
        at = self._area.find(packed, Memory.answers.offset)
        while at >= 0:
            one = Answer.from_buffer(self._area, at)
            if one.generation == self._memory.generation and one.kind:
                self._memory.uses[(at - Memory.answers.offset) // ctypes.sizeof(Row)] += 1
                kind = next(word for word, value in gate.KINDS.items() if value == one.kind)
                addresses = tuple(str(one.addr[i]) for i in range(one.addrs))
                rule, user = one.rule[: one.rule_bytes], one.user[: one.user_bytes]
                return Found(kind, rule.decode(), user.decode(), addresses, one.until_ms - now_ms)
            at = self._area.find(packed, at + 1)
        return None
