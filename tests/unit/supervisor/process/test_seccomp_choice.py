"""Whether the processes of a service have filters of system calls."""

from __future__ import annotations

from typing import Any

import pytest

from l4lb.config.model import Config
from l4lb.config.reading import parse
from l4lb.config.tables.process import Process
from l4lb.errors import ConfigError
from l4lb.supervisor.process import seccomp
from l4lb.supervisor.process.seccomp import Guards

TEXT = '[listeners.a]\nbind = [":1"]\npool = "p"\n[pools.p]\nbackends = ["127.0.0.1:2"]\n'


def configuration(more: str = "", process: str = "") -> Config:
    return parse.loads(process + TEXT + more, "l4lb.toml")


@pytest.mark.parametrize(
    ("more", "programs"),
    [
        ("", False),
        ('[pools.p.health]\ntype = "tcp"\n', False),
        ('[pools.p.health]\ntype = "exec"\ncommand = ["/bin/true"]\n', True),
        ('alert = ["/bin/true"]\n[pools.p.health]\ntype = "tcp"\n', True),
    ],
)
def test_a_checker_runs_programs_where_a_pool_has_one(more: str, programs: bool) -> None:
    assert seccomp.runs_programs(configuration(more)) is programs


def test_on_where_there_are_none_is_an_error_at_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp, "unavailable", lambda: "no such thing (get one)")
    for value in ("auto", "off"):
        seccomp.check(configuration(process=f'[process]\nseccomp = "{value}"\n'))
    with pytest.raises(ConfigError) as error:
        seccomp.check(configuration(process='[process]\nseccomp = "on"\n'))
    assert error.value.message == (
        "l4lb.toml:2: process.seccomp: cannot be on: no such thing (get one)"
    )


@pytest.mark.parametrize(
    ("setting", "missing", "said"),
    [
        ("auto", "", "on"),
        ("on", "", "on"),
        ("off", "", 'off: [process] seccomp = "off"'),
        ("auto", "no library", "off: no library"),
    ],
)
def test_auto_is_on_where_there_are_filters(
    monkeypatch: pytest.MonkeyPatch, setting: Any, missing: str, said: str
) -> None:
    monkeypatch.setattr(seccomp, "unavailable", lambda: missing)
    made = Guards(Process(seccomp=setting), lambda *_: None)
    assert (str(made), made.on) == (said, said == "on")
    assert (made.worker(()) is not None) is made.on
    assert (made.keeper(()) is not None) is made.on
    assert (made.recorder(()) is not None) is made.on
    assert (made.checker(configuration()) is not None) is made.on
