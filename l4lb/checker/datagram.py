"""The udp and dns checks: one datagram, and its answer.

The socket is connected, so an ICMP error is returned as an error, and only datagrams of the target
are received.
"""

from __future__ import annotations

import asyncio
import socket
import struct

import dns.exception
import dns.flags
import dns.message
import dns.rcode

from l4lb.checker.limits import DATAGRAM_BYTES_MAX, DATAGRAMS_MAX, ICMP_WAIT_S
from l4lb.checker.shown import quoted
from l4lb.checker.stream import PROXY_LOCAL, family_of, take_way
from l4lb.checker.types import Attempt, LateError, Outcome, ProbeError, Settings, Target
from l4lb.config.values import payload
from l4lb.native.results import Result

HEADER = struct.Struct("!6H")  # of a DNS message: its id, flags, and four counts


def _connected(target: Target, settings: Settings) -> socket.socket:
    sock = socket.socket(family_of(target.address), socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        take_way(sock, settings.way)
        sock.connect((target.address.host, target.address.port))
    except BaseException:
        sock.close()
        raise
    return sock


async def probe_udp(target: Target, settings: Settings, attempt: Attempt) -> Outcome:
    """Sends the payload. If a reply is required it must come and contain the expected text.
    Otherwise only an ICMP error, or a wrong reply, is a failure."""
    loop = asyncio.get_running_loop()
    optional = settings.reply == "optional"
    until_s = attempt.until_s
    if optional:
        until_s = loop.time() + min(ICMP_WAIT_S, settings.timeout_ms / 2000)
    with _connected(target, settings) as sock:
        sock.send(PROXY_LOCAL[settings.send_proxy] + payload.to_bytes(settings.send or ""))
        try:
            async with asyncio.timeout_at(until_s):
                data = await loop.sock_recv(sock, DATAGRAM_BYTES_MAX)
        except TimeoutError as error:
            if error.errno or not optional:
                raise
            return Outcome(Result.OK, 0, "no ICMP error")
    if settings.expect is not None and payload.find(settings.expect, data) < 0:
        raise ProbeError(Result.ANSWER, f"another reply: got {quoted(data)}")
    return Outcome(Result.OK, 0, f"a reply of {len(data)} bytes")


class Question:
    """A DNS question, and the recognition of its answer. Only the header and the repeated question
    of an answer are read: neither can take long."""

    def __init__(self, name: str, record: str) -> None:
        self._query = dns.message.make_query(name, record)

    @property
    def data(self) -> bytes:
        return self._query.to_wire()

    def answered(self, data: bytes) -> tuple[int, int] | None:
        """Returns the rcode and the number of records; None if the data is the answer to another
        question. Raises ProbeError if it is not DNS."""
        if len(data) < HEADER.size:
            raise ProbeError(Result.ANSWER, f"not DNS: got {quoted(data)}")
        number, _, questions, records, _, _ = HEADER.unpack_from(data)
        if number != self._query.id or questions > 1:
            return None
        try:
            answer = dns.message.from_wire(data, question_only=True, ignore_trailing=True)
        except dns.exception.DNSException as error:
            raise ProbeError(Result.ANSWER, f"not DNS: {error}") from error
        return (int(answer.rcode()), records) if self._query.is_response(answer) else None


async def probe_dns(target: Target, settings: Settings, attempt: Attempt) -> Outcome:
    """Asks for a name; the answer's rcode must be an expected one."""
    question = Question(settings.query, settings.record)
    with _connected(target, settings) as sock:
        sock.send(PROXY_LOCAL[settings.send_proxy] + question.data)
        code, records = await _answer(sock, question, settings, attempt)
    word = dns.rcode.to_text(dns.rcode.Rcode.make(code))
    if word not in settings.rcode:
        text = f"{word}, not {', '.join(settings.rcode)}"
        raise ProbeError(Result.ANSWER, text, code=code)
    return Outcome(Result.OK, 0, f"{word}, {records} records", code)


async def _answer(
    sock: socket.socket, question: Question, settings: Settings, attempt: Attempt
) -> tuple[int, int]:
    """Reads datagrams until one is the answer."""
    loop, others = asyncio.get_running_loop(), 0
    while True:
        try:
            async with asyncio.timeout_at(attempt.until_s):
                await asyncio.sleep(0)  # why: as in stream.py, a flood must let others run
                data = await loop.sock_recv(sock, DATAGRAM_BYTES_MAX)
        except TimeoutError as error:
            if error.errno or not others:
                raise
            text = f"no answer in {settings.timeout_ms} ms, but {others} to other questions"
            raise LateError(Result.TIMEOUT, text) from error
        found = question.answered(data)
        if found is not None:
            return found
        others += 1
        if others >= DATAGRAMS_MAX:
            raise ProbeError(Result.ANSWER, f"{others} answers to other questions, none to this")
