"""The token that changes over HTTP must carry: from an operator's file, or made beside the admin
socket."""

from __future__ import annotations

import os
import secrets
import stat

from l4lb import owned
from l4lb.config.model import Config, Process
from l4lb.config.origin import Finding
from l4lb.errors import ConfigError, L4lbError
from l4lb.supervisor.process.privileges import User

TOKEN_MIN = 16  # characters; a shorter one could be guessed
TOKEN_MAX = 1_024
NAME = "http.token"


def file_of(process: Process) -> str:
    """Returns the path of the token's file; "": no token is needed."""
    if process.http is None or not process.http_admin:
        return ""
    return process.http_token_file or os.path.join(os.path.dirname(process.admin), NAME)


def token_of(process: Process) -> str:
    """Returns the token; "": none is needed. A missing token beside the admin socket is made.
    Raises L4lbError."""
    path = file_of(process)
    if not path:
        return ""
    try:
        if process.http_token_file is not None:
            token = _read(_operators(path))
        else:
            token = _ours(path, User.named(process.user) if process.user else None)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise L4lbError(f"cannot read the token of http_admin from {path}: {why}") from error
    if not TOKEN_MIN <= len(token) <= TOKEN_MAX or not token.isprintable():
        raise L4lbError(
            f"{path} has no token of {TOKEN_MIN} to {TOKEN_MAX} characters on one line"
            " (openssl rand -hex 24)"
        )
    return token


def check(config: Config) -> None:
    """Reads the token file that the configuration names. Raises ConfigError."""
    if config.process.http_token_file is None:
        return
    try:
        token_of(config.process)
    except L4lbError as error:
        finding = Finding(("process", "http_token_file"), error.message)
        raise ConfigError([config.origin.problem(finding)]) from error


def _ours(path: str, user: User | None) -> str:
    """Returns the token from the file beside the admin socket. The service's user may read the
    file."""
    with owned.folder(os.path.dirname(path)) as folder:
        also = {user.uid} if user else ()
        try:
            fd = folder.open(NAME, os.O_RDONLY, also=also)
        except FileNotFoundError:
            fd = folder.open(NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            with open(fd, "w") as file:
                file.write(secrets.token_urlsafe(24) + "\n")
            fd = folder.open(NAME, os.O_RDONLY)
        if user is not None:
            user.owns(fd)
        return _read(fd)


def _operators(path: str) -> int:
    """Opens an operator's file, perhaps behind a symbolic link. Raises OSError, ValueError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise ValueError("it is not a regular file")
    return fd


def _read(fd: int) -> str:
    with open(fd) as file:
        return file.read(TOKEN_MAX + 2).strip()
