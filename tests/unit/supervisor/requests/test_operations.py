"""The registry of operations: each row has a function, and no other function is bound."""

from __future__ import annotations

from unittest.mock import MagicMock

from l4lb.control.commands import COMMANDS, OPERATIONS
from l4lb.supervisor.requests.operations import operations


def test_each_operation_is_carried_out_and_no_other() -> None:
    assert operations(*(MagicMock() for _ in range(4))).keys() == OPERATIONS.keys()


def test_each_command_says_who_carries_it_out() -> None:
    assert {row.by.who for row in COMMANDS.values()} == {"table", "control", "supervisor"}
    passed_on = {name for name, row in COMMANDS.items() if row.by.who == "supervisor"}
    assert passed_on <= OPERATIONS.keys()


def test_what_changes_the_configuration_or_the_program_waits_for_a_service_that_serves() -> None:
    due = {
        "add", "all_answered", "cache_purge", "confirm", "diff", "discovered", "plan", "rebalance",
        "reload", "remove", "rollback", "save", "upgrade",
    }  # fmt: skip
    assert {name for name, row in OPERATIONS.items() if row.serving} == due
    early = {name for name, row in OPERATIONS.items() if row.starting}
    assert early == {"discovered", "all_answered"}
    assert {name for name, row in OPERATIONS.items() if row.announced} == {"reload", "upgrade"}
