"""The command line as a whole: errors in one line, exit statuses, and which command runs what."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

import l4lb as package
from l4lb.cli import bench, check
from l4lb.cli import run as front
from l4lb.config.model import Config
from l4lb.errors import L4lbError

from .conftest import L4lb

RUN = ["run", "--listen", "tcp://127.0.0.1:1", "--backend", "127.0.0.1:2"]
SMALLEST = (
    '[listeners.a]\nbind = ["127.0.0.1:1"]\npool = "p"\n[pools.p]\nbackends = ["1.2.3.4:5"]\n'
)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """Records what would be served, and serves nothing."""
    found: list[Config] = []

    def serve(config: Config, **_: Any) -> int:
        found.append(config)
        return 0

    monkeypatch.setattr("l4lb.supervisor.first_start.serve", serve)
    return found


def test_the_version_is_the_packages(l4lb: L4lb) -> None:
    assert l4lb("--version") == (0, f"l4lb {package.__version__}\n", "")


@pytest.mark.parametrize("command", ["run", "check", "admin", "bench"])
def test_help_names_every_command(l4lb: L4lb, command: str) -> None:
    done = l4lb("--help")
    assert done.status == 0
    assert f"  {command} " in done.out


@pytest.mark.parametrize(
    "args",
    [["dance"], ["--dance"], ["run", "--dance"], ["run", "-c"], ["run", "--workers", "many"],
     ["check"]],
    ids=" ".join,
)  # fmt: skip
def test_a_usage_error_is_one_line_with_where_to_look(l4lb: L4lb, args: list[str]) -> None:
    done = l4lb(*args)
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err.startswith("l4lb")
    assert "--help`" in done.err


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (L4lbError("the disk is full; make room"), 1, "the disk is full; make room\n"),
        (PermissionError(13, "Permission denied", "/x"), 1, "Permission denied: '/x'\n"),
    ],
)
def test_a_fault_at_run_time_is_one_line_and_1(
    l4lb: L4lb, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, said: str
) -> None:
    def serve(*_: Any, **__: Any) -> int:
        raise error

    monkeypatch.setattr("l4lb.supervisor.first_start.serve", serve)
    done = l4lb(*RUN)
    assert done.status == status
    assert done.err.endswith(said)
    assert done.err.count("\n") == 1


def test_the_services_exit_status_is_the_programs(
    l4lb: L4lb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("l4lb.supervisor.first_start.serve", lambda *_, **__: 1)
    assert l4lb(*RUN).status == 1


def test_flags_become_a_configuration(l4lb: L4lb, served: list[Config]) -> None:
    assert l4lb(*RUN, "--workers", "3", "--admin", "here.sock").status == 0
    (config,) = served
    assert config.process.workers == 3
    assert config.process.admin == os.path.abspath("here.sock")
    assert [len(pool.backends) for pool in config.pools.values()] == [1]


def test_a_file_becomes_a_configuration(l4lb: L4lb, served: list[Config], tmp_path: Path) -> None:
    path = tmp_path / "l4lb.toml"
    path.write_text(SMALLEST)
    assert l4lb("run", "-c", str(path)).status == 0
    assert list(served[0].pools) == ["p"]


@pytest.mark.parametrize(
    "args",
    [
        ["run"],
        ["run", "--backend", "127.0.0.1:2"],
        ["run", "--listen", "tcp://127.0.0.1:1"],
        ["run", "-c", "f.toml", "--backend", "127.0.0.1:2"],
        ["run", "-c", "f.toml", "--balance", "random"],
        ["run", "-c", "f.toml", "--demo"],
        ["run", "-c", "f.toml", "--forward", "127.0.0.1:1"],
        ["run", "--forward", "127.0.0.1:1", "--backend", "127.0.0.1:2"],
        ["run", "--demo", "--forward", "127.0.0.1:1"],
        ["run", "--demo", "--listen", "tcp://127.0.0.1:1"],
        [*RUN, "--workers", "0"],
        [*RUN, "--admin", "/" + "x" * 107],
    ],
    ids=" ".join,
)
def test_there_is_exactly_one_way_to_say_what_to_run(
    l4lb: L4lb, served: list[Config], args: list[str]
) -> None:
    done = l4lb(*args)
    assert (done.status, done.err.count("\n"), served) == (2, 1, [])


def test_check_says_ok_of_a_right_file(l4lb: L4lb, tmp_path: Path) -> None:
    path = tmp_path / "l4lb.toml"
    path.write_text(SMALLEST)
    assert l4lb("check", "-c", str(path)) == (0, f"{path}: ok\n", "")
    told = json.loads(l4lb("check", "-c", str(path), "--json").out)
    assert (told["ok"], told["errors"]) == (True, [])
    assert list(told["config"]["pools"]) == ["p"]


def test_check_tells_every_error_of_a_wrong_file(l4lb: L4lb, tmp_path: Path) -> None:
    path = tmp_path / "l4lb.toml"
    path.write_text(SMALLEST.replace("pool =", "poll =") + "[pool.q]\n")
    done = l4lb("check", "-c", str(path))
    assert (done.status, done.out) == (2, "")
    assert f'{path}:3: listeners.a.poll: unknown key (did you mean "pool"?)' in done.err
    told = json.loads(l4lb("check", "-c", str(path), "--json").out)
    assert not told["ok"]
    assert {"file", "line", "key", "message", "hint"} == set(told["errors"][0])
    assert len(told["errors"]) == len(done.err.splitlines()) > 1


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Records command lines that would have replaced this program."""
    found: list[list[str]] = []

    def execv(program: str, args: list[str]) -> None:
        found.append([program, *args[1:]])
        raise L4lbError("started")

    monkeypatch.setattr("l4lb.cli.bench.os.execv", execv)
    return found


def test_bench_becomes_the_load_generator_or_the_comparison(
    l4lb: L4lb, started: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bench, "PACKAGE", tmp_path / "l4lb")
    generator = tmp_path / "l4lb" / "bin" / "l4lb-loadgen"
    script = tmp_path / "bench" / "compare.py"
    for path in (generator, script):
        path.parent.mkdir(parents=True)
        path.touch()
    l4lb("bench", "rr", "-s", "64")
    l4lb("bench", "compare", "--rounds", "1", "--help")
    assert started[0] == [str(generator), "rr", "-s", "64"]
    assert started[1][1:] == [str(script), "--rounds", "1", "--help"]


def test_bench_says_what_is_missing(
    l4lb: L4lb, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bench, "PACKAGE", tmp_path / "l4lb")
    monkeypatch.setattr(bench.sys, "prefix", str(tmp_path / "venv"))
    for args in (["rr"], ["compare"]):
        done = l4lb("bench", *args)
        assert (done.status, done.err.count("\n")) == (1, 1)
        assert "source tree" in done.err


def test_the_modules_commands_are_commands() -> None:
    assert {front.command.name, check.command.name, bench.command.name} == {"run", "check", "bench"}
