"""Unknown names in any argument that names a pool, a backend or a listener."""

from __future__ import annotations

from typing import Any

import pytest

from l4lb.control import names
from l4lb.control.command import Arg
from l4lb.control.commands import COMMANDS
from l4lb.errors import AdminError
from tests.unit.supervisor.tables import cache_in, closed_port, table_of

from .conftest import Admin

NAMED = [
    (command.name, arg) for command in COMMANDS.values() for arg in command.args if arg.of
]  # fmt: skip
FAR = {"pool": "web", "backend": "web/a", "listener": "front", "cache": "pages"}
WRONG = {"pool": "wev", "backend": "web/aa", "listener": "fronts", "cache": "pagse"}


def given(command: str, arg: Arg) -> dict[str, Any]:
    """Returns valid arguments with one unknown name."""
    args: dict[str, Any] = {
        one.name: one.minimum if one.type is int else FAR.get(one.of, "10.0.0.1")
        for one in COMMANDS[command].args
        if one.required
    }
    if command == "explain":
        args["client"] = "10.0.0.1"
    return args | {arg.name: WRONG[arg.of]}


@pytest.mark.parametrize(
    ("command", "arg"), NAMED, ids=[f"{command}-{arg.name}" for command, arg in NAMED]
)
def test_a_name_that_nothing_has_is_refused_with_the_nearest(
    admin: Admin, monkeypatch: pytest.MonkeyPatch, command: str, arg: Arg
) -> None:
    async def ask(op: str, *_: Any) -> list[Any]:
        """Answers for the supervisor: not found, or an empty access list."""
        if op == "access":
            return []
        raise AdminError("not_found", "none")

    monkeypatch.setattr(admin.server._handlers._channel, "ask", ask)
    admin.table.set_listener(0, name="front", bind="0.0.0.0:80", protocol="tcp", pool=0)
    with cache_in(admin.table):
        answer = admin.ask(command, given(command, arg))
    assert answer["error"]["code"] == "not_found"
    shown = names.SHOWN_BY[arg.of]
    hint = f"named {WRONG[arg.of]} (did you mean {FAR[arg.of]}?); see `l4lb admin {shown}`"
    assert hint in answer["error"]["message"]


@pytest.mark.parametrize("command", ["sessions", "picks", "sticky"])
def test_a_name_that_is_there_finds_nothing_without_a_word(admin: Admin, command: str) -> None:
    arg = next(arg for arg in COMMANDS[command].args if arg.of)
    assert admin.ask(command, {arg.name: FAR[arg.of]})["result"] == []


@pytest.mark.parametrize(
    ("said", "hint"),
    [("wbe/a", " (did you mean web/a?)"), ("a", " (did you mean web/a?)"), ("zzz", ""), ("", "")],
)
def test_the_nearest_name_or_the_one_that_ends_so_is_meant(said: str, hint: str) -> None:
    assert names.near(said, ["db/x", "web/a", "web/other"]) == hint


def test_the_backend_that_a_sticky_client_is_to_belong_to_is_one_of_the_pool(admin: Admin) -> None:
    answer = admin.ask("sticky", {"pool": "web", "set": "10.0.0.1", "to": "aa"})
    assert answer["error"]["message"] == "pool web has no backend aa (did you mean a?)"


def test_every_kind_that_an_argument_can_be_of_is_known() -> None:
    table = table_of({"web": {"a": closed_port()}})
    assert {arg.of for _, arg in NAMED} == set(names.KNOWN)
    assert list(names.KNOWN["backend"](table)) == ["web/a"]
