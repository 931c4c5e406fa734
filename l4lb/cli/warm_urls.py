"""The list of URLs that `l4lb admin cache warm` reads, and the listener that serves each.

Pure. A URL is taken apart as clients do it: a default port is not named in the field Host, and what
follows # is not sent.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, BinaryIO, NamedTuple

from l4lb.errors import L4lbError, UsageError

LINES_MAX = 1_000_000
LINE_MAX = 8_192  # bytes of one line
SHOWN_MAX = 80  # characters of a line that are repeated in a message
PORTS = {False: 80, True: 443}
PORT_MAX = 65_535
URL = re.compile(
    r"http(s?)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?([/?][\x21-\x7e]*)?",
    re.ASCII | re.IGNORECASE,
)
WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class Wanted(NamedTuple):
    """One URL. line: its line. secure: by https. host: in lower case, an IPv6 address in brackets.
    target: its path and query."""

    line: int
    secure: bool
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """The value of the field Host."""
        return self.host if self.port == PORTS[self.secure] else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"http{'s' if self.secure else ''}://{self.authority}{self.target}"


class Door(NamedTuple):
    """An address of a listener. address: (host, port), or the path of a unix socket."""

    listener: str
    address: tuple[str, int] | str


def read(source: BinaryIO, name: str) -> list[Wanted]:
    """Returns the URLs of a list. Raises UsageError, which names the line."""
    found = []
    for number, line in enumerate(iter(lambda: source.readline(LINE_MAX + 3), b""), 1):
        text = line.rstrip(b"\r\n")
        if number > LINES_MAX:
            raise UsageError(f"{name}: more than {LINES_MAX:,} lines")
        if len(text) > LINE_MAX:
            raise UsageError(f"{name}:{number}: longer than {LINE_MAX:,} bytes")
        text = text.strip()
        if text and not text.startswith(b"#"):
            found.append(_taken_apart(text.decode("utf-8", "replace"), f"{name}:{number}", number))
    return found


def _taken_apart(text: str, place: str, number: int) -> Wanted:
    match = URL.fullmatch(text.partition("#")[0])
    if match is None:
        said = ascii(text[:SHOWN_MAX])
        raise UsageError(f"{place}: {said} is no URL such as http://www.example.com/a?b=c")
    secure = bool(match[1])
    port = int(match[3]) if match[3] else PORTS[secure]
    if not 0 < port <= PORT_MAX:
        raise UsageError(f"{place}: {port} is no port")
    rest = match[4] or "/"
    host = sys.intern(match[2].lower())  # a million lines name few hosts
    return Wanted(number, secure, host, port, rest if rest[0] == "/" else f"/{rest}")


class Doors:
    """The listeners that speak HTTP. rows: the result of the admin command `listeners`. only: the
    name of the listener that the operator has chosen."""

    def __init__(self, rows: Iterable[Mapping[str, Any]], only: str | None) -> None:
        rows = list(rows)
        self._rows = [row for row in rows if row["protocol"] == "http"]
        self._known: dict[tuple[bool, int], Door] = {}
        if only is not None:
            self._rows = [row for row in self._rows if row["name"] == only]
            if not self._rows:
                raise UsageError(_not_there(only, {str(row["name"]) for row in rows}))

    def of(self, one: Wanted) -> Door:
        """Returns where a URL is asked for. Raises L4lbError."""
        key = one.secure, one.port
        if key not in self._known:
            self._known[key] = self._chosen(one)
        return self._known[key]

    def _chosen(self, one: Wanted) -> Door:
        fit = [row for row in self._rows if ("tls" in row) == one.secure]
        if not fit:
            raise L4lbError(f"no HTTP listener {'with' if one.secure else 'without'} TLS serves it")
        fit = [row for row in fit if one.port in _address(row["bind"])[1]] or fit
        names = sorted({str(row["name"]) for row in fit})
        if len(names) > 1:
            said = f"{', '.join(names)} may serve it: name one of them with --listener"
            raise L4lbError(f"listeners {said}")
        if fit[0].get("proxy_protocol") == "require":
            said = "demands the PROXY protocol of its clients: it cannot be asked from here"
            raise L4lbError(f"listener {names[0]} {said}")
        host, ports = _address(fit[0]["bind"])
        port = one.port if one.port in ports else ports.start
        return Door(names[0], (host, port) if port else host)


def _not_there(name: str, known: Iterable[str]) -> str:
    if name in known:
        return f"listener {name} does not speak HTTP"
    near = get_close_matches(name, known, n=1)
    return f"no listener is named {name}" + (f" (did you mean {near[0]}?)" if near else "")


def _address(bind: str) -> tuple[str, range]:
    """Returns host and ports of an address that is bound, loopback for a wildcard; or a unix path
    and no port."""
    if bind.startswith("unix:"):
        return bind.removeprefix("unix:"), range(0)
    host, _, ports = bind.rpartition(":")
    host = host.strip("[]")
    first, _, last = ports.partition("-")
    return WILDCARDS.get(host, host), range(int(first), int(last or first) + 1)
