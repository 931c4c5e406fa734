"""Arguments of commands: each is checked, and each error is a bad_argument."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4lb.control.command import TEXT_MAX
from l4lb.control.commands import (
    COMMANDS,
    SESSIONS_LIMIT,
    SESSIONS_MAX,
    WAIT_TIMEOUT_MAX_MS,
    WAIT_TIMEOUT_MS,
)
from l4lb.errors import AdminError

# Commands that need no argument.
READING = [
    name
    for name, row in COMMANDS.items()
    if row.reads and not any(arg.required for arg in row.args)
]


def refusal(command: str, args: dict[str, Any]) -> str:
    with pytest.raises(AdminError) as caught:
        COMMANDS[command].checked(args)
    assert caught.value.code == "bad_argument"
    return caught.value.message


def test_each_row_is_found_by_its_own_name() -> None:
    assert all(name == command.name for name, command in COMMANDS.items())


@pytest.mark.parametrize("name", COMMANDS)
def test_an_argument_nobody_knows_is_refused_by_every_command(name: str) -> None:
    assert refusal(name, {"colour": "red"}) == f"{name} has no argument colour"


@pytest.mark.parametrize("name", READING)
def test_a_command_that_reads_needs_no_argument(name: str) -> None:
    COMMANDS[name].checked({})


@pytest.mark.parametrize("name", COMMANDS)
def test_a_missing_argument_is_refused_by_its_name(name: str) -> None:
    required = [arg.name for arg in COMMANDS[name].args if arg.required]
    if required:
        assert refusal(name, {}).startswith(f"{required[0]} must be ")
    else:
        COMMANDS[name].checked({})


@pytest.mark.parametrize("weight", [0, 1, 256])
def test_a_weight_within_bounds_is_taken(weight: int) -> None:
    args = {"backend": "web/a", "weight": weight}
    assert COMMANDS["weight"].checked(args) == args


@pytest.mark.parametrize("weight", [-1, 257, 1 << 62])
def test_a_weight_out_of_bounds_is_refused_with_the_bounds(weight: int) -> None:
    message = refusal("weight", {"backend": "web/a", "weight": weight})
    assert message == "weight must be between 0 and 256"


@pytest.mark.parametrize("weight", [None, True, "3", 3.0, [3], {}, b"3"])
def test_a_weight_that_is_no_whole_number_is_refused(weight: object) -> None:
    message = refusal("weight", {"backend": "web/a", "weight": weight})
    assert message == "weight must be a whole number"


@pytest.mark.parametrize("backend", [None, 3, True, ["web/a"], b"web/a"])
def test_a_name_that_is_no_text_is_refused(backend: object) -> None:
    assert refusal("drain", {"backend": backend}) == "backend must be text"


def test_a_text_is_taken_up_to_its_limit() -> None:
    assert COMMANDS["drain"].checked({"backend": "x" * TEXT_MAX})
    assert "longer than" in refusal("drain", {"backend": "x" * (TEXT_MAX + 1)})


def test_what_is_not_said_has_its_default() -> None:
    assert COMMANDS["sessions"].checked({})["limit"] == SESSIONS_LIMIT
    assert COMMANDS["sessions"].checked({"limit": None})["limit"] == SESSIONS_LIMIT
    assert COMMANDS["kill"].checked({}) == {"session": None, "backend": None}
    waited = COMMANDS["wait"].checked({"condition": "generation", "operand": "2"})
    assert waited["timeout_ms"] == WAIT_TIMEOUT_MS


@pytest.mark.parametrize("limit", [0, -1, SESSIONS_MAX + 1])
def test_a_limit_out_of_bounds_is_refused(limit: int) -> None:
    assert "limit must be between 1 and" in refusal("sessions", {"limit": limit})


def test_a_wait_is_bounded_to_a_day() -> None:
    args = {"condition": "generation", "operand": "2", "timeout_ms": WAIT_TIMEOUT_MAX_MS + 1}
    assert "timeout_ms must be between" in refusal("wait", args)


ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()


def checked_or_refused(command: str, args: dict[str, Any]) -> dict[str, Any] | str:
    """The checked arguments, or the code of the refusal."""
    try:
        return COMMANDS[command].checked(args)
    except AdminError as error:
        return error.code


@given(st.sampled_from(sorted(COMMANDS)), st.dictionaries(st.text(), ANYTHING, max_size=3))
def test_any_map_is_checked_or_refused(name: str, args: dict[str, Any]) -> None:
    found = checked_or_refused(name, args)
    assert found == "bad_argument" or set(found) == {arg.name for arg in COMMANDS[name].args}


@given(st.sampled_from(sorted(COMMANDS)), st.data())
def test_any_value_of_a_known_argument_is_checked_or_refused(
    name: str, data: st.DataObject
) -> None:
    found = checked_or_refused(name, {a.name: data.draw(ANYTHING) for a in COMMANDS[name].args})
    if isinstance(found, str):
        assert found == "bad_argument"
        return
    for arg in COMMANDS[name].args:
        assert found[arg.name] == arg.default or type(found[arg.name]) is arg.type
