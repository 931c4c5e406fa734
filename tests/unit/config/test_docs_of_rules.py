"""docs/inspect.md and docs/record.md: every example is a valid configuration."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from l4lb.config.build import build
from l4lb.config.origin import Origin

DOCS = Path(__file__).parents[3] / "docs"
TABLES = {"inspect.md": "icap", "record.md": "record"}
FENCE = re.compile(r"^```toml\n(.*?)^```", re.MULTILINE | re.DOTALL)
EXAMPLES = [
    (table, example)
    for page, table in TABLES.items()
    for example in FENCE.findall((DOCS / page).read_text())
]


def test_each_page_has_an_example() -> None:
    assert {table for table, _ in EXAMPLES} == set(TABLES.values())


@pytest.mark.parametrize(("table", "example"), EXAMPLES)
def test_an_example_is_taken_without_a_warning(table: str, example: str) -> None:
    config = build(tomllib.loads(example), Origin())
    assert getattr(config, table)
    assert config.warnings == ()
