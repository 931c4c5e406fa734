"""Events that the control process keeps."""

from __future__ import annotations

from l4lb.control.channel import dated


def test_an_event_says_when_it_was_by_the_clock_on_the_wall() -> None:
    told = {"at_ms": 60_250, "kind": "backend_up"}
    assert dated(told, 61_500, 1_000_000_001.25) == {
        "at": "2001-09-09T01:46:40.000+00:00",
        "at_ms": 60_250,
        "kind": "backend_up",
    }


def test_an_event_of_no_time_is_kept_as_it_is() -> None:
    assert dated({"kind": "x", "at_ms": None}, 1, 1.0) == {"kind": "x", "at_ms": None}
