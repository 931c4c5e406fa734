"""Reads the files of certificates and keys, and notices when one has changed. The contents are
kept; strongbox.py says why."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from l4lb.config.bounds import PEM_BYTES_MAX


class Stamp(NamedTuple):
    """The state of a file, followed through symbolic links."""

    device: int
    inode: int
    size: int
    changed_ns: int


def stamp(path: str) -> Stamp | None:
    """Returns the state of a file; None if it cannot be looked at."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return Stamp(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


class Files:
    """The files that were read, by path."""

    def __init__(self, told: Mapping[str, Any] | None = None, *, pinned: bool = False) -> None:
        """told: the files that were in force before (`in_force`). pinned: these contents count,
        whatever the files contain by now."""
        self._kept: dict[str, tuple[Stamp | None, bytes]] = {
            path: (Stamp(*known) if known else None, content.encode("latin-1"))
            for path, (known, content) in (told or {}).items()
        }
        self._pinned = set(self._kept) if pinned else set()

    def read(self, path: str) -> bytes:
        """Returns a file's content: the kept one if the file has not changed or is gone. Raises
        ValueError with the error for people."""
        if path in self._pinned:
            return self._kept[path][1]
        now = stamp(path)
        kept = self._kept.get(path)
        if kept is not None and now in (None, kept[0]):
            return kept[1]
        content = _read(path)
        self._kept[path] = (now, content)
        return content

    def stamps_read(self) -> dict[str, Stamp | None]:
        """Returns the state of each file when it was read."""
        return {path: known for path, (known, _) in self._kept.items()}

    def settle(self, paths: Iterable[str]) -> None:
        """Forgets all files but these."""
        self._kept = {path: self._kept[path] for path in paths if path in self._kept}

    def in_force(self) -> dict[str, Any]:
        """Returns the contents that were read last, as plain data."""
        return {
            path: [known, content.decode("latin-1")]
            for path, (known, content) in self._kept.items()
        }


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            content = file.read(PEM_BYTES_MAX + 1)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > PEM_BYTES_MAX:
        raise ValueError(f"{path} is larger than {PEM_BYTES_MAX >> 20} MiB")
    if b"-----BEGIN " not in content:
        raise ValueError(f"{path} is not a PEM file: it has no -----BEGIN line")
    return content
