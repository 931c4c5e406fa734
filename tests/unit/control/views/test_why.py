"""The reasons of `why` in words, and the sessions that `sessions` selects."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from l4lb.control.views.sessions import sessions
from l4lb.control.views.why import why
from l4lb.errors import AdminError
from l4lb.native.health import health
from l4lb.native.results import Result
from l4lb.native.rows import SessionRow
from l4lb.native.table import Table
from tests.unit.supervisor.tables import closed_port, table_of

NOW_MS = 100_000
SETTINGS = {"type": "tcp", "interval_ms": 2_000, "timeout_ms": 1_000, "rise": 2, "fall": 3}


def about(
    table: Table, settings: dict[str, Any] | None = SETTINGS, **changes: Any
) -> dict[str, Any]:
    row, known = table.backend(0), health(table, 0)
    assert row is not None
    assert known is not None
    return why(row, known._replace(**changes), settings, [], NOW_MS)


def test_one_that_serves_says_so() -> None:
    said = about(table_of({"web": {"a": closed_port()}}))
    assert said["serves"]
    assert (said["backend"], said["returns"], said["check"]) == ("web/a", [], None)


def test_one_that_checks_took_out_tells_the_evidence_and_the_way_back() -> None:
    table = table_of({"web": {"a": closed_port()}})
    table.record_check(
        0, 1, health="down", passed=False, result=int(Result.REFUSED), errno=errno.ECONNREFUSED,
        streak=3, at_ms=NOW_MS - 5_000, duration_us=250,
    )  # fmt: skip
    said = about(table)
    assert not said["serves"]
    assert said["because"] == [
        "3 checks in a row failed, the last one: refused (Connection refused); down for 5.0 s"
    ]
    assert said["returns"] == ["2 passed checks in a row, one every 2.0 s"]
    assert said["check"]["failed"] == 1
    assert said["check"]["fall"] == 3
    assert "never by itself" in about(table, None)["returns"][0]


def test_an_operators_word_and_a_weight_of_nothing_are_reasons() -> None:
    table = table_of({"web": {"a": closed_port()}})
    table.set_state(0, "drain")
    table.set_weight(0, 0)
    said = about(table)
    assert said["because"] == ["an operator drains it", "its weight is 0"]
    assert said["returns"] == ["l4lb admin ready web/a", "l4lb admin weight web/a 1"]


def test_an_ejection_tells_its_cause_and_its_end() -> None:
    said = about(
        table_of({"web": {"a": closed_port()}}),
        ejected_until_ms=NOW_MS + 7_500, ejected_at_ms=NOW_MS - 2_500, eject_ms=10_000,
        cause="connect", error=errno.ETIMEDOUT,
    )  # fmt: skip
    assert said["because"] == [
        "ejected 2.5 s ago for 10 s: clients' sessions could not reach it, the last with ETIMEDOUT"
    ]
    assert said["returns"] == ["by itself in 7.5 s or when a check passes"]


def test_events_about_it_come_with_it() -> None:
    table = table_of({"web": {"a": closed_port()}})
    row, known = table.backend(0), health(table, 0)
    assert row is not None
    assert known is not None
    events = [
        {"kind": "backend_down", "backend": f"web/{name}", "n": n}
        for n in range(9)
        for name in "ab"
    ]
    said = why(row, known, None, events, NOW_MS)
    assert [event["n"] for event in said["events"]] == [4, 5, 6, 7, 8]


class Live:
    """A table with these live sessions."""

    def __init__(self, *rows: SessionRow) -> None:
        self._rows = list(rows)

    def sessions(self, _now_ms: int, limit: int) -> list[SessionRow]:
        return self._rows[:limit]


def session(number: int, **values: Any) -> SessionRow:
    given = {
        "id": f"0.{number}.1", "pool": "web", "backend": "a", "listener": "front",
        "client": f"10.0.0.{number}:99", "bytes_in": 0, "bytes_out": 0, "age_ms": 0, "idle_ms": 0,
        **values,
    }  # fmt: skip
    return SessionRow(**{field: given.get(field, 0) for field in SessionRow._fields})


NONE = dict.fromkeys(("backend", "listener", "source", "older_than_ms", "sort")) | {"limit": 10}
TABLE: Any = Live(
    session(1, bytes_in=5, age_ms=1_000),
    session(2, backend="b", bytes_out=9, age_ms=3_000),
    session(3, client="[2001:db8::7]:1", bytes_in=1, bytes_out=1, idle_ms=7),
    session(4, client="unix:", listener="other"),
)


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ({}, [1, 2, 3, 4]),
        ({"limit": 2}, [1, 2]),
        ({"backend": "web/b"}, [2]),
        ({"backend": "db/b"}, []),
        ({"listener": "other"}, [4]),
        ({"source": "10.0.0.1"}, [1]),
        ({"source": "10.0.0.0/8"}, [1, 2]),
        ({"source": "2001:db8::/32"}, [3]),
        ({"older_than_ms": 1_000}, [1, 2]),
        ({"sort": "bytes"}, [2, 1, 3, 4]),
        ({"sort": "bytes", "limit": 1}, [2]),
        ({"sort": "idle"}, [3, 1, 2, 4]),
        ({"sort": "age", "source": "10.0.0.0/8"}, [2, 1]),
    ],
)
def test_sessions_are_found_and_sorted(args: dict[str, Any], expected: list[int]) -> None:
    found = sessions(TABLE, NOW_MS, NONE | args)
    assert [int(one["id"].split(".")[1]) for one in found] == expected


@pytest.mark.parametrize("args", [{"sort": "size"}, {"source": "here"}])
def test_what_cannot_be_meant_is_told(args: dict[str, Any]) -> None:
    with pytest.raises(AdminError, match="must be"):
        sessions(TABLE, NOW_MS, NONE | args)
