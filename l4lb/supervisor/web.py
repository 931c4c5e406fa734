"""The HTTP socket and the token of its changes: the supervisor's, so that both outlive the control
process."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket

from l4lb.config.model import Process
from l4lb.control.main import WebSetup
from l4lb.errors import L4lbError
from l4lb.supervisor import sockets

BACKLOG = 128
TOKEN_MIN = 16  # characters; a shorter one could be guessed
TOKEN_MAX = 1_024


def open_web(process: Process, have: socket.socket | None = None) -> WebSetup | None:
    """What the configuration asks for, open; None: nothing. have: the socket, if it is open.
    Raises L4lbError."""
    if process.http is None:
        return None
    token = ""
    if process.http_admin:
        path = process.http_token_file
        if path is None:
            token = _token(os.path.join(os.path.dirname(process.admin), "http.token"), make=True)
        else:
            token = _token(path, make=False)
    sock = have or sockets.open_one(process.http, BACKLOG)
    return WebSetup(sock, token, process.http_hosts or ())


def _token(path: str, *, make: bool) -> str:
    try:
        if make:
            with contextlib.suppress(FileExistsError):
                fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                with open(fd, "w") as file:
                    file.write(secrets.token_urlsafe(24) + "\n")
        with open(path) as file:
            token = file.read(TOKEN_MAX + 2).strip()
    except (OSError, ValueError) as error:
        raise L4lbError(f"cannot read the token of http_admin from {path}: {error}") from error
    if not TOKEN_MIN <= len(token) <= TOKEN_MAX or not token.isprintable():
        raise L4lbError(
            f"{path} has no token of {TOKEN_MIN} to {TOKEN_MAX} characters on one line"
            " (openssl rand -hex 24)"
        )
    return token
