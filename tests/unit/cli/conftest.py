"""The command line run in this process, and an admin server that it can ask."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

from l4lb.cli.main import main
from tests.unit.control.conftest import Admin, admin

__all__ = ["Admin", "Done", "L4lb", "admin"]


class Done(NamedTuple):
    """The exit status and the output of a command line."""

    status: int
    out: str
    err: str


L4lb = Callable[..., Done]


@pytest.fixture
def l4lb(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> L4lb:
    """l4lb("admin", "status") runs that."""

    def run(*args: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["l4lb", *args])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Done(ended.value.code, said.out, said.err)

    return run


@pytest.fixture(autouse=True)
def _no_terminal_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "COLUMNS", "300")
