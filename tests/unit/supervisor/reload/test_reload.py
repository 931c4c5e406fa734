"""A change of the configuration, phase by phase: what may begin in which phase, and what is too
late."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from l4lb.errors import AdminError, L4lbError
from l4lb.supervisor.reload.phase import EDGES, Phase, Progress
from l4lb.supervisor.reload.reload import CHANGE_MAX_MS

from .running import TRIAL_MS, Running

OTHERS: Mapping[str, dict[str, Any]] = {
    "reload": {},
    "plan": {},
    "add": {"pool": "web", "address": "127.0.0.1:3"},
    "remove": {"backend": "web/127.0.0.1:1"},
    "discovered": {"pool": "web", "backends": []},
}


@pytest.mark.parametrize("op", OTHERS)
def test_one_change_is_under_way_at_a_time(running: Running, op: str) -> None:
    running.ask("reload")
    assert running.code(op, **OTHERS[op]) == "busy"
    with pytest.raises(AdminError, match=r"a reload of /l4lb.toml is under way"):
        running.reloads.begin_upgrade()
    running.loads.end()
    assert running.ports == [1, 2]
    running.reloads.begin_upgrade()
    assert running.code(op, **OTHERS[op]) == "busy"
    running.reloads.end_upgrade()
    running.ask("plan")


def test_a_plan_is_read_and_nothing_is_prepared_or_installed(running: Running) -> None:
    running.waits = True
    running.ask("plan")
    running.loads.end()
    assert running.answers[0]["changes"]
    assert (running.installed, running.prepares, running.ports) == ([], [], [1])


def test_what_cannot_be_read_changes_nothing(running: Running) -> None:
    error = AdminError("bad_configuration", "line 1: no")
    running.ask("reload")
    running.loads.fail(error)
    assert (running.answers, running.ports) == ([error], [1])
    running.ask("reload")


def test_what_cannot_be_prepared_or_installed_changes_nothing(running: Running) -> None:
    running.waits = True
    running.ask("reload")
    running.loads.end()
    running.prepares.pop()[1](L4lbError("a list is gone"))
    running.waits, running.refuses = False, L4lbError("the port is taken")
    running.ask("reload")
    running.loads.end()
    assert [(one.code, one.message) for one in running.answers] == [
        ("failed", "a list is gone"),
        ("failed", "the port is taken"),
    ]
    assert running.ports == [1]


def test_a_change_that_does_not_end_is_given_up_and_comes_too_late(running: Running) -> None:
    running.waits = True
    running.ask("reload")
    running.passes(CHANGE_MAX_MS)
    assert running.answers[0].code == "internal"
    running.loads.end()
    assert running.prepares == []
    running.ask("reload")
    running.loads.end()
    running.passes(CHANGE_MAX_MS)
    running.prepares.pop()[0]()
    assert (len(running.answers), running.installed) == (2, [])
    running.waits = False
    running.ask("reload")
    running.loads.end()
    assert running.ports == [1, 2]


def on_trial(running: Running) -> None:
    running.ask("reload", confirm_ms=TRIAL_MS)
    running.loads.end()
    assert running.ports == [1, 2]


def test_a_trial_that_is_confirmed_stays(running: Running) -> None:
    on_trial(running)
    assert running.code("reload") == "busy"
    running.ask("confirm")
    running.passes(TRIAL_MS)
    assert (running.ports, running.told) == ([1, 2], ["reloaded"])
    assert running.code("confirm") == "not_found"


def test_a_trial_goes_back_when_its_time_is_over(running: Running) -> None:
    on_trial(running)
    running.passes(TRIAL_MS)
    assert running.ports == [1]
    assert running.told[-1] == "rolled_back"
    running.ask("reload")


def test_while_it_goes_back_nothing_else_begins(running: Running) -> None:
    on_trial(running)
    running.waits = True
    running.ask("rollback")
    with pytest.raises(AdminError, match="going back to the configuration before is under way"):
        running.ask("reload")
    assert running.code("discovered", pool="web", backends=[]) == "busy"
    running.prepares.pop()[0]()
    assert running.ports == [1]


def test_a_way_back_that_fails_is_told_and_is_no_trial_any_more(running: Running) -> None:
    on_trial(running)
    running.waits = True
    running.ask("rollback")
    running.prepares.pop()[1](L4lbError("a list is gone"))
    assert running.answers[-1].code == "failed"
    assert (running.ports, running.told[-1]) == ([1, 2], "rollback_failed")
    running.ask("reload")


def test_what_discovery_finds_is_in_force_at_once_and_the_trial_goes_on(running: Running) -> None:
    on_trial(running)
    found = {"name": "c", "address": "127.0.0.1:3"}
    running.ask("discovered", pool="web", backends=[found])
    assert running.ports == [1, 2, 3]
    assert running.code("reload") == "busy"
    running.passes(TRIAL_MS)
    assert running.ports == [1, 3]


def test_a_refused_removal_leaves_the_next_change_free(running: Running) -> None:
    running.ask("reload")
    running.loads.end()
    running.refuses = L4lbError("no")
    assert running.code("remove", backend="web/127.0.0.1:1") == "failed"
    running.refuses = None
    running.ask("remove", backend="web/127.0.0.1:1")
    assert running.ports == [2]


def test_no_phase_is_reached_by_an_edge_that_is_not_drawn() -> None:
    for before in Phase:
        for after in Phase:
            progress = Progress()
            progress.phase = before
            if after in EDGES[before]:
                progress.go(after)
                assert progress.phase is after
            else:
                with pytest.raises(AssertionError):
                    progress.go(after)
