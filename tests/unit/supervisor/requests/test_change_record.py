"""The record of changes: who asked for what, and how it ended; it has no secrets, and is
bounded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

import l4lb.log
from l4lb.control.cause import Cause, named
from l4lb.control.command import TEXT_MAX
from l4lb.control.commands import COMMANDS
from l4lb.errors import AdminError
from l4lb.supervisor.process.event_history import History
from l4lb.supervisor.requests.change_record import Record

ROOT = {"via": "admin", "user": "root", "uid": 0, "pid": 7}
DISCOVERY = {"via": "discovery"}


class Events:
    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.record = Record(self.tell)

    def tell(self, kind: str, fields: Mapping[str, Any]) -> None:
        self.told.append({"kind": kind, **fields})


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.mark.parametrize(
    ("command", "given", "line"),
    [
        ("drain", {"backend": "web/a"}, "drain web/a"),
        ("weight", {"backend": "web/a", "weight": 0}, "weight web/a 0"),
        ("reload", {"file": None, "confirm_ms": None}, "reload"),
        ("reload", {"file": "/a b", "confirm_ms": 5_000}, "reload '/a b' --confirm 5000ms"),
        ("kill", {"session": None, "backend": "web/a"}, "kill --backend web/a"),
        ("drain", {"backend": ["not", "text"], "more": 1}, "drain"),
        (
            "cache",
            {"action": "purge", "tag": "news", "all": False, "soft": True},
            "cache purge --tag news --soft",
        ),
    ],
)
def test_a_command_is_told_as_it_would_be_typed(
    command: str, given: dict[str, Any], line: str
) -> None:
    assert Cause.of(ROOT, command, given).line == line


@pytest.mark.parametrize(
    ("by", "words"),
    [
        (ROOT, "root (uid 0, pid 7)"),
        ({**ROOT, "user": ""}, "uid 0 (pid 7)"),
        ({"via": "http", "client": "[::1]:9"}, "the token's holder at [::1]:9"),
        ({"via": "signal", "signal": "HUP"}, "signal HUP"),
        (DISCOVERY, "discovery"),
    ],
)
def test_who_it_was_is_told_in_words(by: dict[str, Any], words: str) -> None:
    assert named(by) == words


def test_what_is_too_long_is_cut_everywhere(events: Events) -> None:
    cause = Cause.of(ROOT, "drain", {"backend": "x" * 100_000})
    events.record.add(cause, AdminError("not_found", "y" * 100_000))
    assert len(json.dumps(events.told)) < 8 * TEXT_MAX


def test_what_was_done_and_what_was_refused_are_told_apart(events: Events) -> None:
    cause = Cause.of(ROOT, "drain", {"backend": "web/a"})
    events.record.add(cause, {"any": "result"})
    events.record.add(cause, AdminError("not_found", "it is gone"))
    done, refused = events.told
    assert (done["kind"], done["backend"], done["result"]) == ("change", "web/a", "done")
    assert done["text"] == "drain web/a by root (uid 0, pid 7): done"
    assert (refused["result"], refused["code"]) == ("refused", "not_found")
    assert refused["text"].endswith(": refused (not_found: it is gone)")


def test_a_source_that_found_nothing_new_or_asks_again_is_not_told(events: Events) -> None:
    cause = Cause(DISCOVERY, "discovered", {"pool": "web"}, line="2 backends found for web")
    events.record.add(cause, {"changes": []})
    events.record.add(cause, AdminError("busy", "later"))
    assert events.told == []
    events.record.add(cause, {"changes": [{"action": "added"}]})
    assert len(events.told) == 1


def test_an_answer_is_sent_whatever_its_cause_looks_like(events: Events) -> None:
    sent: list[dict[str, Any]] = []
    for cause in ({}, {"by": 7, "about": 3}, {"command": None, "args": []}, "text", None):
        events.record.sending(cause, sent.append)({"ok": True, "result": 1})
    assert sent == [{"ok": True, "result": 1}] * 5


def test_each_change_of_an_operator_is_a_line_and_those_of_others_are_bounded(
    events: Events, capsys: pytest.CaptureFixture[str]
) -> None:
    l4lb.log.setup("info", "json")
    for by in (ROOT, {"via": "checker"}):
        for _ in range(100):
            events.record.add(Cause(by, "drain", {"backend": "web/a"}, line="drain"), {})
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert sum(line["via"] == "admin" for line in lines) == 100
    assert sum(line["via"] == "checker" for line in lines) < 100
    assert not any("every" in line for line in lines)


def test_only_some_uses_of_a_reading_command_are_recorded() -> None:
    sticky = COMMANDS["sticky"]
    assert not sticky.is_recorded({"pool": "web", "set": None})
    assert sticky.is_recorded({"pool": "web", "clear": "all"})


def test_pools_that_are_down_are_known_to_who_takes_over() -> None:
    told = [{"kind": "pool_down", "pool": "a"}, {"kind": "pool_down", "pool": "b"}]
    history = History([*told, {"kind": "pool_up", "pool": "a"}])
    assert history.pools_down == {"b"}
    assert History(history.plain).pools_down == {"b"}
