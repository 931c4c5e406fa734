"""The exec source: each line is a complete list of backends; processes that the program leaves are
killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.e2e.harness.deadline import until
from tests.unit.discovery.conftest import following


def program(text: str) -> list[str]:
    return ["/bin/sh", "-c", text]


def test_each_line_is_an_answer(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    command = program(f"cat {pipe}")
    with following(type="exec", command=command) as source, pipe.open("w", buffering=1) as lines:
        lines.write('["10.0.0.1:1"]\n')
        assert source.addresses() == ["10.0.0.1:1"]
        lines.write('\n["10.0.0.1:2", "10.0.0.1:3"]\n')
        assert source.addresses() == ["10.0.0.1:2", "10.0.0.1:3"]


def test_one_that_ends_is_run_again() -> None:
    said = program("echo '[\"10.0.0.1:1\"]'")
    with following(type="exec", command=said, interval="100ms") as source:
        for _ in range(3):
            assert source.addresses() == ["10.0.0.1:1"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("echo no >&2; exit 3", "ended with 3: no"),
        ("echo nonsense", "not JSON"),
        ("true", "ended and printed no list"),
        ("sleep 1000", "no answer in time"),
        ("exec >&-; sleep 1000", "closed its output and did not end"),
        ("echo no >&2; (sleep 1000) & exit 3", "ended with 3: no"),
        ("head -c 5000000 /dev/zero | tr '\\0' x", "a line of more than 4 MiB"),
    ],
)
def test_how_it_fails_is_told(text: str, why: str) -> None:
    with following(type="exec", command=program(text), timeout="2s") as source:
        assert why in source.fault()


def test_a_line_that_is_no_list_is_told_and_the_program_goes_on(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with (
        following(type="exec", command=program(f"cat {pipe}"), timeout="20s") as source,
        pipe.open("w", buffering=1) as lines,
    ):
        lines.write("nonsense\n")
        assert "not JSON" in source.fault()
        lines.write('["10.0.0.1:1"]\n')
        assert source.addresses() == ["10.0.0.1:1"]


def test_nothing_of_our_environment_reaches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SECRET", "x")
    text = "env | cut -d= -f1 | sort | tr '\\n' ' ' >&2; exit 1"
    with following(type="exec", command=program(text)) as source:
        known = source.fault().partition(": ")[2].split()
    assert "MY_SECRET" not in known
    assert set(known) <= {"PATH", "LANG", "LC_ALL", "TZ", "PWD", "SHLVL", "_"}


FOLLOWS = """
import asyncio
from l4lb.config.tables.discovery import Discovery
from l4lb.discovery.exec import Exec
async def follow():
    settings = Discovery.model_validate({"type": "exec", "command": ["/bin/sh", "-c", "%s"]})
    async for _ in Exec(settings).follow(()):
        pass
asyncio.run(follow())
"""


def test_it_ends_with_the_process_that_follows_it_however_that_ends(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    text = f"echo $$ > {note}.new; mv {note}.new {note}; echo []; while :; do :; done"
    with subprocess.Popen([sys.executable, "-c", FOLLOWS % text]) as follower:
        until(note.exists, "the program runs")
        pid = int(note.read_text())
        assert psutil.pid_exists(pid)
        follower.kill()
    until(lambda: not _lives(pid), "it is gone")


def test_one_that_cannot_be_run_is_a_fault() -> None:
    with following(type="exec", command=["/no/such/program"]) as source:
        assert source.fault() == "/no/such/program: No such file or directory"


def test_all_that_it_started_is_gone_with_it(tmp_path: Path) -> None:
    note = tmp_path / "pids"
    text = (
        f"sleep 1000 & echo $! $$ > {note}.new; mv {note}.new {note}; echo '[]'; trap '' TERM; wait"
    )
    with following(type="exec", command=program(text)) as source:
        assert source.addresses() == []
        pids = [int(pid) for pid in note.read_text().split()]
        assert all(map(psutil.pid_exists, pids))
    until(lambda: not any(map(_lives, pids)), "its processes are gone")


def test_much_on_stderr_stops_nobody() -> None:
    text = f"{sys.executable} -c 'import sys; sys.stderr.write(\"x\" * 1000000)'; echo '[]'"
    with following(type="exec", command=program(text)) as source:
        assert source.addresses() == []


def _lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
