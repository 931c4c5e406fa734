"""A pool whose backends are all replaced has some at every moment."""

from __future__ import annotations

import copy

import pytest

from ..harness import Backends, Balancer, Load, toml


@pytest.mark.parametrize("balance", ["maglev", "round_robin"])
def test_a_reload_that_replaces_all_backends_of_a_pool_turns_nobody_away(
    three: Backends, balance: str
) -> None:
    rows = three.rows()
    with Balancer.before(rows[:1], balance=balance) as lb:
        config = copy.deepcopy(lb.config or {})
        with Load(lb, threads=6, size=10) as load:
            for turn in range(1, 31):
                config["pools"]["web"]["backends"] = [rows[turn % 3]]
                (lb.folder / "l4lb.toml").write_text(toml(config))
                lb.ask("reload")
                load.wait_for_more(5)
        assert load.failures == []
