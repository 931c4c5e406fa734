"""The HTTP socket and the token for changes over HTTP. Both belong to the supervisor and so survive
the control process. An upgrade passes both on, and does not read the token again."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from l4lb.config.model import Process
from l4lb.control.setup import WebSetup
from l4lb.supervisor.sockets.http_token import file_of, token_of
from l4lb.supervisor.sockets.listening import open_one

BACKLOG = 128


@dataclass(frozen=True)
class OpenWeb:
    """The open HTTP socket and its settings. at, token_file: the configuration's address and token
    file that it was made from ("": nothing can be changed)."""

    setup: WebSetup
    at: str
    token_file: str

    @property
    def fd(self) -> int:
        return self.setup.sock.fileno()

    def close(self) -> None:
        self.setup.sock.close()

    def carried(self) -> dict[str, Any]:
        """Returns plain data for the next program."""
        setup = self.setup
        return {
            "at": self.at,
            "token_file": self.token_file,
            "token": setup.token,
            "hosts": setup.hosts,
        }

    @classmethod
    def of_carried(
        cls, fd: int | None, told: Mapping[str, Any] | None, process: Process
    ) -> OpenWeb | None:
        """Returns the old program's HTTP socket. An old program that carried only the socket used
        the configuration's address; its token must be read again."""
        if fd is None:
            return None
        told = told or {"at": str(process.http), "token_file": None}
        setup = WebSetup(
            socket.socket(fileno=fd), told.get("token", ""), tuple(told.get("hosts", ()))
        )
        return cls(setup, told["at"], told["token_file"])


def open_web(process: Process, have: OpenWeb | None = None) -> OpenWeb | None:
    """Opens the HTTP socket that the configuration asks for; None: it asks for none. have: what is
    open already; parts that still fit are kept, and nothing is closed. Raises L4lbError."""
    if process.http is None:
        return None
    at, token_file = str(process.http), file_of(process)
    keeps_token = have is not None and have.token_file == token_file
    token = have.setup.token if have and keeps_token else token_of(process)
    sock = have.setup.sock if have and have.at == at else open_one(process.http, BACKLOG)
    return OpenWeb(WebSetup(sock, token, process.http_hosts or ()), at, token_file)
