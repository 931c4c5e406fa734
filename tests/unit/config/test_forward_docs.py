"""docs/forward.md: every example is a valid configuration."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from l4lb.config.build import build
from l4lb.config.origin import Origin
from l4lb.policy.compiled import rules_of

TEXT = (Path(__file__).parents[3] / "docs" / "forward.md").read_text()
EXAMPLES = re.findall(r"^```toml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
LISTENER = {"bind": ["127.0.0.1:3128"], "protocol": "http"}


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_taken_without_a_warning(example: str) -> None:
    data = tomllib.loads(example)
    if "listeners" not in data:  # only a part is shown
        data["listeners"] = {
            name: {**LISTENER, "bind": [f"127.0.0.1:{3128 + at}"], "forward": name}
            for at, name in enumerate(data.get("forward", {}))
        }
    config = build(data, Origin())
    assert config.forward
    assert config.warnings == ()
    for one in config.forward.values():
        rules_of(one.rules, one.otherwise)
