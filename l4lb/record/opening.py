"""The folder of a record, opened: made if it is missing, readable by the service's user only."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import Protocol

from l4lb import owned
from l4lb.disk.folder import FOLDER_MODE, OPEN, REMEDIES
from l4lb.errors import L4lbError

OTHERS = stat.S_IRWXG | stat.S_IRWXO


class Owner(Protocol):
    """The user that the service becomes."""

    @property
    def uid(self) -> int: ...
    @property
    def gid(self) -> int: ...


def open_folder(path: str, record: str, owner: Owner | None = None) -> int:
    """Returns a descriptor of a record's folder, made if it is missing. owner: the user that the
    service becomes. Raises L4lbError."""
    try:
        where = owned.followed(path)
        with contextlib.suppress(FileExistsError):
            os.mkdir(where, FOLDER_MODE)
        fd = os.open(where, OPEN)
    except OSError as error:
        raise _refusal(path, record, owner, error) from error
    try:
        _check(path, fd, owner)
        if owner is not None and os.geteuid() == 0:
            os.fchown(fd, owner.uid, owner.gid)
    except OSError as error:
        os.close(fd)
        raise _refusal(path, record, owner, error) from error
    return fd


def check_folder(path: str, record: str, fd: int, owner: Owner | None = None) -> None:
    """Looks again at a folder that is open. Raises L4lbError."""
    try:
        _check(path, fd, owner)
    except OSError as error:
        raise _refusal(path, record, owner, error) from error


def _check(path: str, fd: int, owner: Owner | None) -> None:
    """Raises PermissionError if another user may look into the folder."""
    about = os.fstat(fd)
    if about.st_uid not in (0, os.geteuid(), *([owner.uid] if owner else [])):
        uid = owner.uid if owner else os.geteuid()
        remedy = f"chown {uid} {path}"
        raise PermissionError(errno.EPERM, f"it belongs to user {about.st_uid} ({remedy})")
    if about.st_mode & OTHERS:
        raise PermissionError(errno.EPERM, f"others may look into it (chmod 700 {path})")


def _refusal(path: str, record: str, owner: Owner | None, error: OSError) -> L4lbError:
    why = error.strerror or str(error)
    remedy = REMEDIES.get(error.errno or 0)
    if remedy is not None:
        uid = owner.uid if owner else os.geteuid()
        why = f"{why} ({remedy.format(path=path, parent=os.path.dirname(path), uid=uid)})"
    return L4lbError(f"record {record}: the folder {path}: {why}")
