"""A reload that brings a source of discovery waits for its first answer."""

from __future__ import annotations

from l4lb.config.build import build
from l4lb.config.model import Config
from l4lb.config.origin import Origin
from l4lb.errors import AdminError, L4lbError
from l4lb.supervisor.reload.discovery import FIRST_ANSWERS_MS

from .running import TRIAL_MS, Running, config


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
    running.found(FOUND)
    assert running.installed == []
    running.answered("other")
    assert running.installed == []
    running.answered("web")
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
    running.answered("web", "own")  # it has failed
    running.passes(FIRST_ANSWERS_MS)
    assert len(running.installed) == 2


def test_a_reload_that_fails_after_the_wait_follows_what_is_in_force(running: Running) -> None:
    running.refuses = L4lbError("no room")
    running.ask("reload")
    running.loads.end(discovering())
    running.found(FOUND)
    running.answered("web")
    assert isinstance(running.answers[-1], AdminError)
    assert running.orders[-1]["pools"]["web"]["path"] == "/old"
    assert running.ports == [1]


def test_words_about_an_earlier_source_are_not_taken_for_the_present_one_s(
    running: Running,
) -> None:
    running.ask("reload")
    running.loads.end(discovering("/first"))
    first = running.orders[-1]["number"]
    running.passes(FIRST_ANSWERS_MS)
    running.ask("reload")
    running.loads.end(discovering("/second"))
    second = running.orders[-1]["number"]
    assert running.code("discovered", pool="web", backends=[FOUND], number=first) == "busy"
    running.reloads.first_answers.answered(["web", "own"], first)
    assert len(running.installed) == 1
    running.ask("discovered", pool="web", backends=[FOUND], number=second)
    running.reloads.first_answers.answered(["web", "own"], second)
    assert running.ports == [7]
    assert running.code("discovered", pool="web", backends=[], number=first) == "busy"
    assert running.ports == [7]


def test_a_control_process_that_starts_during_the_wait_follows_the_new_sources(
    running: Running,
) -> None:
    running.ask("reload")
    running.loads.end(discovering())
    assert running.reloads.first_answers.order() == running.orders[-1]
    running.passes(FIRST_ANSWERS_MS)
    assert set(running.reloads.first_answers.order()["pools"]) == {"web", "own"}


def test_a_fault_after_the_wait_is_an_answer(running: Running) -> None:
    running.faulty = True
    running.ask("reload")
    running.loads.end(discovering())
    running.passes(FIRST_ANSWERS_MS)
    assert running.answers[-1].code == "internal"
    running.faulty = False
    running.ask("reload")


def test_going_back_waits_for_no_source(running: Running) -> None:
    running.ask("reload")
    running.loads.end(discovering("/first"))
    running.passes(FIRST_ANSWERS_MS)
    running.ask("reload", confirm_ms=TRIAL_MS)
    running.loads.end(config("1"))
    running.ask("rollback")
    assert running.ports == []
    assert len(running.installed) == 3


def test_going_back_brings_what_was_found_before(running: Running) -> None:
    running.ask("reload")
    running.loads.end(discovering())
    running.found(FOUND)
    running.answered("web")
    running.ask("reload", confirm_ms=TRIAL_MS)
    running.loads.end(config("1"))
    assert running.ports == [1]
    running.ask("rollback")
    assert running.ports == [7]
