"""The folder of recordings: each in a folder of its own, masked, and all of them within a size.

    TIME-WORKER-NUMBER[-AGAIN]/    20261130T185501.123456Z-0-42, in UTC
        request                    head and body
        answer                     head and body; none if there was no answer
        about.json                 the line of the access log, and what the recorder adds to it
    .new-PID-SERIAL/               one that is written
    .old-PID-SERIAL/               one that is removed

A recording appears whole and goes whole, by a rename: whenever this process dies, no name without
a dot is half of one. What a process that has ended left begun is
removed at the start. A power failure may leave files
empty: nothing is synchronised to the disk.

The folder is open before this process starts, and only its owner may write there. Everything else
is done relative to its descriptor, without a path. Names that are not those above are never
removed, followed or counted, nor are links and files in place of folders.
"""

from __future__ import annotations

import contextlib
import errno
import heapq
import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from l4lb import owned
from l4lb.disk import keeper
from l4lb.disk.folder import FILE_MODE, FOLDER_MODE, FULL, OPEN
from l4lb.disk.keeper import BLOCK, FULL_PART
from l4lb.record.assembly import Reason, Recording
from l4lb.record.masking import masked_about, masked_body, masked_head
from l4lb.record.masks import Masks

COUNT_MAX = 65_536  # recordings in the folder, because each of them takes inodes and memory
REQUEST, ANSWER, ABOUT = "request", "answer", "about.json"
FILES = (REQUEST, ANSWER, ABOUT)
FINAL = re.compile(r"[0-9]{8}T[0-9]{6}\.[0-9]{6}Z-[0-9]{1,10}-[0-9]{1,20}(-[0-9]{1,9})?", re.ASCII)
BEGUN = re.compile(r"\.(new|old)-([0-9]{1,10})-[0-9]{1,10}", re.ASCII)
NAMES_MAX = 1_000  # that are tried, if there are recordings of these names
UNIT = 4_096  # bytes that a file or a folder takes a multiple of, in most file systems
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | owned.SAFE
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Folder:
    """An open folder of recordings. fd: stays the caller's. max_bytes: what all recordings may take
    on the disk, in blocks. used: what they take. kept: how many were written. refused: how many
    were larger than max_bytes. evicted: how many have left to make room."""

    def __init__(
        self, fd: int, max_bytes: int, masks: Masks, *, max_count: int = COUNT_MAX
    ) -> None:
        """Removes what was left begun, and what is too much. Raises OSError."""
        self._fd = fd
        self._max_bytes = max_bytes
        self._max_count = max_count
        self._masks = masks
        self._serial = 0
        self.used = 0
        self.kept = 0
        self.refused = 0
        self.evicted = 0
        self._recordings: list[tuple[str, int]] = []  # a heap of names and bytes, the oldest first
        self._list()
        self._make_room(0, 0)

    @property
    def count(self) -> int:
        """The number of recordings in the folder."""
        return len(self._recordings)

    def _list(self) -> None:
        for name in os.listdir(self._fd):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                if begun := BEGUN.fullmatch(name):
                    if not _is_written(int(begun[2])):
                        self._remove(name)
                elif FINAL.fullmatch(name):
                    self._add(name, self._bytes_of(name))

    def _add(self, name: str, size: int) -> None:
        heapq.heappush(self._recordings, (name, size))
        self.used += size

    def _bytes_of(self, name: str) -> int:
        """Returns what a recording takes on the disk. Raises OSError."""
        with self._opened(name) as fd:
            total = os.fstat(fd).st_blocks
            for file in FILES:
                with contextlib.suppress(FileNotFoundError):
                    about = os.stat(file, dir_fd=fd, follow_symlinks=False)
                    total += about.st_blocks if stat.S_ISREG(about.st_mode) else 0
        return total * BLOCK

    @contextlib.contextmanager
    def _opened(self, name: str) -> Iterator[int]:
        """Opens a folder in this one; a link is not followed. Raises OSError."""
        fd = os.open(name, OPEN, dir_fd=self._fd)
        try:
            yield fd
        finally:
            os.close(fd)

    # ---- one more ------------------------------------------------------------------------------

    def keep(self, recording: Recording, now_ns: int) -> None:
        """Masks a recording and writes it; older ones leave for it. now_ns: the time of day. Raises
        OSError if it cannot be written; nothing is left of it then."""
        files = _files(recording, self._masks)
        size = UNIT + sum(map(_rounded, files.values()))
        if size > self._max_bytes:
            self.refused += 1
            return
        self._make_room(size, 1)
        name = _name(recording, now_ns)
        try:
            self._write(files, name)
        except OSError as error:
            if error.errno not in FULL:
                raise
            self._evict_bytes(max(size, self.used // FULL_PART))
            self._write(files, name)

    def _write(self, files: dict[str, bytes], name: str) -> None:
        """Writes a recording under another name, and gives it its own. Raises OSError."""
        begun = self._made()
        try:
            with self._opened(begun) as fd:
                os.fchmod(fd, FOLDER_MODE)  # why: the umask may have taken something
                for file, data in files.items():
                    _write_file(fd, file, data)
            size = self._bytes_of(begun)
            if size > self._max_bytes:  # the file system takes more than a UNIT
                self.refused += 1
                self._remove_begun(begun)
                return
            self._make_room(size, 1)
            final = self._renamed(begun, name)
        except BaseException:
            self._remove_begun(begun)
            raise
        self._add(final, size)
        self.kept += 1

    def _made(self) -> str:
        """Makes a folder for a recording that is written. Returns its name. Raises OSError."""

        def make(name: str) -> None:
            os.mkdir(name, FOLDER_MODE, dir_fd=self._fd)

        return _first_free(self._begun_names(".new"), make)

    def _begun_names(self, kind: str) -> Iterator[str]:
        for _ in range(NAMES_MAX):
            self._serial += 1
            yield f"{kind}-{os.getpid()}-{self._serial}"

    def _renamed(self, begun: str, name: str) -> str:
        """Gives a recording its name, or one with a number if there is such a one. Returns the
        name. Raises OSError."""
        names = [name, *(f"{name}-{again}" for again in range(1, NAMES_MAX))]
        return _first_free(iter(names), lambda final: self._rename(begun, final))

    def _rename(self, old: str, new: str) -> None:
        os.rename(old, new, src_dir_fd=self._fd, dst_dir_fd=self._fd)

    # ---- room ----------------------------------------------------------------------------------

    def _make_room(self, size: int, count: int) -> None:
        """Removes the oldest recordings until others have room. Raises OSError."""
        self._evict_bytes(self.used + size - self._max_bytes)
        while self._recordings and self.count + count > self._max_count:
            self._evict()

    def _evict_bytes(self, wanted: int) -> None:
        """Removes the oldest recordings until so many bytes have left. Raises OSError."""
        until = self.used - wanted
        while self._recordings and self.used > until:
            self._evict()

    def _evict(self) -> None:
        """Removes the oldest recording. Raises OSError; then it still counts."""
        name, size = self._recordings[0]
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            self._remove(name)
        heapq.heappop(self._recordings)
        self.used -= size
        self.evicted += 1
        assert self.used >= 0

    def _remove(self, name: str) -> None:
        """Removes a recording: at once for who looks, then file by file. why: also one that is
        begun is renamed, so that a process that still writes it cannot give it its name. Raises
        OSError."""
        if not stat.S_ISDIR(os.stat(name, dir_fd=self._fd, follow_symlinks=False).st_mode):
            return  # somebody has put something else there
        try:
            begun = _first_free(self._begun_names(".old"), lambda new: self._rename(name, new))
        except OSError as error:
            if error.errno not in FULL:
                raise
            begun = name  # why: on a full disk, a rename may need room that is made here
        self._remove_begun(begun)

    def _remove_begun(self, name: str) -> None:
        """Removes the files of a recording and its folder. What else is in there is left alone, and
        so is the folder then. No error stops what is done beside; the next start tries again."""
        with contextlib.suppress(OSError):
            with self._opened(name) as fd:
                for file in FILES:
                    with contextlib.suppress(OSError):
                        os.unlink(file, dir_fd=fd)
            os.rmdir(name, dir_fd=self._fd)


def _files(recording: Recording, masks: Masks) -> dict[str, bytes]:
    """Returns the files of a recording, masked."""
    head = masked_head(recording.request_head, masks)
    body = masked_body(recording.request_body, recording.request_head, masks)
    files = {REQUEST: head + body}
    if recording.answer_head:
        head = masked_head(recording.answer_head, masks)
        body = masked_body(recording.answer_body, recording.answer_head, masks)
        files[ANSWER] = head + body
    told = masked_about(recording.about, masks)
    if recording.reason is not Reason.ENDED:
        told["reason"] = str(recording.reason)
    told |= {"record": recording.record, "rule": recording.rule, "cut": sorted(recording.cut)}
    files[ABOUT] = json.dumps(told, indent=2, default=str).encode("ascii") + b"\n"
    return files


def _name(recording: Recording, now_ns: int) -> str:
    at = EPOCH + timedelta(microseconds=now_ns // 1_000)
    return f"{at:%Y%m%dT%H%M%S.%f}Z-{recording.worker}-{recording.number}"


def _is_written(pid: int) -> bool:
    """Returns whether another process of this number runs: during an upgrade, two programs have a
    recorder each."""
    return pid != os.getpid() and keeper.runs(pid)


def _rounded(data: bytes) -> int:
    return -(-len(data) // UNIT) * UNIT


def _write_file(folder_fd: int, name: str, data: bytes) -> None:
    """Writes a file that only its owner may read. Raises OSError."""
    fd = os.open(name, CREATE, FILE_MODE, dir_fd=folder_fd)
    try:
        os.fchmod(fd, FILE_MODE)  # why: the umask may have taken something
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(fd, rest) :]
    finally:
        os.close(fd)


def _first_free(names: Iterator[str], make: Callable[[str], None]) -> str:
    """Returns the first name that could be made. Raises OSError."""
    fault: OSError | None = None
    for name in names:
        try:
            make(name)
        except OSError as error:
            if not _is_taken(error):
                raise
            fault = error
        else:
            return name
    assert fault is not None
    raise fault


def _is_taken(error: OSError) -> bool:
    """Returns whether an error says that something else has the name."""
    return isinstance(error, FileExistsError | NotADirectoryError) or error.errno == errno.ENOTEMPTY
