"""A change of the configuration, phase by phase: what may begin in which phase, and what is too
late."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest

from l4lb.config.build import build
from l4lb.config.model import Config
from l4lb.config.origin import Origin
from l4lb.errors import AdminError, L4lbError
from l4lb.supervisor.process.reactor import Reactor
from l4lb.supervisor.reload import reload
from l4lb.supervisor.reload.discovery import FIRST_ANSWERS_MS
from l4lb.supervisor.reload.phase import EDGES, Phase, Progress
from l4lb.supervisor.reload.reload import CHANGE_MAX_MS, Reloads
from l4lb.supervisor.reload.source import Source

TRIAL_MS = 5_000


def config(*backends: str, **more: Any) -> Config:
    return build(
        {
            "listeners": {"web": {"bind": ["127.0.0.1:8080"], "pool": "web"}},
            "pools": {"web": {"backends": [f"127.0.0.1:{port}" for port in backends], **more}},
        },
        Origin(),
    )


SOURCE = {"type": "file", "path": "/old"}
OLD, NEW = config("1", discovery=SOURCE), config("1", "2", discovery=SOURCE)


class Loads:
    """Stands in for loaders: a configuration is read when the test says so."""

    def __init__(self) -> None:
        self.begun: list[tuple[Callable[..., None], Callable[..., None]]] = []

    def __call__(self, _reactor: Any, _load: Any, on_config: Any, on_fault: Any) -> Loads:
        self.begun.append((on_config, on_fault))
        return self

    def end(self, config: Config = NEW) -> None:
        self.begun.pop(0)[0](config, [])

    def fail(self, error: AdminError) -> None:
        self.begun.pop(0)[1](error)


class Running:
    """A configuration in force, with a reactor whose time the test sets."""

    def __init__(self, loads: Loads) -> None:
        self.loads = loads
        self.timers: list[tuple[int, Callable[[], None]]] = []
        self.installed: list[Config] = []
        self.told: list[str] = []
        self.answers: list[Any] = []
        self.refuses: L4lbError | None = None
        self.prepares: list[tuple[Callable[[], None], Callable[[L4lbError], None]]] = []
        self.waits = False
        self.orders: list[Mapping[str, Any]] = []
        self.reloads = Reloads(
            cast(Reactor, self),
            Source("/l4lb.toml", OLD),
            load=lambda _: NEW,
            prepare=self._prepare,
            install=self._install,
            tell=lambda kind, _: self.told.append(kind),
            follow=self.orders.append,
        )

    def after(self, delay_ms: int, call: Callable[[], None]) -> None:
        self.timers.append((delay_ms, call))

    def passes(self, delay_ms: int) -> None:
        """Runs all timers that are due within this time."""
        due = [call for ms, call in self.timers if ms == delay_ms]
        self.timers = [one for one in self.timers if one[0] != delay_ms]
        for call in due:
            call()

    def _prepare(self, _: Config, then: Callable[[], None], failed: Any) -> None:
        if self.waits:
            self.prepares.append((then, failed))
        else:
            then()

    def _install(self, _before: Config, after: Config, _changes: Any) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.installed.append(after)

    def ask(self, op: str, **args: Any) -> None:
        getattr(self.reloads, op)(args, self.answers.append)

    def code(self, op: str, **args: Any) -> str:
        """Returns the code of an immediate refusal."""
        with pytest.raises(AdminError) as caught:
            self.ask(op, **args)
        return caught.value.code

    @property
    def ports(self) -> list[int | None]:
        """Returns the ports of the backends in force."""
        return [one.port for one in self.reloads.source.running.pools["web"].backends]


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Running:
    loads = Loads()
    monkeypatch.setattr(reload, "Loader", loads)
    return Running(loads)


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


def discovering(path: str = "/members") -> Config:
    """Its pool `web` has only what a source finds; pool `own` has a backend too."""
    source = {"type": "file", "path": path}
    return build(
        {
            "listeners": {
                "web": {"bind": ["127.0.0.1:8080"], "pool": "web"},
                "own": {"bind": ["127.0.0.1:8081"], "pool": "own"},
            },
            "pools": {
                "web": {"discovery": source},
                "own": {"discovery": source, "backends": ["127.0.0.1:9"]},
            },
        },
        Origin(),
    )


FOUND = {"address": "127.0.0.1:7", "name": "x", "weight": 1}


def test_a_reload_waits_for_the_first_answer_of_a_source_that_a_pool_depends_on(
    running: Running,
) -> None:
    running.ask("reload")
    running.loads.end(discovering())
    assert running.installed == []
    (order,) = running.orders
    assert {name: one["path"] for name, one in order["pools"].items()} == {"web": "/members"}
    assert order["own"]["web"] == ["127.0.0.1:1"]  # no source has found it
    running.ask("discovered", pool="web", backends=[FOUND])
    assert running.installed == []
    running.reloads.first_answers.answered(["other"])
    assert running.installed == []
    running.reloads.first_answers.answered(["web"])
    assert running.ports == [7]
    assert len(running.installed) == 1
    assert set(running.orders[-1]["pools"]) == {"web", "own"}
    running.ask("reload")
    running.loads.end(discovering())  # it is followed already
    assert len(running.installed) == 2


def test_a_reload_waits_so_long_for_a_source_and_no_longer(running: Running) -> None:
    running.ask("reload")
    running.loads.end(discovering())
    running.passes(FIRST_ANSWERS_MS)
    assert running.ports == []
    running.ask("reload")
    running.loads.end(discovering("/elsewhere"))
    running.reloads.first_answers.answered(["web", "own"])  # it has failed
    running.passes(FIRST_ANSWERS_MS)
    assert len(running.installed) == 2


def test_a_reload_that_fails_after_the_wait_follows_what_is_in_force(running: Running) -> None:
    running.refuses = L4lbError("no room")
    running.ask("reload")
    running.loads.end(discovering())
    running.ask("discovered", pool="web", backends=[FOUND])
    running.reloads.first_answers.answered(["web"])
    assert isinstance(running.answers[-1], AdminError)
    assert running.orders[-1]["pools"]["web"]["path"] == "/old"
    assert running.ports == [1]


def test_going_back_brings_what_was_found_before(running: Running) -> None:
    running.ask("reload")
    running.loads.end(discovering())
    running.ask("discovered", pool="web", backends=[FOUND])
    running.reloads.first_answers.answered(["web"])
    running.ask("reload", confirm_ms=TRIAL_MS)
    running.loads.end(config("1"))
    assert running.ports == [1]
    running.ask("rollback")
    assert running.ports == [7]
