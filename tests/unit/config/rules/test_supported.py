"""Features that this version does not have are refused, never ignored; all others are accepted."""

from __future__ import annotations

from typing import Any

import pytest

from l4lb.config.build import build
from l4lb.config.origin import Origin
from l4lb.config.rules import supported
from l4lb.config.rules.supported import Row
from l4lb.errors import ConfigError

ROWS = (
    Row("pools.*.balance", ("round_robin",), "this algorithm"),
    Row("pools.*.sticky", (), "stickiness"),
)
EXAMPLES: dict[str, object] = {"pools.*.balance": "first", "pools.*.sticky": {}}


@pytest.fixture(autouse=True)
def _rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Returns the rows of a made-up version that lacks two features: this version lacks none."""
    monkeypatch.setattr(supported, "ROWS", ROWS)


def good() -> dict[str, Any]:
    return {
        "process": {"log": {}},
        "listeners": {"web": {"bind": [":80"], "pool": "web"}},
        "pools": {"web": {"backends": [{"address": "h:1"}], "health": {}}},
    }


def with_value(key: str, value: object) -> dict[str, Any]:
    data = good()
    *parts, last = key.split(".")
    tables = [data]
    for part in parts:
        tables = [
            below
            for table in tables
            for below in (
                (table.values() if isinstance(table, dict) else table)
                if part == "*"
                else [table[part]]
            )
        ]
    for table in tables:
        table[last] = value
    return data


@pytest.mark.parametrize("row", ROWS, ids=[row.key for row in ROWS])
def test_a_value_that_has_to_wait_is_an_error(row: Row) -> None:
    with pytest.raises(ConfigError, match="is not supported by this version"):
        build(with_value(row.key, EXAMPLES[row.key]), Origin())


@pytest.mark.parametrize("row", ROWS, ids=[row.key for row in ROWS])
def test_a_value_that_works_is_taken(row: Row) -> None:
    for value in row.values:
        build(with_value(row.key, value), Origin())


@pytest.mark.parametrize("row", ROWS, ids=[row.key for row in ROWS])
def test_a_row_deleted_lets_its_values_through(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supported, "ROWS", tuple(one for one in ROWS if one != row))
    build(with_value(row.key, EXAMPLES[row.key]), Origin())
