"""Run-time changes over a file: the table of docs/reload.md, and writing and reading plain data."""

from __future__ import annotations

import json
from typing import Any

import pytest

from l4lb.config.build import build
from l4lb.config.model import Backend, Config
from l4lb.config.origin import Origin
from l4lb.supervisor.reload.overlay import Overlay, differences

SOURCE = {"discovery": {"type": "file", "path": "/members"}}


def config(*backends: Any, discovers: bool = True) -> Config:
    """Returns pool `web` with these backends: names, or (name, weight)."""
    rows = [
        {"name": one[0], "address": "127.0.0.1:80", "weight": one[1]}
        if isinstance(one, tuple)
        else {"name": one, "address": "127.0.0.1:80"}
        for one in backends
    ]
    return build(
        {
            "listeners": {"web": {"bind": ["127.0.0.1:8080"], "pool": "web"}},
            "pools": {"web": {"backends": rows} | (SOURCE if discovers else {})},
        },
        Origin(),
    )


def backend(name: str, weight: int = 1) -> Backend:
    """Returns one more backend."""
    return Backend.model_validate({"name": name, "address": "127.0.0.1:81", "weight": weight})


def members(overlay: Overlay, file: Config) -> dict[str, int]:
    """Returns the backends in force, with their weights."""
    return {one.name: one.weight for one in overlay.over(file).pools["web"].backends}


A, B, C = ("web", "a"), ("web", "b"), ("web", "c")


@pytest.mark.parametrize(
    ("before", "after", "overlay", "found", "told"),
    [
        (["a"], ["a"], Overlay().with_weight(A, 5), {"a": 5}, False),
        (["a"], [("a", 2)], Overlay().with_weight(A, 5), {"a": 2}, True),
        (["a"], ["a"], Overlay().with_added("web", backend("c", 3)), {"a": 1, "c": 3}, False),
        (["a"], ["a", "c"], Overlay().with_added("web", backend("c", 3)), {"a": 1, "c": 1}, False),
        (["a", "b"], ["a", "b"], Overlay().with_removed(B), {"a": 1}, False),
        (["a", "b"], ["a", ("b", 2)], Overlay().with_removed(B), {"a": 1, "b": 2}, True),
        (["a", "b"], ["a"], Overlay().with_weight(B, 7), {"a": 1}, False),
        (["a"], ["a", "b"], Overlay().with_weight(A, 4), {"a": 4, "b": 1}, False),
    ],
)
def test_the_new_file_wins_where_it_says_something_else(
    before: list[Any], after: list[Any], overlay: Overlay, found: dict[str, int], told: bool
) -> None:
    rebased, said = overlay.rebased(config(*before), config(*after))
    assert members(rebased, config(*after)) == found
    assert bool(said) == told


def test_a_backend_that_comes_back_by_a_name_is_a_new_one() -> None:
    overlay = Overlay().with_weight(A, 9).with_state(A, "drain").with_removed(A)
    assert overlay == Overlay(removed=frozenset({A}))
    again = overlay.with_added("web", backend("a", 2))
    assert members(again, config("a")) == {"a": 2}
    assert again.with_removed(A).removed == frozenset()


def test_ready_is_no_difference() -> None:
    overlay = Overlay().with_state(A, "drain")
    assert [one["keys"] for one in differences(config("a"), overlay)] == [
        {"state": ["ready", "drain"]}
    ]
    assert overlay.with_state(A, "ready") == Overlay()


def test_what_was_found_is_beside_the_files_and_what_was_added_before_both() -> None:
    overlay = Overlay().with_discovered("web", (backend("a", 7), backend("d", 4)))
    assert members(overlay, config("a")) == {"a": 1, "d": 4}
    over = overlay.with_added("web", backend("d", 2)).with_weight(("web", "a"), 3)
    assert members(over, config("a")) == {"a": 3, "d": 2}


def test_what_was_found_goes_with_the_source_and_comes_back_with_it() -> None:
    found = Overlay().with_discovered("web", (backend("d"),))
    with_source, without = config("a"), config("a", discovers=False)
    rebased, _ = found.rebased(with_source, without)
    assert members(rebased, without) == {"a": 1}
    assert members(rebased, with_source) == {"a": 1}  # it may be another source
    back = found.followed(found, rebased, with_source, ["web"])
    assert members(back, with_source) == {"a": 1, "d": 1}
    assert members(Overlay().followed(Overlay(), found, without, []), without) == {"a": 1}


def test_it_goes_there_and_back_as_plain_data() -> None:
    overlay = (
        Overlay()
        .with_state(A, "maint")
        .with_weight(A, 3)
        .with_added("web", backend("c", 2))
        .with_removed(B)
        .with_discovered("web", (backend("d"),))
    )
    assert Overlay.from_plain(json.loads(json.dumps(overlay.to_plain()))) == overlay
    assert Overlay.from_plain({}) == Overlay()
