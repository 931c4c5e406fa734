"""Patterns of URLs: prefixes such as "example.com/ads/", and regular expressions of RE2. Pure.

A pattern sees `host/path?query`, with `:port` behind the host unless it is 80 or 443, and without a
scheme. RE2 takes linear time, whatever the pattern and the URL are. All expressions of a rule are
compiled to one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import re2

from l4lb.lists.name import name_of

PREFIXES_MAX = 10_000
EXPRESSIONS_MAX = 2_000
TEXT_MAX = 1_000  # characters of a prefix or an expression
MEMORY_MAX = 64 << 20  # bytes of all expressions of a rule, compiled
PLAIN_PORTS = (80, 443)


class UrlsError(ValueError):
    """A pattern that is not understood; its message says why."""


@dataclass(frozen=True)
class Urls:
    """prefixes: beginnings of paths, by host and port. expression: an object of re2."""

    prefixes: Mapping[str, tuple[str, ...]]
    expression: Any = field(default=None, compare=False)

    def match(self, host: str, port: int, path: str) -> bool:
        """True if a pattern matches. path: with its query."""
        place = host if port in PLAIN_PORTS else f"{host}:{port}"
        if path.startswith(self.prefixes.get(place, ())):
            return True
        return self.expression is not None and self.expression.search(place + path) is not None


def urls_of(prefixes: Iterable[str] = (), expressions: Iterable[str] = ()) -> Urls:
    """Reads patterns. Raises UrlsError."""
    found: dict[str, list[str]] = {}
    for count, text in enumerate(prefixes):
        if count >= PREFIXES_MAX:
            raise UrlsError(f"more than {PREFIXES_MAX:,} prefixes of URLs")
        place, path = _prefix(text)
        found.setdefault(place, []).append(path)
    by_place = {place: tuple(paths) for place, paths in found.items()}
    return Urls(by_place, _compiled(list(expressions)))


def _prefix(text: str) -> tuple[str, str]:
    """Returns the host with its port, and the beginning of paths."""
    _check(text)
    rest = text
    for scheme in ("http://", "https://"):
        rest = rest.removeprefix(scheme)
    # why a slash is added: example.com is no prefix of example.community
    place, slash, path = rest.partition("/")
    host, colon, port = place.rpartition(":") if place[-1:].isdigit() else (place, "", "")
    if not colon:
        host, port = place, "80"
    name = name_of(host)
    if name is None or not port.isdecimal() or not 0 < int(port[:6]) < 65_536 or port[0] == "0":
        raise UrlsError(f"{text[:300]!r} begins with no host such as example.com/path")
    return name if int(port) in PLAIN_PORTS else f"{name}:{port}", f"/{path if slash else ''}"


def _check(text: str) -> None:
    if not text or len(text) > TEXT_MAX:
        raise UrlsError(f"a pattern has 1 to {TEXT_MAX} characters")
    if not text.isprintable() or " " in text:
        raise UrlsError(f"{text[:300]!r} has a blank or a control character, and no URL has")


def _compiled(expressions: list[str]) -> Any:
    if len(expressions) > EXPRESSIONS_MAX:
        raise UrlsError(f"more than {EXPRESSIONS_MAX:,} expressions")
    if not expressions:
        return None
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = MEMORY_MAX
    for text in expressions:
        _check(text)
        try:
            re2.compile(text, options)
        except re2.error as error:
            raise UrlsError(f"{text[:300]!r}: {_why(error)}") from error
    try:
        return re2.compile("|".join(f"(?:{text})" for text in expressions), options)
    except re2.error as error:
        raise UrlsError(f"all expressions together: {_why(error)}") from error


def _why(error: Exception) -> str:
    said = error.args[0] if error.args else ""
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)
