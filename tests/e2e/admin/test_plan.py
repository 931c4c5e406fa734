"""Commands that read the configuration in force, over pools of every kind: with names and without,
filled by discovery, empty."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..harness import PORTS, Backends, Balancer, run, toml, until
from ..harness.everything import Everything, everything


@pytest.fixture(scope="module")
def every() -> Iterator[Everything]:
    with everything() as one:
        yield one


@pytest.mark.parametrize("named", [False, True], ids=["the file in force", "FILE"])
def test_a_plan_of_every_kind_of_pool_changes_nothing(every: Everything, named: bool) -> None:
    file = [str(every.lb.folder / "l4lb.toml")] if named else []
    plan = every.lb.admin("plan", *file)
    assert (plan["changes"], plan["pools"]) == ([], [])
    assert plan["sessions"]["live"] > 0


@pytest.mark.parametrize("pool", ["plain", "web", "found", "empty", "sticky", "names"])
def test_a_plan_that_changes_one_pool_tells_of_that(
    every: Everything, tmp_path: Path, pool: str
) -> None:
    config: dict[str, Any] = json.loads(json.dumps(every.lb.config))
    changed = config["pools"][pool]
    changed["backends"] = [*changed.get("backends", ()), "127.0.0.1:1"]
    file = tmp_path / "new.toml"
    file.write_text(toml(config))
    plan = every.lb.admin("plan", str(file))
    assert [(one["action"], one["name"]) for one in plan["changes"]] == [
        ("added", f"{pool}/127.0.0.1:1")
    ]
    (told,) = plan["pools"]
    assert told["pool"] == pool
    assert (told["hash_keys_moved"] is None) == (
        changed.get("balance") not in ("ip_hash", "maglev")
    )


def test_every_pool_explains_its_choice_and_is_simulated(every: Everything) -> None:
    for row in every.lb.ask("pools"):
        explained = every.lb.admin("explain", row["name"], "192.0.2.1:9")
        assert len(explained["candidates"]) == row["backends"], row["name"]
        simulated = every.lb.admin("simulate", row["name"], "--add", "new")
        assert len(simulated["backends"]) == row["backends"] + 1, row["name"]


def test_the_first_form_of_the_readme_can_be_planned_and_reloaded() -> None:
    with contextlib.ExitStack() as stack:
        backends = stack.enter_context(Backends(2))
        one, two = backends.addresses
        bind = f"127.0.0.1:{PORTS.take()}"
        config: dict[str, Any] = {
            "listeners": {"web": {"bind": [bind], "pool": "web"}},
            "pools": {"web": {"backends": [one, two]}},
        }
        lb = stack.enter_context(Balancer(config))
        until(lambda: lb.ask("backends"), "it runs")
        file = lb.folder / "l4lb.toml"
        assert lb.admin("plan")["changes"] == []
        config["pools"]["web"]["backends"] = [two]
        file.write_text(toml(config))
        plan = lb.admin("plan")
        assert [one["name"] for one in plan["changes"]] == [f"web/{one}"]
        assert plan["changes"] == lb.admin("reload")["changes"]
        done = run("admin", "--socket", lb.socket, "plan")
        assert (done.returncode, "would change nothing" in done.stdout) == (0, True)
