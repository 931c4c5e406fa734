"""Splits squid.conf into lines and words. A word in quotes is a file with values (acl), or one
word; a comment begins with # at the begin of a word."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from l4lb.importer.draft import Place

WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')


@dataclass(frozen=True)
class Word:
    """quoted: it was in quotes."""

    text: str
    quoted: bool = False


@dataclass(frozen=True)
class Line:
    """A directive and its words."""

    place: Place
    name: str
    words: tuple[Word, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(one.text for one in self.words)


def lines(text: str, file: str) -> Iterator[Line]:
    """Yields the directives of a file. A line that ends with a backslash goes on in the next."""
    held, begun = "", 0
    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        begun = begun or number
        if raw.endswith("\\"):
            held += raw[:-1] + " "
            continue
        whole, held, at, begun = held + raw, "", begun, 0
        words = _words(whole)
        if words:
            place = Place(file, at, whole.strip())
            yield Line(place, words[0].text, tuple(words[1:]))


def _words(text: str) -> list[Word]:
    found = []
    for match in WORD.finditer(text):
        if match[2] is not None and match[2].startswith("#"):
            break
        found.append(Word(match[1], True) if match[1] is not None else Word(match[2]))
    return found
