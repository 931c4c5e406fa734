"""The udp and dns checks: one datagram, and what comes back.

The socket is connected, so that an ICMP error comes back as an error and nobody else is heard.
"""

from __future__ import annotations

import asyncio
import socket

import dns.exception
import dns.flags
import dns.message
import dns.rcode

from l4lb.checker.tcp import shown
from l4lb.checker.types import Outcome, ProbeError, Settings, Target
from l4lb.checker.wire import PROXY_LOCAL, family_of, take_way
from l4lb.config import payload
from l4lb.native.results import Result

DATAGRAM_MAX = 64 << 10
ICMP_WAIT_S = 0.2  # how long an ICMP error may take where no reply is required


def _connected(target: Target, settings: Settings) -> socket.socket:
    sock = socket.socket(family_of(target.address), socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        take_way(sock, settings.way)
        sock.connect((target.address.host, target.address.port))
    except BaseException:
        sock.close()
        raise
    return sock


async def probe_udp(target: Target, settings: Settings) -> Outcome:
    """Sends the payload. Where a reply is required it must come, and hold what is expected; else
    only an ICMP error, or a wrong reply, is a failure."""
    loop = asyncio.get_running_loop()
    with _connected(target, settings) as sock:
        sock.send(PROXY_LOCAL[settings.send_proxy] + payload.to_bytes(settings.send or ""))
        receive = loop.sock_recv(sock, DATAGRAM_MAX)
        if settings.reply == "optional":
            wait_s = min(ICMP_WAIT_S, settings.timeout_ms / 2000)
            try:
                data = await asyncio.wait_for(receive, wait_s)
            except TimeoutError:
                return Outcome(Result.OK, 0, "no ICMP error")
        else:
            data = await receive
        if settings.expect is not None and payload.find(settings.expect, data) < 0:
            raise ProbeError(Result.ANSWER, f"another reply: {shown(data)}")
        return Outcome(Result.OK, 0, f"a reply of {len(data)} bytes")


async def probe_dns(target: Target, settings: Settings) -> Outcome:
    """Asks for a name; the answer's rcode must be an expected one."""
    query = dns.message.make_query(settings.query, settings.record)
    loop = asyncio.get_running_loop()
    with _connected(target, settings) as sock:
        sock.send(PROXY_LOCAL[settings.send_proxy] + query.to_wire())
        while True:
            data = await loop.sock_recv(sock, DATAGRAM_MAX)
            try:
                answer = dns.message.from_wire(data, ignore_trailing=True)
            except dns.message.Truncated as error:
                answer = error.message()  # type: ignore[no-untyped-call]
            except dns.exception.DNSException as error:
                raise ProbeError(Result.ANSWER, f"not DNS: {error}") from error
            if query.is_response(answer):
                break
    code = int(answer.rcode())
    word = dns.rcode.to_text(answer.rcode())
    if word not in settings.rcode:
        text = f"{word}, not {', '.join(settings.rcode)}"
        raise ProbeError(Result.ANSWER, text, code=code)
    count = sum(len(one) for one in answer.answer)
    return Outcome(Result.OK, 0, f"{word}, {count} records", code)
