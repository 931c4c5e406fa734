"""docs/health.md: every example is a valid configuration."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from l4lb.checker.probes import PROBES
from l4lb.config.build import build
from l4lb.config.origin import Origin

TEXT = (Path(__file__).parents[3] / "docs" / "health.md").read_text()
EXAMPLES = re.findall(r"^```toml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def whole(example: str) -> dict[str, Any]:
    """Returns a whole configuration with the example; keys outside of tables belong to a pool."""
    data = tomllib.loads(example)
    pools = data.pop("pools", {}) or {"web": data}
    for pool in pools.values():
        pool.setdefault("backends", ["10.0.0.1:80"])
    listeners = {
        name: {"bind": [f":{port}"], "pool": name} for port, name in enumerate(pools, 8_000)
    }
    return {"listeners": listeners, "pools": pools}


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_taken(example: str) -> None:
    config = build(whole(example), Origin())
    assert config.pools


def test_every_type_of_check_is_there() -> None:
    assert len(EXAMPLES) >= 6
    headings = " ".join(line for line in TEXT.splitlines() if line.startswith("### "))
    assert set(PROBES) <= set(re.findall(r"[a-z]+", headings))
