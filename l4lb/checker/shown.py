"""Text of a target in a form for people: quoted, cut, and without terminal control characters."""

from __future__ import annotations

from l4lb.checker.limits import SHOWN_CHARS


def plain(text: str) -> str:
    r"""Returns the text with unprintable characters written out, as in \r, \x1b or \u202e."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def quoted(data: bytes) -> str:
    r"""Returns the beginning of an answer: "512 too busy\r\n", followed by ... if there was
    more."""
    text = data[:SHOWN_CHARS].decode(errors="backslashreplace")
    inner = plain(text).replace('"', '\\"')
    more = len(data) > SHOWN_CHARS or len(inner) > SHOWN_CHARS
    return f'"{inner[:SHOWN_CHARS]}"' + ("..." if more else "")
