"""A list of domains: from files to one piece of memory that other processes look hosts up in
(csrc/core/names.h).

The memory is a sealed file without a name: nobody can change it, and it is passed on by its
descriptor. A list that has changed is built anew beside the one in use.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import mmap
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from l4lb.errors import L4lbError
from l4lb.lists import parse
from l4lb.lists.name import name_of
from l4lb.lists.parse import Format, Parsed, Source, other_name, read_into, sources_of
from l4lb.native.names import BELOW, EXCEPT, Draft, Set, find_line
from l4lb.reading import read

SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL


class Found(NamedTuple):
    """A hit. name: of the list: the host, one of its parents, or a URL. place: `FILE:LINE`; "" if
    the files have changed since, or if there was no time to find it."""

    name: str
    place: str


@dataclass(frozen=True)
class NameList:
    """A list in memory. fd, bytes: its memory. names: different ones. wrong: words that are no
    names. faults: the first of them. unread: the first file that could not be read, and why; "":
    all were read."""

    fd: int
    bytes: int
    names: int
    wrong: int
    faults: tuple[str, ...]
    unread: str
    urls: Mapping[str, tuple[str, ...]]
    _sources: Sequence[Source]
    _set: Set

    def has(self, host: str, path: str | None = None) -> str | None:
        """Returns the longest name of the list that means a host, or the URL that a path begins
        with. host: in the form of lists.name; path: with its query, if it is seen."""
        name = self._set.find(host.encode())
        if name:
            return name.decode()
        hit = next((one for one in self.urls.get(host, ()) if (path or "").startswith(one)), None)
        return None if hit is None else host + hit

    @property
    def files(self) -> int:
        """How many files it was read from."""
        return len(self._sources)

    def find(self, host: str, path: str | None = None, until_s: float = math.inf) -> Found | None:
        """Returns the hit of has, and where it is. Reads the files again: slow. until_s: of
        time.monotonic; no file is begun after that."""
        name = self.has(host, path)
        if name is None:
            return None
        for source in self._sources:
            if time.monotonic() > until_s:
                break
            with contextlib.suppress(L4lbError):
                line = _line_of(read(source.path, parse.FILE_MAX), source, name)
                if line:
                    return Found(name, f"{source.path}:{line}")
        return Found(name, "")

    def close(self) -> None:
        """Gives the memory back; it goes on in processes that have it."""
        os.close(self.fd)


def build(
    patterns: Iterable[str],
    form: Format = "auto",
    *,
    subdomains: bool = True,
    excepted: Iterable[str] = (),
) -> NameList:
    """Builds a list. patterns: files, folders, and patterns of them. subdomains: names stand for
    all below them too, whatever their line says. excepted: names that are not in the list, nor any
    below them. Raises L4lbError: there are too many names."""
    parsed = Parsed()
    sources = sources_of(patterns, form, parsed)
    draft = Draft()
    try:
        for source in sources:
            read_into(draft, source, subdomains, parsed)
        for text in excepted:
            name = name_of(text)
            if name is None or not draft.add(name.encode(), EXCEPT | BELOW):
                parsed.fault("except", f"{text[:80]!r} is no name")
        size = draft.size()
    except OverflowError as error:
        raise L4lbError(f"the list is too large: {error}") from error
    fd = _sealed(draft, size)
    known = Set(mmap.mmap(fd, size, prot=mmap.PROT_READ))
    urls = {host: tuple(paths) for host, paths in parsed.urls.items()}
    told = (parsed.wrong, tuple(parsed.faults), parsed.unread)
    return NameList(fd, size, len(known), *told, urls, sources, known)


def _sealed(draft: Draft, size: int) -> int:
    fd = os.memfd_create("l4lb-names", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, size)
        with mmap.mmap(fd, size) as memory:
            draft.write(memory)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SEALS)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _line_of(content: bytes, source: Source, name: str) -> int:
    """Returns the line of a file with a name, or with a URL; 0: there is none."""
    if source.urls:
        for number, line in enumerate(content.split(b"\n"), 1):
            text = line.split(b"#")[0].strip().decode(errors="replace").split("://")[-1]
            host, slash, rest = text.partition("/")
            if slash and name == f"{name_of(host)}/{rest}":
                return number
        return 0
    found = find_line(content, source.form, name.encode())
    if found or content.isascii():
        return found
    _, _, words = Draft().add_text(content, source.form, 0, parse.ODD_MAX)
    return next((word.line for word in words if other_name(word) == name.encode()), 0)
