"""docs/admin.md names every command, argument, key, condition and code that there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from l4lb.control.commands import COMMANDS, SESSIONS_LIMIT, SESSIONS_MAX
from l4lb.control.serving import admin_socket, protocol
from l4lb.control.views import overview
from l4lb.control.views.conditions import CONDITIONS
from l4lb.control.views.overview import Service
from l4lb.native.results import RESULT_WORDS
from l4lb.native.rows import Candidate, RequestRow, SessionRow
from l4lb.native.table import Table
from tests.unit.supervisor.tables import closed_port, table_of

PICK_KEYS = (
    "age_ms", "worker", "client", "listener", "pool", "backend", "because", "retries", "members",
    "candidates",
)  # fmt: skip
TOP = Path(__file__).parents[3]
PAGE = (TOP / "docs" / "admin.md").read_text()


def section(command: str) -> str:
    """Returns the text under a command's heading."""
    match = re.search(rf"^### {command}\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert match, f"docs/admin.md needs a section ### {command}"
    return match[1]


def names(text: str) -> set[str]:
    """Returns every word that is written as code, alone or in a longer piece of code."""
    return {word for code in re.findall(r"`([^`]+)`", text) for word in re.findall(r"\w+", code)}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_its_section_with_its_arguments(command: str) -> None:
    said = section(command).lower()
    for arg in COMMANDS[command].args:
        flag = "--" + arg.name.removesuffix("_ms").replace("_", "-")
        assert (flag if arg.option else arg.name) in said or "pool/name" in said


def test_no_section_is_about_a_command_that_is_not_there() -> None:
    assert set(re.findall(r"^### (\w+)$", PAGE, re.MULTILINE)) == set(COMMANDS)


def results() -> dict[str, dict[str, Any]]:
    table: Table = table_of({"web": {"a": closed_port()}})
    table.set_listener(0, name="front", bind="0.0.0.0:80", protocol="tcp", pool=0)
    table.start_worker(0, pid=7, cpu=None, now_ms=0)
    table.record_check(
        0, 1, health="up", passed=True, result=1, errno=0, streak=1, at_ms=1, duration_us=1
    )
    return {
        "status": overview.status(table, Service("9.9", 1, 0, 3_000), 1),
        "listeners": overview.listeners(table)[0],
        "pools": overview.pools(table)[0],
        "backends": overview.backends(table, 1)[0],
        "sessions": dict.fromkeys(SessionRow._fields),
        "picks": dict.fromkeys((*PICK_KEYS, *Candidate._fields)),
        "requests": dict.fromkeys(RequestRow._fields),
        "workers": overview.workers(table, 1)[0],
        "stats": overview.stats(table),
    }


@pytest.mark.parametrize(("command", "result"), results().items())
def test_every_key_of_a_result_is_in_its_section(command: str, result: dict[str, Any]) -> None:
    missing = set(result) - names(section(command))
    inner = [one for one in result.values() if isinstance(one, dict)]
    missing |= {key for one in inner for key in one} - names(section(command))
    assert not missing


def test_every_condition_is_in_the_section_of_wait() -> None:
    assert all(f"`{name} " in section("wait") for name in CONDITIONS)


def test_every_result_of_a_check_is_named() -> None:
    assert set(RESULT_WORDS) - {"never"} <= names(section("backends"))


def test_every_reason_is_named() -> None:
    (worker,) = table_with_a_worker().workers()
    assert all(f"`{reason}`" in section("stats") for reason in worker.ended)


def table_with_a_worker() -> Table:
    table = table_of({})
    table.start_worker(0, pid=7, cpu=None, now_ms=0)
    return table


def test_every_code_of_a_refusal_is_named() -> None:
    made = re.compile(r'(?:AdminError\(|_say\(|refusal\(\S+,)\s*"(\w+)"')
    sources = [
        *(TOP / "l4lb" / "control").rglob("*.py"),
        *(TOP / "l4lb" / "supervisor").rglob("*.py"),
    ]
    if not sources:
        pytest.skip("not in a source tree")
    codes = {code for path in sources for code in made.findall(path.read_text())}
    assert {"denied", "protocol", "too_many_clients", "not_found"} <= codes
    assert codes == set(re.findall(r"^\| `(\w+)` \| ", PAGE.split("| code |")[1], re.MULTILINE))


@pytest.mark.parametrize(
    "number",
    [protocol.FRAME_MAX, SESSIONS_LIMIT, SESSIONS_MAX, admin_socket.MAX_CLIENTS, protocol.WORD_MAX],
)
def test_the_limits_are_the_true_ones(number: int) -> None:
    assert re.search(rf"\b{number:,}\b", PAGE)
