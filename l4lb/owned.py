"""Files and folders of the service: its run folder with all its files, and its logs.

A service that root starts must not be misled by a user who can write where its files are: by a
symbolic link or a pipe in place of a lock file, or by a file of that user in place of the
service's. A folder is therefore opened once and checked through its descriptor, and files are
opened by name inside it. A symbolic link is followed only if the link and its folder belong to us
or to root, as links of systemd and of operators do. A file that is refused raises PermissionError,
which says what is wrong and what to do.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Collection, Iterator

ROOT = 0
LINKS_MAX = 8  # maximum length of a chain of symbolic links
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
SAFE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
FOLDER_MODE = 0o750
PRIVATE_MODE = 0o700  # of a folder inside one that others may write to
# Errors of open for a symbolic link, a socket, or a pipe without a reader.
NO_FILE = (errno.ELOOP, errno.ENXIO)


class Folder:
    """An open folder that belongs to us or to root. Nobody else may write to it, unless it is
    sticky as /tmp is."""

    def __init__(self, path: str, fd: int) -> None:
        self.path = path
        self._fd = fd

    def names(self) -> set[str]:
        """Returns the names in the folder."""
        return set(os.listdir(self._fd))

    def open(self, name: str, flags: int, mode: int = 0o600, *, also: Collection[int] = ()) -> int:
        """Opens a file in the folder. The file must be a regular one that belongs to us, to root or
        to a user of `also`, and that no other user may write to. Raises OSError."""
        path = os.path.join(self.path, name)
        try:
            fd = os.open(name, flags | SAFE, mode, dir_fd=self._fd)
        except OSError as error:
            if error.errno in NO_FILE:
                raise _no_file(path) from error
            raise
        try:
            _check_file(path, os.fstat(fd), also)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def give(self, name: str, uid: int, gid: int) -> None:
        """Makes the user and group the owner of the file of that name. Raises OSError."""
        os.chown(name, uid, gid, dir_fd=self._fd, follow_symlinks=False)

    def admit(self, gid: int) -> None:
        """Lets the group enter and list the folder; its owner stays. Raises OSError."""
        os.fchown(self._fd, -1, gid)
        os.fchmod(self._fd, stat.S_IMODE(os.fstat(self._fd).st_mode) & ~0o7 | FOLDER_MODE)


@contextlib.contextmanager
def folder(path: str) -> Iterator[Folder]:
    """Opens a folder, made if it is missing, for the time of the block. Raises OSError."""
    path = followed(path or ".")
    _make(path)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fault = _fault_of_folder(path, os.fstat(fd))
        if fault is not None:
            raise fault
        yield Folder(path, fd)
    finally:
        os.close(fd)


def _make(path: str) -> None:
    parent = os.path.dirname(os.path.abspath(path))
    try:
        is_shared = bool(os.stat(parent).st_mode & OTHERS_WRITE)
    except FileNotFoundError:
        is_shared = False  # the parent is made as well
    os.makedirs(path, PRIVATE_MODE if is_shared else FOLDER_MODE, exist_ok=True)


def followed(path: str) -> str:
    """Returns where a path leads if its last part is a symbolic link. The link must belong to us or
    to root, and be in a folder that does too. Raises OSError."""
    for _ in range(LINKS_MAX):
        try:
            about = os.lstat(path)
        except FileNotFoundError:
            return path
        if not stat.S_ISLNK(about.st_mode) or _is_descriptor(path):
            return path
        parent = os.path.dirname(path) or "."
        if not _is_trusted(about.st_uid) or _fault_of_folder(parent, os.stat(parent)):
            raise _refused(f"{path} is a symbolic link that another user may have put there",
                           f"remove it (rm {path}) or name what it leads to")  # fmt: skip
        path = os.path.join(parent, os.readlink(path))
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)


def open_log(path: str, flags: int, mode: int) -> int:
    """Opens an operator's log: a file, a pipe or a device. Raises OSError."""
    where = followed(path)
    safe = SAFE & ~os.O_NOFOLLOW if _is_descriptor(where) else SAFE
    return os.open(where, flags | safe, mode)


def _is_descriptor(path: str) -> bool:
    """Returns whether path is a link such as /dev/stdout leads to, which leads to no name."""
    return path.startswith("/proc/")


def _is_trusted(uid: int) -> bool:
    return uid in (ROOT, os.geteuid())


def _refused(what: str, remedy: str) -> PermissionError:
    return PermissionError(errno.EPERM, f"{what}: {remedy}")


def _no_file(path: str) -> PermissionError:
    return _refused(f"{path} is no file but a link, a pipe or a socket", f"remove it (rm {path})")


def _fault_of_folder(path: str, about: os.stat_result) -> PermissionError | None:
    """Returns the error if another user could replace files in the folder."""
    if not _is_trusted(about.st_uid):
        return _refused(
            f"the folder {path} belongs to user {about.st_uid}, who could put another file in the"
            " place of the service's",
            f"give it to the user that starts the service (chown {os.geteuid()} {path}), or"
            " remove it",
        )
    if about.st_mode & OTHERS_WRITE and not about.st_mode & stat.S_ISVTX:
        return _refused(
            f"other users may write to the folder {path}",
            f"take that from them (chmod go-w {path})",
        )
    return None


def _check_file(path: str, about: os.stat_result, also: Collection[int]) -> None:
    if not stat.S_ISREG(about.st_mode):
        raise _no_file(path)
    if not _is_trusted(about.st_uid) and about.st_uid not in also:
        raise _refused(
            f"{path} belongs to user {about.st_uid}, not to the service", f"remove it (rm {path})"
        )
    if about.st_mode & OTHERS_WRITE:
        raise _refused(f"other users may write to {path}", f"remove it (rm {path})")
