"""Finds the files of a list, and reads them into a draft of names. What is wrong is counted, and
the first faults are told with file and line; nothing in a file is fatal.

Lines are read in C (csrc/core/names_text.h has their formats). Only names with letters that are not
ASCII come here, for their A-labels. A folder is a category as squidGuard has it: its file `domains`
has names, and its file `urls` beginnings of URLs, which count where a URL is seen.
"""

from __future__ import annotations

import glob
import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from l4lb.errors import L4lbError
from l4lb.lists.name import name_of
from l4lb.native.names import BELOW, Draft, OddWord
from l4lb.reading import read

Format = Literal["auto", "domains", "hosts", "dnsmasq"]

FILES_MAX = 1_000  # of one list
FILE_MAX = 512 << 20  # bytes of one file
FAULTS_MAX = 16  # told of one list; further ones are only counted
ODD_MAX = 100_000  # words of one file that are wrong or not ASCII; further ones count as wrong
URLS_MAX = 200_000  # of one list
URL_LINE_MAX = 2_000  # bytes
SHOWN_MAX = 80  # characters of a wrong word


class Source(NamedTuple):
    """A file of a list. urls: it has URLs."""

    path: str
    form: Format
    urls: bool = False


@dataclass
class Parsed:
    """What was found in files. names: words that are names, also if they are there twice. urls:
    beginnings of paths, by host. wrong: the number of faults. faults: the first ones, as
    `FILE:LINE: text`. unread: the first file that is not there or cannot be read, and why."""

    names: int = 0
    urls: dict[str, list[str]] = field(default_factory=dict)
    url_count: int = 0
    wrong: int = 0
    faults: list[str] = field(default_factory=list)
    unread: str = ""

    def fault(self, place: str, text: str, count: int = 1) -> None:
        self.wrong += count
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(f"{place}: {text}")

    def cannot_read(self, path: str, why: str) -> None:
        self.fault(path, why)
        self.unread = self.unread or f"{path}: {why}"


def sources_of(patterns: Iterable[str], form: Format, parsed: Parsed) -> list[Source]:
    """Returns the files that these paths mean: each is a file, a folder, or a pattern with * and
    the like. A path that means none is a fault."""
    found: dict[str, Source] = {}
    for pattern in patterns:
        any_there = False
        for path in itertools.islice(_matching(pattern), FILES_MAX + 1):
            for source in _in_folder(path) if os.path.isdir(path) else [Source(path, form)]:
                found.setdefault(source.path, source)
                any_there = True
        if not any_there:
            parsed.cannot_read(pattern, "there is no such file")
    if len(found) > FILES_MAX:
        parsed.fault(list(found)[FILES_MAX], f"only the first {FILES_MAX:,} files are read")
    return list(found.values())[:FILES_MAX]


def _matching(pattern: str) -> list[str]:
    if glob.has_magic(pattern):
        return sorted(glob.iglob(pattern))
    return [pattern]


def _in_folder(path: str) -> Iterator[Source]:
    for name in ("domains", "urls"):
        inside = os.path.join(path, name)
        if os.path.isfile(inside):
            yield Source(inside, "domains", urls=name == "urls")


def read_into(draft: Draft, source: Source, subdomains: bool, parsed: Parsed) -> None:
    """Reads a file. subdomains: names stand for all below them too. Raises OverflowError: there
    are too many names."""
    try:
        content = read(source.path, FILE_MAX)
    except L4lbError as error:
        parsed.cannot_read(source.path, error.message.removeprefix(f"{source.path}: "))
        return
    if source.urls:
        _read_urls(content, source.path, parsed)
        return
    flags = BELOW if subdomains else 0
    added, odd, words = draft.add_text(content, source.form, flags, ODD_MAX)
    parsed.names += added
    for word in words:
        place = f"{source.path}:{word.line}"
        if _add_other(draft, word, flags):
            parsed.names += 1
        else:
            parsed.fault(place, f"{_shown(word.word)} is no name")
    if odd > len(words):
        parsed.fault(source.path, f"further words are no names: {odd - len(words):,}",
                     odd - len(words))  # fmt: skip


def _add_other(draft: Draft, word: OddWord, flags: int) -> bool:
    name = other_name(word)
    return name is not None and draft.add(name, flags | word.flags)


def other_name(word: OddWord) -> bytes | None:
    """Returns the name that a word means which is not ASCII."""
    if word.wrong:
        return None
    try:
        name = name_of(word.word.decode())
    except UnicodeDecodeError:
        return None
    return name.encode() if name is not None else None


def _read_urls(content: bytes, path: str, parsed: Parsed) -> None:
    """Reads beginnings of URLs, one a line: host/path, perhaps with http:// before it."""
    for number, line in enumerate(content.split(b"\n"), 1):
        text = line.split(b"#")[0].strip()
        if not text:
            continue
        if parsed.url_count >= URLS_MAX:
            parsed.fault(f"{path}:{number}", f"only the first {URLS_MAX:,} URLs are read")
            return
        host, slash, rest = text.decode(errors="replace").split("://")[-1].partition("/")
        name = name_of(host) if slash and len(text) <= URL_LINE_MAX else None
        if name is None or not rest.isascii() or not rest.isprintable() or " " in rest:
            parsed.fault(f"{path}:{number}", f"{_shown(text)} is no host with a path")
            continue
        parsed.urls.setdefault(name, []).append(f"/{rest}")
        parsed.url_count += 1


def _shown(word: bytes) -> str:
    text = word[: 2 * SHOWN_MAX].decode(errors="replace")[:SHOWN_MAX]
    return "".join(one if one.isprintable() else "?" for one in text) or "an empty word"
