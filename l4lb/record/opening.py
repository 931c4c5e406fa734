"""The folder of a record, opened: made if it is missing, readable by the service's user only."""

from __future__ import annotations

import os
import stat

from l4lb.disk.folder import Owner, check_owner, explained, not_so, opened
from l4lb.errors import L4lbError

OTHERS = stat.S_IRWXG | stat.S_IRWXO


def open_folder(path: str, record: str, owner: Owner | None = None) -> int:
    """Returns a descriptor of a record's folder, made if it is missing. owner: the user that the
    service becomes. Raises L4lbError."""
    try:
        fd = opened(path)
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
    check_owner(path, fd, owner)
    if os.fstat(fd).st_mode & OTHERS:
        raise not_so("others may look into it", f"chmod 700 {path}")


def _refusal(path: str, record: str, owner: Owner | None, error: OSError) -> L4lbError:
    uid = owner.uid if owner else os.geteuid()
    return L4lbError(f"record {record}: the folder {path}: {explained(path, uid, error)}")
