"""What a check sends and expects: text, hex or a regular expression, as one string.

    "PING\\r\\n"          the text itself
    "hex:0a0b ff"        these bytes; spaces do not count
    "regex:^\\+PONG"      only to expect: RE2 syntax, over bytes
    "text:hex:"          text that begins like one of the others

RE2 matches in linear time: what a hostile target answers cannot keep a pattern busy.
"""

from __future__ import annotations

import functools
from typing import Any

import re2

KINDS = ("text", "hex", "regex")


def _split(text: str) -> tuple[str, str]:
    kind, colon, rest = text.partition(":")
    return (kind, rest) if colon and kind in KINDS else ("text", text)


def to_bytes(text: str) -> bytes:
    """Returns the bytes to send. Raises ValueError."""
    kind, rest = _split(text)
    if kind == "regex":
        raise ValueError("a regular expression cannot be sent")
    if kind == "text":
        return rest.encode()
    try:
        return bytes.fromhex(rest)
    except ValueError:
        raise ValueError(f'"{rest}" is not hex: pairs of 0-9 and a-f') from None


@functools.lru_cache(maxsize=4096)
def compiled(pattern: str) -> Any:
    """Returns a compiled regular expression over bytes. Raises ValueError."""
    options = re2.Options()
    options.log_errors = False
    options.encoding = re2.Options.Encoding.LATIN1
    try:
        return re2.compile(pattern.encode(), options)
    except re2.error as error:
        said = error.args[0] if error.args else "?"
        shown = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        raise ValueError(f"not a regular expression (RE2): {shown}") from None


def expression(text: str) -> Any:
    """Returns the regular expression in text; None if text stands for text or bytes. Raises
    ValueError."""
    kind, rest = _split(text)
    return compiled(rest) if kind == "regex" else None


def find(text: str, data: bytes) -> int:
    """Returns where in data the expected text ends; -1 if it is not there."""
    pattern = expression(text)
    if pattern is not None:
        found = pattern.search(data)
        return found.end() if found else -1
    wanted = to_bytes(text)
    at = data.find(wanted)
    return at if at < 0 else at + len(wanted)


def check(text: str, *, expected: bool) -> None:
    """Raises ValueError, with the reason, if text is invalid."""
    kind, rest = _split(text)
    if kind == "regex" and expected:
        compiled(rest)
    elif not to_bytes(text) and expected:
        raise ValueError("it is empty: anything would do")
