"""A name server in a thread, whose answers a test sets."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import dns.message
import dns.rcode
import dns.rrset

Rows = list[str]  # each is "owner ttl type value", as in a zone file


@dataclass
class Says:
    """One answer. silent: no answer is sent."""

    answer: Rows = field(default_factory=list)
    authority: Rows = field(default_factory=list)
    additional: Rows = field(default_factory=list)
    rcode: str = "NOERROR"
    silent: bool = False


class Nameserver:
    """zone: answers by "name type"; other names do not exist. asked: all questions, in their
    order."""

    def __init__(self) -> None:
        self.zone: dict[str, Says | Rows] = {}
        self.asked: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def server(self) -> str:
        return f"127.0.0.1:{self.port}"

    def count(self, question: str) -> int:
        return self.asked.count(question)

    def _serve(self) -> None:
        while True:
            wire, peer = self._socket.recvfrom(4096)
            if not wire:
                return
            reply = self._reply(wire)
            if reply is not None:
                self._socket.sendto(reply, peer)

    def _reply(self, wire: bytes) -> bytes | None:
        asked = dns.message.from_wire(wire)
        (question,) = asked.question
        key = f"{question.name.to_text(omit_final_dot=True)} {question.rdtype.name}"
        self.asked.append(key)
        said = self.zone.get(key, Says(rcode="NXDOMAIN"))
        says = Says(said) if isinstance(said, list) else said
        if says.silent:
            return None
        reply = dns.message.make_response(asked)
        reply.set_rcode(dns.rcode.from_text(says.rcode))
        for section, rows in (
            (reply.answer, says.answer),
            (reply.authority, says.authority),
            (reply.additional, says.additional),
        ):
            for row in rows:
                owner, ttl, kind, value = row.split(maxsplit=3)
                rrset = dns.rrset.from_text(f"{owner}.", int(ttl), "IN", kind, value)
                same = [
                    one for one in section if (one.name, one.rdtype) == (rrset.name, rrset.rdtype)
                ]
                if same:
                    same[0].update(rrset)
                else:
                    section.append(rrset)
        return reply.to_wire(max_size=65_535)

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join(20)
        self._socket.close()


@contextlib.contextmanager
def nameserver() -> Iterator[Nameserver]:
    one = Nameserver()
    try:
        yield one
    finally:
        one.close()
