"""Splits a line of haproxy.cfg into words, by HAProxy's rules of quotes and escapes.

Inside of double quotes $NAME is an environment variable; it is converted into a reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from l4lb.importer.draft import Place
from l4lb.importer.text import reference

# One piece of a word: '...', an escape, a variable (only inside of "..."), any character.
PIECE = re.compile(
    r"'(?P<strong>[^']*)'"
    r"|\\(?P<escape>x[0-9a-fA-F]{2}|.)"
    r"|\$(?:\{(?P<braced>[A-Za-z_]\w*)(?:\[\*\])?(?:-(?P<default>[^}]*))?\}|(?P<bare>[A-Za-z_]\w*))"
    r"|(?P<other>.)",
    re.ASCII | re.DOTALL,
)
ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
SELF = " \\#\"'"  # characters that a backslash escapes; before others the backslash stays


@dataclass(frozen=True)
class Line:
    """A line that is not empty, and its words."""

    place: Place
    words: tuple[str, ...]
    indented: bool = False

    def __getitem__(self, index: int) -> str:
        """Returns a word; if it is missing, the line is reported as not understood."""
        if index >= len(self.words):
            raise ValueError("something is missing at its end")
        return self.words[index]

    @property
    def rest(self) -> tuple[str, ...]:
        """The words after the first."""
        return self.words[1:]


def lines(text: str, file: str) -> Iterator[Line]:
    """Yields the lines of a file, without empty ones."""
    for number, raw in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        words = words_of(raw.rstrip("\r"))
        if words:
            place = Place(file, number, raw.strip())
            yield Line(place, tuple(words), raw[:1] in (" ", "\t"))


def words_of(line: str) -> list[str]:
    """Returns a line's words without quotes and escapes; a comment begins with #."""
    words: list[str] = []
    word: str | None = None
    quoted = False
    for match in PIECE.finditer(line):
        text = match[0]
        if match["other"] == '"':
            quoted, word = not quoted, word or ""
        elif not quoted and match["other"] and text.isspace():
            words += [word] if word is not None else []
            word = None
        elif not quoted and text == "#":
            break
        else:
            word = (word or "") + _meant(match, quoted)
    return words if word is None else [*words, word]


def _meant(match: re.Match[str], quoted: bool) -> str:
    if match["strong"] is not None:
        return match[0] if quoted else match["strong"]
    escape = match["escape"]
    if escape is not None:
        if escape in ESCAPES:
            return ESCAPES[escape]
        if len(escape) > 1:
            return chr(int(escape[1:], 16))
        return escape if escape in SELF else match[0]
    name = match["braced"] or match["bare"]
    if name and quoted:
        return reference(name, match["default"])
    return match[0]


def pairs(words: tuple[str, ...]) -> dict[str, str]:
    """Reads words as alternating names and values; a name at the end has the value ""."""
    return dict(zip(words[::2], (*words[1::2], ""), strict=False))
