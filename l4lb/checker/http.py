"""The http and https checks: one request, an expected status, and optionally an expression in the
body.

The body is read only if an expression is expected in it, and not beyond ANSWER_BYTES_MAX. The
result does not depend on how the body was split: expect.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import l4lb
from l4lb.checker import expect
from l4lb.checker.answer import Answer, NotHttpError
from l4lb.checker.limits import ANSWER_BYTES_MAX, SHOWN_CHARS
from l4lb.checker.shown import plain, quoted
from l4lb.checker.stream import Tls, Wire, open_plain, open_tls
from l4lb.checker.tls import certificate_end_s
from l4lb.checker.types import Attempt, LateError, Outcome, ProbeError, Settings, Target
from l4lb.native.results import Result


def is_expected(code: int, ranges: Sequence[str]) -> bool:
    """True if code is in one of "200" or "200-399"."""
    for one in ranges:
        first, _, last = one.partition("-")
        if int(first) <= code <= int(last or first):
            return True
    return False


def request(target: Target, settings: Settings) -> bytes:
    """Returns the request. The configuration makes sure that no part of it ends a line."""
    own = [(name.strip(), value.strip()) for name, value in map(_split, settings.headers)]
    given = {name.lower() for name, _ in own}
    headers = [
        ("Host", settings.host or _host(target)),
        ("User-Agent", f"l4lb/{l4lb.__version__}"),
        ("Connection", "close"),
    ]
    headers = [one for one in headers if one[0].lower() not in given] + own
    lines = [f"{settings.method} {settings.path} HTTP/1.1", *map(": ".join, headers), "", ""]
    return "\r\n".join(lines).encode()


def _host(target: Target) -> str:
    if target.asked:
        return f"{target.asked}:{target.address.port}"
    return str(target.address) if target.address.host else "localhost"


def _split(header: str) -> tuple[str, str]:
    name, _, value = header.partition(":")
    return name, value


class Exchange:
    """One request and its answer over a stream, as far as they are needed."""

    def __init__(self, wire: Wire, settings: Settings) -> None:
        self._wire = wire
        self._settings = settings
        self._answer = Answer(settings.method)
        self._got = b""  # the beginning of the data

    async def run(self, asked: bytes) -> tuple[int, str]:
        """Returns the status, and the status with its reason phrase. Raises ProbeError, OSError."""
        await self._wire.send(asked)
        answer, settings = self._answer, self._settings
        while not answer.status:
            if not await self._more():
                raise self._fault(Result.CLOSED, "closed before it had answered")
        said = f"{answer.status} {plain(answer.reason)}".rstrip()
        if not is_expected(answer.status, settings.status):
            raise self._fault(Result.ANSWER, f"{said}, not {', '.join(settings.status)}")
        if settings.body is not None:
            await self._match(settings.body, said)
        return answer.status, said

    async def _match(self, body: str, said: str) -> None:
        """Reads the body until the expression is found in it, or to its end."""
        answer, expected = self._answer, f"regex:{body}"
        while not (answer.complete or len(answer.body) >= ANSWER_BYTES_MAX):
            if expect.find(expected, answer.body) >= 0:
                return
            if not await self._more() and not answer.complete:
                raise self._fault(Result.ANSWER, f"{said}, but its body was cut off")
        if not expect.at_the_end(expected, answer.body):
            text = f"{said}, but its body does not match: {quoted(answer.body)}"
            raise self._fault(Result.ANSWER, text)

    async def _more(self) -> bool:
        """Reads more data. Returns False if the connection has ended."""
        try:
            data = await self._wire.receive()
        except TimeoutError as error:
            if error.errno or not self._got:
                raise
            raise self._late() from error
        self._got = (self._got + data)[: SHOWN_CHARS + 1]
        try:
            self._answer.feed(data)
        except NotHttpError as error:
            raise self._fault(Result.ANSWER, f"not HTTP: {error}") from error
        if not data:
            self._answer.end()
        return bool(data)

    def _late(self) -> ProbeError:
        text = f"no whole answer in {self._settings.timeout_ms} ms, got {quoted(self._got)}"
        return LateError(Result.TIMEOUT, text, code=self._answer.status)

    def _fault(self, result: Result, text: str) -> ProbeError:
        return ProbeError(result, text, code=self._answer.status)


async def probe(target: Target, settings: Settings, attempt: Attempt) -> Outcome:
    """Sends one request over a connection of its own."""
    cert_end_s = 0
    wire: Wire
    if settings.type == "https":
        secured: Tls = await open_tls(target, settings, attempt)
        wire, cert_end_s = secured, certificate_end_s(secured)
    else:
        wire = await open_plain(target, settings, attempt)
    code, said = await Exchange(wire, settings).run(request(target, settings))
    return Outcome(Result.OK, 0, said, code, cert_end_s)
