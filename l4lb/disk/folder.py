"""The folder of a cache: made, checked, locked, with its state file.

    PATH/l4lb-cache       the state (state.py)
    PATH/hh/REST          an answer; its name is 2 and 30 hexadecimal digits
    PATH/hh/tPID-SERIAL   an answer that a worker writes

Two services never share a folder: the supervisor has its lock for as long as it lives, and no other
process has. A folder that holds something else is refused, because what is not used is removed
from it. What is damaged inside is no reason not to serve: the cache begins anew then.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import l4lb.log
from l4lb import owned
from l4lb.disk.state import BYTES_MAX, POWER, State, begun, merged, packed, unpacked
from l4lb.errors import L4lbError

FOLDERS = 256
STATE, STATE_NEW = "l4lb-cache", "l4lb-cache.new"
NOT_OURS_TO_JUDGE = {STATE_NEW, "lost+found"}  # a state half written; what a file system has
FOLDER_MODE, FILE_MODE = 0o700, 0o600
ANSWER = re.compile(r"[0-9a-f]{30}", re.ASCII)
TEMPORARY = re.compile(r"t([0-9]{1,10})-[0-9a-f]+", re.ASCII)
FULL = (errno.ENOSPC, errno.EDQUOT)
ROOM_FILES = 64  # that are removed for the state
OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
BOOT_ID = "/proc/sys/kernel/random/boot_id"
LOG = l4lb.log.get("supervisor")
_LIBC = ctypes.CDLL(None, use_errno=True)
REMEDIES = {
    errno.ENOENT: "make the folder above it (mkdir -p {parent})",
    errno.ENOTDIR: "name a folder",
    errno.EACCES: "make it for the service's user (install -d -m 700 -o {uid} {path})",
    errno.EROFS: "its file system is read-only; name a folder that can be written",
    errno.ENOSPC: "its file system is full; make room, or name another folder",
    errno.EDQUOT: "the quota is used up; make room, or name another folder",
}


class Owner(Protocol):
    """The user that the service becomes."""

    @property
    def uid(self) -> int: ...
    @property
    def gid(self) -> int: ...


def name_of(folder: int) -> str:
    """Returns the name of one of the FOLDERS."""
    return f"{folder:02x}"


class Folder:
    """An open folder. fd: for other processes. lock_fd: has the lock. is_saved: the file has the
    state."""

    def __init__(self, path: str, cache: str, lock_fd: int, owner: Owner | None = None) -> None:
        self.path = path
        self.cache = cache
        self.lock_fd = lock_fd
        self.fd = os.open(".", OPEN, dir_fd=lock_fd)
        self._owner = owner if os.geteuid() == 0 else None
        self.is_saved = False
        self.state, why = begun(self._read(), cache, _boot_id())
        if why == POWER:
            LOG.info("the cache's disk begins anew", cache=cache, folder=path, why=why)

    def _read(self) -> State | None:
        """Returns the state in the file; None: there is none that can be used."""
        try:
            fd = os.open(STATE, os.O_RDONLY | owned.SAFE, dir_fd=self.lock_fd)
            with os.fdopen(fd, "rb") as file:
                writer = os.fstat(fd).st_uid
                state = unpacked(file.read(BYTES_MAX + 1))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            LOG.warning(
                "the state of the cache's disk cannot be used; it begins anew",
                cache=self.cache,
                folder=self.path,
                error=str(error),
            )
            return None
        # Another user's files could not be read.
        return state if self._owner is None or writer == self._owner.uid else None

    def begin(self, epoch: int, *, anew: bool = False) -> None:
        """Writes the state of a program that begins. anew: with another key. Raises OSError."""
        if anew:
            self.state, _ = begun(None, self.cache, self.state.boot_id)
        self.state = replace(self.state, epoch=epoch)
        self.save()

    def make_folders(self) -> None:
        """Makes what is missing of the FOLDERS, and gives all to the user. Raises OSError."""
        for name in map(name_of, range(FOLDERS)):
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, FOLDER_MODE, dir_fd=self.lock_fd)
            if self._owner is not None:
                # why: opened first, because the user may have put a link there.
                fd = os.open(name, OPEN, dir_fd=self.lock_fd)
                try:
                    os.fchown(fd, self._owner.uid, self._owner.gid)
                finally:
                    os.close(fd)
        if self._owner is not None:
            os.fchown(self.lock_fd, self._owner.uid, self._owner.gid)

    def purged(self, rows: Iterable[Sequence[Any]]) -> None:
        """Adds purges to the state, which save() writes."""
        purges, floor = merged([*self.state.purges, *rows], self.state.floor)
        self.state = replace(self.state, purges=purges, floor=floor)
        self.is_saved = False

    def save(self) -> None:
        """Writes the state so that it outlasts a power failure. Raises OSError."""
        self.is_saved = False
        try:
            self._write()
        except OSError as error:
            if error.errno not in FULL:
                raise
            self._make_room()
            self._write()
        self.is_saved = True

    def _make_room(self) -> None:
        """Removes some answers. why: a disk that they have filled must not keep the service from
        its start."""
        left = ROOM_FILES
        for name in map(name_of, range(FOLDERS)):
            with contextlib.suppress(OSError):
                fd = os.open(name, OPEN, dir_fd=self.lock_fd)
                try:
                    for answer in [one for one in os.listdir(fd) if ANSWER.fullmatch(one)][:left]:
                        os.unlink(answer, dir_fd=fd)
                        left -= 1
                finally:
                    os.close(fd)
            if not left:
                return

    def _write(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(STATE_NEW, dir_fd=self.lock_fd)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | owned.SAFE
        fd = os.open(STATE_NEW, flags, FILE_MODE, dir_fd=self.lock_fd)
        with os.fdopen(fd, "wb") as file:
            if self._owner is not None:
                os.fchown(file.fileno(), self._owner.uid, self._owner.gid)
            file.write(packed(self.state))
            file.flush()
            os.fsync(file.fileno())
        os.rename(STATE_NEW, STATE, src_dir_fd=self.lock_fd, dst_dir_fd=self.lock_fd)
        os.fsync(self.lock_fd)

    def end(self) -> None:
        """Writes that the service has ended in order, when all files are on the disk. No process
        writes any more. Raises OSError."""
        if not self.is_saved:
            self.save()
        if _LIBC.syncfs(self.lock_fd):
            raise OSError(ctypes.get_errno(), "the files cannot be written to the disk")
        self.state = replace(self.state, clean=True)
        self.save()

    def close(self) -> None:
        """Closes the folder and gives the lock back."""
        os.close(self.fd)
        os.close(self.lock_fd)


def open_folder(path: str, cache: str, owner: Owner | None = None) -> Folder:
    """Opens the folder of a cache, made if it is missing, and takes its lock. owner: the user that
    the service becomes. Raises L4lbError."""
    try:
        lock_fd = opened(path)
    except OSError as error:
        raise _refusal(path, cache, error) from error
    try:
        check_owner(path, lock_fd, owner)
        if os.fstat(lock_fd).st_mode & owned.OTHERS_WRITE:
            raise not_so("other users may write to it", f"chmod go-w {path}")
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _check_content(path, lock_fd)
        folder = Folder(path, cache, lock_fd, owner)
    except OSError as error:
        os.close(lock_fd)
        raise _refusal(path, cache, error) from error
    try:
        folder.save()  # why: a folder without a state is not empty for the next start
        folder.make_folders()
    except OSError as error:
        folder.close()
        raise _refusal(path, cache, error) from error
    return folder


def opened(path: str) -> int:
    """Returns a descriptor of a folder, made for its owner only if it is missing. Raises
    OSError."""
    where = owned.followed(path)
    with contextlib.suppress(FileExistsError):
        os.mkdir(where, FOLDER_MODE)
    return os.open(where, OPEN)


def check_owner(path: str, fd: int, owner: Owner | None) -> None:
    """Raises PermissionError if an open folder belongs to a stranger. owner: the user that the
    service becomes."""
    found = os.fstat(fd).st_uid
    if found not in (0, os.geteuid(), *([owner.uid] if owner else [])):
        uid = owner.uid if owner else os.geteuid()
        raise not_so(f"it belongs to user {found}", f"chown {uid} {path}")


def _check_content(path: str, fd: int) -> None:
    """Raises PermissionError if the folder has something else than a cache."""
    names = set(os.listdir(fd))
    if STATE not in names and names - NOT_OURS_TO_JUDGE:
        what = "it is not empty and no cache's, and what is in it would be removed"
        raise not_so(what, f"name an empty folder, or one that is not there yet ({path}/l4lb)")


def not_so(what: str, remedy: str) -> PermissionError:
    """Returns the error of a folder that is not as it must be."""
    return PermissionError(errno.EPERM, f"{what} ({remedy})")


def _refusal(path: str, cache: str, error: OSError) -> L4lbError:
    place = f"cache {cache}: the disk's folder {path}"
    if error.errno == errno.EWOULDBLOCK:
        return L4lbError(f"{place}: another l4lb uses it (give each service a folder of its own)")
    return L4lbError(f"{place}: {explained(path, os.geteuid(), error)}")


def explained(path: str, uid: int, error: OSError) -> str:
    """Returns why a folder cannot be used, and what to do. uid: whom it is for."""
    why = error.strerror or str(error)
    remedy = REMEDIES.get(error.errno or 0)
    if remedy is None:
        return why
    told = remedy.format(path=path, parent=os.path.dirname(path), uid=uid)
    return f"{why} ({told})"


def _boot_id() -> str:
    """Returns the kernel's number of this start of the machine; "" if it does not tell."""
    try:
        with open(BOOT_ID, encoding="ascii") as file:
            return file.read(64).strip()
    except (OSError, ValueError):
        return ""
