"""docs/record.md: every example is a valid configuration."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from l4lb.config.build import build
from l4lb.config.origin import Origin

TEXT = (Path(__file__).parents[3] / "docs" / "record.md").read_text()
EXAMPLES = re.findall(r"^```toml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_taken_without_a_warning(example: str) -> None:
    config = build(tomllib.loads(example), Origin())
    assert config.record
    assert config.warnings == ()
