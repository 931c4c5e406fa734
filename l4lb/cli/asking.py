"""Sends one command to a running service and returns its result."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from l4lb.control.serving.client import AdminClient
from l4lb.errors import AdminError, L4lbError, UsageError

ANSWER_TIMEOUT_S = 60.0  # in addition to the time that the command itself may take


@contextlib.contextmanager
def asked(path: str, command: str, timeout_s: float | None) -> Iterator[AdminClient]:
    """Yields a client; each failure becomes an error that names the command."""
    try:
        with AdminClient(path, timeout_s=timeout_s) as client:
            yield client
    except TimeoutError as error:
        raise L4lbError(f"the balancer on {path} did not answer in {timeout_s:g} s") from error
    except AdminError as error:
        said = f"{command}: {error.message}"
        if error.code == "bad_argument":
            raise UsageError(f"{said} (see `l4lb admin {command} --help`)") from error
        if error.code == "bad_configuration":
            raise L4lbError(error.message, exit_status=2) from error
        raise AdminError(error.code, said) from error


def call(path: str, command: str, args: dict[str, Any]) -> Any:
    """Returns a command's result. Raises L4lbError."""
    timeout_s = ANSWER_TIMEOUT_S + args.get("timeout_ms", 0) / 1_000
    with asked(path, command, timeout_s) as client:
        return client.call(command, **args)
