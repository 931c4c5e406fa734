"""Large sets of networks are built in a child: the sets in force meanwhile, and a child that dies
or hangs."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from l4lb.clock import monotonic_ms
from l4lb.errors import L4lbError
from l4lb.native import sets
from l4lb.native.table import Table
from l4lb.supervisor.access import network_sets, set_builder
from l4lb.supervisor.access.network_lists import Content
from l4lb.supervisor.access.network_sets import NetworkSets
from l4lb.supervisor.process.reactor import Reactor

MANY = "".join(f"10.{n >> 8}.{n & 255}.0/24\n" for n in range(0, 20_000, 2))


class Service:
    """A table with its sets, in a running service."""

    def __init__(self, path: Path) -> None:
        self.table = Table((1, 1, 1, 1, 1))
        self.sets = NetworkSets(self.table)
        self.reactor = Reactor()
        self.told: list[tuple[str, Mapping[str, Any]]] = []
        self.path = path
        self.content = Content((), ((str(path), sets.DENY),))
        self.number = self.sets.replace([self.content])[self.content]
        self.sets.start(self.reactor, lambda kind, fields: self.told.append((kind, fields)))

    def until(self, holds: Callable[[], object]) -> None:
        """Runs the service until the condition holds."""
        end_ms = monotonic_ms() + 60_000

        def look() -> None:
            assert monotonic_ms() < end_ms, self.told
            if holds():
                self.reactor.stop()
            else:
                self.reactor.after(5, look)

        look()
        if not holds():
            self.reactor.run()

    def write(self, text: str) -> None:
        new = self.path.with_name("new")
        new.write_text(text)
        new.rename(self.path)

    def looks(self) -> None:
        self.sets.look_at_files()

    def denied(self, address: str) -> bool:
        return sets.find(self.table, self.number, address) == sets.DENY

    @property
    def build(self) -> set_builder.Build:
        (build,) = self.sets._builds
        return build

    def refused(self) -> list[str]:
        return [fields["why"] for kind, fields in self.told if kind == "networks_refused"]


@pytest.fixture
def hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes children stop before they read."""
    write = set_builder._write

    def stopped(*args: Any) -> int:
        os.kill(os.getpid(), signal.SIGSTOP)
        return write(*args)

    monkeypatch.setattr(set_builder, "_write", stopped)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    path = tmp_path / "list"
    path.write_text(MANY + "192.0.2.1\n")
    made = Service(path)
    yield made
    made.sets.stop()


def test_a_changed_file_is_built_beside_and_swapped_in(service: Service) -> None:
    service.write(MANY + "192.0.2.2\n")
    service.looks()
    assert service.denied("192.0.2.1"), "the last list holds until the new one is ready"
    service.sets.block([(b"192.0.2.9", 1)])  # other sets change meanwhile
    service.until(lambda: service.denied("192.0.2.2"))
    assert not service.denied("192.0.2.1")
    assert service.denied("10.0.2.7")
    assert sets.find(service.table, sets.BLOCKS, "192.0.2.9") == 1
    assert service.told == [("networks_changed", {"files": [str(service.path)]})]
    service.looks()
    assert not service.sets._builds


@pytest.mark.usefixtures("hangs")
def test_a_file_that_changes_during_a_build_is_built_again(service: Service) -> None:
    def goes_on() -> bool:
        for build in service.sets._builds:
            os.kill(build.pid, signal.SIGCONT)
        return not service.sets._builds

    service.write(MANY + "192.0.2.2\n")
    service.looks()
    service.write(MANY + "192.0.2.3\n")
    service.looks()  # one at a time
    service.until(goes_on)
    service.looks()
    service.until(goes_on)
    assert service.denied("192.0.2.3")
    assert not service.denied("192.0.2.1")
    assert not service.denied("192.0.2.2")


