"""docs/http.md: every example is a valid configuration, and every key has its default."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from l4lb.config.build import build
from l4lb.config.origin import Origin
from l4lb.config.schema import keys

TEXT = (Path(__file__).parents[3] / "docs" / "http.md").read_text()
EXAMPLES = re.findall(r"^```toml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
HTTP = re.compile(r"(listeners|pools)\.NAME\.http\.(\w+)")


def whole(example: str) -> dict[str, Any]:
    """Returns a whole configuration with the example."""
    data = tomllib.loads(example)
    data.setdefault("pools", {}).setdefault("app", {"backends": ["10.0.0.1:80"]})
    return data


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_taken_without_a_warning(example: str) -> None:
    config = build(whole(example), Origin())
    assert any(one.protocol == "http" for one in config.listeners.values())
    assert config.warnings == ()


def test_every_key_has_its_row_with_its_default() -> None:
    for kind in ("listeners", "pools"):
        section = TEXT.partition(f"### [{kind}.NAME.http]")[2].partition("\n#")[0]
        told = dict(re.findall(r"^\| `(\w+)` \| (?:`(.*?)`|absent)", section, re.MULTILINE))
        known = {
            # A default that differs for some listeners says so after the usual one.
            match[2]: key.default.partition("`, of ")[0].strip("`").removesuffix("absent")
            for key in keys()
            if (match := HTTP.fullmatch(key.path)) and match[1] == kind
        }
        assert {name: parsed(text) for name, text in told.items()} == {
            name: parsed(text) for name, text in known.items()
        }


def parsed(text: str) -> Any:
    return json.loads(text) if text else None
