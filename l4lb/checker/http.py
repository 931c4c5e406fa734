"""The http and https checks: one request, an expected status, perhaps something in the body.

The body is read only if something is expected in it, and not beyond ANSWER_BYTES_MAX.
"""

from __future__ import annotations

from collections.abc import Sequence

import h11

import l4lb
from l4lb.checker.tls import certificate_end_s
from l4lb.checker.types import Outcome, ProbeError, Settings, Target
from l4lb.checker.wire import ANSWER_BYTES_MAX, Tls, Wire, open_plain, open_tls
from l4lb.config import payload
from l4lb.native.results import Result

HEAD_BYTES_MAX = 16 << 10


def is_expected(code: int, ranges: Sequence[str]) -> bool:
    """Is code in one of "200" or "200-399"?"""
    for one in ranges:
        first, _, last = one.partition("-")
        if int(first) <= code <= int(last or first):
            return True
    return False


def request(target: Target, settings: Settings) -> h11.Request:
    where = target.address
    host = settings.host or (str(where) if where.host else "localhost")
    own = [(name.strip(), value.strip()) for name, value in map(_split, settings.headers)]
    given = {name.lower() for name, _ in own}
    headers = [("host", host), ("user-agent", f"l4lb/{l4lb.__version__}"), ("connection", "close")]
    headers = [one for one in headers if one[0] not in given]
    return h11.Request(method=settings.method, target=settings.path, headers=headers + own)


def _split(header: str) -> tuple[str, str]:
    name, _, value = header.partition(":")
    return name, value


async def _exchange(wire: Wire, target: Target, settings: Settings) -> tuple[int, str]:
    """The status, and its reason in words."""
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES_MAX)
    data = http.send(request(target, settings)) or b""
    await wire.send(data + (http.send(h11.EndOfMessage()) or b""))
    code, body, reason = 0, b"", ""
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            data = await wire.receive()
            if not data and not code:
                raise ProbeError(Result.CLOSED, "closed before it had answered")
            http.receive_data(data)
        elif isinstance(event, h11.Response):
            code, reason = event.status_code, event.reason.decode("latin-1")
            if not is_expected(code, settings.status):
                wanted = ", ".join(settings.status)
                raise ProbeError(Result.ANSWER, f"{code} {reason}, not {wanted}", code=code)
            if settings.body is None:
                return code, reason
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
            assert settings.body is not None
            if payload.compiled(settings.body).search(body[:ANSWER_BYTES_MAX]):
                return code, reason
            if len(body) >= ANSWER_BYTES_MAX:
                break
        elif isinstance(event, (h11.EndOfMessage, h11.ConnectionClosed)):
            break
    text = f"{code} {reason}, but its body does not match"
    raise ProbeError(Result.ANSWER, text, code=code)


async def _checked(wire: Wire, target: Target, settings: Settings, cert_end_s: int) -> Outcome:
    try:
        code, reason = await _exchange(wire, target, settings)
    except h11.RemoteProtocolError as error:
        raise ProbeError(Result.ANSWER, f"not HTTP: {error}") from error
    return Outcome(Result.OK, 0, f"{code} {reason}".rstrip(), code, cert_end_s)


async def probe(target: Target, settings: Settings) -> Outcome:
    """One request over a connection of its own."""
    cert_end_s = 0
    wire: Wire
    if settings.type == "https":
        secured: Tls = await open_tls(target, settings)
        wire, cert_end_s = secured, certificate_end_s(secured)
    else:
        wire = await open_plain(target, settings)
    try:
        return await _checked(wire, target, settings, cert_end_s)
    finally:
        wire.close()
