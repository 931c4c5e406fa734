"""The strongbox: memory files with the certificates and keys that a child has read.

The supervisor has the descriptors of the memory files and never reads them. Children read, test and
write the contents, and the kernel copies them into the vault. A listener's private key is therefore
in the memory of workers and of no other process that lives on.

A box contains a bundle and, behind it, the files from which the bundle was made. A service that
gave up root's rights can thus go on with a key that only root may read, until that file changes. An
upgrade passes the box on: the new program needs neither those rights nor files that match each
other at that moment.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from l4lb.certificates.bundle import Bundle, Loaded, Profiles, gather
from l4lb.certificates.files import Files, Stamp
from l4lb.config.model import Config
from l4lb.config.origin import Finding
from l4lb.native.tls_rows import Certificate

COPY_BYTES = 1 << 30  # maximum for one call of sendfile


class Box(NamedTuple):
    """An open memory file. files_at: where the files begin, behind the bundle."""

    fd: int
    files_at: int = 0

    @classmethod
    def empty(cls) -> Box:
        fd = os.memfd_create("l4lb-strongbox", os.MFD_CLOEXEC)
        os.pwrite(fd, b"{}", 0)
        return cls(fd)

    def files(self, *, pinned: bool) -> Files:
        """Returns the box's files; only a child calls this. pinned: these contents count, whatever
        is on the disk by now."""
        size = os.fstat(self.fd).st_size - self.files_at
        return Files(json.loads(read_all(self.fd, size, self.files_at)), pinned=pinned)


class Answer(NamedTuple):
    """The answer of the child that filled a box. It contains no secret."""

    bundle_bytes: int
    bundle_sha256: str
    certificates: list[Loaded]
    stamps: dict[str, Stamp | None]  # states of the files when they were read


def fill(config: Config, profiles: Profiles, old: Box, fd: int, *, pinned: bool) -> bytes:
    """Reads the files that config names, or takes them from the old box, and fills the memory file
    fd; only a child calls this. Returns the data that `understood` reads."""
    files = old.files(pinned=pinned)
    bundle, found = gather(config, files, profiles)
    if found:
        return json.dumps({"found": found}).encode()
    files.settle(paths_of(config))
    os.ftruncate(fd, 0)
    with os.fdopen(os.dup(fd), "wb") as file:
        file.seek(0)
        file.write(bundle.data)
        file.write(json.dumps(files.in_force()).encode())
    return json.dumps(_told(bundle, files)).encode()


def _told(bundle: Bundle, files: Files) -> dict[str, Any]:
    return {
        "bundle_bytes": len(bundle.data),
        "bundle_sha256": hashlib.sha256(bundle.data).hexdigest(),
        "certificates": bundle.certificates,
        "stamps": files.stamps_read(),
    }


def understood(said: bytes) -> Answer | list[Finding]:
    """Returns the child's answer, or all errors that it found."""
    told = json.loads(said)
    if "found" in told:
        return [Finding(tuple(path), message, hint) for path, message, hint in told["found"]]
    return Answer(
        told["bundle_bytes"],
        told["bundle_sha256"],
        [Loaded(owner, file, _facts(facts)) for owner, file, facts in told["certificates"]],
        {path: Stamp(*known) if known else None for path, known in told["stamps"].items()},
    )


def _facts(told: Iterable[Any]) -> Certificate:
    facts = Certificate(*told)
    return facts._replace(names=tuple(facts.names))


def read_all(fd: int, size: int, at: int) -> bytes:
    """Returns `size` bytes from `at`. Raises OSError if the file is shorter."""
    data = bytearray()
    while len(data) < size:
        part = os.pread(fd, size - len(data), at + len(data))
        if not part:
            raise OSError("a memory file is shorter than it was")
        data += part
    return bytes(data)


def copy(to: int, to_at: int, source: int, count: int) -> None:
    """Makes the kernel copy the beginning of one file to a place in another. Raises OSError."""
    os.lseek(to, to_at, os.SEEK_SET)
    done = 0
    while done < count:
        part = os.sendfile(to, source, done, min(count - done, COPY_BYTES))
        if not part:
            raise OSError("a memory file is shorter than it was")
        done += part


def copied(source: int) -> int:
    """Returns a new memory file with the content of another. Raises OSError."""
    fd = os.memfd_create("l4lb-strongbox", os.MFD_CLOEXEC)
    copy(fd, 0, source, os.fstat(source).st_size)
    return fd


def carried_files(told: Mapping[str, Any]) -> int:
    """Returns a box's memory file with the files that an earlier version of the program passed on
    as data."""
    fd = os.memfd_create("l4lb-strongbox", os.MFD_CLOEXEC)
    with os.fdopen(os.dup(fd), "wb") as file:
        file.write(json.dumps(told).encode())
    return fd


def paths_of(config: Config) -> set[str]:
    """Returns every file that the configuration's TLS settings name."""
    found: set[str | None] = set()
    for listener in config.listeners.values():
        if listener.tls is not None:
            found.add(listener.tls.ca)
            for one in listener.tls.certificates:
                found |= {one.cert, one.key}
    for pool in config.pools.values():
        if pool.tls is not None:
            found |= {pool.tls.ca, pool.tls.cert, pool.tls.key}
    return {path for path in found if path}