@pytest.mark.usefixtures("hangs")
def test_a_child_that_is_killed_changes_nothing_and_another_one_tries(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.write(MANY + "192.0.2.2\n")
    service.looks()
    os.kill(service.build.pid, signal.SIGKILL)
    service.until(service.refused)
    assert "killed by SIGKILL" in service.refused()[0]
    assert service.denied("192.0.2.1")
    service.looks()
    assert not service.sets._builds, "not at once"
    monkeypatch.undo()
    monkeypatch.setattr(service.sets, "_retry_ms", 0)
    service.looks()
    service.until(lambda: service.denied("192.0.2.2"))


@pytest.mark.usefixtures("hangs")
def test_a_child_that_hangs_is_ended(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(set_builder, "BUILD_TIMEOUT_MS", 300)
    service.write(MANY + "192.0.2.2\n")
    service.looks()
    service.until(service.refused)
    assert "killed by SIGKILL after" in service.refused()[0]
    assert service.denied("192.0.2.1")


def test_a_bad_line_is_told_once(service: Service) -> None:
    service.write(MANY + "nonsense\n")
    service.looks()
    service.until(service.refused)
    assert service.refused() == [f"{service.path}:10001: this is no network or address"]
    service.looks()
    assert not service.sets._builds
    assert service.denied("192.0.2.1")
    service.write(MANY)
    service.looks()
    service.until(lambda: not service.denied("192.0.2.1"))


def test_a_reloads_lists_are_ready_before_it_is_in_force(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "other"
    path.write_text(MANY + "198.51.100.1\n")
    other = Content((), ((str(path), sets.ALLOW),))
    built: list[Any] = []
    done: list[int] = []

    def then() -> None:
        done.append(service.sets.replace([service.content, other])[other])

    def fault(error: L4lbError) -> None:
        raise AssertionError(error.message)

    service.sets.prepare([service.content, other], then, fault)
    assert not done
    monkeypatch.setattr(Content, "texts", lambda _: built.append("here"))
    service.until(lambda: done)
    assert not built, "nothing was read or built in this process"
    assert sets.find(service.table, done[0], "198.51.100.1") == sets.ALLOW
    assert service.denied("192.0.2.1")


def test_a_reloads_list_that_is_bad_is_a_fault(service: Service, tmp_path: Path) -> None:
    path = tmp_path / "other"
    path.write_text(MANY + "x\n")
    faults: list[str] = []
    service.sets.prepare(
        [Content((), ((str(path), sets.ALLOW),))],
        lambda: faults.append("done"),
        lambda error: faults.append(error.message),
    )
    service.until(lambda: faults)
    assert faults == [f"{path}:10001: this is no network or address"]


def test_sets_that_are_no_longer_wanted_stay_until_listeners_have_let_go(service: Service) -> None:
    new = Content.of_networks(["192.0.2.7"])
    number = service.sets.replace([new])[new]
    assert number != service.number
    assert service.denied("192.0.2.1"), "a listener may still name it"
    service.looks()
    assert not service.denied("192.0.2.1")
    assert sets.find(service.table, number, "192.0.2.7")


def test_where_there_is_no_room_for_both_the_old_set_goes_first(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = Content.of_networks(["192.0.2.7"])
    tried: list[set[int]] = []
    rebuild = sets.rebuild

    def narrow(table: Table, changed: Any, kept: set[int], ready: Any = None) -> None:
        tried.append(set(kept))
        if service.number in kept:
            raise OverflowError("the sets of networks have no room")
        rebuild(table, changed, kept, ready)

    monkeypatch.setattr(network_sets.sets, "rebuild", narrow)
    number = service.sets.replace([new])[new]
    assert len(tried) == 2
    assert sets.find(service.table, number, "192.0.2.7")


def test_a_set_with_a_name_is_replaced_in_place(service: Service) -> None:
    number = service.sets.put("one", [(b"192.0.2.0/24", 1)])
    assert service.sets.put("one", [(b"198.51.100.0/24", 2)]) == number
    assert sets.find(service.table, number, "192.0.2.5") == 0
    assert sets.find(service.table, number, "198.51.100.5") == 2
    service.sets.replace([])
    assert sets.find(service.table, number, "198.51.100.5") == 2
    service.sets.drop("one")
    service.looks()
    assert sets.find(service.table, number, "198.51.100.5") == 0
