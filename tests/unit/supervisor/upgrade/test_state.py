"""The state of an upgrade: written and read back, and as earlier versions wrote it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from l4lb.supervisor.upgrade.state import AdminFds, Asker, OldWorker, State, Steward

STATE = State(
    version="1.0",
    old=["/usr/bin/l4lb", "run"],
    file="/l4lb.toml",
    config={"plain": {"process": {}}, "asked": [], "unsaid": []},
    overlay={"states": []},
    started_ms=7,
    generation=3,
    counts={"each": {}},
    admin=AdminFds("/run/a.sock", 3, 4),
    listening=[{"bind": "127.0.0.1:80", "sockets": {"0": 10, "1": 11}}],
    workers={100: OldWorker(0, 20), 101: OldWorker(1, 21)},
    lifeline_fd=5,
    helpers=[200, 201],
    answer=Asker(30, 9, {"by": {"via": "admin"}}),
    environment={"NOTIFY_SOCKET": "/n"},
    known={"secrets": {"box_fd": 40, "files_at": 0, "ticket_keys_fd": 41}},
    events=[{"kind": "shed"}],
    older=[90],
    web_fd=31,
    web={"at": "127.0.0.1:81", "token_file": "", "token": "", "hosts": []},
    writer_fd=32,
    steward=Steward(300, 50, stops=True, tells=True),
    sticky={"fd": 51},
    lists={"fd": 52},
    disks={"/var/cache/l4lb": 53},
)


def over_a_file(plain: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(plain))
    return found


def test_a_state_comes_back_as_it_was() -> None:
    state = STATE.with_keep()
    assert State.from_plain(over_a_file(state.to_plain())) == state


def test_every_descriptor_that_it_names_is_kept() -> None:
    due = {3, 4, 5, 10, 11, 20, 21, 30, 31, 32, 40, 41, 50, 51, 52, 53}
    assert sorted(STATE.with_keep().keep) == sorted(due)
    bare = replace(STATE, web_fd=None, writer_fd=None, steward=None, sticky=None, lists=None)
    assert sorted(bare.with_keep().keep) == sorted(due - {31, 32, 50, 51, 52})


def test_what_a_check_does_not_have_is_not_written() -> None:
    plain = replace(STATE, steward=None, sticky=None, lists=None).to_plain()
    assert not {"steward", "sticky", "lists"} & plain.keys()


LATER = (
    "carried",
    "events",
    "older",
    "web",
    "writer_fd",
    "sticky",
    "lists",
    "asked",
    "unsaid",
    "disks",
)


@pytest.mark.parametrize("key", [*LATER, "all of them"])
def test_a_state_without_what_later_versions_added_is_read(key: str) -> None:
    plain = over_a_file(STATE.with_keep().to_plain())
    for one in LATER if key == "all of them" else (key,):
        del plain[one]
    del plain["answer"]["cause"], plain["steward"]["stops"], plain["steward"]["tells"]
    state = State.from_plain(plain)
    assert state.answer == Asker(30, 9)
    assert state.steward == Steward(300, 50)
    assert (state.workers, state.admin) == (STATE.workers, STATE.admin)


def test_keys_that_only_a_later_version_knows_are_no_fault() -> None:
    plain = over_a_file(STATE.with_keep().to_plain())
    plain["more"] = plain["admin"]["more"] = plain["steward"]["more"] = 1
    assert State.from_plain(plain) == STATE.with_keep()
